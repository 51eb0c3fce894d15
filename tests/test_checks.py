"""The checks at the door say what is wrong, where, and what to do."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.checks import Options, Range, check_ids, check_parameters, check_texts, check_vectors, unit_rows


class Part:
    def __init__(self, size=1, kind="a"):
        self.size, self.kind = size, kind


TABLE = {"size": [Range(int, 1, 8), None], "kind": [Options(("a", "b"))]}


@pytest.mark.parametrize(("size", "kind"), [(1, "a"), (8, "b"), (None, "a"), (np.int64(3), "a")])
def test_allowed_parameters_pass(size, kind):
    check_parameters(Part(size, kind), TABLE)


@pytest.mark.parametrize("size", [0, 9, 1.5, True, "1", float("nan")])
def test_wrong_parameter_is_named_with_its_owner(size):
    with pytest.raises(ValueError, match=r"Part: size must be a whole number between 1 and 8 or None, got"):
        check_parameters(Part(size), TABLE)


def test_wrong_option_lists_the_options():
    with pytest.raises(ValueError, match="kind must be one of 'a', 'b', got 'c'"):
        check_parameters(Part(kind="c"), TABLE)


def test_open_bound_is_refused():
    assert not Range(float, 0, 1, open_low=True).allows(0.0)
    assert Range(float, 0, 1, open_low=True).allows(1)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1, 2], [3, np.inf]], "row 1 holds NaN or infinity"),
        ([1, 2], "expected two dimensions"),
        (np.empty((0, 3)), r"at least 1 row\(s\) needed, got 0"),
        (np.empty((3, 0)), "no columns"),
        ([["a", "b"]], "expected a matrix of numbers"),
        (np.ones((2, 3)), "expected 4 columns, got 3"),
    ],
)
def test_bad_vectors(X, message):
    with pytest.raises(ValueError, match=message):
        check_vectors(X, dim=4 if "4 columns" in message else None)


def test_good_vectors_are_not_copied():
    X = np.ones((3, 2), dtype=np.float32)
    assert check_vectors(X) is X


def test_huge_finite_values_are_not_mistaken_for_infinity():
    X = np.full((4, 4), np.finfo(np.float32).max)
    assert check_vectors(X).shape == (4, 4)


@pytest.mark.parametrize(
    ("ids", "message"), [(["a", "a"], "'a' .row 1."), (["", "b"], "empty"), (["a"], "1 ids for 2")]
)
def test_bad_ids(ids, message):
    with pytest.raises(ValueError, match=message):
        check_ids(ids, 2)


def test_unit_rows_keep_zero_rows_zero():
    X = unit_rows(np.array([[3, 4], [0, 0], [1e-30, 0]], dtype=np.float32))
    assert np.allclose(np.linalg.norm(X, axis=1), [1, 0, 1])


def test_check_texts_names_the_row():
    with pytest.raises(ValueError, match="queries: row 1 is int"):
        check_texts(["a", 2], name="queries")
    with pytest.raises(ValueError, match="put it in a list"):
        check_texts("a", name="queries")
