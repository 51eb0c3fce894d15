"""The claim of row 006: scores against loops, and both scales on made-up vectors."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.checks import unit_rows
from theatrum.claims.evaluate import embedding_capacity as claim
from theatrum.data import make_limit
from theatrum.evaluate import CapacityCurve

rng = np.random.default_rng(0)


def matrices(*lengths):
    return [unit_rows(rng.normal(size=(length, 6)).astype(np.float32)) for length in lengths]


def test_chamfer_against_loops():
    queries, documents = matrices(3, 1, 4), matrices(2, 5, 1, 7)
    slow = [[sum(max(q @ d for d in document) for q in query) for document in documents] for query in queries]
    assert np.allclose(claim.chamfer(queries, documents), slow, atol=1e-5)


class MadeUp:
    """A vector a word by its hash; a text's vector is their mean."""

    def word(self, word):
        return np.random.default_rng(list(word.encode())).normal(size=24)

    def tokens(self, texts):
        found = [np.stack([self.word(word) for word in text.strip(".?").replace(",", "").split()]) for text in texts]
        return [unit_rows(one.astype(np.float32)) for one in found]

    def single(self, texts):
        return unit_rows(np.stack([one.mean(axis=0) for one in self.tokens(texts)]))


def test_blocks_do_not_change_scores(monkeypatch):
    limit = make_limit(30, n_queries=20, items_per_doc=5)
    texts, queries = [one.content for one in limit.documents], list(limit.queries.values())
    whole = claim.multi_vector_scores(MadeUp(), queries, texts)
    monkeypatch.setattr(claim, "_BLOCK", 7)
    assert whole.shape == (20, 30)
    assert np.allclose(claim.multi_vector_scores(MadeUp(), queries, texts), whole)


@pytest.fixture
def small_world(monkeypatch):
    """Vectors of words made up here, and capacities by a formula, in the place of the real ones."""
    monkeypatch.setattr(claim, "TextVectors", MadeUp)
    monkeypatch.setattr(claim, "_KEPT", (8,))
    monkeypatch.setattr(claim, "load", lambda name: make_limit(12, n_queries=30, items_per_doc=12))

    def curve(dims, **parameters):
        sizes = tuple(4 * d - 7 for d in dims)
        return CapacityCurve(tuple(dims), sizes, sizes, (-7.0, 4.0, 0.0, 0.0), 1.0)

    monkeypatch.setattr(claim, "critical_corpus_size", curve)
    monkeypatch.setattr(claim, "n_at_margin", lambda d, margin, **parameters: 3 * d - 5)


def test_the_smoke_run(small_world):
    outcome = claim.claim_006("smoke")
    assert [one.says.partition(":")[0] for one in outcome.inequalities] == [
        "free embeddings", "free embeddings", "46 people", "46 people", "46 people",
    ]  # fmt: skip
    assert outcome.measurements["46 people, multi-vector"].keys() == {"recall@2", "recall@10", "recall@20"}
    assert outcome.measurements["46 people, BM25"]["recall@2"][0] >= 0.9


def test_the_full_run_has_the_inequalities_of_the_card(small_world, monkeypatch):
    plan = claim.Plan(tuple(range(3, 11)), (3, 4), 10, 2, 60, 130)
    monkeypatch.setattr(claim, "FULL", plan)
    made = claim.make_limit
    monkeypatch.setattr(claim, "make_limit", lambda n, **options: made(n, **{"n_queries": 60, **options}))
    outcome = claim.claim_006("cpu")
    margins = [(one.says.partition(" (")[0], one.margin, one.bound) for one in outcome.inequalities]
    assert ("free embeddings: r2 of the cubic >= 0.99", 0.99, None) in margins
    assert ("free embeddings, d=8: 60 - critical size", 0.0, 0.0) in margins
    for label in ("46 people", "130 people"):
        assert (f"{label}: BM25 >= 0.9", 0.9, None) in margins
        assert (f"{label}: half of BM25 >= single vector", 0.0, 0.0) in margins
        assert (f"{label}: multi-vector >= single vector + 0.1", 0.1, 0.0) in margins
    for pattern in ("random", "disjoint"):
        assert (f"130 people, single vector: {pattern} answers >= dense answers + 0.05", 0.05, 0.0) in margins
    assert all(len(one.differences) == 2 for one in outcome.inequalities if one.bound == 0.0)
    assert "130 people, 10 likes, dense answers, single vector" in outcome.measurements
    assert "PCA to 8 dimensions" in {name.partition(", ")[2] for name in outcome.measurements}


@pytest.mark.parametrize(("n", "dtype", "works"), [(46, np.float16, False), (46, np.float32, True)])
def test_rounding_the_closed_form(n, dtype, works):
    assert (claim.rounded_margin(n, dtype) > 0) == works
