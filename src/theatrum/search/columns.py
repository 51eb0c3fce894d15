"""Attributes of rows in typed columns, so that a filter is a few operations on arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from theatrum.search.column_kinds import Column, RowError, column_of, is_flag


class AttributeColumns:
    """Columns of attributes for rows that come in batches.

    Parameters
    ----------
    columns : mapping of str to sequence, optional
        The first batch.

    Examples
    --------
    >>> columns = AttributeColumns({"year": [1958, None], "author": ["lin", "ting"]})
    >>> columns.append({"year": [1965.5], "author": [None]}, 1)
    >>> columns.kinds(), columns.values("year")
    ({'year': 'number', 'author': 'label'}, [1958.0, None, 1965.5])
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]] | None = None) -> None:
        self._columns: dict[str, Column] = {}
        self._rows = 0
        if columns:
            self.append(columns, len(next(iter(columns.values()))))

    @classmethod
    def of(cls, columns: Mapping[str, Column], n: int) -> AttributeColumns:
        """Hold columns of n rows that have been made already."""
        made = cls()
        made._columns, made._rows = dict(columns), n
        return made

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def kinds(self) -> dict[str, str]:
        """Kind of each column: number, date, label, list, or unknown while all its values are missing."""
        return {name: column.kind for name, column in self._columns.items()}

    def values(self, name: str) -> list[Any]:
        """Plain values of one column."""
        return self._columns[name].values()

    def plain(self) -> dict[str, list[Any]]:
        """All columns as plain values."""
        return {name: column.values() for name, column in self._columns.items()}

    def append(self, attributes: Mapping[str, Sequence[Any]], n: int) -> None:
        """Add n rows.

        Raises
        ------
        ValueError
            Another number of values, another set of columns, values of two kinds in one column; nothing changed then.
        """
        new = self.read(attributes, n)
        for name, column in new.items():
            old = self._columns.setdefault(name, column.missing(0))
            if old.kind == "unknown":
                old = self._columns[name] = column.missing(self._rows)
            old.join(column if column.kind != "unknown" else old.missing(n))
        self._rows += n

    def read(self, attributes: Mapping[str, Sequence[Any]], n: int) -> dict[str, Column]:
        """Read n rows that can be appended; see `append` for what is refused."""
        new: dict[str, Column] = {}
        for name, values in attributes.items():
            rows = values if isinstance(values, np.ndarray) else list(values)
            if len(rows) != n:
                raise ValueError(f"attributes: {name!r} has {len(rows)} values for {n} rows; None says missing")
            try:
                new[str(name)] = column_of(rows)
            except RowError as error:
                raise ValueError(f"attributes: {name!r} row {error.row}: {error}; a column has one kind") from None
        if self._rows and new.keys() != self._columns.keys():
            raise ValueError(
                f"attributes: got {sorted(new) or 'none'}, the rows before have {sorted(self) or 'none'}; "
                "every batch must bring the same columns"
            )
        for name, column in self._columns.items() if self._rows else ():
            if not _alike(column, new[name]):
                raise ValueError(
                    f"attributes: {name!r} holds {column.kind}s such as {_example(column)!r}, "
                    f"and now gets {_example(new[name])!r}"
                )
        return new


def _alike(old: Column, new: Column) -> bool:
    """Whether two columns are of one kind; texts and booleans are both labels, and yet not alike."""
    if "unknown" in (old.kind, new.kind):
        return True
    return old.kind == new.kind and is_flag(old) == is_flag(new)


def _example(column: Column) -> Any:
    known = column.known()
    return column.values()[int(known.argmax())] if known.any() else None
