"""Product quantisation: a vector as the numbers of its nearest codewords, part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import Constraint, Range, check_parameters, check_vectors
from theatrum.contracts import Codes, Vectors


class ProductQuantizer:
    """Stores vectors as m codeword numbers; keeps the Quantizer contract.

    A vector is cut into m parts; each part is replaced by the nearest of ``2 ** bits`` codewords, learnt by k-means.
    Between `Int8Quantizer` and `BinaryQuantizer` in size and quality, and free in size: m bytes at 8 bits. The
    codewords themselves take ``2 ** bits * d * 4`` bytes once, whatever the number of vectors.

    Parameters
    ----------
    m : int, default=16
        Parts; must divide the number of dimensions.
    bits : int, default=8
        Bits of a codeword number; ``fit`` needs at least ``2 ** bits`` rows.

    Attributes
    ----------
    codebooks_ : ndarray of float32, shape (m, 2 ** bits, d / m)
        The codewords.

    References
    ----------
    Jégou, Douze and Schmid, "Product quantization for nearest neighbor search", PAMI 33(1), 2011.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    >>> quantizer = ProductQuantizer(m=4, bits=4).fit(X)
    >>> quantizer.encode(X).shape, quantizer.decode(quantizer.encode(X)).shape
    ((500, 2), (500, 16))
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {"m": [Range(int, 1)], "bits": [Range(int, 1, 12)]}
    storage: ClassVar[str] = "product"

    def __init__(self, m: int = 16, *, bits: int = 8) -> None:
        self.m = m
        self.bits = bits

    def fit(self, X: Any) -> ProductQuantizer:
        """Learn the codewords from X (n, d).

        Raises
        ------
        ValueError
            m does not divide d, or there are fewer rows than codewords.
        """
        self._learn(self._checked(X))
        return self

    def _checked(self, X: Any) -> Vectors:
        check_parameters(self, self.constraints)
        rows = check_vectors(X)
        n, dim = rows.shape
        if dim % self.m:
            fitting = [m for m in range(1, dim + 1) if dim % m == 0]
            near = sorted(fitting, key=lambda m: abs(m - self.m))[:4]
            raise ValueError(
                f"{type(self).__name__}: m={self.m} does not divide {dim} dimensions; "
                f"these do: {', '.join(map(str, sorted(near)))}"
            )
        if n < 2**self.bits:
            raise ValueError(
                f"{type(self).__name__}: {2**self.bits} codewords need at least as many rows, got {n}; "
                f"use bits={int(np.log2(n)) or 1} or fewer, or int8"
            )
        return rows

    def _learn(self, rows: Vectors) -> None:
        import faiss

        codec = faiss.ProductQuantizer(rows.shape[1], self.m, self.bits)
        codec.cp.min_points_per_centroid = 1  # checked above; FAISS would warn below 39 rows a codeword
        codec.train(rows)
        shape = (self.m, 2**self.bits, rows.shape[1] // self.m)
        self.codebooks_: NDArray[np.float32] = faiss.vector_to_array(codec.centroids).reshape(shape)

    def _codec(self) -> Any:
        import faiss

        parts, _, width = self.codebooks_.shape
        codec = faiss.ProductQuantizer(parts * width, parts, self.bits)
        faiss.copy_array_to_vector(self.codebooks_.ravel(), codec.centroids)
        return codec

    @property
    def bytes_per_vector(self) -> int:
        """``m * bits / 8``, rounded up."""
        return (self.m * self.bits + 7) // 8

    def encode(self, X: Any) -> Codes:
        """Vectors (n, d) -> codes uint8 (n, bytes_per_vector)."""
        codes: Codes = self._codec().compute_codes(self._turned(X))
        return codes

    def decode(self, codes: Codes) -> Vectors:
        """Codes -> the codewords, put together: float32 (n, d)."""
        vectors: Vectors = self._codec().decode(np.ascontiguousarray(codes))
        return vectors

    def _turned(self, X: Any) -> Vectors:
        return check_vectors(X, dim=self.codebooks_.shape[0] * self.codebooks_.shape[2], min_rows=0)


class OptimizedProductQuantizer(ProductQuantizer):
    """Turns the space before product quantisation, so that its parts carry equal shares of the variance.

    Costs a matrix product a query and some seconds of fitting, and is better than `ProductQuantizer` at equal bytes
    where dimensions are correlated or unequal.

    Parameters
    ----------
    m : int, default=16
        Parts; must divide the number of dimensions.
    bits : int, default=8
        Bits of a codeword number.

    Attributes
    ----------
    rotation_ : ndarray of float32, shape (d, d)
        Orthogonal; rows are multiplied by it from the right.
    codebooks_ : ndarray of float32, shape (m, 2 ** bits, d / m)
        The codewords of the turned space.

    References
    ----------
    Ge, He, Ke and Sun, "Optimized product quantization", PAMI 36(4), 2014.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.normal(size=(600, 8)) @ rng.normal(size=(8, 16))).astype(np.float32)
    >>> turned, plain = OptimizedProductQuantizer(4, bits=4).fit(X), ProductQuantizer(4, bits=4).fit(X)
    >>> errors = [float(((one.decode(one.encode(X)) - X) ** 2).mean()) for one in (turned, plain)]
    >>> errors[0] < errors[1]
    True
    """

    def fit(self, X: Any) -> OptimizedProductQuantizer:
        """Learn the rotation and the codewords from X (n, d)."""
        import faiss

        rows = self._checked(X)
        dim = rows.shape[1]
        turn = faiss.OPQMatrix(dim, self.m)
        trial = faiss.ProductQuantizer(dim, self.m, self.bits)
        trial.cp.min_points_per_centroid = 1
        turn.pq = trial
        turn.train(rows)
        self.rotation_: NDArray[np.float32] = np.ascontiguousarray(faiss.vector_to_array(turn.A).reshape(dim, dim).T)
        self._learn(self._turned_by_rotation(rows))
        return self

    def decode(self, codes: Codes) -> Vectors:
        """Codes -> vectors float32 (n, d), turned back."""
        return super().decode(codes) @ self.rotation_.T

    def _turned(self, X: Any) -> Vectors:
        return self._turned_by_rotation(super()._turned(X))

    def _turned_by_rotation(self, rows: Vectors) -> Vectors:
        return np.ascontiguousarray(rows @ self.rotation_)
