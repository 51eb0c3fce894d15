"""Exact search by reading every vector once, as fast as memory gives them.

A vector stands as ``x = low + step * c`` with codes c of any number type; float32 rows are the case low = 0, step = 1.
So ``q . x = (q * step) . c + q . low``, and ``|q - x|^2 = |(q - low) - step * c|^2``: no vector is ever decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from theatrum.contracts import Scores, Vectors
from theatrum.search.compiled_twice import for_one_and_all

Positions = NDArray[np.int64]

_CHUNK = 4096  # rows that one thread reads before its best are put with the others
_IN_CACHE = 64  # rows that all queries look at before the next ones are read
_SMALL = 600_000  # products; below that NumPy has answered before a compiled function is loaded
_SHARED = 8_000_000  # products; less is done by one thread, since others take longer to wake
_HELD = 4_000_000  # hits of all chunks that are held at once (48 MB); more queries go in several rounds


@dataclass(frozen=True)
class StoredRows:
    """Vectors as they lie in memory.

    Parameters
    ----------
    codes : ndarray of float32 or uint8, shape (n, d)
        Vectors, or their codes.
    low, step : ndarray of float32, shape (d,), or None
        A code c stands for ``low + step * c``; None for vectors.

    Examples
    --------
    >>> codes, low, step = np.array([[0, 4]], dtype=np.uint8), np.zeros(2, np.float32), np.full(2, 0.25, np.float32)
    >>> StoredRows(codes, low, step).decoded([0]).tolist()
    [[0.0, 1.0]]
    """

    codes: NDArray[Any]
    low: NDArray[np.float32] | None = None
    step: NDArray[np.float32] | None = None

    def decoded(self, rows: Any) -> Vectors:
        """Return vectors, float32."""
        codes = self.codes[rows]
        if self.low is None or self.step is None:
            return np.asarray(codes, dtype=np.float32)
        vectors: Vectors = codes.astype(np.float32) * self.step + self.low
        return vectors


def best_rows(
    stored: StoredRows, Q: Vectors, k: int, *, squared: bool = False, rows: Positions | None = None
) -> tuple[Positions, Scores]:
    """Find the k best of all rows, or of some.

    Parameters
    ----------
    stored : StoredRows
        The vectors, (n, d).
    Q : ndarray of float32, shape (q, d)
        Queries.
    k : int
        Hits a query, at most the number of rows looked at.
    squared : bool, default=False
        Score by minus the squared distance instead of the product.
    rows : ndarray of int64, shape (m,), optional
        Look at these only; in rising order.

    Returns
    -------
    positions : ndarray of int64, shape (q, k)
        Best first; equal scores in rising order.
    scores : ndarray of float32, shape (q, k)
        Larger is better.

    Examples
    --------
    >>> X = np.eye(3, dtype=np.float32)
    >>> positions, scores = best_rows(StoredRows(X), X[:1] + X[1:2] / 2, 2)
    >>> positions.tolist(), scores.tolist()
    ([[0, 1]], [[1.0, 0.5]])
    """
    n = len(stored.codes) if rows is None else len(rows)
    if len(Q) * n * stored.codes.shape[1] < _SMALL:
        return _multiplied(stored, Q, k, squared, np.arange(n) if rows is None else rows)
    weights, step, constants = scan_weights(stored, Q, squared)
    looked = np.empty(0, dtype=np.int64) if rows is None else rows
    depth = min(k, _CHUNK)
    scan = _scan_together if len(Q) * n * stored.codes.shape[1] >= _SHARED else _scan_alone
    together = max(4, _HELD // (-(-n // _CHUNK) * depth) // 4 * 4)
    if len(Q) > 1 and not squared:
        # Four queries share what is loaded; with some of zeros all are scored alike, to the last bit.
        weights = np.vstack([weights, np.zeros((-len(Q) % 4, weights.shape[1]), dtype=np.float32)])
    positions, scores = np.empty((len(Q), k), dtype=np.int64), np.empty((len(Q), k), dtype=np.float32)
    for first in range(0, len(Q), together):
        part = slice(first, first + together)
        values, places = scan(stored.codes, weights[part], step, looked, n, rows is None, squared, depth)
        values, places = values[: len(Q) - first], places[: len(Q) - first]
        order = np.lexsort((places, -values), axis=1)[:, :k]
        positions[part] = np.take_along_axis(places, order, axis=1)
        scores[part] = np.take_along_axis(values, order, axis=1) + constants[part]
    return positions, scores


def scan_weights(stored: StoredRows, Q: Vectors, squared: bool) -> tuple[Vectors, Vectors, Vectors]:
    """Turn queries into what codes are compared with.

    Returns
    -------
    weights : ndarray of float32, shape (q, d)
        ``score = weights . c``, or minus the sum of ``(weights - step * c)^2`` if squared.
    step : ndarray of float32, shape (d,)
        See `StoredRows`.
    constants : ndarray of float32, shape (q, 1)
        What has to be added to every score of a query.
    """
    none = np.zeros((len(Q), 1), dtype=np.float32)
    if stored.low is None or stored.step is None:
        return np.ascontiguousarray(Q), np.ones(Q.shape[1], dtype=np.float32), none
    if squared:
        return Q - stored.low, stored.step, none
    return Q * stored.step, stored.step, (Q @ stored.low)[:, None]


def _multiplied(stored: StoredRows, Q: Vectors, k: int, squared: bool, rows: Positions) -> tuple[Positions, Scores]:
    X = stored.decoded(rows)
    scores: Scores = Q @ X.T
    if squared:
        scores = 2 * scores - (Q**2).sum(axis=1)[:, None] - (X**2).sum(axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return rows[order], np.take_along_axis(scores, order, axis=1)


@njit(cache=True, inline="always")
def _insert(value, place, values, places):  # type: ignore[no-untyped-def]  # numba finds the types  # noqa: ANN001, ANN202
    """Put a hit into a falling list, behind its equals; the last one falls out."""
    at = len(values) - 1
    while at > 0 and values[at - 1] < value:
        values[at], places[at] = values[at - 1], places[at - 1]
        at -= 1
    values[at], places[at] = value, place


@njit(cache=True, inline="always")
def _score(codes, row, weights, step, query, squared):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    total = np.float32(0)
    if squared:
        for j in range(codes.shape[1]):
            away = weights[query, j] - step[j] * np.float32(codes[row, j])
            total -= away * away
    else:
        for j in range(codes.shape[1]):
            total += weights[query, j] * np.float32(codes[row, j])
    return total


@njit(cache=True, inline="always")
def _eight_scores(codes, row, other, weights, query, scores):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Products of two rows with four queries: every number that is loaded is used several times."""
    a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    e, f, g, h = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for j in range(codes.shape[1]):
        x, y = np.float32(codes[row, j]), np.float32(codes[other, j])
        a += weights[query, j] * x
        b += weights[query + 1, j] * x
        c += weights[query + 2, j] * x
        d += weights[query + 3, j] * x
        e += weights[query, j] * y
        f += weights[query + 1, j] * y
        g += weights[query + 2, j] * y
        h += weights[query + 3, j] * y
    scores[0, 0], scores[1, 0], scores[2, 0], scores[3, 0] = a, b, c, d
    scores[0, 1], scores[1, 1], scores[2, 1], scores[3, 1] = e, f, g, h


