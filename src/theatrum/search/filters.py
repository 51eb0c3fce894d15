"""Filters on attributes: a nested dict or a line of text, parsed into a small tree, never evaluated.

``{"year": {"gte": 2010, "lt": 2020}, "topic": {"in": ["wings", "heat"]}}`` means all of it; ``"and"`` and ``"or"`` take
a list of such dicts, ``"not"`` takes one. The same as text, for which see `theatrum.search.filter_language`:
``"2010 <= year < 2020 and topic in ('wings', 'heat')"``. A missing value never matches, and neither does its negation,
as in SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from theatrum.contracts import Where
from theatrum.search.column_kinds import COMPARISONS, ColumnError, Mask, Truth
from theatrum.search.columns import AttributeColumns

Value: TypeAlias = Any  # a text, a number, true or false, a date
_SETS = ("in", "any", "all")
OPERATORS = (*COMPARISONS, *_SETS, "null")


@dataclass(frozen=True)
class Filter:
    """A parsed filter: one test, or several joined.

    Parameters
    ----------
    kind : {"test", "and", "or", "not"}
        What it does.
    parts : tuple of Filter
        What is joined or negated.
    column, operator : str
        Of a test.
    operand : value, or tuple of values
        What the column is compared with.
    """

    kind: Literal["test", "and", "or", "not"]
    parts: tuple[Filter, ...] = ()
    column: str = ""
    operator: str = ""
    operand: Value = None

    def mask(self, columns: AttributeColumns | Mapping[str, Sequence[Any]]) -> Mask:
        """Return which rows match.

        Parameters
        ----------
        columns : AttributeColumns, or mapping of str to sequence
            Attribute -> one value a row; None where it is missing.

        Returns
        -------
        ndarray of bool, shape (n,)
            Whether the filter is true of the row.

        Raises
        ------
        ValueError
            An attribute that is not there, or values that cannot be compared with what is asked.

        Examples
        --------
        >>> years = {"year": [1999, 2005, None, 2012]}
        >>> parse_filter({"year": {"gte": 2000}}).mask(years).tolist()
        [False, True, False, True]
        >>> parse_filter("not year >= 2000").mask(years).tolist()
        [True, False, False, False]
        """
        typed = columns if isinstance(columns, AttributeColumns) else AttributeColumns(columns)
        missing = next((name for name in self.columns() if name not in typed), None)
        if missing is not None:
            there = ", ".join(sorted(typed)) or "none"
            raise ValueError(f"filter: there is no attribute {missing!r}; the attributes are: {there}")
        return self._truth(typed)[0]

    def columns(self) -> Iterator[str]:
        """Go through the attributes that it looks at."""
        if self.kind == "test":
            yield self.column
        for part in self.parts:
            yield from part.columns()

    def _truth(self, columns: AttributeColumns) -> Truth:
        if self.kind == "test":
            return self._tested(columns)
        truths = [part._truth(columns) for part in self.parts]
        if self.kind == "not":
            return truths[0][::-1]
        every, some = np.logical_and.reduce, np.logical_or.reduce
        if self.kind == "and":
            return every([true for true, _ in truths]), some([false for _, false in truths])
        return some([true for true, _ in truths]), every([false for _, false in truths])

    def _tested(self, columns: AttributeColumns) -> Truth:
        column = columns[self.column]
        try:
            if self.operator == "null":
                known = column.known()
                return (~known, known) if self.operand else (known, ~known)
            if self.operator in COMPARISONS:
                return column.compare(self.operator, self.operand)
            if self.operator == "in":
                return column.among(self.operand)
            return column.holds(self.operand, every=self.operator == "all")
        except ColumnError as error:
            raise ValueError(
                f"filter: {self.operator!r} on {self.column!r} ({column.kind}) cannot take {self.operand!r}: {error}"
            ) from None

    def __str__(self) -> str:
        """Write the filter as text."""
        from theatrum.search.filter_language import write

        return write(self)


def condition(column: str, operator: str, operand: Value) -> Filter:
    """Make a test, checked.

    Raises
    ------
    ValueError
        An unknown operator, or an operand that it cannot take.
    """
    if operator not in OPERATORS:
        raise ValueError(f"filter: {operator!r} on {column!r} is no operator; there are {', '.join(OPERATORS)}")
    if operator in _SETS:
        if not isinstance(operand, (Sequence, set, frozenset, np.ndarray)) or isinstance(operand, (str, bytes)):
            raise ValueError(f"filter: {operator!r} on {column!r} takes a list, got {operand!r}")
        values = tuple(operand.tolist() if isinstance(operand, np.ndarray) else operand)
        if None in values:
            raise ValueError(f"filter: {operator!r} on {column!r} has None in its list; ask with {{'null': True}}")
        return Filter("test", (), column, operator, values)
    if operator == "null" and not isinstance(operand, bool):
        raise ValueError(f"filter: 'null' on {column!r} takes True or False, got {operand!r}")
    if operand is None:
        raise ValueError(f"filter: {operator!r} on {column!r} takes one value, got None; ask with {{'null': True}}")
    if isinstance(operand, (Mapping, list, tuple, set)):
        raise ValueError(f"filter: {operator!r} on {column!r} takes one value, got {operand!r}")
    return Filter("test", (), column, operator, operand.item() if isinstance(operand, np.generic) else operand)


def join(kind: Literal["and", "or"], parts: Sequence[Filter]) -> Filter:
    """Join filters; one alone stays as it is, and what is joined alike already is not nested."""
    flat = [one for part in parts for one in (part.parts if part.kind == kind else (part,))]
    return flat[0] if len(flat) == 1 else Filter(kind, tuple(flat))


def parse_filter(where: Where | Filter) -> Filter:
    """Read a filter.

    Parameters
    ----------
    where : mapping, str or Filter
        ``{column: value}`` for equality; ``{column: {operator: value}}`` with eq, ne, lt, lte, gt, gte, in (a list),
        any and all (lists, for columns of lists), null (True or False); several keys mean and; ``{"and": [...]}``,
        ``{"or": [...]}``, ``{"not": {...}}``. Or a text such as ``"year >= 2010 and author = 'lin'"``.

    Returns
    -------
    Filter
        With a method ``mask``; ``str`` of it is the text form.

    Raises
    ------
    ValueError
        An unknown operator, a value of the wrong kind (with the column), or a text that cannot be read.

    Examples
    --------
    >>> wanted = parse_filter({"or": [{"topic": "heat"}, {"tags": {"any": ["wing", "flap"]}}]})
    >>> wanted.mask({"topic": ["heat", "x", "x"], "tags": [[], ["flap"], ["nose"]]}).tolist()
    [True, True, False]
    >>> print(wanted)
    topic = 'heat' or tags any ('wing', 'flap')
    """
    if isinstance(where, Filter):
        return where
    if isinstance(where, str):
        from theatrum.search.filter_language import read

        return read(where)
    if not isinstance(where, Mapping) or not where:
        raise ValueError(f"filter: expected a dict such as {{'year': {{'gte': 2010}}}}, or a text, got {where!r}")
    return join("and", [_item(str(key), value) for key, value in where.items()])


def _item(key: str, value: Any) -> Filter:
    if key == "not":
        return Filter("not", (parse_filter(value),))
    if key in ("and", "or"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise ValueError(f"filter: {key!r} takes a list of filters, got {value!r}")
        return join("and" if key == "and" else "or", [parse_filter(one) for one in value])
    tests = value if isinstance(value, Mapping) else {"eq": value}
    if not tests:
        raise ValueError(f"filter: the condition on {key!r} is empty; write for example {{{key!r}: {{'gte': 2010}}}}")
    return join("and", [condition(key, str(operator), operand) for operator, operand in tests.items()])
