"""Attribute columns to Arrow and back."""

import datetime as dt

import pyarrow as pa
import pytest

from theatrum.search.arrow_columns import arrow_from_column, column_from_arrow
from theatrum.search.column_kinds import ColumnError, column_of

COLUMNS = {
    "whole": [1, None, 3, 2**62],
    "fractions": [1.5, None, -2.0],
    "days": [dt.date(2020, 1, 2), None, dt.date(1950, 12, 31)],
    "times": [dt.datetime(2020, 1, 1, 5, 0, 0, 7, tzinfo=dt.UTC), None],
    "texts": ["a", None, "b", "a", ""],
    "flags": [True, None, False],
    "lists": [["a", "b"], None, [], ["b"]],
    "numbers in lists": [[1, 2], None, [], [7]],
    "empty lists": [[], None],
    "nothing": [None, None],
}


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_there_and_back(name):
    column = column_of(COLUMNS[name])
    again = column_from_arrow(arrow_from_column(column))
    assert again.values() == column.values() == COLUMNS[name]
    assert again.kind == column.kind
    assert again.known().tolist() == column.known().tolist()
    parts = pa.chunked_array([arrow_from_column(column_of(COLUMNS[name])), arrow_from_column(column)])
    assert column_from_arrow(parts).values() == COLUMNS[name] * 2


def test_questions_have_the_same_answers():
    years = column_from_arrow(pa.array([1958, None, 1970], pa.int16()))
    assert [part.tolist() for part in years.compare("gte", 1960)] == [[False, False, True], [True, False, False]]
    tags = column_from_arrow(pa.array([["x"], None, ["y", "x"]]))
    assert tags.holds(["y"], False)[0].tolist() == [False, False, True]
    sliced = column_from_arrow(pa.array([["z"], ["x"], None, ["y", "x"]]).slice(1))
    assert sliced.values() == [["x"], None, ["y", "x"]]


@pytest.mark.parametrize("kind", [pa.binary(), pa.list_(pa.float64()), pa.struct([("a", pa.int8())])])
def test_what_no_filter_compares(kind):
    with pytest.raises(ColumnError, match="which no filter could compare"):
        column_from_arrow(pa.array([None], kind))
