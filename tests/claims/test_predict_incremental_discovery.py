"""The claim of row 047: its baselines, and both scales on made-up vectors."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.checks import unit_rows
from theatrum.claims.predict import incremental_discovery as claim
from theatrum.evaluate.class_discovery import discovery_report


def made_up(seed=0, n_stages=2, n_classes=10):
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(n_classes, 32))
    y, y_test = np.repeat(np.arange(n_classes), 30), np.repeat(np.arange(n_classes), 6)
    X, X_test = (unit_rows((centres[c] + 0.6 * draw.normal(size=(len(c), 32))).astype(np.float32)) for c in (y, y_test))
    a_stage = n_classes // n_stages
    return claim.Stages([X[y // a_stage == t] for t in range(n_stages)], X_test, y_test, y_test // a_stage, a_stage)


def final(data, predictions):
    return discovery_report(predictions, data.y_test, data.stage_test, data.stage_of_class).all_seen[-1]


def test_arms_find_clear_classes():
    data = made_up()
    found = claim.arms(data, 40, 0)
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(found, (2, 60))
    assert all(final(data, found[name]) > 0.7 for name in ("concat", "replay", "k-means a stage"))


@pytest.mark.parametrize("kind", claim.FORGETFUL)
def test_the_first_stage_is_alike_for_all_growing_heads(kind):
    data = made_up()
    first = claim.growing_head(data, kind, 20, 0)[0]
    assert (first == claim.growing_head(data, "fine-tuned head", 20, 0)[0]).all()


def test_a_penalty_without_weight_is_no_penalty(monkeypatch):
    data = made_up()
    free = claim.growing_head(data, "fine-tuned head", 20, 0)
    monkeypatch.setattr(claim, "_EWC_WEIGHT", 1e-9)
    assert (claim.growing_head(data, "EWC", 20, 0) == free).mean() > 0.98


@pytest.mark.parametrize(("scale", "n_splits", "n_inequalities"), [("smoke", 1, 10), ("cpu", 2, 22)])
def test_both_scales(monkeypatch, scale, n_splits, n_inequalities):
    monkeypatch.setattr(claim, "clinc150", lambda seed, n_stages, n_classes: made_up(seed, n_stages, 20))
    monkeypatch.setattr(claim, "_EPOCHS", 5)
    outcome = claim.claim_047(scale)
    assert len(outcome.inequalities) == n_inequalities
    assert len(outcome.measurements) == 7 * n_splits + 2
    seeds = 1 if scale == "smoke" else claim._SEEDS
    assert {len(values) for arm in outcome.measurements.values() for values in arm.values()} == {seeds}
