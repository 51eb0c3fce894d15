"""Nearest neighbours: of every row among the others, and of queries among rows."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_vectors, unit_rows

_EXACT_UP_TO = 200_000  # rows; above, exact search takes hours and a graph takes minutes


def knn(X: Any, k: int, *, metric: Literal["cosine", "ip"] = "cosine") -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find the k most similar other rows of every row.

    Exact up to 200,000 rows, by a graph (HNSW) above. A row is never its own neighbour, even where others equal it.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows.
    k : int
        Neighbours; less than n.
    metric : {"cosine", "ip"}, default="cosine"
        How rows are compared.

    Returns
    -------
    indices : ndarray of int32, shape (n, k)
        Most similar first; equal ones by row, unless more are equal than fit.
    similarities : ndarray of float32, shape (n, k)
        Their cosines or inner products.

    Raises
    ------
    ValueError
        k is not between 1 and n - 1, or X is not a finite matrix.

    Examples
    --------
    >>> indices, similarities = knn([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]], 2)
    >>> indices.ravel().tolist(), similarities.round(1).ravel().tolist()
    ([1, 2, 0, 2, 0, 1], [1.0, 0.6000000238418579, 1.0, 0.6000000238418579, 0.6000000238418579, 0.6000000238418579])
    """
    rows = check_vectors(X, min_rows=2)
    n = len(rows)
    if not 1 <= k < n:
        raise ValueError(f"k must be between 1 and {n - 1} for {n} rows, got {k}")
    if metric == "cosine":
        rows = unit_rows(rows)
    if n > _EXACT_UP_TO:
        return _by_graph(rows, k)
    return _best(rows, rows, k, exclude_self=True)


def nearest(
    Q: Any, X: Any, k: int, *, metric: Literal["cosine", "ip"] = "cosine"
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find the k most similar rows of X for every row of Q, exactly.

    Parameters
    ----------
    Q, X : array-like of shape (q, d), (n, d)
        Queries, and rows to search.
    k : int
        Neighbours; at most n.
    metric : {"cosine", "ip"}, default="cosine"
        How rows are compared.

    Returns
    -------
    indices : ndarray of int32, shape (q, k)
        Most similar first; equal ones by row.
    similarities : ndarray of float32, shape (q, k)
        Their cosines or inner products.

    Raises
    ------
    ValueError
        k is not between 1 and n, or a matrix is not finite or of another width.

    Examples
    --------
    >>> nearest([[1.0, 0.1]], [[0.0, 1.0], [1.0, 0.0]], 1)[0].tolist()
    [[1]]
    """
    rows = check_vectors(X)
    queries = check_vectors(Q, name="Q", dim=rows.shape[1])
    if not 1 <= k <= len(rows):
        raise ValueError(f"k must be between 1 and {len(rows)} for {len(rows)} rows, got {k}")
    if metric == "cosine":
        rows, queries = unit_rows(rows), unit_rows(queries)
    return _best(queries, rows, k, exclude_self=False)


def _best(
    queries: NDArray[np.float32], rows: NDArray[np.float32], k: int, *, exclude_self: bool
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Largest inner products; with ``exclude_self`` the queries are the rows."""
    import faiss

    values, found = faiss.knn(queries, rows, k + exclude_self, metric=faiss.METRIC_INNER_PRODUCT)
    return _ordered(*(_without_self(values, found) if exclude_self else (values, found)))


def _ordered(values: NDArray[np.float32], found: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    order = np.lexsort((found, -values), axis=1)
    return np.take_along_axis(found, order, axis=1).astype(np.int32), np.take_along_axis(values, order, axis=1)


def _without_self(
    values: NDArray[np.float32], found: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    # The row itself is not always first (others may equal it), nor always found: it is taken out by its number, and
    # where it is missing the last neighbour goes.
    own = found == np.arange(len(found))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = len(found), found.shape[1] - 1
    return values[~own].reshape(shape), found[~own].reshape(shape)


def _by_graph(rows: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    import faiss

    index = faiss.IndexHNSWFlat(rows.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.add(rows)
    index.hnsw.efSearch = max(64, 2 * k)
    return _ordered(*_without_self(*index.search(rows, k + 1)))
