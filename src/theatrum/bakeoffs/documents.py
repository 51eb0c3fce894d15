"""The documents beside a pipeline: what a hit's id stands for, in one memory-mapped file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from theatrum.data import Document

FILE = "documents.arrow"
_BATCH = 4096


def write_documents(documents: Iterable[Document], folder: Path) -> None:
    """Write ids, titles and texts as an Arrow file, streamed."""
    import pyarrow as pa

    schema = pa.schema([("id", pa.string()), ("title", pa.large_string()), ("text", pa.large_string())])
    with pa.OSFile(str(folder / FILE), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        batch: list[dict[str, str]] = []
        for document in documents:
            batch.append({"id": document.id, "title": document.title, "text": document.text})
            if len(batch) == _BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


def read_documents(folder: Path, ids: Sequence[str]) -> dict[str, Document]:
    """Read the documents of some ids; only their pages of the file are touched.

    Raises
    ------
    FileNotFoundError
        The folder has no documents (a pipeline saved by itself has none).
    ValueError
        The file is damaged.
    """
    import pyarrow as pa

    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {FILE}; only the winner folder of a bake-off carries its documents")
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    rows = np.flatnonzero(np.isin(table["id"].to_numpy(zero_copy_only=False), list(ids)))
    return {row["id"]: Document(row["id"], row["text"], row["title"]) for row in table.take(rows).to_pylist()}
