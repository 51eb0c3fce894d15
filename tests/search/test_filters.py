"""Filters against a slow evaluation with three truth values."""

from __future__ import annotations

import datetime as dt
import operator
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theatrum.search import parse_filter
from theatrum.search.columns import AttributeColumns

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
        if key == "and":
            found = [slow(one, row) for one in value]
            answers.append(False if False in found else None if None in found else True)
        elif key == "or":
            found = [slow(one, row) for one in value]
            answers.append(True if True in found else None if None in found else False)
        elif key == "not":
            found = slow(value, row)
            answers.append(None if found is None else not found)
        else:
            cell = COLUMNS[key][row]
            for name, wanted in (value if isinstance(value, dict) else {"eq": value}).items():
                if name == "null":
                    answers.append((cell is None) == wanted)
                elif cell is None:
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
    st.builds(lambda column, wanted: {column: {"null": wanted}}, st.sampled_from(sorted(COLUMNS)), st.booleans()),
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda found: {"or": found}),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: {"and": found}),
        inner.map(lambda found: {"not": found}),
        st.tuples(inner, leaves).map(lambda found: {**found[0], **found[1]}),
    ),
    max_leaves=6,
)


@given(trees)
@settings(max_examples=300, deadline=None)
def test_masks_agree_with_a_slow_evaluation(where):
    expected = [slow(where, row) is True for row in range(6)]
    parsed = parse_filter(where)
    assert parsed.mask(COLUMNS).tolist() == expected
    assert parse_filter(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, "expected a dict"),
        ([3], "expected a dict"),
        ({"year": {"in": [3, None]}}, "None in its list; ask with {'null': True}"),
        ({"year": {"null": 1}}, "'null' on 'year' takes True or False"),
        ({"and": []}, "'and' takes a list"),
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
    with pytest.raises(ValueError, match=r"'gte' on 'year' \(number\) cannot take 'x': 'x' is no number"):
        parse_filter({"year": {"gte": "x"}}).mask(COLUMNS)
    with pytest.raises(ValueError, match=r"'any' on 'topic' \(label\) .*any and all are for lists"):
        parse_filter({"topic": {"any": ["wing"]}}).mask(COLUMNS)
    with pytest.raises(ValueError, match=r"'eq' on 'tags' \(list\) .*ask with any or all"):
        parse_filter({"tags": "a"}).mask(COLUMNS)
    with pytest.raises(ValueError, match="3 is no text"):
        parse_filter({"topic": {"in": [3]}}).mask(COLUMNS)


def test_an_index_without_attributes_says_so():
    with pytest.raises(ValueError, match="the attributes are: none"):
        parse_filter({"year": 1}).mask({})
    assert parse_filter({"year": {"in": []}}).mask({"year": np.array([1, 2]).tolist()}).tolist() == [False, False]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("year >= 1965 and topic = 'wing'", {"year": {"gte": 1965}, "topic": "wing"}),
        ("1950 <= year < 1970", {"year": {"gte": 1950, "lt": 1970}}),
        ("1969 = year", {"year": 1969}),
        ("YEAR_1 == 1.5e2 OR `the year` <> -3", {"or": [{"YEAR_1": 150.0}, {"the year": {"ne": -3}}]}),
        ("not (topic = 'heat' or topic is null)", {"not": {"or": [{"topic": "heat"}, {"topic": {"null": True}}]}}),
        ("topic is not null", {"topic": {"null": False}}),
        ("topic not in ('wing', \"o'neil\")", {"not": {"topic": {"in": ["wing", "o'neil"]}}}),
        ("year between 1960 and 1970 and tags any ('a')",
         {"and": [{"year": {"gte": 1960, "lte": 1970}}, {"tags": {"any": ["a"]}}]}),
        ("tags contains 'b' and seen = true", {"tags": {"all": ["b"]}, "seen": True}),
        ("topic in ()", {"topic": {"in": []}}),
        ("a = 'it''s' or b = 2 and c = 3", {"or": [{"a": "it's"}, {"and": [{"b": 2}, {"c": 3}]}]}),
    ],
)  # fmt: skip
def test_text_and_dict_say_the_same(text, where):
    assert parse_filter(text) == parse_filter(where)
    assert parse_filter(str(parse_filter(where))) == parse_filter(where)


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "the text is empty", 1),
        ("year", "expected a comparison (=, !=, <, <=, >, >=, in, between, is, any, all, contains), found the end", 5),
        ("year > ", "expected a value (a number, true, false, or a text in quotes), found the end", 7),
        ("year > 3 topic = 'a'", "expected 'and', 'or' or the end, found 'topic'", 10),
        ("topic = wing", "expected a value", 9),
        ("(year > 3", "expected ')', found the end", 10),
        ("topic in ('a' 'b')", "expected ',' or ')', found \"'b'\"", 15),
        ("year is 3", "expected 'null', found '3'", 9),
        ("topic = 'wing", 'cannot read "\'" here', 9),
        ("year ; 3", "cannot read ';' here", 6),
        ("year between 3 or 4", "expected 'and', found 'or'", 16),
        ("in = 3", "expected the name of an attribute, found 'in'", 1),
        ("__import__('os')", "expected a comparison", 11),
        ("(" * 200 + "a = 1", "nested more than 100 deep", 101),
    ],
)
def test_texts_that_cannot_be_read_are_pointed_at(text, message, column):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        parse_filter(text)
    assert f"column {column}" in str(caught.value) and "^" in str(caught.value)


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_reader(text):
    try:
        assert parse_filter(str(parse_filter(text))) == parse_filter(text)
    except ValueError as error:
        assert str(error).startswith("filter: ")


def test_thousands_of_ids_are_read():
    wanted = [f"id-{number}" for number in range(5000)]
    text = f"name in ({', '.join(map(repr, wanted))})"
    assert parse_filter(text) == parse_filter({"name": {"in": wanted}})
    assert parse_filter(text).mask({"name": ["id-77", "x", None]}).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="100000 are allowed"):
        parse_filter("a" * 100_001)


def test_dates_are_compared_as_dates():
    columns = AttributeColumns({"day": [dt.date(1965, 3, 31), None, dt.date(1970, 1, 1)]})
    assert parse_filter("day >= '1966-01-01'").mask(columns).tolist() == [False, False, True]
    assert parse_filter({"day": dt.date(1965, 3, 31)}).mask(columns).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="'soon' is no date; write for example '1965-03-31'"):
        parse_filter("day > 'soon'").mask(columns)
