"""The seen-unseen curve against recomputation at every threshold; accuracies by hand; bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from theatrum.evaluate.generalized_zero_shot import (
    generalized_accuracy,
    harmonic_mean,
    per_class_accuracy,
    seen_unseen_curve,
)


def case(seed, grid):
    rng = np.random.default_rng(seed)
    n_classes = int(rng.integers(2, 8))
    seen = np.zeros(n_classes, dtype=bool)
    seen[: int(rng.integers(1, n_classes))] = True
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, 30)])
    scores = rng.normal(size=(len(y), n_classes))
    return (np.round(scores * grid) / grid if grid else scores), y, rng.permutation(seen)


def slow_point(scores, y, seen, gamma):
    found = (scores - gamma * seen).argmax(axis=1)
    # A tie between the best seen and the best unseen class goes to the unseen one.
    best_unseen = np.where(seen, -np.inf, scores).argmax(axis=1)
    a, b = np.where(seen, scores, -np.inf).max(axis=1), np.where(seen, -np.inf, scores).max(axis=1)
    found = np.where(gamma >= a - b, best_unseen, np.where(seen, scores, -np.inf).argmax(axis=1))
    hit = [np.mean([(found[y == c] == c).mean() for c in np.flatnonzero(side)]) for side in (~seen, seen)]
    return hit[0], hit[1]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0, 2, 4]))
def test_the_curve_is_what_every_threshold_gives(seed, grid):
    scores, y, seen = case(seed, grid)
    curve = seen_unseen_curve(scores, y, seen)
    for gamma, u, s in zip(curve.gamma[1:], curve.unseen_accuracy[1:], curve.seen_accuracy[1:], strict=True):
        assert (u, s) == pytest.approx(slow_point(scores, y, seen, gamma), abs=1e-12)
    restricted = [np.where(side, scores, -np.inf).argmax(axis=1) for side in (~seen, seen)]
    ends = [
        np.mean([(restricted[i][y == c] == c).mean() for c in np.flatnonzero(side)])
        for i, side in enumerate((~seen, seen))
    ]
    assert (curve.unseen_accuracy[0], curve.seen_accuracy[0]) == pytest.approx((0, ends[1]), abs=1e-12)
    assert (curve.unseen_accuracy[-1], curve.seen_accuracy[-1]) == pytest.approx((ends[0], 0), abs=1e-12)
    slow_area = sum(
        (curve.unseen_accuracy[i + 1] - curve.unseen_accuracy[i])
        * (curve.seen_accuracy[i + 1] + curve.seen_accuracy[i])
        / 2
        for i in range(len(curve.gamma) - 1)
    )
    assert curve.ausuc == pytest.approx(slow_area, abs=1e-12)
    assert curve.best_h == pytest.approx(
        max(harmonic_mean(u, s) for u, s in zip(curve.unseen_accuracy, curve.seen_accuracy, strict=True))
    )
    assert harmonic_mean(*curve.at(curve.best_gamma)) == pytest.approx(curve.best_h)
    found = generalized_accuracy(scores, y, seen)
    assert (found.unseen, found.seen) == pytest.approx(slow_point(scores, y, seen, 0.0), abs=1e-12)
    assert found.harmonic == pytest.approx(curve.h_at_zero)


def test_per_class_accuracy_is_balanced_accuracy():
    rng = np.random.default_rng(0)
    y, found = rng.integers(0, 5, 100), rng.integers(0, 5, 100)
    assert per_class_accuracy(y, found) == pytest.approx(balanced_accuracy_score(y, found))
    assert per_class_accuracy(["a", "b"], ["a", "a"], ["b"]) == 0.0
    assert per_class_accuracy(["a"], ["a"], ["a", "b"], missing="ignore") == 1.0
    with pytest.raises(ValueError, match="class 'b' has no row"):
        per_class_accuracy(["a"], ["a"], ["a", "b"])
    with pytest.raises(ValueError, match="no class has a row"):
        per_class_accuracy(["a"], ["a"], ["b"], missing="ignore")


GOOD = ([[0.2, 0.1], [0.3, 0.5]], [0, 1], [True, False])


@pytest.mark.parametrize(
    ("scores", "y", "seen", "message"),
    [
        (GOOD[0], GOOD[1], [True, True], "all classes are seen"),
        (GOOD[0], GOOD[1], [False, False], "no class is seen"),
        ([[np.nan, 1], [0, 1]], GOOD[1], GOOD[2], "row 0 holds NaN"),
        (GOOD[0], [0, 2], GOOD[2], "whole numbers from 0 to 1"),
        (GOOD[0], [0.0, 1.0], GOOD[2], "whole numbers"),
        (GOOD[0], [0, 0], GOOD[2], "class 'late' has no test row"),
        (GOOD[0], [0], GOOD[2], r"scores \(n, C\)"),
    ],
)
def test_bad_input(scores, y, seen, message):
    with pytest.raises(ValueError, match=message):
        seen_unseen_curve(scores, y, seen, names=["early", "late"])


def test_missing_classes_can_be_left_out():
    scores = [[0.2, 0.1, 0.0], [0.3, 0.5, 0.0]]
    assert seen_unseen_curve(scores, [0, 1], [True, False, False], missing="ignore").best_h == 1.0
    with pytest.raises(ValueError, match="test rows of seen and of unseen classes"):
        seen_unseen_curve(scores, [0, 0], [True, False, False], missing="ignore")


def test_the_plot_is_a_figure():
    figure = seen_unseen_curve(*GOOD).plot()
    assert figure.axes[0].get_xlabel() == "accuracy on unseen classes"
    assert len(figure.axes[0].lines) == 3
