"""What only HNSWIndex promises; all that indexes share is in test_vector_index."""

from __future__ import annotations

import numpy as np

from theatrum.search import FlatIndex, HNSWIndex

X = np.random.default_rng(0).normal(size=(2000, 32)).astype(np.float32)
IDS = [str(i) for i in range(2000)]


def found(ef):
    index = HNSWIndex(m=8, ef=ef, ef_construction=60).fit(X)
    index.add(IDS, X)
    return index.search(X[:50] + 0.3, 10)[0]


def test_more_effort_finds_more():
    exact = FlatIndex().fit(X)
    exact.add(IDS, X)
    truth = exact.search(X[:50] + 0.3, 10)[0]
    low, high = ((found(ef)[:, :, None] == truth[:, None]).any(-1).mean() for ef in (10, 300))
    assert low < high
    assert high > 0.95


def test_the_same_vectors_give_the_same_graph():
    assert (found(20) == found(20)).all()
