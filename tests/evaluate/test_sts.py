import time

import numpy as np
import pytest
from scipy.stats import spearmanr

from theatrum.evaluate.sts import (
    bootstrap_spearman_difference,
    cosine_scores,
    spearman,
    sts_scores,
    sts_spearman,
)

WORDS = "map atlas sea land ship wind star north south coast".split()


def counts(texts):
    return np.array([[text.split().count(word) for word in WORDS] for text in texts], dtype=np.float32)


class Counter:
    def __init__(self):
        self.seen = []

    def encode(self, texts):
        self.seen += texts
        return counts(texts)


def word_pairs(n=200, seed=0):
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, 5)) for _ in range(40)]
    first, second = rng.integers(40, size=(2, n))
    return [(texts[i], texts[j], float(rng.integers(0, 6))) for i, j in zip(first, second, strict=True)]


def test_spearman_equals_scipy_with_ties():
    rng = np.random.default_rng(0)
    for n in (2, 3, 10, 500):
        x, y = rng.integers(0, 6, (2, n)).astype(float)
        x[0], x[1], y[0], y[1] = 0, 1, 0, 1
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0


def test_cosines():
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(2, 30, 8))
    A[3], B[5] = 0, 0
    found = cosine_scores(A, B)
    for i in set(range(30)) - {3, 5}:
        assert found[i] == pytest.approx(A[i] @ B[i] / np.linalg.norm(A[i]) / np.linalg.norm(B[i]), abs=1e-6)
    assert found[3] == found[5] == 0
    assert found.dtype == np.float64
    np.testing.assert_allclose(cosine_scores(A * 100, B), found, atol=1e-6)


def test_encoder_and_function_give_scipys_spearman():
    pairs = word_pairs()
    cosines = cosine_scores(counts([a for a, _, _ in pairs]), counts([b for _, b, _ in pairs]))
    expected = spearmanr(cosines, [score for _, _, score in pairs]).statistic
    encoder = Counter()
    assert sts_spearman(encoder, pairs) == pytest.approx(expected, abs=1e-12)
    assert sts_spearman(counts, pairs) == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(sts_scores(counts, pairs), cosines)
    assert len(encoder.seen) == len(set(encoder.seen))  # each text once


def test_bootstrap_equals_slow_resampling():
    rng = np.random.default_rng(2)
    n, seed = 60, 5
    gold = rng.integers(0, 6, n) / 5
    a, b = np.round(gold + rng.normal(0, 0.3, n), 1), np.round(gold + rng.normal(0, 0.6, n), 1)
    drawn = np.random.default_rng(seed).integers(n, size=(50, n))
    slow = [spearmanr(a[i], gold[i]).statistic - spearmanr(b[i], gold[i]).statistic for i in drawn]
    found = bootstrap_spearman_difference(a, b, gold, n_resamples=50, random_state=seed)
    np.testing.assert_allclose(found.resamples, slow, atol=1e-12)
    assert found.difference == pytest.approx(spearman(a, gold) - spearman(b, gold))
    assert (found.low, found.high) == tuple(np.quantile(found.resamples, [0.025, 0.975]))


def test_bootstrap_laws():
    rng = np.random.default_rng(3)
    gold = rng.random(300)
    a, b = gold + rng.normal(0, 0.1, 300), rng.random(300)
    found = bootstrap_spearman_difference(a, b, gold, n_resamples=200)
    assert found.low > 0.5
    assert found == bootstrap_spearman_difference(a, b, gold, n_resamples=200)
    assert found != bootstrap_spearman_difference(a, b, gold, n_resamples=200, random_state=1)
    turned = bootstrap_spearman_difference(b, a, gold, n_resamples=200)
    np.testing.assert_allclose(turned.resamples, -found.resamples)
    same = bootstrap_spearman_difference(a, np.exp(a), gold, n_resamples=200)  # ranks see no monotone change
    assert np.abs(same.resamples).max() < 1e-12


def test_bootstrap_of_an_encoder_that_ranks_nothing():
    gold = np.arange(20.0)
    found = bootstrap_spearman_difference(gold, np.zeros(20), gold, n_resamples=50)
    assert found.difference == pytest.approx(1) and found.low == pytest.approx(1)


def test_a_thousand_resamples_of_five_thousand_pairs_take_seconds():
    rng = np.random.default_rng(4)
    a, b, gold = rng.random((3, 5000))
    start = time.perf_counter()
    bootstrap_spearman_difference(a, b, np.round(gold * 25), n_resamples=1000)
    assert time.perf_counter() - start < 5


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="pairs: none"):
        sts_spearman(counts, [])
    with pytest.raises(ValueError, match="gold: row 1 is NaN"):
        sts_spearman(counts, [("map", "sea", 1.0), ("map", "atlas", float("nan"))])
    with pytest.raises(ValueError, match="all scores are equal"):
        sts_spearman(counts, [("map", "sea", 1.0), ("map", "atlas", 1.0)])
    with pytest.raises(ValueError, match="1 vectors for 2 texts"):
        sts_spearman(lambda texts: [[1.0, 2.0]], [("map", "sea", 1.0)])
    with pytest.raises(ValueError, match="encoded texts: row 0 holds NaN"):
        sts_spearman(lambda texts: [[np.nan]] * len(texts), [("map", "sea", 1.0)])
    with pytest.raises(ValueError, match="differ"):
        cosine_scores([[1, 2]], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="gold: 1 scores"):
        bootstrap_spearman_difference([1, 2], [1, 2], [1])
    with pytest.raises(ValueError, match="all scores are equal"):
        bootstrap_spearman_difference([1, 2], [1, 2], [3, 3])
    with pytest.raises(ValueError, match="n_resamples"):
        bootstrap_spearman_difference([1, 2], [1, 2], [1, 2], n_resamples=0)
