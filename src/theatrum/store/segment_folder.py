"""The segments of a collection: which rows they cover, and how the rest gets its codes."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Vectors
from theatrum.store.code_segment import CodeSegment, Precision, open_segment, write_segment
from theatrum.store.collection_rows import ID, VECTOR, matrix
from theatrum.store.collection_view import CollectionView, places_of
from theatrum.store.lance_table import ROW_ID, LanceTable

_BLOCK = 8192  # rows read at a time
_MANY = 16  # of so many segments the smaller half is made one


class SegmentFolder:
    """Makes views of a table: rows whose codes nobody has written yet are coded on the way.

    Parameters
    ----------
    path : Path
        The folder of the segments.
    precision : {"int8", "float32"}
        What segments keep of a number.
    normalise : callable
        What happens to vectors before they are coded.
    """

    def __init__(self, path: Path, precision: Precision, normalise: Callable[[Vectors], Vectors]) -> None:
        self.path, self.precision, self.normalise = path, precision, normalise
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def view(self, table: LanceTable) -> CollectionView:
        """Look at a table; codes that are missing are made for this process alone."""
        row_ids, ids = _rows(table)
        segments = self.read(table)
        missing = _uncovered(row_ids, segments)
        if len(missing):
            self._scratch = self._scratch or tempfile.TemporaryDirectory(prefix="theatrum-", ignore_cleanup_errors=True)
            segments.append(self._write(table, missing, Path(self._scratch.name)))
        return CollectionView(table, row_ids, ids, segments)

    def cover(self, table: LanceTable) -> CollectionView:
        """Look at a table; codes that are missing are written, segments of which nothing is left are removed.

        Only for who is the writer.
        """
        row_ids, ids = _rows(table)
        segments = self.read(table)
        used = [np.count_nonzero(places >= 0) for places in places_of(row_ids, segments)]
        order = sorted(np.flatnonzero(used).tolist(), key=lambda one: -used[one])
        # Only small ones are made one, so that a row is coded again a few times in all, however many come.
        kept = [segments[one] for one in (order if len(order) < _MANY else order[: _MANY // 2])]
        missing = _uncovered(row_ids, kept)
        if len(missing):
            kept.append(self._write(table, missing, self.path))
        for segment in segments:
            if all(segment is not one for one in kept):
                shutil.rmtree(segment.path, ignore_errors=True)  # who has it mapped keeps its bytes
        return CollectionView(table, row_ids, ids, kept)

    def read(self, table: LanceTable) -> list[CodeSegment]:
        """Segments that can be read; a damaged one is as good as none."""
        dim = _dim(table)
        segments = []
        for path in sorted(self.path.glob("[!.]*")):
            try:
                segments.append(open_segment(path, dim, self.precision))
            except (OSError, ValueError):
                continue
        return segments

    def wrong(self, table: LanceTable) -> list[Path]:
        """Segments that stand for other vectors than the table holds."""
        view, dim, wrong = self.view(table), _dim(table), []
        for segment, places in zip(view.segments, view.places, strict=True):
            there = np.flatnonzero(places >= 0)
            for start in range(0, len(there), _BLOCK):
                some = there[start : start + _BLOCK]
                X = self.normalise(matrix(table.take(segment.rows[some].tolist(), [VECTOR])[VECTOR], dim))
                step = 0.0 if segment.stored.step is None else segment.stored.step
                if (abs(segment.stored.decoded(some) - X) > step + np.float32(1e-5) * (1 + abs(X))).any():
                    wrong.append(segment.path)
                    break
        return wrong

    def _write(self, table: LanceTable, rows: NDArray[np.uint64], folder: Path) -> CodeSegment:
        dim = _dim(table)

        def blocks() -> Iterator[Vectors]:
            for start in range(0, len(rows), _BLOCK):
                found = table.take(rows[start : start + _BLOCK].tolist(), [VECTOR])
                yield self.normalise(matrix(found[VECTOR], dim))

        return write_segment(folder / uuid.uuid4().hex, rows, blocks, dim, self.precision)


def _dim(table: LanceTable) -> int:
    return int(table.schema.field(VECTOR).type.list_size)


def _rows(table: LanceTable) -> tuple[NDArray[np.uint64], Any]:
    """Row ids and ids of all rows."""
    found = table.rows([ID])
    return found[ROW_ID].to_numpy(), found[ID]


def _uncovered(row_ids: NDArray[np.uint64], segments: Sequence[CodeSegment]) -> NDArray[np.uint64]:
    missing = np.ones(len(row_ids), dtype=bool)
    for places in places_of(row_ids, segments):
        missing[places[places >= 0]] = False
    return row_ids[missing]
