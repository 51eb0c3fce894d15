"""Novelty detection as a gate: decide first whether a row is of a seen class, then which; baselines of atlas 119."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf
from sklearn.neighbors import NearestNeighbors

from theatrum.predict.semantic_ridge import class_means
from theatrum.predict.zero_shot_predictor import Rows

Gate: TypeAlias = Literal["gaussian", "loop"]
_NEIGHBORS, _LAMBDA = 20, 2.0  # of the local outlier probability; lambda of its authors


def gaussian_novelty(X: Rows, codes: NDArray[np.intp], queries: Rows) -> NDArray[np.float64]:
    """Minus the largest log density of a row under one round Gaussian a class.

    Parameters
    ----------
    X, codes : ndarray, shape (n, d), (n,)
        Training rows and their classes.
    queries : ndarray, shape (q, d)
        Rows to judge.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [0.2, 0.0], [5.0, 5.0], [5.2, 5.0]])
    >>> near, far = gaussian_novelty(X, np.array([0, 0, 1, 1]), np.array([[0.1, 0.1], [2.5, 2.5]]))
    >>> bool(near < far)
    True
    """
    present, inner = np.unique(codes, return_inverse=True)
    means, counts = class_means(X, inner, len(present))
    d = X.shape[1]
    squares = np.bincount(inner, ((X - means[inner]) ** 2).sum(axis=1)) / (counts * d)
    # A class of one row has no spread of its own; it gets the mean one.
    variances = np.where(squares > 0, squares, max(squares.mean(), 1e-12))
    distances = (queries**2).sum(axis=1)[:, None] - 2 * queries @ means.T + (means**2).sum(axis=1)
    return -(-distances / (2 * variances) - d / 2 * np.log(variances)).max(axis=1)


def loop_novelty(X: Rows, queries: Rows, *, n_neighbors: int = _NEIGHBORS) -> NDArray[np.float64]:
    """Local outlier probability (LoOP) of rows against training rows, in [0, 1].

    Kriegel et al. 2009: a row's distance to its neighbours against the neighbours' own, normalised by its spread.

    Parameters
    ----------
    X, queries : ndarray, shape (n, d), (q, d)
        Training rows; rows to judge.
    n_neighbors : int, default=20
        Neighbours; fewer where there are fewer rows.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> near, far = loop_novelty(X, np.array([[0.0, 0.0], [9.0, 9.0]]))
    >>> bool(near < 0.5 < far)
    True
    """
    k = min(n_neighbors, len(X) - 1)
    search = NearestNeighbors(n_neighbors=k).fit(X)
    own, own_neighbors = search.kneighbors()
    deviation = np.sqrt((own**2).mean(axis=1))
    floor = max(float(deviation.mean()) * 1e-9, np.finfo(np.float64).tiny)
    factor = deviation / np.maximum(deviation[own_neighbors].mean(axis=1), floor) - 1
    scale = _LAMBDA * np.sqrt((factor**2).mean())
    distances, neighbors = search.kneighbors(queries)
    of_queries = np.sqrt((distances**2).mean(axis=1)) / np.maximum(deviation[neighbors].mean(axis=1), floor) - 1
    return np.maximum(erf(of_queries / (max(scale, floor) * np.sqrt(2))), 0.0)
