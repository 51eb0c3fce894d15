"""The kinds of attribute columns: each keeps its values as arrays and answers a test for all rows at once.

Numbers (int64, or float64 once a fraction came), dates and times (microseconds), labels (texts or booleans, as codes
into a list of distinct values), and lists of texts or whole numbers. A missing value is None.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.bool_]
# What is known of each row: where a condition is true, and where it is false; neither where a value is missing.
Truth: TypeAlias = tuple[Mask, Mask]

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "lte": np.less_equal,
    "gt": np.greater,
    "gte": np.greater_equal,
}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class ColumnError(ValueError):
    """A value or a question of the wrong kind; the caller knows the column's name."""


class RowError(ColumnError):
    """A value of the wrong kind, and its row."""

    def __init__(self, row: int, reason: str) -> None:
        self.row = row
        super().__init__(reason)


class Column:
    """One attribute of all rows; a kind answers the questions that it can."""

    kind = "unknown"

    def join(self, other: Any) -> None:
        """Add the rows of a column of the same kind at the end."""
        raise NotImplementedError

    def missing(self, n: int) -> Column:
        """Make n rows of this kind without values."""
        raise NotImplementedError

    def values(self) -> list[Any]:
        """All rows as plain values."""
        raise NotImplementedError

    def known(self) -> Mask:
        """Where there is a value."""
        raise NotImplementedError

    def compare(self, operator: str, operand: Any) -> Truth:
        """Where ``value operator operand`` is true, and where it is false."""
        raise ColumnError("it holds lists; ask with any or all")

    def among(self, operands: Collection[Any]) -> Truth:
        """Where the value is one of some, and where it is none of them."""
        raise ColumnError("it holds lists; ask with any or all")

    def holds(self, operands: Collection[Any], every: bool) -> Truth:
        """Where the list has any of some values, or every one of them."""
        raise ColumnError("it holds single values; any and all are for lists")


def _number(value: Any) -> int | float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ColumnError(f"{value!r} is no number")
    if value != value or value in (float("inf"), float("-inf")):
        raise ColumnError(f"{value!r} is not finite")
    if isinstance(value, (int, np.integer)) and not -(2**63) <= value < 2**63:
        raise ColumnError(f"{value!r} has more than 64 bits")
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


