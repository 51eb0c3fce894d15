"""The claim of row 086: both scales on made-up vectors of words and made-up questions."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.checks import unit_rows
from theatrum.claims.refine import compositional_factors as claim
from theatrum.data.collection import LabelledTexts


def bag(texts):
    """A vector a word by its letters; a text's vector is the mean of its words' and a little of its own."""

    def made(word):
        return np.random.default_rng(list(word.encode())).normal(size=48)

    vectors = [np.mean([made(w) for w in text.split()], axis=0) + 0.05 * made(text) for text in texts]
    return unit_rows(np.array(vectors, dtype=np.float32))


def questions():
    """Eighteen intents with words of their own, in every form and split."""
    forms = ["what about", "can you do", "i need", "tell me"]
    rows = [
        (f"{forms[i % 4]} {intent}{i % 3} {intent}{i % 5} number{i}", intent, split)
        for intent in ("intent" + letter for letter in "abcdefghijklmnopqr")
        for split, n in (("train", 20), ("test", 6), ("val", 2))
        for i in range(n)
    ]
    return LabelledTexts(*map(tuple, zip(*rows, strict=True)))


@pytest.fixture
def small_world(monkeypatch):
    monkeypatch.setattr(claim, "encode", bag)
    monkeypatch.setattr(claim, "load", lambda name: questions())


def test_the_smoke_run(small_world):
    outcome = claim.claim_086("smoke")
    says = [one.says for one in outcome.inequalities]
    assert len(says) == 7 and sum(one.startswith("adjective x noun") for one in says) == 4
    assert all(len(one.differences) == 2 for one in outcome.inequalities)
    assert outcome.inequalities[0].holds and outcome.inequalities[2].holds and outcome.inequalities[-1].holds
    # Vectors that are bags of words add up whatever the words are.
    assert outcome.measurements["adjective x noun, real words"]["rank 1"][0] > 0.9


def test_the_full_run_has_the_inequalities_of_the_card(small_world, monkeypatch):
    monkeypatch.setattr(claim, "_SEEDS", 2)
    monkeypatch.setattr(claim, "_PERMUTATIONS", 100)
    grids = {
        name: {**grid, "sizes": [6, 7], "templates": grid["templates"][:2]}
        for name, grid in claim.words()["grids"].items()
    }
    smaller = {**claim.words(), "grids": grids}
    monkeypatch.setattr(claim, "words", lambda: smaller)
    outcome = claim.claim_086("cpu")
    margins = [(one.margin, one.bound) for one in outcome.inequalities]
    assert margins.count((0.3, 0.0)) == 4  # every grid beats its permutations
    assert margins.count((0.0, None)) == 5  # and is beyond chance; additive vectors are exact
    assert (0.5, 0.5) in margins and (0.1, 0.0) in margins
    assert (0.05, 0.0) in margins and (-0.02, None) in margins
    assert "CLINC150 intent x form, bag of words" in outcome.measurements


def test_the_words_suffice_and_differ():
    for grid in claim.words()["grids"].values():
        for name, size in zip(("first", "second"), grid["sizes"], strict=True):
            assert len(set(grid[name])) == len(grid[name]) > size
        assert claim.drawn(grid, 0, grid["sizes"]) != claim.drawn(grid, 1, grid["sizes"])
    assert all("{0}" in way for ways in claim.words()["styles"].values() for way in ways)


def test_retrieval_counts_the_first():
    phrases = np.eye(3, dtype=np.float32)
    queries = unit_rows(np.array([[1, 0, 0], [0, 0.6, 0.8]], dtype=np.float32))
    found = claim.foretold(queries, phrases, np.array([0, 1]))
    assert found["rank 1"] == 0.5 and found["cosine"] == pytest.approx(0.8)


def test_ideal_words_take_a_spurious_style_out(small_world):
    intents = sorted(set(questions().labels))[::2]
    found = claim.debiasing(0, intents, None)
    assert found["ideal words of the style removed"]["average"] >= found["as they are"]["average"]
    assert max(claim.exactness(0)) < 1e-5
