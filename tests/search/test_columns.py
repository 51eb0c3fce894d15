"""Typed columns: what goes in comes out, in one batch or in many, and mixtures are refused at the door."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theatrum.search.columns import AttributeColumns

KINDS = {
    "number": st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9),
    "label": st.text(max_size=3),
    "flag": st.booleans(),
    "date": st.dates(),
    "moment": st.datetimes(timezones=st.just(dt.UTC)),
    "list": st.lists(st.text(max_size=2), max_size=3),
}


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
def test_batches_give_back_what_they_brought(kind, data):
    batch = st.lists(st.none() | KINDS[kind], max_size=6)
    batches = data.draw(st.lists(batch, max_size=4))
    columns = AttributeColumns()
    for values in batches:
        columns.append({"a": values}, len(values))
    everything = [value for values in batches for value in values]
    assert len(columns) == len(everything)
    if everything:
        assert columns.values("a") == everything
        known = [value is not None for value in everything]
        assert columns["a"].known().tolist() == known


def test_arrays_are_taken_as_they_are():
    columns = AttributeColumns({"year": np.arange(3), "share": np.array([0.5, 1, 2])})
    assert columns.plain() == {"year": [0, 1, 2], "share": [0.5, 1.0, 2.0]}


def test_whole_numbers_stay_exact():
    columns = AttributeColumns({"n": [2**62 + 1, None]})
    assert columns["n"].compare("eq", 2**62 + 1)[0].tolist() == [True, False]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "a"], "'a' row 1: 'a' is no number; a column has one kind"),
        (["a", None, 1], "'a' row 2: 1 is no text"),
        (["a", True], "row 1: True stands among values such as 'a'"),
        ([["a"], "b"], "row 1: 'b' is no list"),
        ([["a", 1.5]], "row 0: a list holds 1.5; lists hold texts or whole numbers"),
        ([["a", None]], "row 0: a list holds None"),
        ([1.0, float("nan")], "row 1: nan is not finite"),
        ([2**63], "row 0: 9223372036854775808 has more than 64 bits"),
        ([dt.date(2000, 1, 1), "x"], "row 1: 'x' is no date"),
        ([{"a": 1}], "row 0: {'a': 1} is no number"),
    ],
)
def test_values_of_two_kinds_are_refused(values, message):
    with pytest.raises(ValueError) as caught:
        AttributeColumns({"a": values})
    assert message in str(caught.value)


def test_batches_must_agree_and_a_refused_one_changes_nothing():
    columns = AttributeColumns({"a": [1], "b": [None]})
    for batch, message in [
        ({"a": [2]}, "got \\['a'\\], the rows before have \\['a', 'b'\\]"),
        ({"a": ["x"], "b": ["y"]}, "'a' holds numbers such as 1, and now gets 'x'"),
        ({"a": [2, 3], "b": ["y"]}, "'a' has 2 values for 1 rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            columns.append(batch, 1)
        assert columns.plain() == {"a": [1], "b": [None]}
    columns.append({"a": [2], "b": [True]}, 1)
    with pytest.raises(ValueError, match="'b' holds labels such as True, and now gets 'x'"):
        columns.append({"a": [2], "b": ["x"]}, 1)
    assert columns.kinds() == {"a": "number", "b": "label"}
