"""The documents beside a pipeline: what a hit's id stands for, in one memory-mapped file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from theatrum.data import Document
from theatrum.persistence import load_table

FILE = "documents.arrow"
_BATCH = 4096
_LONGEST_VALUE = 1000  # characters; a longer value is a text to read, not one to filter by


def attribute_columns(documents: Sequence[Document]) -> dict[str, list[Any]]:
    """Gather the attributes that can be filtered by: one value a document, None where it is missing.

    A column is kept if all its values are of one kind: texts (not long ones), numbers, truth values, or lists of
    texts. The others (nested rows, mixtures) stay out, since no filter could compare them.

    Examples
    --------
    >>> rows = [Document("a", "x", "", {"year": 1958, "raw": {}}), Document("b", "y", "", {"year": 1.5, "raw": 2})]
    >>> attribute_columns(rows)
    {'year': [1958, 1.5]}
    """
    names = dict.fromkeys(name for document in documents for name in document.attributes)
    columns = {}
    for name in names:
        values = [document.attributes.get(name) for document in documents]
        values = [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]
        kinds = {_kind(value) for value in values if value is not None}
        if len(kinds) == 1 and kinds != {"other"}:
            columns[str(name)] = values
    return columns


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, (int, float)):
        return "number" if abs(value) < 2**53 else "other"
    if isinstance(value, list) and all(_kind(one) == "text" for one in value):
        return "texts"
    return "text" if isinstance(value, str) and len(value) <= _LONGEST_VALUE and _is_unicode(value) else "other"


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def write_documents(documents: Sequence[Document], folder: Path) -> None:
    """Write ids, titles, texts and attributes (as JSON) as an Arrow file, streamed."""
    import pyarrow as pa

    kept = attribute_columns(documents)
    names = [("id", pa.string()), ("title", pa.large_string()), ("text", pa.large_string())]
    schema = pa.schema([*names, ("attributes", pa.large_string())])
    with pa.OSFile(str(folder / FILE), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        batch: list[dict[str, str]] = []
        for row, document in enumerate(documents):
            known = {name: values[row] for name, values in kept.items() if values[row] is not None}
            attributes = json.dumps(known, ensure_ascii=False)
            batch.append({"id": document.id, "title": document.title, "text": document.text, "attributes": attributes})
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
    import pyarrow.compute as pc

    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {FILE}; only the winner folder of a bake-off carries its documents")
    table = load_table(path)
    rows = np.flatnonzero(pc.is_in(table["id"], value_set=pa.array(list(ids), pa.string())).to_numpy())
    return {
        row["id"]: Document(row["id"], row["text"], row["title"], json.loads(row["attributes"]))
        for row in table.take(rows).to_pylist()
    }
