"""The loss stage of linkage scaling: places from distances (stress) or from strengths (spectral, cross-entropy)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import eigsh
from scipy.spatial.distance import cdist
from sklearn.utils import check_random_state

from theatrum.extras import require

_TOLERANCE = 1e-6  # SMACOF ends when the stress falls by less than this share of the squared embedded distances
_POWER_STEPS, _OVERSAMPLING = 12, 10  # of the subspace iteration for the classical start
_NEW_ROW_STEPS = 100  # majorisation steps that place a new row


def smacof(
    D: NDArray[np.floating], start: NDArray[np.floating], *, max_iter: int = 300
) -> tuple[NDArray[np.floating], float, int]:
    """Lower the stress ``sum over pairs (|a_i - a_j| - d_ij)^2`` from a start, by majorisation.

    The rule to stop is that of ``sklearn.manifold.smacof`` with ``eps=1e-6``; an iteration is one pass over D.

    Parameters
    ----------
    D : ndarray of float, shape (n, n)
        Distances to be kept; their type is that of the computation.
    start : ndarray of float, shape (n, m)
        Where to begin. Rows that are equal here do not push each other apart.
    max_iter : int, default=300
        Iterations at most.

    Returns
    -------
    embedding : ndarray of float, shape (n, m)
        Centred.
    stress : float
        Of this embedding.
    n_iter : int
        Iterations done.

    Examples
    --------
    >>> embedding, stress, n_iter = smacof(np.array([[0.0, 2], [2, 0]]), np.array([[0.0], [1]]))
    >>> embedding.ravel().tolist(), stress, n_iter
    ([-1.0, 1.0], 0.0, 2)
    """
    Z = np.ascontiguousarray(start.T, dtype=D.dtype)
    D = np.ascontiguousarray(D)
    moved, previous = np.empty_like(Z), np.inf
    for iteration in range(max_iter + 1):
        stress, size = _guttman(D, Z, moved)
        if iteration == max_iter or (iteration > 1 and previous - stress <= _TOLERANCE * size):
            break
        previous = stress
        Z, moved = moved, Z
    return Z.T, float(stress), iteration


def classical_start(D: NDArray[np.floating], n_components: int, random_state: Any) -> NDArray[np.floating]:
    """Classical scaling: leading axes (n, m) of the doubly centred squares, by subspace iteration."""
    rng = check_random_state(random_state)
    products = D * D
    means = products.mean(axis=0, dtype=np.float64).astype(D.dtype)
    products -= means
    products -= (means - means.mean())[:, None]
    products *= -0.5
    basis = rng.normal(size=(len(D), min(len(D), n_components + _OVERSAMPLING))).astype(D.dtype)
    for _ in range(_POWER_STEPS):
        basis, _ = np.linalg.qr(products @ basis)
    values, axes = np.linalg.eigh(basis.T @ products @ basis)
    start = np.zeros((len(D), n_components), dtype=D.dtype)
    best = np.argsort(-values)[:n_components]
    start[:, : len(best)] = basis @ axes[:, best] * np.sqrt(np.maximum(values[best], 0))
    return start


def place_by_stress(
    D_new: NDArray[np.floating], embedding: NDArray[np.floating], start: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Place new rows (q, m) so that each alone has little stress with the embedded rows, which stay.

    One step moves a place to the mean of where the others would have it: at the wanted distance, on this side.
    """
    places = start.astype(np.float64)
    for _ in range(_NEW_ROW_STEPS):
        away = cdist(places, embedding)
        ratio = np.divide(D_new, away, out=np.zeros_like(away), where=away > 0)
        places = embedding.mean(axis=0) + (places * ratio.sum(axis=1)[:, None] - ratio @ embedding) / len(embedding)
    return places


def eigenmaps(graph: Any, n_components: int, rng: np.random.RandomState) -> NDArray[np.float64]:
    """Laplacian eigenmaps (n, m) of a matrix of strengths: the smoothest functions on it but the constant one."""
    n = graph.shape[0]
    if n < n_components + 2:
        raise ValueError(
            f"X: {n} rows are too few for {n_components} spectral dimensions; {n_components + 2} are needed"
        )
    root = np.sqrt(np.maximum(np.asarray(graph.sum(axis=1)).ravel(), np.finfo(np.float64).tiny))
    normalised = graph / root[:, None] / root
    values, axes = eigsh(normalised, n_components + 1, which="LA", v0=rng.uniform(-1, 1, n))
    axes = axes[:, np.argsort(-values)[1:]] / root[:, None]
    return axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_components)])


def umap_layout(graph: Any, n_components: int, rng: np.random.RandomState) -> NDArray[np.float32]:
    """UMAP's layout of a sparse matrix of strengths, started at the eigenmaps; spread 1 and min_dist 0.1."""
    umap = require("umap.umap_", "umap")
    start = eigenmaps(graph, n_components, rng)
    start *= 10 / np.abs(start).max()
    a, b = umap.find_ab_params(1.0, 0.1)
    embedding, _ = umap.simplicial_set_embedding(
        data=None, graph=coo_matrix(graph), n_components=n_components, initial_alpha=1.0, a=a, b=b, gamma=1.0,
        negative_sample_rate=5, n_epochs=None, init=start.astype(np.float32), random_state=rng, metric="euclidean",
        metric_kwds={}, densmap=False, densmap_kwds={}, output_dens=False,
    )  # fmt: skip
    return embedding


@njit(cache=True, fastmath=True)
def _guttman(D, Z, moved):  # type: ignore[no-untyped-def]  # numba finds the types  # noqa: ANN001, ANN202
    """Write the Guttman transform of Z (m, n) into ``moved``; return stress and squared distances of Z, by pairs."""
    m, n = Z.shape
    ratio = np.empty_like(D[0])
    tiny = np.finfo(ratio.dtype).tiny
    stress, size = 0.0, 0.0
    for i in range(n):
        ratio[:] = 0
        for k in range(m):
            for j in range(n):
                away = Z[k, i] - Z[k, j]
                ratio[j] += away * away
        row_stress, row_size = D[i, i], D[i, i]  # zeros of the type of D
        for j in range(n):
            row_size += ratio[j]
            embedded = np.sqrt(ratio[j])
            row_stress += (embedded - D[i, j]) ** 2
            ratio[j] = D[i, j] / max(embedded, tiny) if embedded > 0 else D[i, i]
        stress += row_stress
        size += row_size
        for k in range(m):
            pull = D[i, i]
            for j in range(n):
                pull += ratio[j] * (Z[k, i] - Z[k, j])
            moved[k, i] = pull / n
    return stress / 2, size / 2
