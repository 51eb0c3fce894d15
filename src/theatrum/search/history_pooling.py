"""Pooling a history: from the items that somebody used to one query vector, or to one ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import unit_rows
from theatrum.contracts import Scores, Vectors

Pooling: TypeAlias = Literal["mean", "last", "decay", "max"]
Places: TypeAlias = NDArray[np.int64]  # items as numbers, from 0; -1 is none


def history_weights(length: int, pooling: Pooling, decay: float) -> NDArray[np.float32]:
    """Weights (length,) of the items of a history, oldest first.

    ``"mean"``: 1 each; ``"last"``: 1 for the last, else 0; ``"decay"``: ``exp(-(T - t) / decay)`` at place t of T.

    Examples
    --------
    >>> np.log(history_weights(3, "decay", 2.0)).tolist()
    [-1.0, -0.5, 0.0]
    """
    before = np.arange(length - 1, -1, -1, dtype=np.float32)
    if pooling == "last":
        return (before == 0).astype(np.float32)
    return np.ones(length, dtype=np.float32) if pooling == "mean" else np.exp(-before / np.float32(decay))


def profiles(X: Vectors, histories: Sequence[Sequence[int]], pooling: Pooling, decay: float) -> Vectors:
    """Profiles of users: ``sum_t w_t x_t`` over the rows in each history, scaled to length 1.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
        Item vectors.
    histories : sequence of sequence of int
        Rows of X, oldest first; at least one history.
    pooling : {"mean", "last", "decay"}
        How items are weighted; see `history_weights`.
    decay : float
        Items after which a weight has fallen to 1/e.

    Returns
    -------
    ndarray of float32, shape (q, d)
        One unit row a history.

    Examples
    --------
    >>> profiles(np.eye(2, dtype=np.float32), [[0, 1], [1]], "last", 3.0).tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *map(len, histories)])
    weights = np.concatenate([history_weights(len(history), pooling, decay) for history in histories])
    rows = np.fromiter((row for history in histories for row in history), dtype=np.int64, count=int(ends[-1]))
    pooled: Vectors = csr_array((weights, rows, ends), shape=(len(histories), len(X))) @ X
    return unit_rows(pooled)


def best_of_rankings(places: Places, scores: Scores, n: int, k: int) -> tuple[Places, Scores]:
    """Merge rankings into one: each item with its best score.

    With rankings of depth k, one for each item of a history, the merged ranking is that by ``max_t cos(x, x_t)``: an
    item among its best k is among the best k of the x_t that it is nearest to.

    Parameters
    ----------
    places : ndarray of int64, shape (r, depth)
        Items as numbers from 0 to n - 1; -1 where a ranking ended early.
    scores : ndarray of float32, shape (r, depth)
        Larger is better.
    n, k : int
        Items there are, and items wanted.

    Returns
    -------
    tuple of ndarray
        ``places, scores``, each (k,): best first, ties by number; -1 and ``-inf`` where there are no more.

    Examples
    --------
    >>> scores = np.array([[0.5, 0.25], [0.75, -np.inf]], dtype=np.float32)
    >>> places, best = best_of_rankings(np.array([[0, 1], [1, -1]]), scores, 3, 3)
    >>> places.tolist(), best.tolist()
    ([1, 0, -1], [0.75, 0.5, -inf])
    """
    best = np.full(n, -np.inf, dtype=np.float32)
    there = places >= 0
    np.maximum.at(best, places[there], scores[there])
    found = np.flatnonzero(best > -np.inf)
    ranked = found[np.argsort(-best[found], kind="stable")[:k]]
    return padded(ranked, best[ranked], k)


def padded(places: Places, scores: Any, k: int) -> tuple[Places, Scores]:
    """Fill up a ranking of at most k items with -1 and ``-inf``.

    Examples
    --------
    >>> [part.tolist() for part in padded(np.array([4]), [0.5], 2)]
    [[4, -1], [0.5, -inf]]
    """
    filled, values = np.full(k, -1), np.full(k, -np.inf, dtype=np.float32)
    filled[: len(places)], values[: len(places)] = places, scores
    return filled, values
