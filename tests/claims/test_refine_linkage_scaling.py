"""The claim of row 117: its chains and scores, the smoke run, and the full run on made-up points."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.claims.refine import linkage_scaling as claim

rng = np.random.default_rng(0)


def test_chains_change_one_letter_a_step():
    rows = claim.dna_chains(3, 5, np.random.default_rng(0)).reshape(3, 5, 1000)
    assert ((rows[:, 1:] != rows[:, :-1]).sum(axis=2) == 1).all()
    between = (rows[0, 0] != rows[1, 0]).sum()
    assert 120 < between < 200  # twice 100 substitutions, some at the same place
    assert rows.max() == 3


def test_origins():
    # Three chains of two: the last of the first and of the second are nearest to their own firsts.
    places = np.array([[0.0], [1], [10], [11], [20], [0.5]])
    assert claim.origin_found(places, 2) == pytest.approx(2 / 3)


def test_answers_of_neighbours(monkeypatch):
    monkeypatch.setattr(claim, "_TRAIN", 30)
    labels = np.arange(40) % 4
    Z = labels[:, None] * 10 + rng.normal(size=(40, 2))
    assert claim.classified(Z, labels) == {"accuracy": 1.0, "macro AUC": 1.0}
    worse = claim.classified(rng.normal(size=(40, 2)), labels)
    assert worse["accuracy"] < 1 and 0 <= worse["macro AUC"] < 1


def test_smoke_run():
    outcome = claim.claim_117("smoke")
    assert set(outcome.measurements) == {f"20 chains of 10, 2-d, {start} start" for start in ("classical", "random")}
    assert len(outcome.inequalities) == 2 + 6
    assert all(one.holds for one in outcome.inequalities[2:])


def test_full_run_compares_every_arm(monkeypatch):
    pytest.importorskip("umap")
    labels = np.arange(80) % 4
    points = labels[:, None] * 8 + rng.normal(size=(80, 12))

    monkeypatch.setattr(claim, "_CELLS", ((6, 4),))
    monkeypatch.setattr(claim, "_TRAIN", 60)
    for name in ("image_points", "text_points"):
        monkeypatch.setattr(claim, name, lambda seed: (points, labels))
    monkeypatch.setattr(claim, "layouts", lambda X, dim, seed: dict.fromkeys(("LUMAP", "UMAP", "PCA"), X[:, :dim]))
    monkeypatch.setattr(claim, "exact", lambda n_spaces: [])
    outcome = claim.claim_117("cpu")
    assert len(outcome.inequalities) == 2 + 8
    assert len(outcome.measurements) == 4 + 12
    assert [one.margin for one in outcome.inequalities] == [0.15] * 2 + [-0.01] * 8
    assert "2,500 points" in outcome.notes


def test_layouts_have_a_row_a_point():
    pytest.importorskip("umap")
    found = claim.layouts(rng.normal(size=(60, 8)), 3, 0)
    assert {name: Z.shape for name, Z in found.items()} == dict.fromkeys(("LUMAP", "UMAP", "PCA"), (60, 3))


def test_points_of_texts(monkeypatch):
    from theatrum.data import LabelledTexts

    words = np.array(["wing", "heat", "shock", "flow", "drag", "lift"])
    texts = tuple(" ".join(rng.choice(words, size=8)) for _ in range(40))
    made = LabelledTexts(texts, tuple(str(i % 3) for i in range(40)), ("train",) * 30 + ("test",) * 10)
    monkeypatch.setattr(claim, "load", lambda name: made)
    monkeypatch.setattr(claim, "_LSA_DIM", 3)
    monkeypatch.setattr(claim, "_TRAIN", 20)
    monkeypatch.setattr(claim, "_TEST", 5)
    X, labels = claim.text_points(0)
    assert X.shape == (25, 3) and len(labels) == 25
