"""Reciprocal rank fusion against its formula."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.search import ReciprocalRankFusion


def ranking(*rows):
    ids = np.array([list(row) for row in rows], dtype=object)
    return ids, np.zeros(ids.shape, dtype=np.float32)


def test_sums_are_those_of_the_formula():
    one, two = ranking(["a", "b", "c"]), ranking(["c", "a", ""])
    ids, scores = ReciprocalRankFusion(k=10, weights=[1, 2]).fuse([one, two], 5)
    expected = {"a": 1 / 11 + 2 / 12, "b": 1 / 12, "c": 1 / 13 + 2 / 11}
    assert ids[0].tolist() == [*sorted(expected, key=expected.get, reverse=True), "", ""]
    assert np.allclose(scores[0, :3], sorted(expected.values(), reverse=True))
    assert np.isneginf(scores[0, 3:]).all()


def test_equal_sums_keep_the_order_of_the_rankings():
    ids, _ = ReciprocalRankFusion().fuse([ranking(["a", "b"]), ranking(["c", "d"])], 4)
    assert ids[0].tolist() == ["a", "c", "b", "d"]


def test_a_ranking_fused_with_itself_stays():
    rows = ranking(["x", "y", "z"], ["z", "", ""])
    ids, _ = ReciprocalRankFusion().fuse([rows, rows], 3)
    assert ids.tolist() == rows[0].tolist()


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, "2"]])
def test_bad_weights(weights):
    with pytest.raises(ValueError, match="weights must be 2 positive numbers"):
        ReciprocalRankFusion(weights=weights).fuse([ranking(["a"]), ranking(["b"])], 1)
