"""The claim of row 007: the reversed network, the figures, and a smoke run on made-up features."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.claims.predict import semantic_to_feature as claim
from theatrum.claims.predict.zero_shot_tracks import ZeroShotSplit
from theatrum.contracts import ClassSemantics

TRACKS = ("T1", "T2", "I")


def made_up(track="T1", seed=0, n_classes=24):
    draw = np.random.default_rng(seed)
    S = draw.normal(size=(n_classes, 8)).astype(np.float32)
    centres = S @ draw.normal(size=(8, 8))
    seen = np.arange(n_classes) < n_classes - 6
    codes, test_codes = np.repeat(np.flatnonzero(seen), 25), np.repeat(np.arange(n_classes), 5)
    X, X_test = ((centres[c] + 0.3 * draw.normal(size=(len(c), 8))).astype(np.float32) for c in (codes, test_codes))
    names = tuple(f"c{i}" for i in range(n_classes))
    return ZeroShotSplit(X, codes, X_test, test_codes, ClassSemantics(names, vectors=S, seen=seen))


def test_the_reversed_network_learns_and_never_sees_unseen_rows(monkeypatch):
    monkeypatch.setattr(claim, "_BATCH", 16)  # few rows: more steps an epoch
    split = made_up()
    scores = claim.reversed_scores(split, 0, hidden_dim=64, max_epochs=40)
    assert scores.shape == (120, 24)
    assert claim.figures(split, scores)["unseen accuracy"] > 0.4  # 6 classes
    other = ZeroShotSplit(split.X, split.codes, split.X_test[:90], split.test_codes[:90], split.semantics)
    assert np.allclose(claim.reversed_scores(other, 0, hidden_dim=64, max_epochs=40), scores[:90], atol=1e-5)


def test_figures_of_known_scores():
    split = made_up()
    perfect = np.eye(24)[split.test_codes]
    found = claim.figures(split, perfect)
    assert [found[name] for name in ("unseen accuracy", "H", "AUSUC")] == pytest.approx([1, 1, 1])
    assert found["skewness of N_1"] == 0
    hub = perfect.copy()
    hub[:, 23] += 2
    assert claim.figures(split, hub)["skewness of N_1"] > 1


def test_the_smoke_run(monkeypatch):
    monkeypatch.setattr(claim, "zero_shot_split", made_up)
    outcome = claim.claim_007("smoke")
    assert set(outcome.measurements) == {
        f"T1, {arm}"
        for arm in (
            "features as embedding space", "semantics as embedding space", "ridge to features", "ridge to semantics",
            "plain cosine",
        )
    }  # fmt: skip
    assert [one.margin for one in outcome.inequalities] == [0.8, 0.03]


def test_the_full_run_has_the_inequalities_of_the_card(monkeypatch):
    monkeypatch.setattr(claim, "zero_shot_split", made_up)
    monkeypatch.setattr(claim, "_SEEDS", dict.fromkeys(TRACKS, (1, 2)))
    monkeypatch.setattr(claim, "_EPOCHS", 2)
    outcome = claim.claim_007("cpu")
    assert [one.margin for one in outcome.inequalities] == [0.8, 0.8, 0.8, 0.03, 0.0]
    assert [one.bound for one in outcome.inequalities] == [None, None, None, 0.0, 0.0]
    mean = {
        space: np.mean([outcome.measurements[f"{t}, {space} as embedding space"]["unseen accuracy"] for t in TRACKS], 0)
        for space in ("features", "semantics")
    }
    assert outcome.inequalities[-1].differences == pytest.approx(mean["features"] - mean["semantics"])
