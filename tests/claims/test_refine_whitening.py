"""The claim of row 089: its baselines against slow versions, and the smoke run where the data are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from theatrum.claims.refine import whitening as claim
from theatrum.data import SentencePairs

rng = np.random.default_rng(0)
VOCABULARY = {f"w{i}": i for i in range(60)}
TABLE = claim.WordTable(
    rng.normal(size=(60, 8)) + 1, 1 / np.arange(1, 61) / (1 / np.arange(1, 61)).sum(),
    lambda text: [VOCABULARY[word] for word in text.split() if word in VOCABULARY],
)  # fmt: skip


def test_pmi_against_the_definition():
    pairs = rng.integers(0, 4, size=(6, 6)).astype(float)
    pairs += pairs.T
    smooth = pairs.sum(axis=0) ** 0.75
    with np.errstate(divide="ignore"):
        slow = np.log(pairs / pairs.sum() / (pairs.sum(axis=1) / pairs.sum())[:, None] / (smooth / smooth.sum()))
    assert np.allclose(claim.positive_pmi(csr_matrix(pairs)).toarray(), np.maximum(slow, 0))


def test_removed_components_are_gone():
    X = rng.normal(size=(30, 5))
    left = claim.without_components(X, 2, X)
    assert np.linalg.matrix_rank(left) == 3
    assert np.allclose(claim.without_components(left, 0, X), left)


def test_texts_without_known_words_are_zero():
    found = claim.means(TABLE, TABLE.vectors, ["w1 w2 unknown", "unknown"])
    assert np.allclose(found, [TABLE.vectors[1:3].mean(axis=0), np.zeros(8)])


@pytest.fixture
def small_world(monkeypatch):
    """A table, general text and pairs made up here, in the place of the real ones."""
    texts = [" ".join(rng.choice(list(VOCABULARY), size=12)) for _ in range(80)]
    pairs = SentencePairs(tuple(texts[:40]), tuple(texts[40:]), rng.random(40), ("test",) * 40, ("",) * 40)

    class Lines:
        lines = {"valid": tuple(texts)}  # noqa: RUF012 - a stand-in

    monkeypatch.setattr(claim, "load", lambda name: Lines)
    monkeypatch.setattr(claim, "wordpiece_table", lambda: TABLE)
    monkeypatch.setattr(claim, "cooccurrence_table", lambda: TABLE)
    monkeypatch.setattr(claim, "similarity_sets", lambda names: dict.fromkeys(names, pairs))


def test_the_smoke_run_measures_every_method(small_world):
    outcome = claim.claim_089("smoke")
    assert {name.rpartition(", ")[2] for name in outcome.measurements} == {
        "raw", "uniform centering", "uniform whitening", "all but the top", "SIF", "Zipfian centering",
        "Zipfian whitening",
    }  # fmt: skip
    assert len(outcome.inequalities) == 1
    assert len(outcome.inequalities[0].differences) == 200


def test_the_full_run_has_the_inequalities_of_the_paper(small_world):
    outcome = claim.claim_089("cpu")
    assert [one.margin for one in outcome.inequalities] == [2.0, 2.0, 2.0, 2.0, -0.5]
    assert [one.bound for one in outcome.inequalities] == [0.0, 0.0, 0.0, 0.0, None]
    assert len(outcome.recorded) == 1  # SIF on the table of a transformer decides nothing, and is told
