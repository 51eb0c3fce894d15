"""Distances between rows: computed in blocks, and checked where they are given."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Distances: TypeAlias = NDArray[np.floating]  # (n, n), symmetric, zero diagonal
NEGATIVE = "is negative; distances are at least 0. Negative values in data are similarities or errors"
_BLOCK = 1 << 22  # distances computed at a time


def check_distances(D: Any) -> Distances:
    """Return D as a square floating matrix, or say which pair is no distance.

    Raises
    ------
    ValueError
        Not square, NaN or infinite, negative, not symmetric, or a row that is away from itself.

    Examples
    --------
    >>> check_distances([[0.0, 1.0], [2.0, 0.0]])
    Traceback (most recent call last):
    ...
    ValueError: distances: from 0 to 1 it is 1, but 2 back; give a symmetric matrix, such as (D + D.T) / 2
    """
    distances = np.asarray(D)
    if distances.dtype not in (np.float32, np.float64):
        distances = distances.astype(np.float64)
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1] or len(distances) < 1:
        raise ValueError(f"distances: expected a square matrix (n, n), got shape {distances.shape}")
    refuse(distances, ~np.isfinite(distances), "is not finite; repair or leave out these rows")
    refuse(distances, distances < 0, NEGATIVE)
    slack = 1e-6 * float(distances.max())
    away = np.flatnonzero(distances.diagonal() > slack)
    if away.size:
        raise ValueError(
            f"distances: row {away[0]} is {distances[away[0], away[0]]:g} away from itself; the diagonal must be 0 "
            "(are these similarities?)"
        )
    if (np.abs(distances - distances.T) > slack).any():
        i, j = np.argwhere(np.abs(distances - distances.T) > slack)[0]
        raise ValueError(
            f"distances: from {i} to {j} it is {distances[i, j]:g}, but {distances[j, i]:g} back; "
            "give a symmetric matrix, such as (D + D.T) / 2"
        )
    return distances


def refuse(distances: Distances, wrong: NDArray[np.bool_], what: str) -> None:
    """Raise a ValueError that names the first wrong entry."""
    if wrong.any():
        i, j = np.argwhere(wrong)[0]
        raise ValueError(f"distances: from {i} to {j} it is {distances[i, j]:g}, which {what}")


def distances_between(A: NDArray[Any], B: NDArray[Any], metric: str) -> NDArray[np.float32]:
    """Distances (a, b) of rows by a metric of scipy, in blocks.

    Raises
    ------
    ValueError
        A zero row with the cosine, which has no direction.
    """
    if metric == "cosine":
        for rows in (A, B):
            empty = np.flatnonzero(~rows.any(axis=1))
            if empty.size:
                raise ValueError(f"X: row {empty[0]} is zero and has no cosine; leave it out or use metric='euclidean'")
    found = np.empty((len(A), len(B)), dtype=np.float32)
    step = max(_BLOCK // len(B), 1)
    for first in range(0, len(A), step):
        # A cosine distance may be rounded to a little less than 0.
        found[first : first + step] = np.maximum(cdist(A[first : first + step], B, metric), 0)
    return found