def _scan(codes, weights, step, rows, n, everything, squared, k):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Best k of each chunk of rows, for every query: (q, chunks * k) scores and positions."""
    queries = len(weights)
    chunks = (n + _CHUNK - 1) // _CHUNK
    values = np.full((queries, chunks * k), -np.inf, dtype=np.float32)
    places = np.full((queries, chunks * k), -1, dtype=np.int64)
    fours = 0 if squared else queries // 4 * 4
    for chunk in prange(chunks):
        first, last = chunk * _CHUNK, min(n, (chunk + 1) * _CHUNK)
        scores, own = np.empty((4, 2), dtype=np.float32), slice(chunk * k, (chunk + 1) * k)
        for start in range(first, last, _IN_CACHE):
            end = min(last, start + _IN_CACHE)
            for query in range(0, fours, 4):
                for number in range(start, end, 2):
                    row = number if everything else rows[number]
                    pair = min(number + 1, end - 1)  # an odd row at the end is its own pair, and counted once
                    other = pair if everything else rows[pair]
                    _eight_scores(codes, row, other, weights, query, scores)
                    for at in range(4):
                        best, where = values[query + at, own], places[query + at, own]
                        if scores[at, 0] > best[-1]:
                            _insert(scores[at, 0], row, best, where)
                        if scores[at, 1] > best[-1] and other != row:
                            _insert(scores[at, 1], other, best, where)
            for query in range(fours, queries):
                best, where = values[query, own], places[query, own]
                for number in range(start, end):
                    row = number if everything else rows[number]
                    total = _score(codes, row, weights, step, query, squared)
                    if total > best[-1]:
                        _insert(total, row, best, where)
    return values, places


_FAST: frozenset[str] = frozenset(("reassoc", "contract", "nsz", "arcp"))  # sums in any order; NaN stays NaN
_scan_alone, _scan_together = for_one_and_all(_scan, fastmath=set(_FAST))
