"""A collection as it was at one commit: which rows there are, where their codes lie, and how to search them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Scores, Vectors
from theatrum.search.arrow_columns import column_from_arrow
from theatrum.search.column_kinds import Column
from theatrum.search.columns import AttributeColumns
from theatrum.search.exact_scan import best_rows
from theatrum.search.search_plan import SurvivorCache, Survivors
from theatrum.store.code_segment import CodeSegment
from theatrum.store.collection_rows import ID, VECTOR, matrix
from theatrum.store.lance_table import LanceTable


class StoredColumns(AttributeColumns):
    """Attribute columns of a table, each read when a filter first asks for it."""

    def __init__(self, table: LanceTable) -> None:
        super().__init__()
        self.table = table
        self.names = [name for name in table.schema.names if name not in (ID, VECTOR)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Column:
        if name not in self._columns:
            self._columns[name] = column_from_arrow(self.table.rows([name])[name])
        return self._columns[name]


@dataclass(frozen=True)
class CollectionView:
    """Everything that a search needs, none of which changes when the collection does.

    Parameters
    ----------
    table : LanceTable
        Standing at the commit.
    row_ids : ndarray of uint64, shape (n,)
        Lance's names of the rows, in the order of the table.
    ids : pyarrow.ChunkedArray of string
        Ids of the rows, in the same order.
    segments : list of CodeSegment
        Which cover all rows.
    """

    table: LanceTable
    row_ids: NDArray[np.uint64]
    ids: Any
    segments: Sequence[CodeSegment]
    places: list[NDArray[np.int64]] = field(init=False)  # of each segment: the row of each code, -1 if it is gone
    columns: StoredColumns = field(init=False)
    cache: SurvivorCache = field(default_factory=SurvivorCache)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", places_of(self.row_ids, self.segments))
        object.__setattr__(self, "columns", StoredColumns(self.table))

    def survivors(self, where: Any) -> Survivors:
        """Rows that a filter lets through."""
        return self.cache.find(where, self.columns, np.ones(len(self.row_ids), dtype=bool))

    def best(self, Q: Vectors, k: int, survivors: Survivors, squared: bool) -> tuple[NDArray[np.int64], Scores]:
        """Best k rows by their codes, (q, k), equal scores in the order of the table; k is no more than survive."""
        found, values = np.empty((len(Q), 0), dtype=np.int64), np.empty((len(Q), 0), dtype=np.float32)
        for segment, places in zip(self.segments, self.places, strict=True):
            chosen = None
            wanted = len(places)
            if not survivors.everything or (places < 0).any():
                chosen = np.flatnonzero((places >= 0) & survivors.mask[places])
                wanted = len(chosen)
            if not wanted:
                continue
            positions, scores = best_rows(segment.stored, Q, min(k, wanted), squared=squared, rows=chosen)
            found, values = np.hstack([found, places[positions]]), np.hstack([values, scores])
        order = np.lexsort((found, -values), axis=1)[:, :k]
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)

    def scored_again(
        self, Q: Vectors, found: NDArray[np.int64], k: int, normalise: Callable[[Vectors], Vectors], squared: bool
    ) -> tuple[NDArray[np.int64], Scores]:
        """Best k of some rows (q, n), by the vectors as they were given."""
        flat = np.unique(found)
        X = normalise(self.vectors(flat))[np.searchsorted(flat, found)]  # (q, n, d)
        values = -((X - Q[:, None]) ** 2).sum(axis=2) if squared else np.einsum("qnd,qd->qn", X, Q)
        order = np.lexsort((found, -values), axis=1)[:, :k]
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)

    def vectors(self, rows: NDArray[np.int64]) -> Vectors:
        """Vectors of rows as they were given."""
        return matrix(self.table.take(self.row_ids[rows].tolist(), [VECTOR])[VECTOR], self.dim)

    @property
    def dim(self) -> int:
        """Width."""
        return int(self.table.schema.field(VECTOR).type.list_size)

    def places_of_ids(self, names: Sequence[str]) -> Mapping[str, int]:
        """Rows of those of some ids that are there."""
        import pyarrow as pa
        import pyarrow.compute as pc

        asked = pa.array(list(names), pa.string())
        rows = np.flatnonzero(pc.is_in(self.ids, value_set=asked).to_numpy())
        return dict(zip(self.ids.take(rows).to_pylist(), rows.tolist(), strict=True)) if len(rows) else {}


def places_of(row_ids: NDArray[np.uint64], segments: Sequence[CodeSegment]) -> list[NDArray[np.int64]]:
    """For the codes of each segment their rows in a table, -1 where they are not in it; no row is given twice."""
    order = np.argsort(row_ids, kind="stable")
    ordered = np.append(row_ids[order], np.iinfo(np.uint64).max)  # an end that no row id is beyond
    free = np.ones(len(row_ids), dtype=bool)
    found = []
    for segment in segments:
        at = np.searchsorted(ordered, segment.rows)
        places = np.full(len(segment.rows), -1, dtype=np.int64)
        there = ordered[at] == segment.rows
        places[there] = order[at[there]]
        places[there] = np.where(free[places[there]], places[there], -1)
        free[places[places >= 0]] = False
        found.append(places)
    return found
