"""The documents of a service: looked up by id in a memory-mapped file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from theatrum.bakeoffs.documents import FILE
from theatrum.data import Document


class DocumentTable:
    """Documents by id and by row; texts stay on disk until they are asked for.

    Parameters
    ----------
    table : pyarrow.Table
        Columns id, title, text, and (since documents have them) attributes as JSON.

    Examples
    --------
    >>> documents = DocumentTable.of([Document("a", "swept wings", "", {"year": 1958}), Document("b", "thin plates")])
    >>> len(documents), documents.get(["b", "nobody"])[0].text, documents.columns
    (2, 'thin plates', {'year': [1958, None]})
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._batches = table.to_batches()
        self._ends = np.cumsum([len(batch) for batch in self._batches])
        self.ids: list[str] = table["id"].to_pylist()
        self._rows = {name: row for row, name in enumerate(self.ids)}

    @classmethod
    def of(cls, documents: Sequence[Document]) -> DocumentTable:
        """Take documents that are in memory."""
        import pyarrow as pa

        columns = {
            "id": [document.id for document in documents],
            "title": [document.title for document in documents],
            "text": [document.text for document in documents],
            "attributes": [json.dumps(dict(document.attributes)) for document in documents],
        }
        return cls(pa.table({name: pa.array(values, pa.large_string()) for name, values in columns.items()}))

    @classmethod
    def open(cls, folder: Path) -> DocumentTable:
        """Open the documents of a winner; a pipeline saved by itself has none, and then this is empty.

        Raises
        ------
        ValueError
            The file is damaged.
        """
        import pyarrow as pa

        path = folder / FILE
        if not path.is_file():
            return cls.of([])
        try:
            with pa.memory_map(str(path)) as source:
                return cls(pa.ipc.open_file(source).read_all())
        except (pa.ArrowInvalid, KeyError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None

    def __len__(self) -> int:
        """Documents there are."""
        return len(self.ids)

    def get(self, ids: Sequence[str]) -> list[Document | None]:
        """Documents of some ids, in their order; None where there is no such document."""
        rows = [self._rows[name] for name in ids if name in self._rows]
        found = {document.id: document for document in self.rows(rows)}
        return [found.get(name) for name in ids]

    def rows(self, rows: Sequence[int]) -> list[Document]:
        """Documents at some rows, in that order."""
        found = []
        # Row by row: Arrow's own `take` would first copy the texts of the whole corpus together.
        for row, number in zip(rows, np.searchsorted(self._ends, rows, side="right"), strict=True):
            batch = self._batches[number]
            (one,) = batch.slice(row - int(self._ends[number]) + len(batch), 1).to_pylist()
            attributes = json.loads(one.get("attributes") or "{}")
            found.append(Document(one["id"], one["text"] or "", one["title"] or "", attributes))
        return found

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """Attribute -> one value a document, None where it is missing."""
        if "attributes" not in self._table.column_names:
            return {}
        attributes = [json.loads(text or "{}") for text in self._table["attributes"].to_pylist()]
        names = dict.fromkeys(name for one in attributes for name in one)
        return {name: [one.get(name) for one in attributes] for name in names}
