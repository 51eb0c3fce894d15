"""Hubness: whether a few rows are near to everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Hubness:
    """How unevenly neighbours are spread.

    Parameters
    ----------
    occurrences : ndarray of int64, shape (n,)
        N_k: how often each row is among the k nearest of a query.
    skewness : float
        Third standardised moment of N_k; 0 for an even spread, large where there are hubs.
    antihubs : float
        Share of rows that are nobody's neighbour.
    """

    occurrences: NDArray[np.int64]
    skewness: float
    antihubs: float


def hubness(similarities: Any, k: int = 1) -> Hubness:
    """Count how often each column is among the k most similar of a row.

    Parameters
    ----------
    similarities : array-like of shape (q, n)
        Of queries with rows (classes); larger is more similar.
    k : int, default=1
        Neighbours counted.

    Returns
    -------
    Hubness
        Counts, their skewness, and the share of columns without any.

    Raises
    ------
    ValueError
        No matrix, NaN, or k not between 1 and n.

    References
    ----------
    Radovanović, Nanopoulos and Ivanović, "Hubs in space", JMLR 2010. Used by the check of atlas 007.

    Examples
    --------
    >>> found = hubness([[0.9, 0.1, 0.0], [0.8, 0.3, 0.2], [0.7, 0.9, 0.1]])
    >>> found.occurrences.tolist(), round(found.antihubs, 2), round(found.skewness, 2)
    ([2, 1, 0], 0.33, 0.0)
    """
    matrix = np.asarray(similarities, dtype=np.float64)
    if matrix.ndim != 2 or np.isnan(matrix).any():
        raise ValueError(f"similarities: a matrix (queries, rows) without NaN is needed, got shape {matrix.shape}")
    if not 1 <= k <= matrix.shape[1]:
        raise ValueError(f"k must be between 1 and {matrix.shape[1]}, got {k}")
    best = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
    counts = np.bincount(best.ravel(), minlength=matrix.shape[1])
    centred = counts - counts.mean()
    spread = np.sqrt((centred**2).mean())
    skewness = float((centred**3).mean() / spread**3) if spread > 0 else 0.0
    return Hubness(counts, skewness, float((counts == 0).mean()))
