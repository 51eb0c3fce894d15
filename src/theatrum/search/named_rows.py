"""The rows of an index: their ids, their attributes, and which of them are deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_ids
from theatrum.contracts import Attributes, Where
from theatrum.persistence import load_table, save_table
from theatrum.search.arrow_columns import arrow_from_column, column_from_arrow
from theatrum.search.column_kinds import Mask
from theatrum.search.columns import AttributeColumns
from theatrum.search.search_plan import SurvivorCache, Survivors

ROWS_FILE = "rows.arrow"
_PREFIX = "attribute:"


class NamedRows:
    """Rows that are added at the end and deleted by name; a deleted row keeps its place.

    Examples
    --------
    >>> rows = NamedRows()
    >>> rows.append(rows.check(["a", "b", "c"], 3), {"year": [1958, 1962, None]})
    >>> rows.delete(["a"])
    >>> rows.ids, rows.places["c"], rows.survivors("year > 1900").rows.tolist(), rows.attributes
    (['b', 'c'], 2, [1], {'year': [1962, None]})
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.alive: Mask = np.zeros(0, dtype=bool)
        self.places: dict[str, int] = {}
        self._columns = AttributeColumns()
        self._survivors = SurvivorCache()

    def check(self, ids: Sequence[str], n: int, attributes: Attributes | None = None) -> list[str]:
        """Return the ids of n rows to come; what is refused is refused before anything has changed.

        Raises
        ------
        ValueError
            An id that is there already or comes twice, or attribute columns of another length, set or kind.
        """
        names = check_ids(ids, n)
        taken = next((name for name in names if name in self.places), None)
        if taken is not None:
            raise ValueError(f"ids: {taken!r} is in the index already; delete it first or use another id")
        self._columns.read(attributes or {}, n)
        return names

    def append(self, names: Sequence[str], attributes: Attributes | None = None) -> None:
        """Add rows that `check` let through."""
        start = len(self.names)
        self.names += names
        self.places.update(zip(names, range(start, start + len(names)), strict=True))
        self.alive = np.concatenate([self.alive, np.ones(len(names), dtype=bool)])
        self._columns.append(attributes or {}, len(names))
        self._changed()

    def delete(self, ids: Sequence[str]) -> None:
        """Take rows out.

        Raises
        ------
        ValueError
            An id that is not there; then nothing is deleted.
        """
        names = check_ids(ids, len(ids))
        unknown = next((name for name in names if name not in self.places), None)
        if unknown is not None:
            raise ValueError(f"ids: {unknown!r} is not in the index; nothing was deleted")
        for name in names:
            self.alive[self.places.pop(name)] = False
        self._changed()

    def _changed(self) -> None:
        self._survivors.clear()
        self.__dict__.pop("labels", None)

    @property
    def total(self) -> int:
        """All rows, the deleted ones too."""
        return len(self.names)

    def __len__(self) -> int:
        """Rows that are not deleted."""
        return len(self.places)

    @property
    def living(self) -> NDArray[np.int64]:
        """Places of the rows that are not deleted."""
        return np.flatnonzero(self.alive)

    @cached_property
    def labels(self) -> NDArray[np.object_]:
        """Ids by place; the last one, place -1, is no hit."""
        return np.array([*self.names, ""], dtype=object)

    @property
    def ids(self) -> list[str]:
        """Ids that are not deleted, in the order of adding."""
        return list(self.places)

    @property
    def attributes(self) -> Mapping[str, list[Any]]:
        """Attribute columns of the rows that are not deleted, in the order of adding."""
        living = self.living.tolist()
        return {name: [values[row] for row in living] for name, values in self._columns.plain().items()}

    def survivors(self, where: Where | None) -> Survivors:
        """Rows that a filter and the deletions leave."""
        return self._survivors.find(where, self._columns, self.alive)

    def compacted(self) -> NamedRows:
        """The rows that are not deleted, closed up."""
        rows = NamedRows()
        rows.append(self.ids, self.attributes)
        return rows

    def save(self, folder: Path) -> None:
        """Write the file."""
        import pyarrow as pa

        columns = {"id": pa.array(self.names, pa.string()), "alive": pa.array(self.alive)}
        columns |= {_PREFIX + name: arrow_from_column(self._columns[name]) for name in self._columns}
        save_table(pa.table(columns), folder / ROWS_FILE)

    @classmethod
    def open(cls, folder: Path) -> NamedRows:
        """Read back what `save` wrote.

        Raises
        ------
        ValueError
            The file is missing or damaged.
        """
        table = load_table(folder / ROWS_FILE)
        if {"id", "alive"} - set(table.column_names):
            raise ValueError(f"{folder / ROWS_FILE} has no ids; it was not written with an index")
        rows = cls()
        rows.names = table["id"].to_pylist()
        rows.alive = table["alive"].to_numpy(zero_copy_only=False).astype(bool)
        rows.places = {name: place for place, name in enumerate(rows.names) if rows.alive[place]}
        columns = {name: column_from_arrow(table[name]) for name in table.column_names if name.startswith(_PREFIX)}
        columns = {name.removeprefix(_PREFIX): column for name, column in columns.items()}
        rows._columns = AttributeColumns.of(columns, len(rows.names))
        return rows
