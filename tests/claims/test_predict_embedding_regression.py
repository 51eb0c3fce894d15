"""The claim of row 081: its functions, its things, its resamples, and runs on made-up vectors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from theatrum.claims.predict import described_things as things
from theatrum.claims.predict import embedding_regression as claim

rng = np.random.default_rng(0)


@pytest.mark.parametrize("d", [2, 5])
def test_functions_have_their_optimum_at_the_origin(d):
    Z = rng.normal(size=(200, d))
    for function in claim.FUNCTIONS:
        values = function(Z, np.random.default_rng(0))
        assert values.shape == (200,) and np.isfinite(values).all()
        if function is not claim.linear_slope:
            assert function(np.zeros((1, d)), rng)[0] == pytest.approx(0, abs=1e-12)
            assert (values > 0).all()


def test_functions_at_known_points():
    one = np.ones((1, 2))
    assert claim.sphere(one, rng)[0] == 2
    assert claim.rastrigin(one, rng)[0] == pytest.approx(2)
    assert claim.rosenbrock(one, rng)[0] == pytest.approx(100 * (4 - 2) ** 2 + 1)
    assert claim.ellipsoid(one, rng)[0] == pytest.approx(1 + 1e6)
    s = np.sqrt(2)
    assert claim.schaffer(one, rng)[0] == pytest.approx(s * (1 + np.sin(50 * s**0.2) ** 2) ** 2)
    assert abs(claim.linear_slope(one, rng)[0]) in (pytest.approx(9), pytest.approx(11))


def test_points_and_their_texts():
    X = claim.points(5)
    assert X.shape == (1000, 5) and np.array_equal(X, claim.points(5))
    assert claim.point_texts(np.array([[0.32049, -4.1]])) == ["x0: 0.32, x1: -4.1"]
    sphere = claim.FUNCTIONS[0]
    assert not np.allclose(claim.function_value(sphere, X, 0), claim.function_value(sphere, X, 1))


@pytest.mark.parametrize("conditional", [False, True])
def test_configurations(conditional):
    made = things.configurations(200, conditional=conditional)
    assert made.table.min() >= 0 and made.table.max() <= 1
    assert len(made.texts) == len(made.table) == len(made.target) == 200
    momentum = ["momentum" in text for text in made.texts]
    assert any(momentum) == conditional
    if conditional:
        assert all("optimizer: sgd" in text for text, there in zip(made.texts, momentum, strict=True) if there)
        assert np.array_equal(made.table[:, -2] > 0, momentum)


def test_one_hot_and_ranges():
    assert things.one_hot([["b", "a"], "b"]).tolist() == [[1, 1], [0, 1]]
    assert things.unit_range([[1, 5], [3, 5]]).tolist() == [[0, 0], [1, 0]]


def test_tfidf_is_fitted_on_the_given_rows_only():
    assert claim.tfidf(["one two", "one three", "four"], np.array([0, 1])).shape == (3, 3)


def test_resampled_correlations():
    z, gaps = np.arange(12.0), np.arange(12.0) + 3 * rng.normal(size=12)
    found = claim.rank_correlations(z, gaps, [f"task {i // 2}" for i in range(12)], 400)
    assert np.mean(found) == pytest.approx(spearmanr(z, gaps).statistic, abs=0.1)
    assert np.ptp(found) > 0


@pytest.fixture
def small_world(monkeypatch):
    def encode(encoder, texts):
        informed = not isinstance(encoder, claim.RandomMiniLM)
        numbers = np.array([[float(ord(c)) for c in text[:60].ljust(60)] for text in texts])
        return (numbers if informed else rng.normal(size=numbers.shape)).astype(np.float32)

    monkeypatch.setattr(claim, "encode_cached", encode)
    monkeypatch.setattr(claim, "token_means", lambda texts: encode(None, texts))
    monkeypatch.setattr(claim, "MiniLM", lambda **parameters: None)
    monkeypatch.setattr(claim, "RandomMiniLM", type("Random", (), {}))
    monkeypatch.setattr(claim, "_POOL", 140)
    monkeypatch.setattr(claim, "_SEEDS", 2)
    for name, n in (("_FIT", 80), ("_VALIDATION", 20), ("_TEST", 40)):
        monkeypatch.setattr(claim, name, n)
    made = things.configurations
    monkeypatch.setattr(claim, "TEXT_TASKS", {"configurations": lambda n: made(n, conditional=False)})


def test_the_smoke_run(small_world):
    outcome = claim.claim_081("smoke")
    assert [one.says for one in outcome.inequalities] == [
        "wherever tau > 0.2: mean L < mean L of shuffled y (least 1 - ratio)"
    ]
    assert outcome.measurements["sphere, 5 dimensions, table"].keys() == {"tau", "mean L", "ratio"}
    assert len(outcome.inequalities[0].differences) == 2


def test_the_full_run_has_the_inequalities_of_the_card(small_world, monkeypatch):
    monkeypatch.setattr(claim, "FUNCTIONS", claim.FUNCTIONS[1:2])
    outcome = claim.claim_081("cpu")
    assert [(one.margin, one.bound, one.over) for one in outcome.inequalities] == [
        (0.5, 0.0, "resamples"),
        (0.0, None, "seeds"),
        (0.02, 0.0, "seeds"),
    ]
    assert "over 4 comparisons" in outcome.inequalities[0].says  # two of points, two of configurations
    assert "over 2 tasks" in outcome.inequalities[2].says
    assert outcome.measurements["linear slope, 25 dimensions, table, trees"].keys() == {"tau"}
    assert "configurations, TF-IDF" in outcome.measurements