def _moment(value: Any) -> int:
    """Microseconds since 1970 of a date, a time, or an ISO text; what names no time zone is UTC."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise ColumnError(f"{value!r} is no date; write for example '1965-03-31'") from None
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, dt.datetime):
        return ((value if value.tzinfo else value.replace(tzinfo=dt.UTC)) - _EPOCH) // _MICROSECOND
    if isinstance(value, dt.date):
        return (dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
    raise ColumnError(f"{value!r} is no date")


def _label(value: Any) -> str | bool:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if not isinstance(value, str):
        raise ColumnError(f"{value!r} is no text")
    return str(value)


class MeasuredColumn(Column):
    """Numbers, or dates as numbers."""

    def __init__(self, kind: str, values: Sequence[Any]) -> None:
        self.kind = kind
        self.read = _moment if kind == "date" else _number
        self.dates = not any(isinstance(value, dt.datetime) for value in values)  # days alone, no times of day
        self.numbers: NDArray[Any]
        self.there: Mask
        if isinstance(values, np.ndarray) and values.dtype.kind in "if" and np.isfinite(values).all():
            self.there = np.ones(len(values), dtype=bool)
            self.numbers = values.astype(np.int64 if values.dtype.kind == "i" else np.float64)
            return
        read = _each(self.read, values)
        self.there = np.array([value is not None for value in read], dtype=bool)
        fractions = any(isinstance(value, float) for value in read)
        self.numbers = np.zeros(len(read), dtype=np.float64 if fractions else np.int64)
        self.numbers[self.there] = [value for value in read if value is not None]

    def join(self, other: MeasuredColumn) -> None:
        self.dates &= other.dates
        self.numbers = np.concatenate([self.numbers, other.numbers])
        self.there = np.concatenate([self.there, other.there])

    def missing(self, n: int) -> MeasuredColumn:
        return MeasuredColumn(self.kind, [None] * n)

    def values(self) -> list[Any]:
        pairs = zip(self.numbers.tolist(), self.there.tolist(), strict=True)
        if self.kind == "number":
            return [value if there else None for value, there in pairs]
        moments = [_EPOCH + value * _MICROSECOND if there else None for value, there in pairs]
        return [moment.date() if moment else None for moment in moments] if self.dates else moments

    def compare(self, operator: str, operand: Any) -> Truth:
        true = COMPARISONS[operator](self.numbers, self.read(operand))
        return true & self.there, ~true & self.there

    def among(self, operands: Collection[Any]) -> Truth:
        true = np.isin(self.numbers, np.array([self.read(value) for value in operands] or [0]))
        true &= self.there & bool(operands)
        return true, self.there & ~true

    def known(self) -> Mask:
        return self.there.copy()


class CodedColumn(Column):
    """Labels as codes; -1 is missing."""

    kind = "label"

    def __init__(self, values: Sequence[Any]) -> None:
        self.vocabulary: dict[Any, int] = {}
        read = _each(_label, values)
        first = next((label for label in read if label is not None), None)
        for row, label in enumerate(read):
            if label is not None and type(label) is not type(first):
                raise RowError(row, f"{label!r} stands among values such as {first!r}")
        self.codes = _codes(read, self.vocabulary)

    def join(self, other: CodedColumn) -> None:
        self.codes = np.concatenate([self.codes, _recoded(other.codes, other.vocabulary, self.vocabulary)])

    def missing(self, n: int) -> CodedColumn:
        return CodedColumn([None] * n)

    def values(self) -> list[Any]:
        labels = [*self.vocabulary, None]
        return [labels[code] for code in self.codes.tolist()]

    def _where(self, chosen: Sequence[bool]) -> Truth:
        """Rows whose label is chosen, and rows with another."""
        table = np.array([*chosen, False], dtype=bool)  # the last one is for missing values
        true = table[self.codes]
        return true, (self.codes >= 0) & ~true

    def compare(self, operator: str, operand: Any) -> Truth:
        wanted = self._checked(operand)
        if operator not in ("eq", "ne") and isinstance(wanted, bool):
            raise ColumnError("it holds true and false; they have no order")
        return self._where([bool(COMPARISONS[operator](label, wanted)) for label in self.vocabulary])

    def among(self, operands: Collection[Any]) -> Truth:
        wanted = {self._checked(value) for value in operands}
        return self._where([label in wanted for label in self.vocabulary])

    def _checked(self, operand: Any) -> str | bool:
        wanted = _label(operand)
        first = next(iter(self.vocabulary), wanted)
        if type(wanted) is not type(first):
            raise ColumnError(f"it holds values such as {first!r}")
        return wanted

    def known(self) -> Mask:
        return self.codes >= 0


class ListedColumn(Column):
    """Lists of labels or numbers, one after another: row i has ``codes[starts[i]:starts[i + 1]]``."""

    kind = "list"

    def __init__(self, values: Sequence[Any]) -> None:
        self.vocabulary: dict[Any, int] = {}
        read = _each(_list, values)
        self.codes = _codes([label for value in read if value for label in value], self.vocabulary)
        self.starts = np.cumsum([0, *(len(value or ()) for value in read)], dtype=np.int64)
        self.there = np.array([value is not None for value in read], dtype=bool)

    def join(self, other: ListedColumn) -> None:
        self.codes = np.concatenate([self.codes, _recoded(other.codes, other.vocabulary, self.vocabulary)])
        self.starts = np.concatenate([self.starts, self.starts[-1] + other.starts[1:]])
        self.there = np.concatenate([self.there, other.there])

    def missing(self, n: int) -> ListedColumn:
        return ListedColumn([None] * n)

    def values(self) -> list[Any]:
        labels, codes, starts = list(self.vocabulary), self.codes.tolist(), self.starts.tolist()
        return [
            [labels[code] for code in codes[start:end]] if there else None
            for start, end, there in zip(starts, starts[1:], self.there.tolist(), strict=False)
        ]

    def holds(self, operands: Collection[Any], every: bool) -> Truth:
        wanted = {self.vocabulary.get(value, -1) for value in operands}
        if not every:
            true = self._with(wanted)
        elif -1 in wanted:
            true = np.zeros(len(self.there), dtype=bool)
        else:
            true = np.logical_and.reduce([self._with({code}) for code in wanted] or [self.there])
        return true & self.there, self.there & ~true

    def _with(self, wanted: Collection[int]) -> Mask:
        """Rows whose list has one of these codes."""
        rows = np.searchsorted(self.starts, np.flatnonzero(np.isin(self.codes, list(wanted))), side="right") - 1
        found = np.zeros(len(self.there), dtype=bool)
        found[rows] = True
        return found

    def known(self) -> Mask:
        return self.there.copy()


class UnknownColumn(Column):
    """Nothing but missing values so far; the first value decides the kind."""

    def __init__(self, n: int) -> None:
        self.n = n

    def join(self, other: UnknownColumn) -> None:
        self.n += other.n

    def missing(self, n: int) -> UnknownColumn:
        return UnknownColumn(n)

    def values(self) -> list[Any]:
        return [None] * self.n

    def _nothing(self) -> Truth:
        return np.zeros(self.n, dtype=bool), np.zeros(self.n, dtype=bool)

    def compare(self, operator: str, operand: Any) -> Truth:
        return self._nothing()

    def among(self, operands: Collection[Any]) -> Truth:
        return self._nothing()

    def holds(self, operands: Collection[Any], every: bool) -> Truth:
        return self._nothing()

    def known(self) -> Mask:
        return self._nothing()[0]


def _each(read: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    """Read every value that is there; the row of one that cannot be read goes with the error."""
    found = []
    for row, value in enumerate(values):
        try:
            found.append(None if value is None else read(value))
        except ColumnError as error:
            raise RowError(row, str(error)) from None
    return found


def _list(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise ColumnError(f"{value!r} is no list")
    labels = sorted(value) if isinstance(value, (set, frozenset)) else list(value)
    strange = next((label for label in labels if not isinstance(label, (str, int)) or isinstance(label, bool)), None)
    if strange is not None or None in labels:
        raise ColumnError(f"a list holds {strange!r}; lists hold texts or whole numbers")
    return labels


def _codes(labels: Sequence[Any], vocabulary: dict[Any, int]) -> NDArray[np.int32]:
    """Codes of labels, new labels getting new ones; None is -1."""
    return np.array(
        [-1 if label is None else vocabulary.setdefault(label, len(vocabulary)) for label in labels], dtype=np.int32
    )


def _recoded(codes: NDArray[np.int32], old: Mapping[Any, int], new: dict[Any, int]) -> NDArray[np.int32]:
    """Codes of one vocabulary in another, which learns what it does not know."""
    return np.append(_codes(list(old), new), np.int32(-1))[codes]


def column_of(values: Sequence[Any]) -> Column:
    """Make the column that the first value there asks for."""
    first = next((value for value in values if value is not None), None)
    if first is None:
        return UnknownColumn(len(values))
    if isinstance(first, (list, tuple, set, frozenset, np.ndarray)):
        return ListedColumn(values)
    if isinstance(first, (str, bool, np.bool_)):
        return CodedColumn(values)
    return MeasuredColumn("date" if isinstance(first, (dt.date, np.datetime64)) else "number", values)


def is_flag(column: Column) -> bool:
    """Whether a column holds true and false."""
    return isinstance(column, CodedColumn) and isinstance(next(iter(column.vocabulary), None), bool)
