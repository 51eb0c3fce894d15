"""Sets of token vectors: checked at the door, laid end to end in one array, taken in blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_vectors
from theatrum.contracts import Vectors

Offsets: TypeAlias = NDArray[np.int64]  # (n + 1,): set i has the rows offsets[i] up to offsets[i + 1]


def check_token_sets(
    sets: Any, *, name: str, dim: int | None = None, labels: Sequence[str] | None = None
) -> list[Vectors]:
    """Return sets of token vectors as float32 matrices of one width, or say which one is wrong.

    Parameters
    ----------
    sets : sequence of array-like of shape (t_i, d)
        One matrix an item, with at least one row each.
    name : str
        What to call them in a message.
    dim : int or None, default=None
        Width that they must have; the first one's by default.
    labels : sequence of str, optional
        Ids to name them by, instead of their numbers.

    Raises
    ------
    ValueError
        An empty set, another width, NaN or infinity, or one matrix instead of a list of them.

    Examples
    --------
    >>> check_token_sets([[[1, 0]], np.zeros((0, 2))], name="docs")
    Traceback (most recent call last):
    ...
    ValueError: docs: set 1: at least 1 row(s) needed, got 0
    """
    if isinstance(sets, np.ndarray) and sets.ndim == 2:
        raise ValueError(f"{name}: expected a list of matrices, one an item, got one matrix; put it in a list")
    checked: list[Vectors] = []
    for row, one in enumerate(sets):
        label = f"set {row}" if labels is None else repr(labels[row])
        checked.append(check_vectors(one, name=f"{name}: {label}", dim=dim))
        dim = checked[0].shape[1] if dim is None else dim
    return checked


def end_to_end(sets: Sequence[Vectors]) -> tuple[Vectors, Offsets]:
    """Lay sets end to end: tokens (T, d) and where each set starts.

    Examples
    --------
    >>> tokens, offsets = end_to_end([np.ones((2, 3), np.float32), np.ones((1, 3), np.float32)])
    >>> tokens.shape, offsets.tolist()
    ((3, 3), [0, 2, 3])
    """
    offsets = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    return np.concatenate(sets), offsets


def blocks(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """Cut a row of sets into blocks of at most so many tokens; a larger set comes alone.

    Examples
    --------
    >>> list(blocks([3, 4, 9, 1], 8))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    start, held = 0, 0
    for row, size in enumerate(sizes):
        if row > start and held + size > most:
            yield slice(start, row)
            start, held = row, 0
        held += size
    if start < len(sizes):
        yield slice(start, len(sizes))
