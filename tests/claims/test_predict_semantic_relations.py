"""The claim of row 062: its baseline, its figures, and a smoke run on made-up features."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.claims.predict import semantic_relations as claim
from theatrum.claims.predict.zero_shot_tracks import ZeroShotSplit
from theatrum.contracts import ClassSemantics

TRACKS = ("T1", "T2", "I")


def made_up(track="T1", seed=0, n_classes=None):
    """30 seen classes and 10 unseen ones."""
    draw = np.random.default_rng(seed)
    S = draw.normal(size=(40, 8)).astype(np.float32)
    centres = S @ draw.normal(size=(8, 8))
    seen = np.arange(40) < 30
    codes, test_codes = np.repeat(np.arange(30), 10), np.repeat(np.arange(40), 4)
    X, X_test = ((centres[c] + 0.3 * draw.normal(size=(len(c), 8))).astype(np.float32) for c in (codes, test_codes))
    semantics = ClassSemantics(tuple(f"c{i}" for i in range(40)), vectors=S, seen=seen)
    return ZeroShotSplit(X, codes, X_test, test_codes, semantics)


def test_figures_of_prototypes_that_keep_everything():
    split = made_up()
    S = split.semantics.signature()
    found = claim.measured(split, np.eye(40)[split.test_codes], S - S[:30].mean(axis=0))
    assert found["unseen accuracy"] == pytest.approx(1) and found["Spearman of unseen relations"] == pytest.approx(1)
    shuffled = claim.measured(split, np.eye(40)[split.test_codes], np.random.default_rng(0).permutation(S))
    assert abs(shuffled["Spearman of unseen relations"]) < 0.5


def test_the_baseline_is_the_width_that_was_best_on_held_out_classes(monkeypatch):
    split = made_up()
    best = claim.baseline(split, 0, (4, 64), 60)
    alone = {width: claim.baseline(split, 0, (width,), 60) for width in (4, 64)}
    assert best.validation_score_ == max(one.validation_score_ for one in alone.values())
    assert best.hidden_dim in (4, 64)


def test_the_smoke_run(monkeypatch):
    monkeypatch.setattr(claim, "zero_shot_split", made_up)
    outcome = claim.claim_062("smoke")
    assert set(outcome.measurements) == {
        f"T1, {arm}" for arm in ("relations kept", "without relations", "ridge", "plain cosine")
    }
    assert len(outcome.recorded["weight of the relation losses chosen on held-out classes"]["T1"]) == 1


def test_the_full_run_has_the_inequalities_of_the_card(monkeypatch):
    monkeypatch.setattr(claim, "zero_shot_split", made_up)
    monkeypatch.setattr(claim, "_SEEDS", dict.fromkeys(TRACKS, (1, 2)))
    monkeypatch.setattr(claim, "_BASELINE_HIDDEN", (8, 16))
    monkeypatch.setattr(claim, "_HIDDEN", 16)
    outcome = claim.claim_062("cpu")
    assert [one.margin for one in outcome.inequalities] == [0.8, 0.8, 0.8, 0.005, 0.0]
    assert [one.bound for one in outcome.inequalities] == [None, None, None, 0.0, None]
    ours, base = (
        np.mean([outcome.measurements[f"{track}, {arm}"]["unseen accuracy"] for track in TRACKS], axis=0)
        for arm in ("relations kept", "without relations")
    )
    assert outcome.inequalities[3].differences == pytest.approx(ours - base)
