"""Checks at the door: parameters against a small table, arrays against shape and finiteness, one wording for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from theatrum.contracts import Vectors


@dataclass(frozen=True)
class Range:
    """Numbers of one kind between two bounds, both allowed unless ``open_low``.

    Parameters
    ----------
    kind : type
        ``int`` or ``float``; an int is accepted where a float is asked for, a bool never is.
    low, high : float
        Bounds.
    open_low : bool, default=False
        Whether ``low`` itself is refused.
    """

    kind: type
    low: float = -np.inf
    high: float = np.inf
    open_low: bool = False

    def allows(self, value: object) -> bool:
        """Whether the value is of the kind and inside the bounds."""
        kinds = (int, np.integer) if self.kind is int else (int, float, np.integer, np.floating)
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, kinds):
            return False
        return bool((self.low < value if self.open_low else self.low <= value) and value <= self.high)

    def __str__(self) -> str:
        """Say the range in words."""
        name = "a whole number" if self.kind is int else "a number"
        if self.low == -np.inf and self.high == np.inf:
            return name
        if self.high == np.inf:
            return f"{name} {'above' if self.open_low else 'of at least'} {self.low:g}"
        return f"{name} between {self.low:g}{' (not itself)' if self.open_low else ''} and {self.high:g}"


@dataclass(frozen=True)
class Options:
    """One of a few values."""

    values: tuple[object, ...]

    def allows(self, value: object) -> bool:
        """Whether the value is one of them (by type too: True is not 1)."""
        return any(type(value) is type(option) and value == option for option in self.values)

    def __str__(self) -> str:
        """Say the options in words."""
        return "one of " + ", ".join(repr(value) for value in self.values)


Constraint = Range | Options | type | None


def _allows(constraint: Constraint, value: object) -> bool:
    if constraint is None:
        return value is None
    if isinstance(constraint, type):
        return isinstance(value, constraint)
    return constraint.allows(value)


def _say(constraint: Constraint) -> str:
    if constraint is None:
        return "None"
    return f"a {constraint.__name__}" if isinstance(constraint, type) else str(constraint)


def check_parameters(owner: object, table: Mapping[str, Sequence[Constraint]]) -> None:
    """Check constructor parameters, stored as attributes of the same name, against a table.

    Parameters
    ----------
    owner : object
        The part; its class name is used in the message.
    table : mapping of str to sequence of constraints
        Allowed kinds of each parameter; one match is enough.

    Raises
    ------
    ValueError
        Naming the parameter, its owner, what is allowed and what came.

    Examples
    --------
    >>> class Cut:
    ...     def __init__(self, dim):
    ...         self.dim = dim
    >>> check_parameters(Cut(-1), {"dim": [Range(int, 1), None]})
    Traceback (most recent call last):
    ...
    ValueError: Cut: dim must be a whole number of at least 1 or None, got -1
    """
    for name, constraints in table.items():
        value = getattr(owner, name)
        if not any(_allows(constraint, value) for constraint in constraints):
            allowed = " or ".join(_say(constraint) for constraint in constraints)
            raise ValueError(f"{type(owner).__name__}: {name} must be {allowed}, got {value!r}")


def check_vectors(X: Any, *, name: str = "X", dim: int | None = None, min_rows: int = 1) -> Vectors:
    """Return X as a C-contiguous float32 matrix, or say exactly what is wrong with it.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Vectors.
    name : str, default="X"
        What to call it in a message.
    dim : int or None, default=None
        Number of columns that it must have.
    min_rows : int, default=1
        Fewest rows allowed.

    Returns
    -------
    ndarray of float32, shape (n, d)
        The same numbers; no copy when X already is such an array.

    Raises
    ------
    ValueError
        Not two-dimensional, too few rows, wrong width, not numbers, NaN or infinity (with the row).

    Examples
    --------
    >>> check_vectors([[1, 2], [3, float("nan")]])
    Traceback (most recent call last):
    ...
    ValueError: X: row 1 holds NaN or infinity; remove the row or repair it before this step
    """
    try:
        array = np.ascontiguousarray(X, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a matrix of numbers (n, d), got {type(X).__name__}: {error}") from None
    if array.ndim != 2:
        raise ValueError(f"{name}: expected two dimensions (n, d), got shape {array.shape}; one row is one item")
    if array.shape[0] < min_rows:
        raise ValueError(f"{name}: at least {min_rows} row(s) needed, got {array.shape[0]}")
    if array.shape[1] == 0:
        raise ValueError(f"{name}: rows have no columns")
    if dim is not None and array.shape[1] != dim:
        raise ValueError(f"{name}: expected {dim} columns, got {array.shape[1]}; are these vectors of another encoder?")
    # One pass without a temporary of the size of X: a sum is finite unless an entry is not (or the sum overflows).
    if not np.isfinite(array.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if bad.size:
            raise ValueError(
                f"{name}: row {bad[0]} holds NaN or infinity; remove the row or repair it before this step"
            )
    return array


def check_ids(ids: Sequence[str], n: int) -> list[str]:
    """Return ids as a list of n unique non-empty strings, or say which one is wrong.

    Examples
    --------
    >>> check_ids(["a", "b", "a"], 3)
    Traceback (most recent call last):
    ...
    ValueError: ids: 'a' (row 2) is there already; ids must be unique
    """
    checked = [str(value) for value in ids]
    if len(checked) != n:
        raise ValueError(f"ids: {len(checked)} ids for {n} rows; one id a row is needed")
    seen: set[str] = set()
    for row, value in enumerate(checked):
        if not value:
            raise ValueError(f"ids: row {row} has an empty id")
        if value in seen:
            raise ValueError(f"ids: {value!r} (row {row}) is there already; ids must be unique")
        seen.add(value)
    return checked


def check_k(k: int, n: int) -> int:
    """Return k, cut to the n items there are.

    Examples
    --------
    >>> check_k(10, 3)
    3
    >>> check_k(0, 3)
    Traceback (most recent call last):
    ...
    ValueError: k must be a whole number of at least 1, got 0
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1, got {k!r}")
    return min(int(k), n)


def check_texts(texts: Sequence[str], *, name: str) -> list[str]:
    """Return texts as a list, or say which row is not a text.

    Examples
    --------
    >>> check_texts("one text", name="queries")
    Traceback (most recent call last):
    ...
    ValueError: queries: expected a list of texts, got one text; put it in a list
    """
    if isinstance(texts, str):
        raise ValueError(f"{name}: expected a list of texts, got one text; put it in a list")
    rows = list(texts)
    for row, text in enumerate(rows):
        if not isinstance(text, str):
            raise ValueError(f"{name}: row {row} is {type(text).__name__}, expected a text")
    return rows


def unit_rows(X: Vectors) -> Vectors:
    """Scale rows to length 1 (cosine means unit rows); zero rows stay zero.

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    # float64: the square of a small float32 underflows to zero.
    norms = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64)).astype(np.float32)[:, None]
    norms[norms == 0] = 1
    return np.divide(X, norms, dtype=np.float32)
