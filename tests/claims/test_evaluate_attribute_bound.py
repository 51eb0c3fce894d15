"""The claim of row 072: its baselines against slow versions, and the smoke scale."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.claims.evaluate import attribute_bound as claim

rng = np.random.default_rng(0)
A = rng.random((4, 5))


def test_dap_is_its_formula():
    p, prior = rng.uniform(0.1, 0.9, (20, 5)), rng.uniform(0.2, 0.8, 5)
    has = A > 0.5
    slow = []
    for row in p:
        scores = [
            np.prod([(x if h else 1 - x) / (q if h else 1 - q) for x, h, q in zip(row, hs, prior, strict=True)])
            for hs in has
        ]
        slow.append(int(np.argmax(scores)))
    assert claim.dap(p, has, prior).tolist() == slow


def test_likelihood_and_nearest_signature_are_their_formulas():
    V = rng.integers(0, 2, (30, 5)).astype(float)
    slow = [int(np.argmax([np.prod(np.where(v == 1, row, 1 - row)) for row in A])) for v in V]
    assert claim.likelihood(V, A).tolist() == slow
    assert claim.nearest_signature(V, A).tolist() == [int(((A - v) ** 2).sum(axis=1).argmin()) for v in V]


def test_other_laws_keep_the_rates():
    V, y = claim.other_laws(A, 60_000, np.random.default_rng(1))
    assert np.array([V[y == c].mean(axis=0) for c in range(4)]) == pytest.approx(A, abs=0.02)


def test_confusion_is_symmetric_and_counts():
    y, predicted = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    found = claim.confusion(predicted, y, 3)
    assert (found == found.T).all()
    assert found[0, 1] == 0.5
    assert found[0, 2] == 1.0
    assert claim.rank_correlation(found, found) == pytest.approx(1)


def test_smoke():
    outcome = claim.claim_072("smoke")
    assert outcome.holds, [one.says for one in outcome.inequalities if not one.holds]
    assert len(outcome.measurements["made up, DAP"]["error on the worst case"]) == 2
