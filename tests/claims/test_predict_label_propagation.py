"""The measurement of claim 108 runs; its baselines by hand."""

from __future__ import annotations

import numpy as np

from theatrum.claims.predict.label_propagation import named_clusters, self_training
from theatrum.claims.runner import measure


def test_smoke():
    record = measure(108, "smoke")
    assert record.measurements["CLINC150, cosine, pile"]["accuracy"][0] > 0.3


def test_baselines_on_clear_groups():
    rng = np.random.default_rng(0)
    names = np.eye(3, dtype=np.float32)
    codes = np.repeat(np.arange(3), 20)
    X = (names[codes] + 0.1 * rng.normal(size=(60, 3))).astype(np.float32)
    assert (self_training(X @ names.T, X, X) == codes).all()
    assert (named_clusters(X, names, X, 0) == codes).all()
