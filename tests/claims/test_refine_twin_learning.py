"""The claim of row 082: its scores against slow versions, and a smoke run on made-up vectors."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.claims.refine import twin_learning as claim

rng = np.random.default_rng(0)


def test_average_precision_against_loops():
    base, queries = rng.choice(["a", "b", "c"], 50), rng.choice(["a", "b", "c"], 7)
    similarities = rng.normal(size=(7, 50)).astype(np.float32)
    total = 0.0
    for row in range(7):
        hits, precision = 0, 0.0
        for rank, document in enumerate(np.argsort(-similarities[row], kind="stable")[:20], start=1):
            if base[document] == queries[row]:
                hits += 1
                precision += hits / rank
        total += precision / min((base == queries[row]).sum(), 20)
    assert claim.label_map(base, queries, 20)(similarities) == pytest.approx(total / 7)


@pytest.fixture
def small_world(monkeypatch):
    labels = np.array([f"c{i % 20}" for i in range(600)])
    centres = rng.normal(size=(20, 128))
    noise = np.diag(np.r_[np.full(20, 1.5), np.full(108, 0.1)])
    vectors = np.array([centres[i % 20] + noise @ rng.normal(size=128) for i in range(800)]).astype(np.float32)
    wanted = np.array([f"c{i % 20}" for i in range(600, 800)])
    data = claim.Retrieval(vectors[:600], vectors[600:], claim.label_map(labels, wanted, 25))
    monkeypatch.setattr(claim, "clinc150", lambda a_class: data)
    monkeypatch.setattr(claim, "newsgroups", lambda: data)
    monkeypatch.setattr(claim, "cranfield", lambda: data)
    return data


def test_the_smoke_run(small_world):
    outcome = claim.claim_082("smoke")
    assert [one.says for one in outcome.inequalities] == [
        "CLINC150, m=16: TLDR >= best of PCA and PCA whitening + 0.02 (MAP)"
    ]
    assert outcome.measurements["CLINC150, TLDR"].keys() == {"m=16"}
    assert len(outcome.inequalities[0].differences) == 2


def test_the_full_run_has_the_inequalities_of_the_card(small_world, monkeypatch):
    monkeypatch.setattr(claim, "_SEEDS", 2)
    monkeypatch.setattr(claim, "reductions", lambda m, seed, epochs, made=claim.reductions: made(m, seed, 1))
    inequalities = claim.claim_082("cpu").inequalities
    assert sum(one.margin == 0.02 and one.bound == 0.0 for one in inequalities) == 6
    assert sum(one.margin == -0.01 for one in inequalities) == 2
    assert sum(one.says.startswith("Cranfield") and one.margin == 0 for one in inequalities) == 4
