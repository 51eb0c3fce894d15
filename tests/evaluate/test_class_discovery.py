"""Scores of class discovery: the matching against all permutations, forgetting by hand, bad input."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from theatrum.evaluate.class_discovery import discovery_report, match_clusters, matched_accuracy

rng = np.random.default_rng(0)


def test_the_matching_is_the_best_of_all():
    for _ in range(10):
        predicted, y = rng.integers(0, 5, 40), rng.integers(0, 5, 40)
        best = max((np.array(order)[predicted] == y).mean() for order in permutations(range(5)))
        assert matched_accuracy(predicted, y) == pytest.approx(best)


@pytest.mark.parametrize(
    ("predicted", "pairs"), [([3, 3, 4, 4, 5], {3: "a", 4: "b"}), ([1, 1, 1, 1, 1], {1: "a"})], ids=["more", "fewer"]
)
def test_what_is_left_over_has_no_partner(predicted, pairs):
    assert match_clusters(predicted, list("aabba")) == pairs


# Two classes a stage, two rows a class.
Y, STAGES, OF_CLUSTER = np.repeat(list("abcdef"), 2), np.repeat([0, 1, 2], 4), [0, 0, 1, 1, 2, 2]
PERFECT = np.repeat([1, 0, 3, 2, 5, 4], 2)


def test_nothing_is_forgotten():
    report = discovery_report([PERFECT] * 3, Y, STAGES, OF_CLUSTER, reference=[9, 9, 7, 7, 5, 5, 4, 4, 3, 3, 2, 1])
    assert report.all_seen.tolist() == report.per_stage.tolist() == [1, 1, 1]
    assert report.forgetting == 0 and report.nmi == report.ari == 1
    assert report.kmeans_reference == pytest.approx(11 / 12)
    assert np.isnan(report.accuracy[np.triu_indices(3, 1)]).all()


def test_clusters_that_change_places_are_forgotten():
    """Matched again at the end it would look perfect."""
    swapped = PERFECT.copy()
    swapped[:4] = [0, 0, 1, 1]
    report = discovery_report([PERFECT, PERFECT, swapped], Y, STAGES, OF_CLUSTER)
    assert report.accuracy[:, 0].tolist() == [1, 1, 0]
    assert report.forgetting == 1 and report.all_seen[-1] == pytest.approx(8 / 12) and report.ari == 1


def test_rows_taken_by_earlier_clusters_are_wrong():
    taken = PERFECT.copy()
    taken[4:6] = 0
    report = discovery_report([taken] * 3, Y, STAGES, OF_CLUSTER)
    assert report.per_stage.tolist() == [1, 0.5, 1] and report.forgetting == 0


def test_rows_of_later_stages_are_not_looked_at():
    blank = np.where(STAGES[None] <= np.arange(3)[:, None], PERFECT, -1)
    assert discovery_report(blank, Y, STAGES, OF_CLUSTER).all_seen.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"predictions": PERFECT}, r"predictions \(T, n\)"),
        ({"y": Y[:5]}, "are needed; got"),
        ({"predictions": [PERFECT * 0.5] * 3}, "whole numbers"),
        ({"predictions": [PERFECT] * 4}, "every stage from 0 to 3 needs rows"),
        ({"predictions": [PERFECT] * 2}, "every stage from 0 to 1 needs rows, and there are no others"),
        ({"stage_of_cluster": [0, 0, 1, 1]}, "cluster 5 has no stage"),
        ({"y": np.array(list("abcdef") * 2)}, "class 'a' is in more than one stage"),
    ],
)
def test_bad_input(changed, message):
    given = {"predictions": [PERFECT] * 3, "y": Y, "stages": STAGES, "stage_of_cluster": OF_CLUSTER, **changed}
    with pytest.raises(ValueError, match=message):
        discovery_report(**given)


def test_the_plot_is_a_figure():
    figure = discovery_report([PERFECT] * 3, Y, STAGES, OF_CLUSTER, reference=PERFECT).plot()
    assert len(figure.axes[0].lines) == 3 and figure.axes[0].get_xlabel() == "stage"
