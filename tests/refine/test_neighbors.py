"""Nearest neighbours against brute force, with duplicates."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.refine import neighbors

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 8)).astype(np.float32)
X[100:120] = X[:20]  # exact duplicates


def brute(rows, k):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    return np.sort(scores, axis=1)[:, ::-1][:, :k]


def test_neighbours_are_the_most_similar_others():
    indices, similarities = neighbors.knn(X, 5)
    assert not (indices == np.arange(300)[:, None]).any()
    assert np.allclose(similarities, brute(X, 5), atol=1e-5)
    assert (indices[:20, 0] == np.arange(100, 120)).all()
    assert (indices[100:120, 0] == np.arange(20)).all()


def test_inner_products_and_all_others():
    indices, similarities = neighbors.knn(X, 299, metric="ip")
    assert (np.sort(indices[7]) == np.delete(np.arange(300), 7)).all()
    assert np.allclose(similarities[7], X[indices[7]] @ X[7], atol=1e-4)


def test_a_graph_finds_nearly_the_same(monkeypatch):
    exact = neighbors.knn(X, 5)[1]
    monkeypatch.setattr(neighbors, "_EXACT_UP_TO", 100)
    indices, similarities = neighbors.knn(X, 5)
    assert not (indices == np.arange(300)[:, None]).any()
    assert np.isclose(similarities, exact, atol=1e-4).mean() > 0.95


@pytest.mark.parametrize("k", [0, 300])
def test_bad_k(k):
    with pytest.raises(ValueError, match="k must be between 1 and 299 for 300 rows"):
        neighbors.knn(X, k)


def test_nearest_is_a_full_sort():
    X, Q = rng.normal(size=(60, 5)), rng.normal(size=(7, 5))
    unit = [M / np.linalg.norm(M, axis=1, keepdims=True) for M in (Q, X)]
    for k in (1, 4, 60):
        indices, similarities = neighbors.nearest(Q, X, k)
        assert (indices == np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :k]).all()
        assert np.allclose(similarities, -np.sort(-(unit[0] @ unit[1].T), axis=1)[:, :k], atol=1e-6)
    assert (neighbors.nearest(Q, X, 3, metric="ip")[0] == np.argsort(-(Q @ X.T), axis=1)[:, :3]).all()


@pytest.mark.parametrize(
    ("Q", "k", "message"), [(np.ones((1, 5)), 61, "between 1 and 60"), (np.ones((1, 4)), 1, "expected 5 columns")]
)
def test_nearest_bad_input(Q, k, message):
    with pytest.raises(ValueError, match=message):
        neighbors.nearest(Q, np.ones((60, 5)), k)
