"""What only FlatIndex promises; all that indexes share is in test_vector_index."""

from __future__ import annotations

import numpy as np

from theatrum.search import FlatIndex


def test_batches_and_single_queries_agree():
    rng = np.random.default_rng(0)
    X, Q = (rng.normal(size=(n, 48)).astype(np.float32) for n in (5000, 64))
    index = FlatIndex().fit(X)
    index.add([str(i) for i in range(5000)], X)
    together = index.search(Q, 10)[0]
    alone = np.vstack([index.search(query[None], 10)[0] for query in Q])
    assert (together == alone).all()
