"""Sets of token vectors: what is refused, how they are laid end to end, how they are cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theatrum.search.token_sets import blocks, check_token_sets, end_to_end


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([np.ones((2, 3)), np.ones((0, 3))], r"docs: set 1: at least 1 row\(s\) needed, got 0"),
        ([np.ones((2, 3)), np.ones((1, 4))], "docs: set 1: expected 3 columns, got 4"),
        ([np.ones((2, 3)), [[1, np.nan, 2]]], "docs: set 1: row 0 holds NaN"),
        ([np.ones(3)], "docs: set 0: expected two dimensions"),
        ([["a"]], "docs: set 0: expected a matrix of numbers"),
        (np.ones((2, 3)), "got one matrix; put it in a list"),
    ],
)
def test_bad_sets_are_named(sets, message):
    with pytest.raises(ValueError, match=message):
        check_token_sets(sets, name="docs")


def test_sets_are_named_by_their_ids():
    with pytest.raises(ValueError, match="docs: 'b': at least 1 row"):
        check_token_sets([np.ones((1, 2)), np.ones((0, 2))], name="docs", labels=["a", "b"])
    with pytest.raises(ValueError, match="docs: 'a': expected 3 columns, got 2"):
        check_token_sets([np.ones((1, 2))], name="docs", labels=["a"], dim=3)


def test_sets_come_back_as_float32():
    checked = check_token_sets(np.arange(12).reshape(2, 3, 2), name="docs")
    assert [one.dtype for one in checked] == [np.float32] * 2
    tokens, offsets = end_to_end(checked)
    assert tokens.tolist() == np.arange(12).reshape(6, 2).tolist()
    assert offsets.tolist() == [0, 3, 6]


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 50))
def test_blocks_cover_everything_once_and_keep_the_bound(sizes, most):
    found = list(blocks(sizes, most))
    assert [row for block in found for row in range(block.start, block.stop)] == list(range(len(sizes)))
    for block in found:
        assert sum(sizes[block]) <= most or block.stop - block.start == 1
