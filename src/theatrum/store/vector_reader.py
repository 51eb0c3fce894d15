"""Reading files of vectors, ours and other people's, in blocks: ``.npy``, Parquet with list columns, LanceDB tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_ids
from theatrum.contracts import Vectors

SUFFIXES = (".npy", ".parquet", ".lance")
ROWS = 4096  # rows of a block
_PAGE = 8  # blocks asked of LanceDB at a time
_READ_AHEAD = 1 << 20  # bytes of a Parquet column
# In the order in which they are tried; compared without regard to case.
_VECTOR_NAMES = ("vector", "embedding", "vectors", "embeddings", "emb", "vec", "dense", "values", "features")
_ID_NAMES = ("id", "_id", "ids", "doc_id", "docid", "document_id", "pid", "uid", "uuid", "key", "url")


class Block(NamedTuple):
    """Some rows of a file.

    Parameters
    ----------
    ids : list of str
        Names of the rows.
    vectors : ndarray of float32, shape (n, d)
        Vectors.
    attributes : dict of str to list
        Other columns, n values each.
    """

    ids: list[str]
    vectors: Vectors
    attributes: dict[str, list[Any]]


@dataclass(frozen=True)
class VectorFile:
    """A file of vectors, read from the start each time that it is iterated over; made by `open_vectors`.

    Parameters
    ----------
    path : Path
        The file.
    rows, dim : int
        Shape of its vectors.
    columns : mapping of str to str
        Role (vector, id) -> column; empty for ``.npy``. Without an id, rows are named by their number.
    blocks : callable
        Gives the blocks from the start.
    """

    path: Path
    rows: int
    dim: int
    columns: Mapping[str, str]
    blocks: Callable[[], Iterator[Block]]

    def __iter__(self) -> Iterator[Block]:
        """Stream the rows, some thousand at a time.

        Raises
        ------
        ValueError
            A row whose vector is missing, of another length or not finite, or that has no id.
        """
        return self.blocks()


def open_vectors(
    path: str | Path,
    *,
    vector_column: str | None = None,
    id_column: str | None = None,
    attributes: Sequence[str] | None = None,
) -> VectorFile:
    """Open a file of vectors; only its head is read.

    For files that do not fit in memory; `read_vectors` reads a smaller one whole.

    Parameters
    ----------
    path : str or Path
        ``.npy`` (ids in a text file beside it, ``name.ids.txt``, one a line), ``.parquet``, or the ``.lance`` folder of
        a LanceDB table, whoever wrote it.
    vector_column, id_column : str, optional
        Columns of a table; guessed by their names (``vector``, ``embedding``, ...; ``id``, ``doc_id``, ...) and types.
    attributes : sequence of str, optional
        Which other columns to read; by default all that are neither lists of fractions nor nested nor bytes.

    Returns
    -------
    VectorFile
        To iterate over.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    ValueError
        An unknown ending, a damaged file, no column of vectors or several, codes instead of vectors, no rows.

    Examples
    --------
    >>> import tempfile
    >>> from theatrum.store import write_vectors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "some.parquet"
    ...     write_vectors(path, ["a", "b"], [[1.0, 0.0], [0.0, 1.0]], {"year": [1958, None]})
    ...     file = open_vectors(path)
    ...     file.rows, file.dim, [block.attributes for block in file]
    (2, 2, [{'year': [1958, None]}])
    """
    source = Path(path)
    if source.suffix not in SUFFIXES:
        raise ValueError(f"{source}: the ending says the format; it must be one of {', '.join(SUFFIXES)}")
    if not source.exists():
        raise FileNotFoundError(f"{source} is not there")
    if source.suffix == ".npy":
        return _open_array(source)
    schema, rows, batches = (_parquet if source.suffix == ".parquet" else _lance)(source)
    columns = _choose(source, schema, vector_column, id_column)
    others = _others(source, schema, set(columns.values()), attributes)
    if not rows:
        raise ValueError(f"{source} has no rows; there is nothing to read")
    # A list column does not say its length; the first row does.
    head = next(batches([columns["vector"]], 1)).column(0)
    dim = 0 if head.null_count else len(head[0])
    if not dim and not head.null_count:
        raise ValueError(f"{source}: row 0 of {columns['vector']!r} is an empty list")

    def blocks() -> Iterator[Block]:
        start = 0
        for batch in batches([*columns.values(), *others], ROWS):
            where = f"{source}: {{}} of {columns['vector']!r}"
            X = _matrix(batch.column(columns["vector"]), dim, start, where)
            ids = _names(source, batch.column(columns["id"]), start) if "id" in columns else _numbers(start, len(X))
            yield Block(ids, X, {name: batch.column(name).to_pylist() for name in others})
            start += len(X)

    return VectorFile(source, rows, dim, columns, blocks)


def read_vectors(
    path: str | Path,
    *,
    vector_column: str | None = None,
    id_column: str | None = None,
    attributes: Sequence[str] | None = None,
) -> tuple[list[str], Vectors, dict[str, list[Any]]]:
    """Read a file of vectors whole; see `open_vectors` for what is read and what is refused.

    Returns
    -------
    ids : list of str
        Unique.
    X : ndarray of float32, shape (n, d)
        Vectors.
    attributes : dict of str to list
        Other columns.

    Examples
    --------
    >>> import tempfile
    >>> from theatrum.store import write_vectors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_vectors(folder + "/some.npy", ["a", "b"], [[1.0, 0.0], [0.0, 1.0]])
    ...     ids, X, attributes = read_vectors(folder + "/some.npy")
    >>> ids, X.tolist(), attributes
    (['a', 'b'], [[1.0, 0.0], [0.0, 1.0]], {})
    """
    file = open_vectors(path, vector_column=vector_column, id_column=id_column, attributes=attributes)
    X = np.empty((file.rows, file.dim), dtype=np.float32)
    ids: list[str] = []
    columns: dict[str, list[Any]] = {}
    for block in file:
        X[len(ids) : len(ids) + len(block.ids)] = block.vectors
        ids += block.ids
        for name, values in block.attributes.items():
            columns.setdefault(name, []).extend(values)
    try:
        check_ids(ids, file.rows)
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from None
    return ids, X, columns


# Arrays.


def ids_file(path: Path) -> Path:
    """Where the ids of an ``.npy`` file are: a text file, one id a line."""
    return path.with_suffix(".ids.txt")


def _open_array(path: Path) -> VectorFile:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is not a readable .npy file of numbers: {error}") from None
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{path}: expected two dimensions (n, d) with at least one row, got shape {array.shape}")
    _check_fractions(path, str(array.dtype), array.dtype.kind == "f")
    names: list[str] | None = None
    beside = ids_file(path)
    if beside.is_file():
        try:
            names = beside.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{beside} is not UTF-8: {error}") from None
        if len(names) != len(array):
            raise ValueError(f"{beside} has {len(names)} ids for the {len(array)} rows of {path}")

    def blocks() -> Iterator[Block]:
        for start in range(0, len(array), ROWS):
            # Opened for each block: the pages of a map stay in memory until it is closed.
            rows = np.load(path, mmap_mode="r", allow_pickle=False)[start : start + ROWS]
            X = _finite(rows, start, f"{path}: {{}}")
            yield Block(names[start : start + len(X)] if names else _numbers(start, len(X)), X, {})

    return VectorFile(path, len(array), array.shape[1], {}, blocks)


def _check_fractions(path: Path, dtype: str, fractions: bool) -> None:
    if not fractions:
        raise ValueError(f"{path} holds {dtype}: codes, not vectors; decode them with the quantizer that made them")


def _numbers(start: int, n: int) -> list[str]:
    return [str(row) for row in range(start, start + n)]


def _finite(rows: NDArray[Any], start: int, where: str) -> Vectors:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is told as such
        X = np.array(rows, dtype=np.float32, order="C")  # the caller's own, not a view of the file
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    if bad.size:
        raise ValueError(f"{where.format(f'row {start + bad[0]}')} holds NaN, infinity or a number beyond float32")
    return X


# Tables: a schema, the number of rows, and batches of some columns.

_Table = tuple[Any, int, Callable[[list[str], int], Iterator[Any]]]


def _parquet(path: Path) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from None

    def batches(columns: list[str], rows: int) -> Iterator[Any]:
        try:
            # Left to itself, Arrow reads far ahead: in the end the whole file.
            parts = pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_AHEAD)
            yield from parts.iter_batches(batch_size=rows, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None

    return file.schema_arrow, file.metadata.num_rows, batches


def _lance(path: Path) -> _Table:
    import lancedb

    try:
        table = lancedb.connect(path.parent).open_table(path.stem)
        schema, count = table.schema, table.count_rows()
    except (ValueError, RuntimeError, OSError) as error:
        raise ValueError(f"{path} is not a readable LanceDB table: {error}") from None

    def batches(columns: list[str], rows: int) -> Iterator[Any]:
        try:
            # Page by page, since one scan reads far ahead.
            for start in range(0, count, _PAGE * rows):
                page = table.search().select(columns).offset(start).limit(_PAGE * rows)
                yield from page.to_batches(batch_size=rows)
        except (RuntimeError, OSError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None

    return schema, count, batches


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _choose(path: Path, schema: Any, vector: str | None, name: str | None) -> dict[str, str]:
    """Columns by role."""
    import pyarrow.types as types

    for role, column in (("vector", vector), ("id", name)):
        if column is not None and column not in schema.names:
            there = ", ".join(schema.names) or "none"
            raise ValueError(f"{path}: there is no column {column!r} for the {role}; the columns are: {there}")
    if vector is None:
        lists = [field.name for field in schema if _is_list(field.type) and types.is_floating(field.type.value_type)]
        lists = lists or [field.name for field in schema if types.is_fixed_size_list(field.type)]
        known = _first(lists, _VECTOR_NAMES)
        if known is None and len(lists) != 1:
            says = f"several columns could be the vectors ({', '.join(lists)})" if lists else "no column holds vectors"
            raise ValueError(f"{path}: {says}; name one. The columns are: {', '.join(schema.names)}")
        vector = known or lists[0]
    kind = schema.field(vector).type
    if not _is_list(kind):
        raise ValueError(f"{path}: {vector!r} holds {kind}, not lists of numbers")
    _check_fractions(path, f"{kind} in {vector!r}", types.is_floating(kind.value_type))
    if name is None:
        name = _first([field.name for field in schema if _is_name(field.type)], _ID_NAMES)
    return {"vector": vector} if name is None else {"vector": vector, "id": name}


def _is_name(kind: Any) -> bool:
    import pyarrow.types as types

    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(text or types.is_integer(kind) or types.is_dictionary(kind))


def _first(names: list[str], guesses: Sequence[str]) -> str | None:
    lower = {name.lower(): name for name in names}
    return next((lower[guess] for guess in guesses if guess in lower), None)


def _others(path: Path, schema: Any, used: set[str], wanted: Sequence[str] | None) -> list[str]:
    """Columns that become attributes."""
    import pyarrow.types as types

    if wanted is not None:
        missing = next((name for name in wanted if name not in schema.names), None)
        if missing is not None:
            raise ValueError(f"{path}: there is no column {missing!r}; the columns are: {', '.join(schema.names)}")
        return [name for name in wanted if name not in used]

    def plain(kind: Any) -> bool:
        if _is_list(kind):  # another column of vectors is no attribute
            return not types.is_floating(kind.value_type) and not types.is_nested(kind.value_type)
        return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))

    return [field.name for field in schema if field.name not in used and plain(field.type)]


def _matrix(column: Any, dim: int, start: int, where: str) -> Vectors:
    """Lists of numbers as rows."""
    import pyarrow.compute as pc

    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"{where.format(f'row {start + row}')} is missing; remove the row or give it a vector")
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(lengths != dim)
    if odd.size:
        told = f"row {start + odd[0]}"
        raise ValueError(f"{where.format(told)} has {lengths[odd[0]]} numbers, the first row has {dim}")
    values = column.flatten()
    if values.null_count:
        row = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0]) // dim
        raise ValueError(f"{where.format(f'row {start + row}')} has a missing number")
    return _finite(values.to_numpy(zero_copy_only=False).reshape(-1, dim), start, where)


def _names(path: Path, column: Any, start: int) -> list[str]:
    names = ["" if value is None else str(value) for value in column.to_pylist()]
    if "" in names:
        raise ValueError(f"{path}: row {start + names.index('')} has no id")
    return names
