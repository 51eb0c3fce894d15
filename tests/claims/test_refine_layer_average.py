"""The claim of row 092: its arms against the modules themselves, and a smoke run in a small world."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.claims.refine import layer_average as claim
from theatrum.data import SentencePairs
from theatrum.nn.masked_lm import train_masked_lm
from theatrum.text.layer_pooling import layer_average_encoder

WORDS = (
    "the wing lifts and plate bends under load in a stream of hot air over thin shells while shock waves pass".split()
)


def made_up(n, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=9)) for _ in range(n)]


@pytest.fixture
def small_world(monkeypatch):
    texts = made_up(60, 0)
    pairs = SentencePairs(tuple(texts[:30]), tuple(texts[30:]), np.linspace(0, 5, 30), ("test",) * 30, ("",) * 30)

    class Lines:
        lines = {"train": tuple(" . ".join(made_up(5, seed)) for seed in range(400))}  # noqa: RUF012 - a stand-in

    def small(texts, folder, *, steps, random_state):
        sizes = {"vocab_size": 150, "layers": 2, "hidden": 32, "heads": 2, "length": 16, "batch_size": 8}
        return train_masked_lm(texts, folder, steps=10, random_state=random_state, **sizes)

    monkeypatch.setattr(claim, "load", lambda name: Lines)
    monkeypatch.setattr(claim, "similarity_sets", lambda names: dict.fromkeys(names, pairs))
    monkeypatch.setattr(claim, "train_masked_lm", small)
    monkeypatch.setattr(claim, "_other_encoders", lambda *arguments: {})


def test_sentences_are_whole_and_no_headings():
    lines = [" = Heading = ", " one two three four five . too short . six seven eight nine ten eleven . "]
    assert claim.sentences_of(lines, 5) == ["one two three four five .", "six seven eight nine ten eleven ."]


def test_arms_are_what_the_modules_give(tmp_path):
    train_masked_lm(
        made_up(400, 1), tmp_path, steps=3, vocab_size=150, layers=2, hidden=32, heads=2, length=16, batch_size=8
    )
    texts = made_up(50, 2)
    arms = claim.Vectors(tmp_path, texts, made_up(80, 3)).arms
    encoder = layer_average_encoder(tmp_path, layers=(1, -1))
    assert np.allclose(arms["mean, first and last layer"], encoder.encode(texts), atol=1e-5)
    last = layer_average_encoder(tmp_path, layers=(-1,), pooling="cls")
    assert np.allclose(arms["[CLS], last layer"], last.encode(texts), atol=1e-5)
    own = arms["whitened, fitted on the test sentences"]
    assert np.allclose(own.T @ own / len(own), np.eye(own.shape[1]), atol=1e-2)
    cut = claim.Vectors(tmp_path, texts, made_up(80, 3), keep=1).arms
    assert np.allclose(cut["mean, last layer"], layer_average_encoder(tmp_path, layers=(1,)).encode(texts), atol=1e-5)


def test_the_smoke_run(small_world):
    outcome = claim.claim_092("smoke")
    assert [one.margin for one in outcome.inequalities] == [2.0]
    assert outcome.measurements["masked LM, mean, last layer"].keys() == {"stsbenchmark", "mean"}


def test_the_full_run_has_the_inequalities_of_the_card(small_world):
    outcome = claim.claim_092("cpu")
    assert [(one.margin, one.bound) for one in outcome.inequalities] == [(3.0, 0.0), (0.5, 0.0), (2.0, 0.0)]
    assert len(outcome.measurements["masked LM, mean, last layer"]["mean"]) == 3
