"""Scalar quantisation: one byte a dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import Constraint, check_vectors
from theatrum.contracts import Codes, Vectors

LEVELS = 255  # steps between the smallest and the largest value of a dimension
_ROWS = 512  # handled at a time: they stay in the cache from step to step


def scalar_encode(X: Vectors, low: NDArray[np.float32], span: NDArray[np.float32]) -> Codes:
    """Number the step that each value falls into; values outside the range go to its ends.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
        Vectors.
    low, span : ndarray of float32, shape (d,)
        Smallest value of each dimension, and the distance to its largest.

    Returns
    -------
    ndarray of uint8, shape (n, d)
        ``floor((x - low) / span * 255)``, as FAISS counts.
    """
    divisor = np.where(span != 0, span, np.float32(np.inf))  # a constant dimension has one step
    codes = np.empty(X.shape, dtype=np.uint8)
    room = np.empty((min(_ROWS, len(X)), X.shape[1]), dtype=np.float32)
    for start in range(0, len(X), _ROWS):
        rows = X[start : start + _ROWS]
        share = np.subtract(rows, low, out=room[: len(rows)])
        share /= divisor
        np.clip(share, 0, 1, out=share)
        share *= np.float32(LEVELS)
        codes[start : start + _ROWS] = share
    return codes


def scalar_decode(codes: Codes, low: NDArray[np.float32], span: NDArray[np.float32]) -> Vectors:
    """Return the middle of each step: ``low + (code + 0.5) / 255 * span``."""
    vectors: Vectors = low + (codes.astype(np.float32) + np.float32(0.5)) / np.float32(LEVELS) * span
    return vectors


class Int8Quantizer:
    """Stores vectors in one byte a dimension; keeps the Quantizer contract.

    The safe first step: a quarter of the memory of float32, and rankings that hardly change. The ranges are learnt once
    from the vectors given to ``fit`` and used for documents and queries alike. For less memory take `BinaryQuantizer`
    with rescoring, or `ProductQuantizer`.

    Attributes
    ----------
    low_, span_ : ndarray of float32, shape (d,)
        Smallest value and range of each dimension.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [1.0, 3.0], [0.5, 2.0]], dtype=np.float32)
    >>> quantizer = Int8Quantizer().fit(X)
    >>> quantizer.encode(X).tolist()
    [[0, 0], [255, 255], [127, 127]]
    >>> float(abs(quantizer.decode(quantizer.encode(X)) - X).max()) <= 2 / 255 / 2 + 1e-6
    True
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {}
    # How an index keeps these codes; see theatrum.search.faiss_engine.
    storage: ClassVar[str] = "scalar"

    def fit(self, X: Any) -> Int8Quantizer:
        """Learn the range of each dimension from X (n, d)."""
        rows = check_vectors(X)
        self.low_ = rows.min(axis=0)
        self.span_ = rows.max(axis=0) - self.low_
        return self

    @property
    def bytes_per_vector(self) -> int:
        """One byte a dimension."""
        return len(self.low_)

    def lattice(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (low, step), each (d,): a code c stands for ``low + step * c``."""
        step = self.span_ / np.float32(LEVELS)
        return self.low_ + step / 2, step

    def encode(self, X: Any) -> Codes:
        """Vectors (n, d) -> codes uint8 (n, d)."""
        return scalar_encode(check_vectors(X, dim=len(self.low_), min_rows=0), self.low_, self.span_)

    def decode(self, codes: Codes) -> Vectors:
        """Codes -> float32 (n, d), each value within half a step of the one encoded."""
        return scalar_decode(codes, self.low_, self.span_)
