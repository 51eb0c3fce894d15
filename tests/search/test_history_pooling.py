"""Pooling of histories against loops."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.search.history_pooling import best_of_rankings, history_weights, profiles

rng = np.random.default_rng(0)


def test_weights():
    assert history_weights(3, "mean", 3.0).tolist() == [1, 1, 1]
    assert history_weights(3, "last", 3.0).tolist() == [0, 0, 1]
    assert history_weights(3, "decay", 2.0).tolist() == pytest.approx([np.exp(-1), np.exp(-0.5), 1])


@pytest.mark.parametrize("pooling", ["mean", "last", "decay"])
def test_profiles_against_a_loop(pooling):
    X = rng.normal(size=(9, 4)).astype(np.float32)
    histories = [[3], [1, 2, 8], [4, 4, 0]]
    found = profiles(X, histories, pooling, 2.5)
    for row, history in enumerate(histories):
        weights = {
            "mean": [1] * len(history),
            "last": [0] * (len(history) - 1) + [1],
            "decay": [np.exp(-(len(history) - t) / 2.5) for t in range(1, len(history) + 1)],
        }[pooling]
        pooled = sum(weight * X[item] for weight, item in zip(weights, history, strict=True))
        assert found[row] == pytest.approx(pooled / np.linalg.norm(pooled), abs=1e-5)
    assert found.dtype == np.float32


def test_merging_gives_the_ranking_by_the_best_score():
    S = rng.integers(6, size=(4, 30)).astype(np.float32)  # ties
    k = 7
    S[0] += 3  # the first ranking is often the best: the last one must not win
    order = np.argsort(-S, axis=1, kind="stable")[:, :k]
    places, scores = best_of_rankings(order, np.take_along_axis(S, order, axis=1), 30, k)
    best = S.max(axis=0)
    assert places.tolist() == np.argsort(-best, kind="stable")[:k].tolist()
    assert scores.tolist() == best[places].tolist()


def test_rankings_that_ended_early():
    places, scores = best_of_rankings(np.array([[2, -1]]), np.array([[0.5, -np.inf]], dtype=np.float32), 4, 3)
    assert places.tolist() == [2, -1, -1]
    assert scores.tolist() == [0.5, -np.inf, -np.inf]
