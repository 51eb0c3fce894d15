"""Token vectors of many documents in one array, at a chosen precision."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Vectors
from theatrum.persistence import load_arrays, save_arrays
from theatrum.search.token_sets import Offsets

Precision: TypeAlias = Literal["float16", "float32", "int8"]
Positions: TypeAlias = NDArray[np.int64]
FILE = "tokens.safetensors"


def packed(tokens: Vectors, precision: Precision) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Turn tokens into what is kept, and one factor a token (for int8; none otherwise).

    Raises
    ------
    ValueError
        A number that float16 cannot hold.

    Examples
    --------
    >>> codes, factors = packed(np.array([[0.5, -1.0]], np.float32), "int8")
    >>> codes.tolist(), np.round(codes * factors[:, None], 2).tolist()
    ([[64, -127]], [[0.5, -1.0]])
    """
    none = np.empty(0, dtype=np.float32)
    if precision == "float32":
        return tokens, none
    if precision == "float16":
        if np.abs(tokens).max(initial=0) > np.finfo(np.float16).max:
            raise ValueError("docs: a number is too large for float16; scale the vectors, or set store='float32'")
        return tokens.astype(np.float16), none
    factors = np.abs(tokens).max(axis=1) / np.float32(127)
    factors[factors == 0] = 1
    return np.rint(tokens / factors[:, None]).astype(np.int8), factors


class TokenStore:
    """Sets of token vectors, end to end, that grow by appending.

    Parameters
    ----------
    precision : {"float16", "float32", "int8"}
        How they are kept.

    Examples
    --------
    >>> store = TokenStore("float16")
    >>> store.append(np.eye(3, dtype=np.float32), np.array([0, 1, 3]))
    >>> tokens, factors, offsets = store.taken(np.array([1]))
    >>> tokens.shape, offsets.tolist(), len(store), store.memory_bytes
    ((2, 3), [0, 2], 2, 34)
    """

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self._offsets: Offsets = np.zeros(1, dtype=np.int64)
        self._parts: list[tuple[NDArray[Any], NDArray[np.float32]]] = []

    def append(self, tokens: Vectors, offsets: Offsets) -> None:
        """Add sets: tokens (T, d), and where each set starts (n + 1,)."""
        self._parts.append(packed(tokens, self.precision))
        self._offsets = np.concatenate([self._offsets, self._offsets[-1] + offsets[1:]])

    def kept(self, positions: Positions) -> TokenStore:
        """Make a store of some of the sets, as they are kept."""
        store = TokenStore(self.precision)
        if len(positions):
            codes, factors, store._offsets = self.taken(positions)
            store._parts = [(codes.copy(), factors.copy())]
        return store

    def __len__(self) -> int:
        """Sets held."""
        return len(self._offsets) - 1

    @property
    def memory_bytes(self) -> int:
        """Bytes of the tokens, their factors, and where each set starts."""
        return int(sum(codes.nbytes + factors.nbytes for codes, factors in self._parts) + self._offsets[1:].nbytes)

    def sizes(self, positions: Positions) -> list[int]:
        """Tokens of some sets."""
        sizes: list[int] = np.diff(self._offsets)[positions].tolist()
        return sizes

    def taken(self, positions: Positions) -> tuple[NDArray[Any], NDArray[np.float32], Offsets]:
        """Return some sets as they are kept: codes (T, d), factors (T,) or none, and offsets."""
        codes, factors = self._whole()
        starts = self._offsets[positions]
        sizes = self._offsets[positions + 1] - starts
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        if len(positions) and (np.diff(positions) == 1).all():
            rows: Any = slice(starts[0], starts[0] + offsets[-1])  # neighbours: no copy
        else:
            rows = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
        return codes[rows], factors[rows] if len(factors) else factors, offsets

    def sets(self, positions: Positions) -> list[Vectors]:
        """Return some sets as float32 matrices."""
        codes, factors, offsets = self.taken(positions)
        tokens = codes.astype(np.float32)
        if len(factors):
            tokens *= factors[:, None]
        return [tokens[start:end] for start, end in pairwise(offsets)]

    def _whole(self) -> tuple[NDArray[Any], NDArray[np.float32]]:
        if len(self._parts) > 1:
            codes, factors = zip(*self._parts, strict=True)
            self._parts = [(np.concatenate(codes), np.concatenate(factors))]
        return self._parts[0]

    def save(self, folder: Path) -> None:
        """Write the file; nothing is written of an empty store."""
        if self._parts:
            codes, factors = self._whole()
            save_arrays({"codes": codes, "factors": factors, "offsets": self._offsets}, folder / FILE)

    def open(self, folder: Path) -> None:
        """Read back what `save` wrote.

        Raises
        ------
        ValueError
            A damaged file.
        """
        if (folder / FILE).is_file():
            arrays = load_arrays(folder / FILE)
            self._parts = [(arrays["codes"], arrays["factors"])]
            self._offsets = arrays["offsets"]
