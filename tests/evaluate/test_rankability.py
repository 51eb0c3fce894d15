"""Rankability: the formulas against scipy, scikit-learn and loops, the report on known worlds, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from sklearn.linear_model import Ridge

from theatrum.evaluate.rankability import (
    ALPHAS,
    check_attribute,
    extreme_rows,
    extremes_axis,
    nonlinear_probe,
    random_level,
    rankability_report,
    ridge_axis,
    spearman_columns,
    train_probe,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 7)) * [5, 3, 2, 1, 1, 0.5, 0.1]
Y = X @ rng.normal(size=7) + rng.normal(size=60)


def units(n, d, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def report_of(attribute, n=400, d=12, **options):
    rows = units(n, d)
    y = attribute(rows)
    half = n // 2
    return rankability_report(
        rows[:half], y[:half], rows[half:], y[half:], **{"n_seeds": 4, "n_resamples": 60, **options}
    )


def test_correlations_of_columns_are_those_of_scipy():
    S = rng.integers(5, size=(50, 4)).astype(float)  # many ties
    y = rng.integers(4, size=50)
    assert spearman_columns(S, y) == pytest.approx([spearmanr(S[:, j], y).statistic for j in range(4)])
    assert spearman_columns(np.ones((3, 1)), [1, 2, 3]).tolist() == [0.0]
    assert spearman_columns(np.eye(3), [2, 2, 2]).tolist() == [0.0] * 3


@pytest.mark.parametrize("shape", [(60, 7), (12, 40)])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
def test_the_axis_is_that_of_ridge_regression_and_rows_are_really_left_out(shape, alpha):
    rows = np.random.default_rng(1).normal(size=shape) + 3
    y = np.random.default_rng(2).normal(size=shape[0]) + rows[:, 0]
    found = ridge_axis(rows, y, alpha)
    assert found.axis == pytest.approx(Ridge(alpha).fit(rows, y).coef_)
    # Position on the axis: without the intercept of the fit to all rows, which is the same constant for all.
    intercept = Ridge(alpha).fit(rows, y).intercept_
    for row in range(0, shape[0], 5):
        others = np.delete(np.arange(shape[0]), row)
        slow = Ridge(alpha).fit(rows[others], y[others]).predict(rows[[row]])[0]
        assert found.held_out[row] + intercept == pytest.approx(slow)


def test_auto_takes_the_alpha_of_the_least_left_out_error():
    found = ridge_axis(X, Y)
    grid = ALPHAS * np.mean(np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2)

    def error(alpha):
        missed = []
        for row in range(60):
            others = np.delete(np.arange(60), row)
            missed.append(Y[row] - Ridge(alpha).fit(X[others], Y[others]).predict(X[[row]])[0])
        return np.mean(np.square(missed))

    assert found.alpha == pytest.approx(min(grid, key=error))


def test_few_noisy_rows_are_shrunk_more_than_many():
    rows = units(2000, 30)
    y = rows[:, 0] + 0.5 * np.random.default_rng(1).normal(size=2000)
    few, many = ridge_axis(rows[:20], y[:20]), ridge_axis(rows, y)
    assert few.alpha / np.mean(np.linalg.svd(rows[:20] - rows[:20].mean(axis=0))[1] ** 2) > many.alpha / np.mean(
        np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[1] ** 2
    )


def test_scaling_changes_no_direction():
    one, two = ridge_axis(X, Y).axis, ridge_axis(1000 * X + 5, 7 * Y - 1).axis
    assert one / np.linalg.norm(one) == pytest.approx(two / np.linalg.norm(two))


def test_extremes_come_from_the_outer_hundredth_with_ties_at_random():
    y = np.r_[np.zeros(30), np.arange(1.0, 941), np.full(30, 2000.0)]
    seen_high, seen_low = set(), set()
    for seed in range(200):
        high, low = extreme_rows(y, 2, np.random.default_rng(seed))
        assert len(set(high)) == len(set(low)) == 2
        seen_high |= set(high.tolist())
        seen_low |= set(low.tolist())
    assert seen_high == set(range(970, 1000))
    assert seen_low == set(range(30))
    high, low = extreme_rows(np.arange(1000.0), 30, np.random.default_rng(0))
    assert (sorted(high), sorted(low)) == (list(range(970, 1000)), list(range(30)))
    assert extremes_axis(np.array([[1.0, 2], [3, 2]]), np.array([[1.0, 0]])).tolist() == [1.0, 2.0]


def test_chance_is_the_quantile_of_the_known_law():
    # For a Gaussian cloud and y = x_1, a random direction has Pearson correlation u_1 with u uniform on the sphere.
    rows = np.random.default_rng(0).normal(size=(4000, 20))
    sphere = units(200_000, 20, seed=1)[:, 0]
    pearson = np.quantile(np.abs(sphere), 0.95)
    expected = 6 / np.pi * np.arcsin(pearson / 2)
    assert random_level(rows, rows[:, 0], np.random.default_rng(0)) == pytest.approx(expected, abs=0.03)


def test_a_linear_unit_finds_the_ridge_axis():
    rows = units(500, 10)
    y = rows @ np.arange(10.0) + 0.1 * np.random.default_rng(1).normal(size=500)
    weight = train_probe(rows, y, (), 0).network[0].weight.detach().numpy()[0]
    exact = ridge_axis(rows, y).axis
    assert weight @ exact / np.linalg.norm(weight) / np.linalg.norm(exact) > 0.99


def test_the_network_finds_what_no_line_can():
    rows = units(800, 4)
    y = np.abs(rows[:, 0])
    bent = nonlinear_probe(rows[:600], y[:600], 0).scores(rows[600:])
    straight = rows[600:] @ ridge_axis(rows[:600], y[:600]).axis
    assert spearman_columns(bent[:, None], y[600:])[0] > 0.9
    assert abs(spearman_columns(straight[:, None], y[600:])[0]) < 0.3


def test_a_linear_attribute_is_rankable():
    report = report_of(lambda rows: rows[:, 0])
    assert report.linear.value > 0.99
    assert report.linear.low <= report.linear.value <= report.linear.high
    assert report.chance < 0.8 and report.kendall > 0.9
    assert report.untrained is None and report.headroom is None
    assert sorted(report.extremes) == [1, 30] and sorted(report.few_shot) == [10, 100]
    assert report.extremes[30].value > report.extremes[1].value
    assert report.few_shot[100].value > report.few_shot[10].value
    assert report.few_shot_ratio.value == pytest.approx(report.extremes[1].value / report.linear.value)
    assert {name: len(found) for name, found in report.draws.items()} == {
        "extremes=1": 4,
        "extremes=30": 4,
        "few_shot=10": 4,
        "few_shot=100": 4,
    }
    assert report.draws["extremes=1"].mean() == pytest.approx(report.extremes[1].value)


def test_noise_is_not():
    noise = np.random.default_rng(9).normal(size=400)
    report = report_of(lambda rows: noise)
    assert abs(report.linear.value) < 0.3
    assert report.linear.low < 0 < report.linear.high


def test_the_reference_takes_up_headroom():
    rows = units(400, 12)
    y = rows[:, 0] + 0.3 * np.abs(rows[:, 1])
    reference = rows[:, [0, 2]] + 0.2 * np.random.default_rng(1).normal(size=(400, 2))
    options = {"n_seeds": 2, "n_resamples": 30, "X_untrained": (reference[:200], reference[200:])}
    report = rankability_report(rows[:200], y[:200], rows[200:], y[200:], **options)
    assert 0.2 < report.untrained.value < report.linear.value
    gain = report.linear.value - report.untrained.value
    if report.nonlinear.value > report.untrained.value:
        assert report.headroom.value == pytest.approx(gain / (report.nonlinear.value - report.untrained.value))
    # Reference vectors that hold everything leave no headroom to speak of.
    full = np.column_stack([y, np.ones(400)])
    report = rankability_report(
        rows[:200], y[:200], rows[200:], y[200:], (full[:200], full[200:]), n_seeds=2, n_resamples=30
    )
    assert np.isnan(report.headroom.value) and np.isnan(report.headroom.low)


def test_the_interval_covers_the_truth():
    # Bivariate normal of correlation 0.5: the rank correlation is 6 / pi arcsin(0.25).
    truth, covered = 6 / np.pi * np.arcsin(0.25), 0
    from theatrum.evaluate.rankability import Estimate, _correlations

    for seed in range(60):
        draw = np.random.default_rng(seed)
        s, noise = draw.normal(size=(2, 150))
        y = 0.5 * s + np.sqrt(0.75) * noise
        rho, resampled = _correlations({"one": s}, y, 200, draw)
        estimate = Estimate.of(rho["one"].mean(), resampled["one"])
        covered += estimate.low <= truth <= estimate.high
    assert 52 <= covered <= 60


def test_kendall_is_that_of_the_linear_axis():
    rows, half = units(200, 5), 100
    y = np.round(3 * rows[:, 0])
    report = rankability_report(rows[:half], y[:half], rows[half:], y[half:], n_seeds=1, n_resamples=5)
    single = rows.astype(np.float32).astype(np.float64)
    scores = single[half:] @ ridge_axis(single[:half], y[:half]).axis
    assert report.kendall == pytest.approx(kendalltau(scores, y[half:]).statistic, abs=1e-3)


def test_a_seed_is_a_seed():
    one, two, three = (report_of(lambda rows: rows[:, 0], random_state=seed) for seed in (0, 0, 1))
    assert one.extremes == two.extremes and one.nonlinear == two.nonlinear
    assert one.extremes != three.extremes


def test_the_plot_has_a_bar_for_every_axis():
    y = units(400, 12)[:, 0]
    figure = report_of(lambda rows: y, X_untrained=(y[:200, None] * [1, 2], y[200:, None] * [1, 2])).plot()
    (axes,) = figure.axes
    assert len(axes.patches) == 7
    assert "Spearman" in axes.get_xlabel()
    assert figure.get_size_inches().tolist() == [6, 4]


A, B = units(40, 3), units(20, 3)
GOOD = (A, A[:, 0], B, B[:, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rankability_report(A, A[:, 0] * 0, B, B[:, 0]), "y_train: all values are 0, so they rank nothing"),
        (lambda: rankability_report(A, A[:, 0], B, B[:, 0] * 0), "y_test: all values are 0"),
        (lambda: rankability_report(A, A[:5, 0], B, B[:, 0]), r"y_train: expected 40 numbers.*shape \(5,\)"),
        (lambda: rankability_report(A, np.where(A[:, 0] > 0, 1, np.nan), B, B[:, 0]), "y_train: row .* is nan"),
        (lambda: rankability_report(A, ["old"] * 40, B, B[:, 0]), "y_train: expected a number a row"),
        (lambda: rankability_report(A[:9], A[:9, 0], B, B[:, 0]), r"X_train: at least 10 row\(s\) needed"),
        (lambda: rankability_report(A * np.nan, A[:, 0], B, B[:, 0]), "X_train: row 0 holds NaN"),
        (lambda: rankability_report(A, A[:, 0], B[:, :2], B[:, 0]), "X_test: expected 3 columns, got 2"),
        (lambda: rankability_report(*GOOD, (A[:30], B)), "X_untrained: 30 and 20 rows, but X has 40 and 20"),
        (lambda: rankability_report(*GOOD, n_seeds=0), "n_seeds must be a whole number of at least 1, got 0"),
        (lambda: rankability_report(*GOOD, n_resamples=True), "n_resamples must be a whole number"),
        (lambda: rankability_report(A, (np.arange(40) == 3) * 0.0 + (np.arange(40) > 38), B, B[:, 0]), None),
        (lambda: extreme_rows(np.r_[np.zeros(999), 1.0], 1, rng), "share the value 0, so they are no extremes"),
        (lambda: extreme_rows(np.arange(5.0), 3, rng), "ask for fewer"),
        (lambda: check_attribute([1.0, np.inf], 2, "y"), "y: row 1 is inf"),
    ],
)
def test_bad_input(call, message):
    if message is None:  # one row alone at the upper end is enough
        assert call().extremes.keys() == {1}
        return
    with pytest.raises(ValueError, match=message):
        call()
