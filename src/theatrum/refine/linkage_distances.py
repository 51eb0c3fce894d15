"""Distances after a hierarchical clustering functor: single linkage, path metrics, geodesics, fuzzy neighbourhoods."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import squareform

from theatrum.refine.pairwise_distances import Distances, check_distances

Linkage: TypeAlias = Literal["single", "maximal", "path", "geodesic", "fuzzy"]
_BISECTIONS = 64  # of the width of a fuzzy neighbourhood
_LEAST_WIDTH = 1e-3  # of that width, as a share of the mean distance to the neighbours


def linkage_distance(
    D: Any,
    linkage: Linkage = "single",
    *,
    p: float = 4.0,
    radius: float | None = None,
    n_neighbors: int = 15,
    connect: Literal["mst"] | None = None,
) -> Distances:
    """Send distances through a linkage: ``d_H``, from which strengths of pairs are ``exp(-d_H)``.

    Single linkage is the coarsest and maximal linkage the finest: ``u <= d_H <= d`` for every functorial clustering
    between them, such as the path metrics. Geodesics and fuzzy neighbourhoods follow other rules and may leave the
    bracket. ``evaluate.equivariance_report`` tests what a linkage respects.

    Parameters
    ----------
    D : array-like of shape (n, n)
        Distances.
    linkage : {"single", "maximal", "path", "geodesic", "fuzzy"}, default="single"
        `single_linkage_distance`, D itself, `path_distance`, `geodesic_distance` or `fuzzy_distance`.
    p : float, default=4.0
        Of the path metric.
    radius, n_neighbors, connect
        Of the geodesic graph; ``n_neighbors`` of fuzzy neighbourhoods too.

    Returns
    -------
    ndarray of float, shape (n, n)
        float32 for float32 D, otherwise float64. Infinite where no path leads.

    Raises
    ------
    ValueError
        D is no matrix of distances.

    Examples
    --------
    >>> D = np.abs(np.subtract.outer([0, 1, 3], [0, 1, 3]))
    >>> linkage_distance(D, "path", p=2.0).round(3).tolist()
    [[0.0, 1.0, 2.236], [1.0, 0.0, 2.0], [2.236, 2.0, 0.0]]
    """
    distances = check_distances(D)
    if linkage == "single":
        return single_linkage_distance(distances)
    if linkage == "path":
        return path_distance(distances, p)
    if linkage == "geodesic":
        return geodesic_distance(distances, radius=radius, n_neighbors=n_neighbors, connect=connect)
    if linkage == "fuzzy":
        return fuzzy_distance(distances, n_neighbors)
    return distances


def single_linkage_distance(D: Any) -> Distances:
    """Smallest largest step of a path between two rows: the height at which single linkage joins them.

    ``u_ij = min over paths of max step``. It is an ultrametric, never above d, and moves by at most as much as d moves.

    Parameters
    ----------
    D : array-like of shape (n, n)
        Distances.

    Returns
    -------
    ndarray of float, shape (n, n)
        In O(n^2) time.

    References
    ----------
    Shiebler, "Functorial manifold learning", ACT 2021, EPTCS 372. Atlas 117.

    Examples
    --------
    >>> D = np.abs(np.subtract.outer([0, 1, 3, 9], [0, 1, 3, 9]))
    >>> single_linkage_distance(D)[0].tolist()
    [0.0, 1.0, 2.0, 6.0]
    """
    distances = check_distances(D)
    order, steps, _ = spanning_chain(distances)
    heights = np.zeros_like(distances, order="C")
    _fill(order, steps, heights)
    return heights


def spanning_chain(D: Distances) -> tuple[NDArray[np.int64], Distances, NDArray[np.int64]]:
    """Order in which Prim's algorithm reaches the rows, the step to each, and the row that it came from.

    The largest step between two places of this order is the single linkage distance of the rows at these places, so
    that order and steps hold the whole dendrogram.
    """
    n = len(D)
    order, parents, steps = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=D.dtype)
    _prim(D, order, steps, parents)
    return order, steps, parents


def extend_single_linkage(order: NDArray[np.int64], steps: Distances, D_new: Distances) -> Distances:
    """Single linkage distances (q, n) of new rows, from their distances (q, n) to the rows of a `spanning_chain`.

    ``min over k of max(d(new, k), u(k, j))``: one pass up the chain and one down, O(n) for every new row.
    """
    heights = np.empty_like(D_new, order="C")
    _extend(order, steps, D_new, heights)
    return heights


def path_distance(D: Any, p: float = 4.0) -> Distances:
    """Length of the best path when steps are added up as p-th powers: ``min over paths of (sum step^p)^(1/p)``.

    p = 1 leaves a metric as it is, and large p comes to single linkage. O(n^3) time: seconds for 2,000 rows.

    Examples
    --------
    >>> D = np.abs(np.subtract.outer([0.0, 1, 2], [0.0, 1, 2]))
    >>> float(path_distance(D, 2.0)[0, 2].round(4))
    1.4142
    """
    distances = check_distances(D)
    if not 1 <= p <= 64:
        raise ValueError(f"p must be between 1 and 64, got {p}; for larger ones take single linkage")
    # In float64 and as shares of the largest: powers of small distances would underflow.
    scale = float(distances.max()) or 1.0
    powers = (distances / scale).astype(np.float64) ** p
    _shortest(powers)
    # Rounding must not lift a direct step above itself.
    return np.minimum((powers ** (1 / p) * scale).astype(distances.dtype), distances)


def extend_path(D_H: Distances, D_new: Distances, p: float) -> Distances:
    """Path distances (q, n) of new rows: ``min over k of (d(new, k)^p + d_H(k, j)^p)^(1/p)``, O(q n^2) time.

    Infinite entries of ``D_new`` are steps that are not allowed; with p = 1 it extends geodesics.
    """
    scale = max(float(one.max(where=np.isfinite(one), initial=0)) for one in (D_H, D_new)) or 1.0
    first = (D_new / scale).astype(np.float64) ** p
    lengths = np.full(D_new.shape, np.inf)
    _shortest_after(first, (D_H / scale).astype(np.float64) ** p, lengths)
    return (lengths ** (1 / p) * scale).astype(D_new.dtype)


def geodesic_distance(
    D: Any, *, radius: float | None = None, n_neighbors: int = 15, connect: Literal["mst"] | None = None
) -> Distances:
    """Shortest paths in the graph of steps up to ``radius`` or, without one, of each row's nearest neighbours.

    Pairs that no path joins are infinitely far, unless ``connect="mst"`` adds the edges of the minimum spanning tree.
    Only a fixed radius without ``connect`` keeps order: neighbours and tree edges change when other rows move.

    Examples
    --------
    >>> D = np.abs(np.subtract.outer([0.0, 1, 2, 9], [0.0, 1, 2, 9]))
    >>> geodesic_distance(D, radius=1.5)[0].tolist()
    [0.0, 1.0, 2.0, inf]
    """
    distances = check_distances(D)
    n = len(distances)
    edges = distances <= radius if radius is not None else _neighbour_mask(distances, n_neighbors)
    if connect == "mst":
        order, _, parents = spanning_chain(distances)
        edges[order[1:], parents[1:]] = True
    edges |= edges.T
    rows, columns = np.nonzero(edges)
    # Built from triples: in a dense graph a step of length 0 would mean that there is none.
    graph = csr_array((distances[rows, columns], (rows, columns)), shape=(n, n))
    return dijkstra(graph, directed=False).astype(distances.dtype)


def _neighbour_mask(D: Distances, n_neighbors: int) -> NDArray[np.bool_]:
    """Whether j is among the nearest neighbours of i; all are when there are too few."""
    n = len(D)
    k = min(n_neighbors, n - 1)
    mask = np.zeros((n, n), dtype=bool)
    away = np.where(np.eye(n, dtype=bool), np.inf, D)
    np.put_along_axis(mask, np.argsort(away, axis=1, kind="stable")[:, :k], True, axis=1)
    return mask


def fuzzy_distance(D: Any, n_neighbors: int = 15) -> Distances:
    """Fuzzy neighbourhoods as UMAP makes them, as ``-log s``: infinite for rows that are no neighbours.

    Both directions of a pair are joined by ``s = a + b - a b``. ``n_neighbors`` counts the row itself, as in UMAP.

    Examples
    --------
    >>> D = np.abs(np.subtract.outer([0.0, 1, 2, 9], [0.0, 1, 2, 9]))
    >>> fuzzy_distance(D, 2)[0].tolist()
    [0.0, 0.0, inf, inf]
    """
    distances = check_distances(D)
    directed = fuzzy_memberships(np.where(np.eye(len(distances), dtype=bool), np.inf, distances), n_neighbors - 1)
    strengths = directed + directed.T - directed * directed.T
    np.fill_diagonal(strengths, 1.0)
    with np.errstate(divide="ignore"):
        # -log(1) is -0.0
        return np.abs(np.log(np.minimum(strengths, 1))).astype(distances.dtype)


def fuzzy_memberships(D: Distances, k: int) -> NDArray[np.float64]:
    """Directed strengths of the k nearest of every row: ``exp(-(d - rho) / sigma)``, 0 for all others.

    ``rho`` is the distance to the nearest row that is not equal, and ``sigma`` makes the strengths sum up to
    ``log2(k + 1)``.

    Parameters
    ----------
    D : ndarray of float, shape (q, n)
        Distances; infinite where a row is no neighbour (itself).
    k : int
        Neighbours of a row.

    Returns
    -------
    ndarray of float64, shape (q, n)
        Strengths between 0 and 1.
    """
    k = max(1, min(k, int(np.isfinite(D).sum(axis=1).min())))
    nearest = np.argsort(D, axis=1, kind="stable")[:, :k]
    away = np.take_along_axis(D, nearest, axis=1).astype(np.float64)
    positive = np.where(away > 0, away, np.inf).min(axis=1)
    rho = np.where(np.isfinite(positive), positive, 0.0)
    beyond = np.maximum(away - rho[:, None], 0)
    # Bisection: the sum grows with sigma, from the number of rows within rho to k.
    low, high = np.zeros(len(D)), np.full(len(D), 1e3) * (beyond.max(axis=1) + 1e-12)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        too_wide = np.exp(-beyond / np.maximum(middle, 1e-300)[:, None]).sum(axis=1) > np.log2(k + 1)
        low, high = np.where(too_wide, low, middle), np.where(too_wide, middle, high)
    sigma = np.maximum((low + high) / 2, np.maximum(_LEAST_WIDTH * away.mean(axis=1), 1e-300))
    strengths = np.zeros(D.shape)
    np.put_along_axis(strengths, nearest, np.exp(-beyond / sigma[:, None]), axis=1)
    return strengths


def chaining_index(D: Distances, heights: Distances) -> float:
    """Mean of ``u / d`` over the pairs farther apart than the median: near 0 where far rows are chained together.

    Examples
    --------
    >>> D = np.abs(np.subtract.outer([0.0, 1, 2, 3], [0.0, 1, 2, 3]))
    >>> round(chaining_index(D, single_linkage_distance(D)), 4)
    0.4444
    """
    d, u = (squareform(matrix, checks=False) for matrix in (D, heights))
    far = (d >= np.median(d)) & (d > 0)
    return float((u[far] / d[far]).mean()) if far.any() else 1.0


@njit(cache=True)
def _prim(D, order, steps, parents):  # type: ignore[no-untyped-def]  # numba finds the types  # noqa: ANN001, ANN202
    n = len(D)
    reached = np.zeros(n, np.bool_)
    nearest = D[0].copy()
    reached[0] = True
    came_from = np.zeros(n, np.int64)
    for place in range(1, n):
        best = -1
        for j in range(n):
            if not reached[j] and (best < 0 or nearest[j] < nearest[best]):
                best = j
        order[place], steps[place], parents[place] = best, nearest[best], came_from[best]
        reached[best] = True
        for j in range(n):
            if D[best, j] < nearest[j]:
                nearest[j] = D[best, j]
                came_from[j] = best


@njit(cache=True)
def _fill(order, steps, heights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for later in range(1, len(order)):
        widest = steps[0]
        for earlier in range(later - 1, -1, -1):
            widest = max(widest, steps[earlier + 1])
            heights[order[earlier], order[later]] = widest
            heights[order[later], order[earlier]] = widest


@njit(cache=True)
def _extend(order, steps, D_new, heights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n = len(order)
    for i in range(len(D_new)):
        height = D_new[i, order[0]]
        heights[i, order[0]] = height
        for place in range(1, n):
            height = min(D_new[i, order[place]], max(height, steps[place]))
            heights[i, order[place]] = height
        for place in range(n - 2, -1, -1):
            height = min(heights[i, order[place]], max(height, steps[place + 1]))
            heights[i, order[place]] = height


@njit(cache=True)
def _shortest(lengths):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Floyd and Warshall's all shortest paths, in place."""
    n = len(lengths)
    for k in range(n):
        onward = lengths[k].copy()  # a row of its own: the inner loop is then vectorised
        for i in range(n):
            here = lengths[i, k]
            row = lengths[i]
            for j in range(n):
                row[j] = min(row[j], here + onward[j])


@njit(cache=True)
def _shortest_after(first, lengths, best):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(first)):
        row = best[i]
        for k in range(len(lengths)):
            here = first[i, k]
            if np.isfinite(here):
                onward = lengths[k]
                for j in range(len(row)):
                    row[j] = min(row[j], here + onward[j])
