"""Sinkhorn: marginals, the classical loop, extreme scores."""

from __future__ import annotations

import numpy as np
import torch

from theatrum.nn.sinkhorn import sinkhorn

SCORES = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4)))


def test_it_is_the_plain_loop():
    Q = np.exp(SCORES.numpy() / 0.5)
    for _ in range(7):
        Q = Q / Q.sum(axis=0) * 30 / 4
        Q = Q / Q.sum(axis=1, keepdims=True)
    assert np.allclose(sinkhorn(SCORES, eps=0.5, n_iterations=7).numpy(), Q)


def test_marginals():
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    Q = sinkhorn(SCORES, eps=0.3, n_iterations=200, column_weights=shares)
    assert torch.allclose(Q.sum(1), torch.ones(30, dtype=torch.float64))
    assert torch.allclose(Q.sum(0), 30 * shares, atol=1e-4)


def test_no_score_over_or_underflows():
    assert torch.isfinite(sinkhorn(SCORES * 1e4, eps=0.05)).all()
