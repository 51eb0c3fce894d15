"""The claim of row 039: DeViSE's loss against a slow version, its training, and a smoke run on made-up classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theatrum.claims.predict import convex_combination as claim
from theatrum.claims.predict.zero_shot_tracks import ZeroShotSplit
from theatrum.contracts import ClassSemantics

rng = np.random.default_rng(0)


def made_up(seed):
    """Twelve seen and four unseen classes, features a noisy linear image of the vectors."""
    draw = np.random.default_rng(seed)
    S = draw.normal(size=(16, 10)).astype(np.float32)
    seen = np.arange(16) < 12
    M = draw.normal(size=(10, 10)) / 2

    def rows(codes):
        return ((S @ M)[codes] + 0.3 * draw.normal(size=(len(codes), 10))).astype(np.float32)

    codes, test_codes = np.repeat(np.arange(12), 20), np.repeat(np.arange(16), 10)
    semantics = ClassSemantics(tuple("abcdefghijklmnop"), vectors=S, seen=seen)
    return ZeroShotSplit(rows(codes), codes, rows(test_codes), test_codes, semantics)


def test_the_ranking_loss_takes_one_violating_class_a_row():
    images, signatures = torch.randn(40, 5), torch.randn(7, 5)
    codes = torch.randint(0, 7, (40,))
    total = claim.ranking_loss(images, codes, signatures, torch.Generator().manual_seed(0)) * 40
    possible_low, possible_high = 0.0, 0.0
    for image, code in zip(images, codes, strict=True):
        others = [j for j in range(7) if j != code]
        terms = [max(0.0, 0.1 - float(signatures[code] @ image) + float(signatures[j] @ image)) for j in others]
        violating = [term for term in terms if term > 0] or [0.0]
        possible_low += min(violating)
        possible_high += max(violating)
    assert possible_low - 1e-4 <= float(total) <= possible_high + 1e-4


def test_devise_learns_a_linear_world():
    split = made_up(3)
    found = claim.measured(split, claim.devise_scores(split, 0))
    assert found["hit@1"] > 0.4  # chance is 0.25
    assert found["hit@1"] <= found["hit@2"] <= found["hit@5"] == found["hit@10"] == 1.0


def test_hits_against_a_full_sort():
    split = made_up(0)
    scores = rng.normal(size=(160, 16))
    found = claim.measured(split, scores)
    ranks = [
        sorted(range(12, 16), key=lambda c: -scores[row, c]).index(split.test_codes[row]) for row in split.unseen_rows
    ]
    assert found["hit@1"] == pytest.approx(np.mean(np.array(ranks) < 1))
    assert found["hit@2"] == pytest.approx(np.mean(np.array(ranks) < 2))


@pytest.fixture
def small_world(monkeypatch):
    monkeypatch.setattr(claim, "zero_shot_split", lambda track, seed, n_classes: made_up(seed))
    monkeypatch.setattr(claim, "_EPOCHS", 3)


def test_the_smoke_run(small_world):
    outcome = claim.claim_039("smoke")
    assert len(outcome.inequalities) == 3 and all(len(one.differences) == 2 for one in outcome.inequalities)
    assert "T1, plain cosine" in outcome.measurements


@pytest.mark.filterwarnings("ignore:n_top=")
def test_the_full_run_has_the_inequalities_of_the_card(small_world, monkeypatch):
    monkeypatch.setattr(claim, "_SEEDS", 2)
    outcome = claim.claim_039("cpu")
    assert sum(one.margin == 0.02 and one.bound == 0.0 for one in outcome.inequalities) == 3
    assert {f"I, ConSE({t or 'all'})" for t in claim._TOPS} <= outcome.measurements.keys()
    assert {"T2, DeViSE", "T2, ridge to features", "T2, ConSE, tuned and centred"} <= outcome.measurements.keys()
    assert outcome.recorded["ConSE(10) - DeViSE, hit@1 (not demanded)"].keys() == {"T1", "T2", "I"}
