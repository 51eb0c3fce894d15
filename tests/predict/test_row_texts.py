"""Dictionaries as texts: numbers, order of keys, kinds of values, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.predict.row_texts import number_text, row_text, value_kinds


@pytest.mark.parametrize(
    ("value", "precision", "number_format", "text"),
    [
        (0.32, 4, "plain", "0.32"),
        (-4.10391, 4, "plain", "-4.104"),
        (np.float32(0.1), 3, "plain", "0.1"),
        (1234567, 2, "plain", "1234567"),
        (np.int64(7), 2, "plain", "7"),
        (-1.25, 2, "spaced", "- 1 . 2"),
        (0.00123, 2, "scientific", "1.2e-03"),
    ],
)
def test_numbers(value, precision, number_format, text):
    assert number_text(value, precision, number_format) == text


def test_a_row_keeps_its_order_and_leaves_out_what_is_absent():
    row = {"b": 1, "a": None, "c": [0.123456, "x", True], "d": False}
    assert row_text(row, 2) == "b: 1, c: [0.12, x, true], d: false"


def test_kinds_come_in_order_of_first_appearance_after_those_known():
    rows = [{"a": 1, "z": None}, {"z": "x", "b": [1]}, {"a": np.float64(2.0)}]
    assert value_kinds(rows) == {"a": "number", "z": "text", "b": "list"}
    assert list(value_kinds(rows, {"b": "list"})) == ["b", "a", "z"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": 1}, {"a": "one"}], "row 1, key 'a' holds a text, other rows a number"),
        ([{"a": True}, {"a": 1}], "row 1, key 'a' holds a number, other rows a truth value"),
        ([{"a": 1}, {"b": float("nan")}], "row 1, key 'b' is nan; leave out a key"),
        ([{"a": [1, float("inf")]}], "row 0, key 'a' is inf"),
        ([{"a": {"b": 1}}], "row 0, key 'a' is dict; .*flatten"),
        ([{"a": 1}, "text"], "row 1 is str, the first one a dictionary"),
        ([{1: 1}], "row 0 has the key 1; keys are texts"),
    ],
)
def test_bad_rows(rows, message):
    with pytest.raises(ValueError, match=message):
        value_kinds(rows)
