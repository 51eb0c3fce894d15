"""Isotropy of a set of vectors: how centred it is, and how evenly it fills its dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_vectors
from theatrum.contracts import Vectors

_BLOCK = 16_384  # rows turned into float64 at a time


@dataclass(frozen=True)
class Isotropy:
    """Two symmetries of a set of vectors.

    Parameters
    ----------
    centrality : float
        1 when the mean is the origin, 0 when all vectors point the same way.
    spectral_entropy : float
        1 when the variance is the same in every direction, 0 when it lies in one direction (or there is none).
    """

    centrality: float
    spectral_entropy: float


def isotropy(X: Any, *, weights: Any = None) -> Isotropy:
    """Measure how symmetric vectors are; for tables of word or token vectors, before and after whitening.

    With p the weights (summing to 1) and C the weighted covariance with eigenvalues l, scaled to sum to 1::

        centrality       = 1 - ||sum_i p_i x_i|| / sum_i p_i ||x_i||
        spectral entropy = - sum_j l_j log l_j / log d

    Parameters
    ----------
    X : array-like of float, shape (n, d)
        Vectors, n >= 2, d >= 2.
    weights : array-like of float, shape (n,), default=None
        How often each row is used, such as word counts; not negative, any scale. None counts every row once.

    Returns
    -------
    Isotropy
        Both numbers, between 0 and 1. At most ``log(n - 1) / log d`` of spectral entropy is possible for n <= d.

    Raises
    ------
    ValueError
        Bad vectors, fewer than two columns, only zero vectors, or weights that are negative, all zero or too few.

    References
    ----------
    Yokoi, Bao, Kurita and Shimodaira, "Zipfian Whitening", NeurIPS 2024, arXiv 2411.00680 (atlas 89).

    Examples
    --------
    >>> isotropy([[1, 0], [-1, 0], [0, 1], [0, -1]])
    Isotropy(centrality=1.0, spectral_entropy=1.0)
    >>> isotropy([[1, 0], [2, 0], [3, 0]]).centrality
    0.0
    """
    vectors = check_vectors(X, min_rows=2)
    n, d = vectors.shape
    if d < 2:
        raise ValueError("X: at least two columns are needed; one dimension has no directions to compare")
    p = _probabilities(weights, n)
    mean, length = np.zeros(d), 0.0
    for rows in _blocks(n):
        block = vectors[rows].astype(np.float64)
        mean += p[rows] @ block
        length += float(p[rows] @ np.linalg.norm(block, axis=1))
    if length == 0.0:
        raise ValueError("X: every vector with a weight is zero; there is no direction to measure")
    centrality = float(np.clip(1.0 - np.linalg.norm(mean) / length, 0.0, 1.0))
    return Isotropy(centrality, spectral_entropy(np.linalg.eigvalsh(_covariance(vectors, p, mean)), floor=length**2))


def spectral_entropy(eigenvalues: Any, *, floor: float = 0.0) -> float:
    """Entropy of eigenvalues scaled to sum to 1, over its maximum log d.

    Parameters
    ----------
    eigenvalues : array-like of float, shape (d,)
        Of a covariance; tiny negative ones from rounding count as 0. d >= 2.
    floor : float, default=0.0
        Square of the usual length of a vector: a sum that is within rounding of 0 beside it counts as 0.

    Returns
    -------
    float
        Between 0 and 1; 0 when the eigenvalues are all 0.

    Examples
    --------
    >>> spectral_entropy([1.0, 1.0, 0.0, 0.0])
    0.5
    """
    values = np.clip(np.asarray(eigenvalues, dtype=np.float64), 0.0, None)
    total = values.sum()
    if total <= 1e-24 * floor:
        return 0.0
    share = values[values > 0] / total
    return float(np.clip(-(share @ np.log(share)) / np.log(len(values)), 0.0, 1.0))


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, n, _BLOCK)]


def _covariance(X: Vectors, p: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    covariance = np.zeros((len(mean), len(mean)))
    for rows in _blocks(len(X)):
        centred = (X[rows] - mean) * np.sqrt(p[rows, None])  # float64: the mean is
        covariance += centred.T @ centred
    return covariance


def _probabilities(weights: Any, n: int) -> NDArray[np.float64]:
    if weights is None:
        return np.full(n, 1.0 / n)
    p = np.asarray(weights, dtype=np.float64)
    if p.shape != (n,):
        raise ValueError(f"weights: expected {n} numbers, one a row of X, got shape {p.shape}")
    bad = np.flatnonzero(~(np.isfinite(p) & (p >= 0)))
    if bad.size:
        raise ValueError(f"weights: row {bad[0]} is {p[bad[0]]}; weights are finite and not negative")
    if not p.any():
        raise ValueError("weights: all are zero; at least one row must count")
    scaled: NDArray[np.float64] = p / p.sum()
    return scaled
