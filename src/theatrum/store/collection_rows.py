"""Rows of a collection as Lance keeps them: id, vector, and attributes by their kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from theatrum.contracts import Attributes, Vectors
from theatrum.search.arrow_columns import arrow_from_column
from theatrum.search.columns import AttributeColumns
from theatrum.store.lance_table import LanceTable

ID, VECTOR = "id", "vector"


def collection_schema(dim: int) -> Any:
    """Columns of a collection without attributes."""
    import pyarrow as pa

    return pa.schema([pa.field(ID, pa.string()), pa.field(VECTOR, pa.list_(pa.float32(), dim))])


def matrix(column: Any, dim: int) -> Vectors:
    """Turn an Arrow column of vectors into float32 (n, d)."""
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    vectors: Vectors = array.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
    return vectors


def arrow_columns(attributes: Attributes, n: int) -> dict[str, Any]:
    """Attributes of n rows as Arrow arrays.

    Numbers are float64 always, since Lance cannot widen a column of whole numbers when a fraction comes.

    Raises
    ------
    ValueError
        A reserved name, another number of values, values of two kinds, a whole number that float64 cannot hold.
    """
    import pyarrow as pa

    for name in attributes:
        if name in (ID, VECTOR) or name.startswith("_") or "." in name or "`" in name:
            raise ValueError(
                f"attributes: {name!r} cannot be a column: {ID!r}, {VECTOR!r} and names with a point, a backtick or a "
                "leading underscore are not free; choose another"
            )
    columns = AttributeColumns().read(attributes, n)
    arrays = {name: arrow_from_column(column) for name, column in columns.items()}
    for name, array in arrays.items():
        if pa.types.is_integer(array.type):
            try:
                arrays[name] = array.cast(pa.float64())
            except pa.ArrowInvalid as error:
                raise ValueError(f"attributes: {name!r}: {error}; keep such numbers as texts") from None
    return arrays


def check_columns(table: LanceTable, columns: Mapping[str, Any]) -> None:
    """Refuse values of another kind than their column holds.

    Raises
    ------
    ValueError
        With the column and both kinds.
    """
    for field in table.schema:
        new = columns[field.name].type if field.name in columns else field.type
        if not (_fits(new, field.type) or _fits(field.type, new)):
            raise ValueError(
                f"attributes: {field.name!r} holds {field.type}, and now gets {new}; a column has one kind"
            )


def row_batch(table: LanceTable, names: Sequence[str], X: Vectors, columns: Mapping[str, Any]) -> Any:
    """Rows as an Arrow table of the table's columns, which learns new columns and times of day first."""
    import pyarrow as pa

    known = {field.name: field.type for field in table.schema}
    for name, array in columns.items():
        if name in known and not _fits(array.type, known[name]):
            table.widen(name, array.type)
    kinds = {name: array.type for name, array in columns.items() if name not in known and array.type != pa.null()}
    if kinds:
        table.add_columns([pa.field(name, kind) for name, kind in kinds.items()])
    arrays: dict[str, Any] = {
        ID: pa.array(names, pa.string()),
        VECTOR: pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1]),
    }
    for field in table.schema:
        if field.name not in arrays:
            array = columns.get(field.name)
            arrays[field.name] = pa.nulls(len(names), field.type) if array is None else array.cast(field.type)
    return pa.table(arrays, schema=table.schema)


def _fits(new: Any, old: Any) -> bool:
    """Whether values of one type go into a column of another as they are: missing ones, and days among times."""
    import pyarrow.types as types

    return bool(new == old or types.is_null(new) or (types.is_date32(new) and types.is_timestamp(old)))
