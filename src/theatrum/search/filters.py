"""Filters on attributes: a nested dict, parsed into a small tree, never evaluated.

``{"year": {"gte": 2010, "lt": 2020}, "topic": {"in": ["wings", "heat"]}}`` means all of it; ``"or"`` takes a list of
such dicts, ``"not"`` takes one. A missing value never matches, and neither does its negation, as in SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
# What is known of each row: where the condition is true, and where it is false; neither where a value is missing.
Truth = tuple[Mask, Mask]
Columns = Mapping[str, Sequence[Any]]

_COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "lte": "less_equal",
    "gt": "greater",
    "gte": "greater_equal",
}
_SETS = ("in", "any", "all")


@dataclass(frozen=True)
class Filter:
    """A parsed filter.

    Parameters
    ----------
    columns : frozenset of str
        Attributes that it looks at.
    truth : callable
        Columns -> (true, false), masks over the rows.
    """

    columns: frozenset[str]
    truth: Callable[[Columns], Truth]

    def mask(self, columns: Columns) -> Mask:
        """Return which rows match.

        Parameters
        ----------
        columns : mapping of str to sequence
            Attribute -> one value a row; None where it is missing.

        Raises
        ------
        ValueError
            An attribute that is not there, or values that cannot be compared with what is asked.

        Examples
        --------
        >>> years = {"year": [1999, 2005, None, 2012]}
        >>> parse_filter({"year": {"gte": 2000}}).mask(years).tolist()
        [False, True, False, True]
        >>> parse_filter({"not": {"year": {"gte": 2000}}}).mask(years).tolist()
        [True, False, False, False]
        """
        missing = sorted(self.columns - columns.keys())
        if missing:
            there = ", ".join(sorted(columns)) or "none"
            raise ValueError(f"filter: there is no attribute {missing[0]!r}; the attributes are: {there}")
        return self.truth(columns)[0]


def parse_filter(where: Mapping[str, Any]) -> Filter:
    """Read a filter.

    Parameters
    ----------
    where : mapping
        ``{column: value}`` for equality; ``{column: {operator: value}}`` with eq, ne, lt, lte, gt, gte, in (a list),
        any and all (lists, for columns of lists); several keys mean and; ``{"or": [...]}``, ``{"not": {...}}``.

    Returns
    -------
    Filter
        With a method ``mask``.

    Raises
    ------
    ValueError
        An unknown operator, or a value of the wrong kind (with the column).

    Examples
    --------
    >>> wanted = parse_filter({"or": [{"topic": "heat"}, {"tags": {"any": ["wing", "flap"]}}]})
    >>> wanted.mask({"topic": ["heat", "x", "x"], "tags": [[], ["flap"], ["nose"]]}).tolist()
    [True, True, False]
    """
    if not isinstance(where, Mapping) or not where:
        raise ValueError(f"filter: expected a dict such as {{'year': {{'gte': 2010}}}}, got {where!r}")
    parts = [_parse_item(str(key), value) for key, value in where.items()]
    return parts[0] if len(parts) == 1 else _join(parts, _and)


def _parse_item(key: str, value: Any) -> Filter:
    if key == "not":
        inner = parse_filter(value)
        return Filter(inner.columns, lambda columns: inner.truth(columns)[::-1])
    if key == "or":
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise ValueError(f"filter: 'or' takes a list of filters, got {value!r}")
        return _join([parse_filter(one) for one in value], _or)
    tests = value if isinstance(value, Mapping) else {"eq": value}
    if not tests:
        raise ValueError(f"filter: the condition on {key!r} is empty; write for example {{{key!r}: {{'gte': 2010}}}}")
    return _join([_condition(key, str(operator), operand) for operator, operand in tests.items()], _and)


def _join(parts: Sequence[Filter], rule: Callable[[Sequence[Truth]], Truth]) -> Filter:
    return Filter(
        frozenset().union(*(part.columns for part in parts)),
        lambda columns: rule([part.truth(columns) for part in parts]),
    )


def _and(truths: Sequence[Truth]) -> Truth:
    return np.logical_and.reduce([true for true, _ in truths]), np.logical_or.reduce([false for _, false in truths])


def _or(truths: Sequence[Truth]) -> Truth:
    return np.logical_or.reduce([true for true, _ in truths]), np.logical_and.reduce([false for _, false in truths])


def _condition(column: str, operator: str, operand: Any) -> Filter:
    if operator in _SETS:
        if not isinstance(operand, Sequence) or isinstance(operand, str):
            raise ValueError(f"filter: {operator!r} on {column!r} takes a list, got {operand!r}")
        values = list(operand)
        return Filter(frozenset([column]), lambda columns: _contained(columns[column], column, operator, values))
    if operator not in _COMPARISONS:
        raise ValueError(
            f"filter: {operator!r} on {column!r} is no operator; there are {', '.join([*_COMPARISONS, *_SETS])}"
        )
    if isinstance(operand, (Mapping, list, tuple, set)) or operand is None:
        raise ValueError(f"filter: {operator!r} on {column!r} takes one value, got {operand!r}")
    return Filter(frozenset([column]), lambda columns: _compared(columns[column], column, operator, operand))


def _compared(values: Sequence[Any], column: str, operator: str, operand: Any) -> Truth:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        result = getattr(pc, _COMPARISONS[operator])(pa.array(values), pa.scalar(operand))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"filter: {column!r} cannot be compared with {operand!r}: {error}") from None
    true = result.fill_null(False).to_numpy(zero_copy_only=False)
    false = pc.invert(result).fill_null(False).to_numpy(zero_copy_only=False)
    return true, false


def _contained(values: Sequence[Any], column: str, operator: str, wanted: list[Any]) -> Truth:
    known = np.array([value is not None for value in values], dtype=bool)
    if operator == "in":
        choice = set(wanted)
        true = np.array([value is not None and value in choice for value in values], dtype=bool)
        return true, known & ~true
    strange = next((value for value in values if value is not None and not isinstance(value, (list, tuple))), None)
    if strange is not None:
        raise ValueError(f"filter: {operator!r} on {column!r} needs lists as values, got {strange!r}")
    needed = set(wanted)
    test = needed.isdisjoint if operator == "any" else needed.issubset
    true = np.array(
        [value is not None and (not test(value) if operator == "any" else test(value)) for value in values], dtype=bool
    )
    return true, known & ~true
