import time

import numpy as np
import pytest
from scipy.stats import permutation_test

from theatrum.evaluate.significance import (
    compare_with_best,
    holm,
    paired_bootstrap,
    paired_randomization_test,
)


def scipy_p(a, b, n=np.inf, alternative="two-sided"):
    def statistic(x, y, axis):
        return np.mean(x - y, axis=axis)

    return permutation_test(
        (a, b),
        statistic,
        permutation_type="samples",
        n_resamples=n,
        alternative=alternative,
        vectorized=True,
        rng=np.random.default_rng(0),
    ).pvalue


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("seed", range(4))
def test_exact_p_equals_scipy(seed, alternative):
    rng = np.random.default_rng(seed)
    # Tenths make many sums tie, as metrics do; a tie is as extreme.
    a, b = rng.integers(0, 11, 10) / 10, rng.integers(0, 8, 10) / 10
    assert paired_randomization_test(a, b, alternative=alternative) == pytest.approx(
        scipy_p(a, b, alternative=alternative), abs=1e-12
    )


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_random_p_is_close_to_scipy(alternative):
    rng = np.random.default_rng(1)
    a = rng.random(60)
    b = a + rng.normal(0.03, 0.15, 60)
    ours = paired_randomization_test(a, b, n_permutations=40_000, alternative=alternative)
    peer = scipy_p(a, b, n=40_000, alternative=alternative)
    assert ours == pytest.approx(peer, abs=5 * np.sqrt(2 * peer * (1 - peer) / 40_000) + 1e-4)


def test_random_p_agrees_with_the_exact_one():
    rng = np.random.default_rng(2)
    a, b = rng.random(14), rng.random(14) + 0.15
    exact = paired_randomization_test(a, b, n_permutations=1 << 14)
    assert paired_randomization_test(a, b, n_permutations=(1 << 14) - 1) == pytest.approx(exact, abs=0.02)


def test_p_is_uniform_when_there_is_no_difference():
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 300, 30))
    p = np.array([paired_randomization_test(x, y, n_permutations=400) for x, y in zip(a, b, strict=True)])
    assert abs((p <= 0.05).mean() - 0.05) < 0.04
    assert abs((p <= 0.5).mean() - 0.5) < 0.1


def test_same_seed_same_p_and_bounds():
    rng = np.random.default_rng(4)
    a, b = rng.random((2, 50))
    assert paired_randomization_test(a, b, random_state=7) == paired_randomization_test(a, b, random_state=7)
    assert paired_randomization_test(a, b, random_state=7) != paired_randomization_test(a, b, random_state=8)
    assert paired_randomization_test(a, b) == paired_randomization_test(b, a)
    assert paired_randomization_test(a, a) == 1
    assert paired_randomization_test(a, a - 1, n_permutations=99) == 0.01


def test_many_queries_are_drawn_in_blocks():
    rng = np.random.default_rng(5)
    a = rng.random(30_000)
    p = paired_randomization_test(a, a + rng.normal(0, 0.1, len(a)), n_permutations=200)
    assert 0 < p <= 1
    assert paired_randomization_test(a, a - 0.01, n_permutations=200) == 1 / 201


def test_ten_thousand_permutations_of_a_thousand_queries_take_under_a_second():
    a, b = np.random.default_rng(6).random((2, 1000))
    start = time.perf_counter()
    paired_randomization_test(a, b)
    assert time.perf_counter() - start < 1


def test_holm_by_hand():
    # 0.01 * 4; 0.02 * 3; 0.03 * 2 is not below the step before; 0.9 * 1.
    np.testing.assert_allclose(holm([0.9, 0.02, 0.01, 0.03]), [0.9, 0.06, 0.04, 0.06])
    assert holm([0.7, 0.8]).tolist() == [1.0, 1.0]
    assert holm([0.3]).tolist() == [0.3]


def test_compare_with_best():
    rng = np.random.default_rng(7)
    base = rng.random(200)
    field = {
        "worse": base - 0.2 + rng.normal(0, 0.05, 200),
        "best": base,
        "close": base - 0.0005 + rng.normal(0, 0.1, 200) * (np.arange(200) % 2 * 2 - 1),
    }
    field["close"] -= max(field["close"].mean() - base.mean() + 0.001, 0)
    found = {one.name: one for one in compare_with_best(field, n_permutations=2000)}
    assert next(iter(found)) == "best" and list(found)[-1] == "worse"
    assert found["best"].tied and found["best"].difference == 0 and found["best"].p_adjusted == 1
    assert found["close"].tied and found["close"].difference < 0
    assert not found["worse"].tied and found["worse"].difference == pytest.approx(field["worse"].mean() - base.mean())
    assert found["worse"].p_adjusted == pytest.approx(2 * found["worse"].p_value)


def test_compare_with_best_alone_and_with_an_equal():
    assert [one.name for one in compare_with_best({"a | b": [1.0, 2.0]})] == ["a | b"]
    first, second = compare_with_best({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    assert (first.name, second.name, second.p_value, second.tied) == ("x", "y", 1.0, True)


def test_bootstrap_interval_matches_the_normal_one_and_covers():
    rng = np.random.default_rng(8)
    b = rng.random(2000)
    a = b + rng.normal(0.02, 0.1, 2000)
    found = paired_bootstrap(a, b, n_resamples=2000)
    half = 1.96 * (a - b).std() / np.sqrt(2000)
    assert found.difference == pytest.approx((a - b).mean())
    assert found.low == pytest.approx(found.difference - half, abs=half / 5)
    assert found.high == pytest.approx(found.difference + half, abs=half / 5)
    assert len(found.resamples) == 2000
    assert found == paired_bootstrap(a, b, n_resamples=2000)
    assert found != paired_bootstrap(a, b, n_resamples=2000, random_state=1)


@pytest.mark.parametrize("function", [paired_randomization_test, paired_bootstrap])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "at least one score"),
        ([1, 2], [1], "1 scores, but a has 2"),
        ([1, np.nan], [1, 2], "a: row 1 is NaN"),
        ([1, 2], [np.inf, 2], "b: row 0 is NaN or infinity"),
        ([[1, 2]], [[1, 2]], "in one dimension"),
    ],
)
def test_bad_scores_are_refused(function, a, b, message):
    with pytest.raises(ValueError, match=message):
        function(a, b)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="alternative"):
        paired_randomization_test([1], [2], alternative="both")
    with pytest.raises(ValueError, match="n_permutations"):
        paired_randomization_test([1], [2], n_permutations=0)
    with pytest.raises(ValueError, match="n_resamples"):
        paired_bootstrap([1], [2], n_resamples=0)
    with pytest.raises(ValueError, match="row 1 is"):
        holm([0.5, 1.2])
    with pytest.raises(ValueError, match="at least one"):
        holm([])
    with pytest.raises(ValueError, match="no systems"):
        compare_with_best({})
    with pytest.raises(ValueError, match="alpha"):
        compare_with_best({"a": [1]}, alpha=1)
    with pytest.raises(ValueError, match="b: 1 scores"):
        compare_with_best({"a": [1, 2], "b": [1]})
