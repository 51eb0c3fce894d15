"""Writing files of vectors or codes, block by block: ``.npy``, Parquet, LanceDB tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_ids, check_vectors
from theatrum.contracts import Attributes
from theatrum.persistence import fresh_file
from theatrum.store.vector_reader import ROWS, SUFFIXES, ids_file


def write_vectors(path: str | Path, ids: Sequence[str], X: Any, attributes: Attributes | None = None) -> None:
    """Write vectors and their ids in a format that other programs read.

    Parquet and LanceDB keep everything in one place; take ``.npy`` when a program wants nothing but numbers.

    Parameters
    ----------
    path : str or Path
        ``.npy`` (ids go to a text file beside it), ``.parquet``, or ``.lance`` (a LanceDB table of that name). What is
        there is replaced.
    ids : sequence of str
        Unique, one a row.
    X : array-like, shape (n, d)
        Vectors; written as float32.
    attributes : mapping of str to sequence, optional
        Further columns, n values each; None says missing. An ``.npy`` file has no place for them.

    Raises
    ------
    ValueError
        Another ending; NaN; ids that are not unique; columns of another length, of mixed types, or called ``id`` or
        ``vector``.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow.parquet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_vectors(folder + "/some.parquet", ["a", "b"], [[1.0, 0.0], [0.0, 1.0]])
    ...     pyarrow.parquet.read_table(folder + "/some.parquet").to_pylist()
    [{'id': 'a', 'vector': [1.0, 0.0]}, {'id': 'b', 'vector': [0.0, 1.0]}]
    """
    rows = check_vectors(X)
    names = check_ids(ids, len(rows))
    write_blocks(path, names, (rows[start : start + ROWS] for start in range(0, len(rows), ROWS)), attributes)


def write_blocks(
    path: str | Path,
    ids: list[str],
    blocks: Iterable[NDArray[Any]],
    attributes: Attributes | None = None,
    *,
    fingerprint: str = "",
) -> int:
    """Write vectors or codes that come in blocks; see `write_vectors`, which checks more.

    Parameters
    ----------
    path : str or Path
        The ending says the format.
    ids : list of str
        One a row.
    blocks : iterable of ndarray, each of shape (some, d)
        Floats or codes (uint8), at least one block; together as many rows as ids.
    attributes : mapping of str to sequence, optional
        Further columns.
    fingerprint : str, default=""
        Of the encoder; noted beside the vector column of a table.

    Returns
    -------
    int
        Width of the rows.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise ValueError(f"{target}: the ending says the format; it must be one of {', '.join(SUFFIXES)}")
    columns = {str(name): list(values) for name, values in (attributes or {}).items()}
    for name, values in columns.items():
        if len(values) != len(ids):
            raise ValueError(f"attributes: {name!r} has {len(values)} values for {len(ids)} rows; None says missing")
        if name in ("id", "vector"):
            raise ValueError(f"attributes: {name!r} is the name of a column of its own; call it something else")
    rest = iter(blocks)
    first = next(rest)
    width = int(first.shape[1])
    stream = _counted(chain([first], rest), len(ids))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".npy":
        if columns:
            raise ValueError(f"{target}: an .npy file has no place for attributes; write .parquet or .lance")
        _write_array(target, ids, stream, first.dtype, width)
        return width
    schema, batches = _batches(ids, stream, columns, first.dtype, width, fingerprint)
    if target.suffix == ".parquet":
        import pyarrow.parquet as pq

        # Ids and vectors hardly repeat: looking for repetitions would take most of the time.
        repeating = list(columns)
        with fresh_file(target) as staging, pq.ParquetWriter(staging, schema, use_dictionary=repeating) as writer:
            for batch in batches:
                writer.write_batch(batch)
    else:
        import lancedb

        lancedb.connect(target.parent).create_table(target.stem, batches, schema=schema, mode="overwrite")
    return width


def _counted(blocks: Iterable[NDArray[Any]], n: int) -> Iterator[NDArray[Any]]:
    rows = 0
    for block in blocks:
        rows += len(block)
        if rows > n:
            break
        yield np.ascontiguousarray(block)
    if rows != n:
        raise ValueError(f"ids: {n} ids for {'more than ' if rows > n else ''}{rows} rows; one id a row is needed")


def _write_array(path: Path, ids: list[str], blocks: Iterator[NDArray[Any]], dtype: np.dtype[Any], width: int) -> None:
    odd = next((name for name in ids if "\n" in name), None)
    if odd is not None:
        raise ValueError(f"{path}: the id {odd!r} has a line break, and ids are written one a line; write .parquet")
    # The ids first: vectors that are there are then never without their names.
    with fresh_file(path) as staging, fresh_file(ids_file(path)) as names:
        with staging.open("wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
            np.lib.format.write_array_header_1_0(file, {**header, "shape": (len(ids), width)})
            for block in blocks:
                file.write(block.tobytes())
        names.write_bytes(("\n".join(ids) + "\n").encode("utf-8"))


def _batches(
    ids: list[str],
    blocks: Iterator[NDArray[Any]],
    columns: dict[str, list[Any]],
    dtype: np.dtype[Any],
    width: int,
    fingerprint: str,
) -> tuple[Any, Iterator[Any]]:
    """Schema and record batches of a table."""
    import pyarrow as pa

    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(f"attributes: {name!r} holds values of several types: {error}") from None
    item = pa.from_numpy_dtype(dtype)
    stamp = {b"theatrum.fingerprint": fingerprint.encode()} if fingerprint else None
    fields = [pa.field("id", pa.string()), pa.field("vector", pa.list_(item, width), metadata=stamp)]
    schema = pa.schema([*fields, *(pa.field(name, array.type) for name, array in arrays.items())])

    def batches() -> Iterator[Any]:
        row = 0
        for block in blocks:
            n = len(block)
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel(), item), width)
            others = [array.slice(row, n) for array in arrays.values()]
            yield pa.RecordBatch.from_arrays([pa.array(ids[row : row + n]), vectors, *others], schema=schema)
            row += n

    return schema, batches()
