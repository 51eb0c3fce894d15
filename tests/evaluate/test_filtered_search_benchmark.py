"""The harness: truth by hand, attributes that correlate as asked, and an index that cheats is seen."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.checks import unit_rows
from theatrum.evaluate.filtered_search_benchmark import filtered_search_benchmark, ranked_attribute, true_neighbours
from theatrum.search import FlatIndex

rng = np.random.default_rng(0)
X = unit_rows(rng.normal(size=(400, 8)).astype(np.float32))
Q = unit_rows(rng.normal(size=(9, 8)).astype(np.float32))


class Half:
    """Finds the best, but answers every second query with nothing."""

    def __init__(self, index):
        self.index = index

    def search(self, Q, k, where=None):
        ids, scores = self.index.search(Q, k, where)
        ids[1::2] = ""
        return ids, scores


def test_recall_speed_and_ways_are_told_cell_by_cell():
    value = ranked_attribute(X, Q[0], 0.5)
    index = FlatIndex().fit(X)
    index.add([str(row) for row in range(400)], X, {"value": value})
    filters = {f"value < {share}": value < share for share in (0.01, 0.5)}
    cells = filtered_search_benchmark({"flat": index, "half": Half(index)}, X, Q, filters, k=5, rounds=1)
    assert [(cell.method, cell.selectivity) for cell in cells] == [
        ("flat", 0.01), ("half", 0.01), ("flat", 0.5), ("half", 0.5)
    ]  # fmt: skip
    assert [round(cell.recall, 3) for cell in cells] == [1.0, round(5 / 9, 3)] * 2
    assert cells[0].way == "exact" and cells[0].comparisons == 4 and cells[1].way == ""
    assert all(cell.queries_per_second > 0 for cell in cells)
    with pytest.raises(ValueError, match="must say of each of the 400 rows"):
        filtered_search_benchmark({"flat": index}, X, Q, {"value < 0": value < 0})


@pytest.mark.parametrize("correlation", [-1.0, 0.0, 1.0])
def test_attributes_are_even_and_lie_where_asked(correlation):
    value = ranked_attribute(X, Q[0], correlation, random_state=3)
    assert sorted(value.tolist()) == [row / 400 for row in range(400)]
    assert np.sign(np.round(np.corrcoef(-value, X @ Q[0])[0, 1] / 2, 1)) == np.sign(correlation)
    np.testing.assert_array_equal(value, ranked_attribute(X, Q[0], correlation, random_state=3))
    with pytest.raises(ValueError, match="between -1 and 1"):
        ranked_attribute(X, Q[0], 2)


def test_truth_is_a_loop_over_what_passes():
    passing = rng.random(400) < 0.2
    slow = [sorted(np.flatnonzero(passing), key=lambda row, q=q: -float(X[row] @ q))[:3] for q in Q]
    assert true_neighbours(X, Q, 3, passing).tolist() == [[int(row) for row in rows] for rows in slow]
