"""What only InvertedFileIndex promises; all that indexes share is in test_vector_index."""

from __future__ import annotations

import numpy as np

from theatrum.search import FlatIndex, InvertedFileIndex


def test_probing_all_lists_is_exact():
    X = np.random.default_rng(0).normal(size=(900, 16)).astype(np.float32)
    ids = [str(i) for i in range(900)]
    exact, lists = FlatIndex().fit(X), InvertedFileIndex(lists=12, probes=12).fit(X)
    exact.add(ids, X)
    lists.add(ids, X)
    assert (exact.search(X[:30], 5)[0] == lists.search(X[:30], 5)[0]).all()
    fewer = InvertedFileIndex(lists=12, probes=1).fit(X)
    fewer.add(ids, X)
    assert (fewer.search(X[:30] + 1, 5)[0] != exact.search(X[:30] + 1, 5)[0]).any()
