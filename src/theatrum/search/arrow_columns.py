"""Attribute columns to Arrow and back, array to array: a million rows pass without a Python object each."""

from __future__ import annotations

from typing import Any

import numpy as np

from theatrum.search.column_kinds import (
    CodedColumn,
    Column,
    ColumnError,
    ListedColumn,
    MeasuredColumn,
    UnknownColumn,
    is_flag,
)


def arrow_from_column(column: Column) -> Any:
    """Make an Arrow array of a column.

    Numbers become int64 or float64, days date32, times timestamps, labels strings or booleans, lists lists; a column
    without any value has Arrow's type null.

    Examples
    --------
    >>> from theatrum.search.column_kinds import column_of
    >>> arrow_from_column(column_of([1958, None])).to_pylist()
    [1958, None]
    """
    import pyarrow as pa

    if isinstance(column, MeasuredColumn):
        numbers = pa.array(column.numbers, mask=~column.there)
        if column.kind == "number":
            return numbers
        moments = numbers.cast(pa.timestamp("us", "UTC"))
        return moments.cast(pa.date32()) if column.dates else moments
    if isinstance(column, CodedColumn):
        return _labels(column.codes, list(column.vocabulary), pa.bool_() if is_flag(column) else pa.string())
    if isinstance(column, ListedColumn):
        whole = all(isinstance(label, int) for label in column.vocabulary) and column.vocabulary
        values = _labels(column.codes, list(column.vocabulary), pa.int64() if whole else pa.string())
        starts = pa.array(column.starts.astype(np.int32), mask=np.append(~column.there, False))
        return pa.ListArray.from_arrays(starts, values)
    return pa.nulls(column.known().size)


def _labels(codes: Any, vocabulary: list[Any], kind: Any) -> Any:
    import pyarrow as pa

    indices = pa.array(codes, mask=codes < 0)
    return pa.array(vocabulary, kind).take(indices)


def column_from_arrow(array: Any) -> Column:
    """Make a column of an Arrow array; what `arrow_from_column` makes, and its kin of other widths.

    Raises
    ------
    ColumnError
        A type that no filter could compare.

    Examples
    --------
    >>> import pyarrow as pa
    >>> column_from_arrow(pa.array(["lin", None, "ting"])).compare("eq", "lin")[0].tolist()
    [True, False, False]
    """
    import pyarrow as pa
    import pyarrow.types as types

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    there = array.is_valid().to_numpy(zero_copy_only=False)
    kind = array.type
    if types.is_null(kind):
        return UnknownColumn(len(array))
    if types.is_integer(kind) or types.is_floating(kind):
        column = MeasuredColumn("number", [])
        column.numbers, column.there = _filled(array, pa.int64() if types.is_integer(kind) else pa.float64()), there
        return column
    if types.is_date(kind) or types.is_timestamp(kind):
        column = MeasuredColumn("date", [])
        column.numbers, column.there = _filled(array.cast(pa.timestamp("us")), pa.int64()), there
        column.dates = bool(types.is_date(kind))
        return column
    if types.is_boolean(kind) or _is_text(kind):
        coded = CodedColumn([])
        coded.codes, coded.vocabulary = _codes(array)
        return coded
    if types.is_list(kind) and (_is_text(kind.value_type) or types.is_integer(kind.value_type)):
        listed = ListedColumn([])
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        listed.codes, listed.vocabulary = _codes(array.flatten())
        listed.starts, listed.there = np.cumsum([0, *lengths], dtype=np.int64), there
        return listed
    raise ColumnError(f"it holds {kind}, which no filter could compare")


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _filled(array: Any, kind: Any) -> Any:
    return array.cast(kind).fill_null(0).to_numpy(zero_copy_only=False)


def _codes(array: Any) -> tuple[Any, dict[Any, int]]:
    coded = array.dictionary_encode()
    vocabulary = {label: code for code, label in enumerate(coded.dictionary.to_pylist())}
    return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32), vocabulary
