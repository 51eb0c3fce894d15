"""Filters against a slow evaluation with three truth values."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theatrum.search import parse_filter

COLUMNS = {
    "year": [1958, None, 1969, 1975, 1980, None],
    "topic": ["wing", "heat", None, "wing", "shell", "heat"],
    "tags": [["a"], ["a", "b"], [], None, ["b", "c"], ["c"]],
}
OPERATORS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def slow(where, row):
    """True, False or None (unknown) of one row."""
    answers = []
    for key, value in where.items():
        if key == "or":
            found = [slow(one, row) for one in value]
            answers.append(True if True in found else None if None in found else False)
        elif key == "not":
            found = slow(value, row)
            answers.append(None if found is None else not found)
        else:
            cell = COLUMNS[key][row]
            for name, wanted in (value if isinstance(value, dict) else {"eq": value}).items():
                if cell is None:
                    answers.append(None)
                elif name == "in":
                    answers.append(cell in wanted)
                elif name in ("any", "all"):
                    answers.append((any if name == "any" else all)(w in cell for w in wanted))
                else:
                    answers.append(OPERATORS[name](cell, wanted))
    return False if False in answers else None if None in answers else True


year = st.integers(1950, 1985)
leaves = st.one_of(
    st.builds(lambda name, value: {"year": {name: value}}, st.sampled_from(sorted(OPERATORS)), year),
    st.builds(lambda value: {"topic": value}, st.sampled_from(["wing", "heat", "none"])),
    st.builds(lambda values: {"topic": {"in": values}}, st.lists(st.sampled_from(["wing", "shell"]), max_size=2)),
    st.builds(lambda values: {"tags": {"any": values}}, st.lists(st.sampled_from("abc"), max_size=2)),
    st.builds(lambda values: {"tags": {"all": values}}, st.lists(st.sampled_from("abc"), max_size=2)),
    st.builds(lambda low, high: {"year": {"gte": low, "lt": high}}, year, year),
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda found: {"or": found}),
        inner.map(lambda found: {"not": found}),
        st.tuples(inner, leaves).map(lambda found: {**found[0], **found[1]}),
    ),
    max_leaves=6,
)


@given(trees)
@settings(max_examples=300, deadline=None)
def test_masks_agree_with_a_slow_evaluation(where):
    expected = [slow(where, row) is True for row in range(6)]
    assert parse_filter(where).mask(COLUMNS).tolist() == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, "expected a dict"),
        ("year > 3", "expected a dict"),
        ({"year": {"near": 3}}, "'near' on 'year' is no operator; there are eq, ne"),
        ({"year": {}}, "the condition on 'year' is empty"),
        ({"year": {"in": "abc"}}, "'in' on 'year' takes a list"),
        ({"year": {"gte": [1]}}, "'gte' on 'year' takes one value"),
        ({"year": None}, "'eq' on 'year' takes one value, got None"),
        ({"or": {}}, "'or' takes a list"),
        ({"not": 3}, "expected a dict"),
    ],
)
def test_bad_filters(where, message):
    with pytest.raises(ValueError, match=message):
        parse_filter(where)


def test_unknown_columns_and_wrong_types_are_named():
    with pytest.raises(ValueError, match="no attribute 'yaer'; the attributes are: tags, topic, year"):
        parse_filter({"yaer": 3}).mask(COLUMNS)
    with pytest.raises(ValueError, match="'year' cannot be compared with 'x'"):
        parse_filter({"year": {"gte": "x"}}).mask(COLUMNS)
    with pytest.raises(ValueError, match="'any' on 'topic' needs lists as values, got 'wing'"):
        parse_filter({"topic": {"any": ["wing"]}}).mask(COLUMNS)


def test_an_index_without_attributes_says_so():
    with pytest.raises(ValueError, match="the attributes are: none"):
        parse_filter({"year": 1}).mask({})
    assert parse_filter({"year": {"in": []}}).mask({"year": np.array([1, 2]).tolist()}).tolist() == [False, False]
