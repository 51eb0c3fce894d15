"""Lipschitz factors against loops, their invariances, the shuffled reference by shuffling, and bad input."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.evaluate.lipschitz import (
    HEADS,
    compare_representations,
    lipschitz_factors,
    lipschitz_z,
    mean_absolute_difference,
    merged,
    normalised,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(80, 5)).astype(np.float32) * [1, 10, 0.1, 1, 3] + 7
Y = X[:, 0] + 0.3 * rng.normal(size=80)


def slow_factors(X, y, k):
    X, y = np.asarray(X, dtype=np.float64), (y - y.mean()) / y.std()
    Z = (X - X.mean(axis=0)) / X.std(axis=0) / np.sqrt(X.shape[1])
    found, near = [], []
    for t in range(len(Z)):
        distance = {s: np.sqrt(((Z[t] - Z[s]) ** 2).sum()) for s in range(len(Z)) if s != t}
        chosen = sorted(distance, key=distance.get)[:k]
        found.append(np.mean([abs(y[t] - y[s]) / distance[s] for s in chosen]))
        near.append([distance[s] for s in chosen])
    return np.array(found), np.array(near), y


@pytest.mark.parametrize("k", [1, 3])
def test_equals_the_loops(k):
    single = X.astype(np.float32)
    slow, near, y = slow_factors(single, Y, k)
    found = lipschitz_factors(single, Y, k)
    assert np.allclose(found.values, slow)
    assert (found.mean, found.sd) == pytest.approx((slow.mean(), slow.std()))
    pairs = [abs(a - b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    assert found.shuffled_mean == pytest.approx(np.mean(pairs) * (1 / near).mean())
    assert found.ratio == found.mean / found.shuffled_mean


def test_the_shuffled_mean_is_that_of_many_shuffles():
    draws = [lipschitz_factors(X, rng.permutation(Y)).mean for _ in range(400)]
    assert lipschitz_factors(X, Y).shuffled_mean == pytest.approx(np.mean(draws), rel=0.02)


def test_width_units_and_constant_columns_do_not_matter():
    plain = lipschitz_factors(X, Y)
    for other, y in [
        (np.hstack([X, X]), Y),
        (X * [1, 2, 4, 8, 16] + 1, Y),
        (np.hstack([X, np.full((80, 2), 3.3)]), Y),
        (X, -7 * Y + 100),
    ]:
        assert np.allclose(lipschitz_factors(other, y).values, plain.values, rtol=1e-3)


def test_rows_have_mean_square_length_one():
    assert (normalised(X) ** 2).sum(axis=1).mean() == pytest.approx(1)
    assert normalised(np.hstack([X, np.full((80, 1), 0.1)])).shape == (80, 5)


def test_equal_rows_are_merged_with_their_mean():
    rows = X.astype(np.float32)
    doubled = lipschitz_factors(np.vstack([rows, rows]), np.concatenate([Y - 1, Y + 1]))
    assert np.allclose(doubled.values, lipschitz_factors(rows, Y).values)
    kept, means = merged(rows[[3, 1, 3, 2]], np.array([1.0, 2.0, 5.0, 4.0]))
    assert np.array_equal(kept, rows[[3, 1, 2]]) and means.tolist() == [3.0, 2.0, 4.0]


def test_near_rows_keep_their_digits():
    base = np.linspace(0, 1, 50)
    rows = np.repeat(base, 2)[:, None]
    rows[1::2] += 1e-6
    found = lipschitz_factors(rows, rows[:, 0].astype(np.float32))
    # y is the coordinate itself: every factor is 1, however near the neighbour is.
    assert np.allclose(found.values, 1, rtol=1e-3)


def test_mean_absolute_difference():
    slow = np.mean([abs(a - b) for i, a in enumerate(Y) for j, b in enumerate(Y) if i != j])
    assert mean_absolute_difference(Y) == pytest.approx(slow)


def test_information_shows_in_ratio_and_z():
    noise = rng.normal(size=(80, 5))
    smooth, rough = lipschitz_factors(X[:, :1], Y), lipschitz_factors(noise, Y)
    assert smooth.ratio < 0.8 < rough.ratio < 1.25
    found = compare_representations({"noise": noise, "columns": X}, Y)
    assert found.z["noise"] == 0
    expected = (rough.mean - found.factors["columns"].mean) / np.hypot(rough.sd, found.factors["columns"].sd)
    assert found.z["columns"] == pytest.approx(expected) and expected > 0
    assert set(found.kendall_tau["columns"]) == set(HEADS)
    for head in HEADS:
        taus = found.kendall_tau["columns"][head]
        assert taus.shape == (5,) and taus.mean() > 0.3 > found.kendall_tau["noise"][head].mean()


def test_the_same_seed_gives_the_same_table():
    one, two, other = (compare_representations({"a": X}, Y, cv=2, random_state=seed) for seed in (0, 0, 1))
    assert str(one) == str(two) != str(other)
    assert one.rows()[0].keys() == {"representation", "ratio", "z", "ridge", "knn", "mlp"}
    assert str(one).splitlines()[0].split() == ["representation", "ratio", "z", "ridge", "knn", "mlp"]


def test_two_targets_without_any_jump():
    flat = lipschitz_factors([[0.0], [0.1], [10.0], [10.1]], [0, 0, 1, 1])
    assert flat.mean == flat.sd == flat.ratio == 0
    assert lipschitz_z(flat, flat) == 0


def test_the_picture():
    figure = lipschitz_factors(X, Y).plot()
    axes = figure.axes[0]
    assert figure.get_size_inches().tolist() == [6, 4]
    assert axes.get_xlabel() == "Lipschitz factor (sd of y per unit of distance)" and axes.get_ylabel() == "rows"
    assert sum(bar.get_height() for bar in axes.patches) == 80
    assert len(axes.lines) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lipschitz_factors(X, Y[:9]), r"expected 80 numbers.*\(9,\)"),
        (lambda: lipschitz_factors(X, np.where(np.arange(80) == 4, np.nan, Y)), "y: row 4 is nan"),
        (lambda: lipschitz_factors(np.where(X == X.max(), np.nan, X), Y), "holds NaN"),
        (lambda: lipschitz_factors(X, np.ones(80)), "all values are 1"),
        (lambda: lipschitz_factors(X, ["a"] * 80), "expected numbers"),
        (lambda: lipschitz_factors(X[:1], Y[:1]), "at least 2 row"),
        (lambda: lipschitz_factors(np.ones((80, 2)), Y), r"n_neighbors must be .*1 distinct rows"),
        (lambda: lipschitz_factors(X, Y, 80), "from 1 to 79"),
        (lambda: lipschitz_factors(X, Y, True), "whole number"),
        (lambda: compare_representations({}, Y), "at least one"),
        (lambda: compare_representations({"a": X, "b": X[:9]}, Y), "they differ in rows"),
        (lambda: compare_representations({"a": X, "b": X * np.nan}, Y), "b: row 0"),
        (lambda: compare_representations({"a": X, "b": np.ones((80, 1))}, Y), "b: n_neighbors|b: all rows"),
        (lambda: compare_representations({"a": X}, Y, cv=41), "cv must be a whole number from 2 to 40"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
