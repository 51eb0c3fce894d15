"""Fixed dimensional encodings: a set of token vectors as one vector whose inner product approximates MaxSim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.sparse import csr_array

from theatrum.checks import Constraint, Options, Range, check_parameters
from theatrum.contracts import Vectors
from theatrum.search.token_sets import Offsets, blocks, check_token_sets, end_to_end

MAX_DIM = 2**20
_BLOCK = 2**23  # numbers worked on at a time: 32 MiB


def gaussian_directions(dim: int, n_repetitions: int, n_bits: int, seed: int) -> Vectors:
    """Draw the normals of the hyperplanes that cut space into buckets, (d, R * k)."""
    # RandomState: its streams are promised never to change, so a saved seed is as good as the saved matrix.
    drawn = [np.random.RandomState([seed, r, 0]).standard_normal((dim, n_bits)) for r in range(n_repetitions)]
    return np.hstack(drawn).astype(np.float32)


def sign_projections(dim: int, n_repetitions: int, width: int, seed: int, *, dense: bool) -> Vectors:
    """Draw the inner projections, (d, R * width): all signs over sqrt(width), or one sign a row (a count sketch)."""
    drawn = []
    for r in range(n_repetitions):
        random = np.random.RandomState([seed, r, 1])
        if dense:
            drawn.append((random.randint(0, 2, (dim, width)) * 2 - 1) / np.sqrt(width))
        else:
            drawn.append(count_sketch(dim, width, random).toarray())
    return np.hstack(drawn).astype(np.float32)


def count_sketch(dim: int, width: int, random: np.random.RandomState) -> csr_array:
    """Draw a matrix (d, width) that sends every coordinate to one place with a random sign."""
    places, signs = random.randint(0, width, dim), random.randint(0, 2, dim) * 2 - 1
    return csr_array((signs.astype(np.float32), (np.arange(dim), places)), shape=(dim, width))


@lru_cache(maxsize=4)
def _maps(dim: int, repetitions: int, bits: int, width: int | None, dense: bool, seed: int) -> tuple[Vectors, Vectors]:
    normals = gaussian_directions(dim, repetitions, bits, seed)
    empty = np.empty((dim, 0), dtype=np.float32)
    signs = empty if width is None else sign_projections(dim, repetitions, width, seed, dense=dense)
    return normals, signs


@lru_cache(maxsize=4)
def _final_sketch(dim: int, width: int, seed: int) -> csr_array:
    return count_sketch(dim, width, np.random.RandomState([seed, 0, 2]))


def simhash_buckets(tokens: Vectors, normals: Vectors, n_bits: int) -> NDArray[np.int32]:
    """Bucket of every token in every repetition: which sides of the hyperplanes it lies on, read as an integer.

    Parameters
    ----------
    tokens : ndarray of float32, shape (T, d)
        Vectors.
    normals : ndarray of float32, shape (d, R * k)
        Hyperplanes, those of one repetition together.
    n_bits : int
        k.

    Returns
    -------
    ndarray of int32, shape (T, R)
        From 0 to 2^k - 1.

    Examples
    --------
    >>> simhash_buckets(np.array([[1.0, -2.0]], np.float32), np.eye(2, dtype=np.float32), 2).tolist()
    [[2]]
    """
    sides = (tokens @ normals).reshape(len(tokens), -1, n_bits) > 0
    powers = (1 << np.arange(n_bits)[::-1]).astype(np.float32)  # whole numbers up to 2^16: exact in float32
    buckets: NDArray[np.int32] = (sides.astype(np.float32) @ powers).astype(np.int32)
    return buckets


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _nearest(bucket: int, met: NDArray[np.int64], n_met: int, ones: NDArray[np.uint8]) -> int:
    """Which of the buckets met differs from a bucket in the fewest bits; the one met first of equals."""
    nearest = 0
    for other in range(1, n_met):
        if ones[met[other] ^ bucket] < ones[met[nearest] ^ bucket]:
            nearest = other
    return nearest


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def _pool(
    buckets: NDArray[np.int32],
    projected: NDArray[np.float32],
    offsets: Offsets,
    ones: NDArray[np.uint8],
    mean: bool,
    fill: bool,
    out: NDArray[np.float32],
) -> None:
    """Put the tokens of each set into the blocks of ``out`` (n, R, B, p), zero before: sums, or means."""
    repetitions, n_buckets = out.shape[1], out.shape[2]
    for row in prange(len(out)):
        count = np.empty(n_buckets, dtype=np.int64)
        met = np.empty(n_buckets, dtype=np.int64)  # buckets in the order of meeting, and the first token of each
        first = np.empty(n_buckets, dtype=np.int64)
        for r in range(repetitions):
            own = r % projected.shape[1]  # without a projection all repetitions share the tokens themselves
            count[:] = 0
            n_met = 0
            for token in range(offsets[row], offsets[row + 1]):
                bucket = buckets[token, r]
                if count[bucket] == 0:
                    met[n_met], first[n_met] = bucket, token
                    n_met += 1
                count[bucket] += 1
                for j in range(out.shape[3]):
                    out[row, r, bucket, j] += projected[token, own, j]
            if mean:
                for bucket in range(n_buckets):
                    if count[bucket] > 1:
                        out[row, r, bucket] /= count[bucket]
                    elif count[bucket] == 0 and fill:
                        out[row, r, bucket] = projected[first[_nearest(bucket, met, n_met, ones)], own]


class FixedDimensionalEncoding:
    """Turns sets of token vectors into single vectors for an ordinary vector index (MUVERA); a token reducer.

    The inner product of a query's encoding and a document's, divided by ``n_repetitions``, approximates their Chamfer
    similarity (MaxSim). For late interaction over more documents than can be compared one by one, or in a database
    that knows single vectors only; score the best few hundred again exactly, as `MultiVectorIndex` does. Not needed
    below some ten thousand documents. Compare encodings by inner product, not by cosine.

    Space is cut by random hyperplanes into buckets, anew in every repetition. A query's block of a bucket is the sum of
    its tokens there, a document's block the mean, or where it has none its nearest token; so that a query's token meets
    the document's tokens near it.

    Parameters
    ----------
    n_repetitions : int, default=20
        Independent partitions (``reps`` in a pipeline).
    n_simhash_bits : int, default=5
        Hyperplanes of a partition (``bits`` in a pipeline); a partition has 2 to that power buckets.
    projection_dim : int or None, default=16
        Width of a block (``dim`` in a pipeline); None keeps the tokens' own width.
    projection : {"dense", "sparse"}, default="dense"
        Random signs everywhere, scaled, as in the paper; or one sign an input coordinate, as in the released code.
    fill_empty : bool, default=True
        Whether a document's empty block takes the token whose side of the hyperplanes differs least. For tokens of a
        model that was not made for late interaction try False: with MiniLM's, filling costs candidates (its claim).
    final_dim : int or None, default=None
        Sketch the whole encoding (random signs, random places) to this width.
    random_state : int, default=0
        Seed of everything random: encodings made with different ones cannot be compared.

    Attributes
    ----------
    dim_ : int
        Width of the tokens.
    output_dim_ : int
        Width of the encodings: ``n_repetitions * 2**n_simhash_bits * projection_dim``, or ``final_dim``.

    References
    ----------
    Dhulipala, Hadian, Jayaram, Lee and Mirrokni, "MUVERA: Multi-vector retrieval via fixed dimensional encodings",
    NeurIPS 2024. Atlas 056.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> docs = [rng.normal(size=(n, 32)).astype(np.float32) for n in (9, 30, 4)]
    >>> fde = FixedDimensionalEncoding(10, 3, 8).fit(docs)
    >>> F = fde.encode_documents(docs)
    >>> F.shape, int((fde.encode_queries([docs[1][:5]]) @ F.T).argmax())
    ((3, 640), 1)
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_repetitions": [Range(int, 1)],
        "n_simhash_bits": [Range(int, 0, 16)],
        "projection_dim": [Range(int, 1), None],
        "projection": [Options(("dense", "sparse"))],
        "fill_empty": [bool],
        "final_dim": [Range(int, 1), None],
        "random_state": [Range(int, 0, 2**32 - 1)],
    }
    # In a pipeline: short names, and how an index must compare unless it is told.
    short_names: ClassVar[Mapping[str, str]] = {
        "reps": "n_repetitions",
        "bits": "n_simhash_bits",
        "dim": "projection_dim",
    }
    metric: ClassVar[str] = "ip"

    def __init__(
        self,
        n_repetitions: int = 20,
        n_simhash_bits: int = 5,
        projection_dim: int | None = 16,
        *,
        projection: Literal["dense", "sparse"] = "dense",
        fill_empty: bool = True,
        final_dim: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_repetitions = n_repetitions
        self.n_simhash_bits = n_simhash_bits
        self.projection_dim = projection_dim
        self.projection = projection
        self.fill_empty = fill_empty
        self.final_dim = final_dim
        self.random_state = random_state

    def fit(self, docs: Sequence[Any]) -> FixedDimensionalEncoding:
        """Learn the width of the tokens, and nothing else; without it the first sets encoded decide.

        Parameters
        ----------
        docs : sequence of array-like of shape (t_i, d)
            Sets of token vectors; the first one is looked at.

        Returns
        -------
        FixedDimensionalEncoding
            Itself.

        Raises
        ------
        ValueError
            No set, or encodings that would be wider than 2^20.
        """
        if not len(docs):
            raise ValueError("docs: at least one set of token vectors is needed")
        self.dim_ = check_token_sets(docs[:1], name="docs")[0].shape[1]
        self.output_dim_ = self.output_dim(self.dim_)
        return self

    def output_dim(self, dim: int) -> int:
        """Width of the encodings of tokens of width ``dim``.

        Raises
        ------
        ValueError
            Wider than 2^20 (before a final sketch, too).
        """
        check_parameters(self, self.constraints)
        width = self.n_repetitions * 2**self.n_simhash_bits * (self.projection_dim or dim)
        if (widest := max(width, self.final_dim or 0)) > MAX_DIM:
            raise ValueError(
                f"encodings would have {widest} dimensions, {widest * 4 / 2**20:.0f} MiB a document; take fewer "
                f"repetitions or bits, or a smaller projection_dim (at most {MAX_DIM} dimensions)"
            )
        return self.final_dim or width

    def encode_queries(self, queries: Sequence[Any]) -> Vectors:
        """Encode queries: sums of their tokens.

        Parameters
        ----------
        queries : sequence of array-like of shape (t_i, d)
            Sets of token vectors.

        Returns
        -------
        ndarray of float32, shape (n, D)
            One row a query, ``output_dim_`` wide.
        """
        return self._encode(queries, "queries", mean=False)

    def encode_documents(self, docs: Sequence[Any]) -> Vectors:
        """Encode documents: means of their tokens, empty blocks filled.

        Parameters
        ----------
        docs : sequence of array-like of shape (t_i, d)
            Sets of token vectors.

        Returns
        -------
        ndarray of float32, shape (n, D)
            One row a document, ``output_dim_`` wide.
        """
        return self._encode(docs, "docs", mean=True)

    def _encode(self, sets: Sequence[Any], name: str, *, mean: bool) -> Vectors:
        if not hasattr(self, "dim_"):
            self.fit(sets)
        checked = check_token_sets(sets, name=name, dim=self.dim_)
        out = np.zeros((len(checked), self.output_dim_), dtype=np.float32)
        # A block is bounded by what its tokens are turned into, and by its encodings before the final sketch.
        wide = self._wide
        a_token = max(self.n_repetitions * (self.n_simhash_bits + (self.projection_dim or 1)), self.dim_)
        costs = [len(one) * a_token + (wide if self.final_dim else 0) for one in checked]
        for block in blocks(costs, _BLOCK):
            tokens, offsets = end_to_end(checked[block])
            if self.final_dim is None:
                self._fill(tokens, offsets, out[block], mean)
            else:
                before = np.zeros((len(offsets) - 1, wide), dtype=np.float32)
                self._fill(tokens, offsets, before, mean)
                out[block] = (_final_sketch(wide, self.final_dim, self.random_state).T @ before.T).T
        return out

    @property
    def _wide(self) -> int:
        return int(self.n_repetitions * 2**self.n_simhash_bits * (self.projection_dim or self.dim_))

    def _fill(self, tokens: Vectors, offsets: Offsets, out: Vectors, mean: bool) -> None:
        bits, width = self.n_simhash_bits, self.projection_dim
        normals, signs = _maps(
            self.dim_, self.n_repetitions, bits, width, self.projection == "dense", self.random_state
        )
        buckets = (
            simhash_buckets(tokens, normals, bits)
            if bits
            else np.zeros((len(tokens), self.n_repetitions), dtype=np.int32)
        )
        projected = tokens[:, None] if width is None else (tokens @ signs).reshape(len(tokens), -1, width)
        ones = np.bitwise_count(np.arange(2**bits))
        shape = (len(out), self.n_repetitions, 2**bits, width or self.dim_)
        _pool(buckets, projected, offsets, ones, mean, self.fill_empty, out.reshape(shape))
