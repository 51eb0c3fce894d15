"""The claim of row 028: its parts against slow versions, and both scales on a made-up world."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from theatrum.claims.search import text_search
from theatrum.claims.search import zero_shot_recommender as claim
from theatrum.data import Collection, Document, Interactions

WORDS = ["war", "space", "drama", "village", "comedy", "music"]


class WordEncoder:
    """One random direction a word."""

    def __init__(self, noise=0.0, seed=0):
        self.noise, self.seed = noise, seed

    dim = 16

    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        rows = [sum(self.vector(word) for word in text.lower().split()) for text in items]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)

    def vector(self, word):
        of_word, of_seed = (
            int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) for key in (word, f"{word}{self.seed}")
        )
        one, other = (np.random.default_rng(number).normal(size=16) for number in (of_word, of_seed))
        return one + self.noise * other


def made_up_log():
    """Users like two words each, and watch films of them."""
    rng = np.random.default_rng(0)
    films = tuple(
        Document(f"i{row}", ", ".join(rng.permutation(WORDS)[:2]), f"Film {row}", {"year": 1990}) for row in range(80)
    )
    users, items = [], []
    for user in range(60):
        liked = set(rng.permutation(WORDS)[:2])
        own = [film.id for film in films if liked & set(film.text.split(", "))]
        chosen = rng.permutation(own)[: int(rng.integers(8, 25))]
        users += [f"u{user}"] * len(chosen)
        items += chosen.tolist()
    times = rng.permutation(len(users))
    return Interactions("films", films, users, items, np.ones(len(users)), times)


def made_up_collection(name):
    rng = np.random.default_rng(len(name))
    texts = [" ".join(rng.permutation(WORDS)[:3]) for _ in range(60)]
    documents = tuple(Document(f"d{row}", text) for row, text in enumerate(texts))
    queries = {f"q{row}": " ".join(rng.permutation(WORDS)[:2]) for row in range(20)}
    qrels = {
        query: {one.id: 1 for one in documents if set(text.split()) <= set(one.text.split())}
        for query, text in queries.items()
    }
    return Collection(name, documents, {**queries, "none": "war"}, {**qrels, "none": {"d1": 0}})


@pytest.fixture
def world(monkeypatch):
    for module in (claim, text_search):
        monkeypatch.setattr(module, "encode_cached", lambda encoder, texts: encoder.encode(texts))
    monkeypatch.setattr(claim, "films", made_up_log)
    monkeypatch.setattr(claim, "collections", lambda: [made_up_collection("one"), made_up_collection("three")])
    monkeypatch.setattr(claim, "generalist", WordEncoder)
    monkeypatch.setattr(claim, "specialised", lambda seed, scratch: (WordEncoder(2.0, seed), 0.5, 0.6 + seed / 100))
    monkeypatch.setattr(claim, "_EPOCHS", 1)
    monkeypatch.setattr(claim, "_LSA_DIMS", (2, 4))


def test_the_smoke_run(world, monkeypatch):
    monkeypatch.setattr(claim, "PrincipalComponents", lambda m, made=claim.PrincipalComponents: made(8))
    monkeypatch.setattr(claim, "LatentSemanticEncoder", lambda m, made=claim.LatentSemanticEncoder: made(4))
    outcome = claim.claim_028("smoke")
    assert outcome.measurements.keys() == {"LSA", "MiniLM", "MiniLM, 64 directions"}
    assert len(outcome.inequalities[0].differences) == 200


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_full_run_has_the_inequalities_of_the_atlas(world):
    outcome = claim.claim_028("cpu")
    assert [(one.over, one.margin, one.bound, len(one.differences)) for one in outcome.inequalities] == [
        *[("resamples", 0.0, 0.0, 1000)] * 4,
        ("seeds", -0.005, None, 3),
        ("seeds", 0.0, 0.0, 3),
        *[("resamples", 0.02, 0.0, 1000)] * 2,
        ("seeds", 0.005, 0.0, 3),
        ("resamples", -0.01, None, 1000),
    ]
    own = outcome.measurements["CLINC150, the domain of the specialised encoder"]
    assert own == {"MAP@25 of MiniLM": [0.5], "MAP@25 of specialised": [0.6, 0.61, 0.62]}
    assert len(outcome.measurements["MovieLens, SASRec on MiniLM"]["nDCG@10, rare items"]) == 3
    assert len(outcome.measurements["MovieLens, last item of all users, specialised, zero-shot"]["HR@10"]) == 3
    assert sum(key.startswith("last item of all users: ") for key in outcome.recorded) == 4
    assert len(outcome.recorded["specialised: chosen on validation"]) == 3
    assert outcome.measurements["one, BM25"]["nDCG@10"][0] > 0.5
    assert len(outcome.measurements["three, specialised"]["nDCG@10, m=8"]) == 3


def test_every_user_counts_once_and_histories_are_left_out():
    task = claim.Task.of(made_up_log())
    scores = np.random.default_rng(0).normal(size=(len(task.test), 80))
    found = task.measured(task.best_ten(scores.copy()))
    hits: dict[str, list[float]] = {}
    gains: dict[str, list[float]] = {}
    ids = task.log.item_ids
    for row, (user, history, target) in enumerate(
        zip(task.test.users, task.test.histories, task.test.targets, strict=True)
    ):
        left = sorted((item for item in ids if item not in history), key=lambda item: -scores[row][ids.index(item)])
        rank = left.index(target)
        hits.setdefault(user, []).append(float(rank < 10))
        gains.setdefault(user, []).append(1 / np.log2(rank + 2) if rank < 10 else 0.0)
    users = sorted(hits)
    assert found["HR@10"].tolist() == pytest.approx([np.mean(hits[user]) for user in users])
    assert found["nDCG@10"].tolist() == pytest.approx([np.mean(gains[user]) for user in users])
    assert sorted(found["nDCG@10, last items"]) == pytest.approx(sorted(gains[user][-1] for user in users))


@pytest.mark.parametrize("seed", range(4))
def test_the_size_is_never_chosen_on_the_query_that_it_is_reported_on(seed):
    rng = np.random.default_rng(seed)
    curve = {m: rng.random(12) for m in (2, 3, 4, 5, 6, 8)}
    side = np.random.default_rng(seed).permutation(12) % 2
    total = 0.0
    for row in range(12):
        others = side != side[row]
        best = max((2, 3, 4, 5, 6), key=lambda m: curve[m][others].mean())
        total += curve[best][row] - curve[8][row]
    assert text_search.chosen_gain(curve, seed) == pytest.approx(total / 12)


def test_validation_chooses_the_pooling(monkeypatch):
    asked = []

    class Recorder:
        def __init__(self, pooling):
            self.pooling = pooling

        def fit(self, X, ids):
            return self

        def recommend(self, histories, k):
            asked.append((self.pooling, len(histories)))
            targets = task.valid.targets if self.pooling == "max" else ["i0"] * len(histories)
            return np.array([[one] for one in (targets * 9)[: len(histories)]], dtype=object), None

    task = claim.Task.of(made_up_log())
    monkeypatch.setattr(claim, "TextRecommender", Recorder)
    _, choice = claim.zero_shot({"": np.eye(80)}, task)
    assert choice == "max"
    assert asked[-1] == ("max", len(task.test))
    assert {count for _, count in asked[:-1]} == {len(task.valid)}


def test_tuning_teaches_the_labels_and_a_seed_is_a_seed(tmp_path):
    from sentence_transformers import SentenceTransformer

    from theatrum.claims.search.specialised_encoder import tune_encoder
    from theatrum.nn.masked_lm import train_masked_lm

    small = {"vocab_size": 150, "layers": 1, "hidden": 32, "heads": 2, "length": 16, "batch_size": 8}
    texts = [f"please {word} me a thing {row}" for row in range(8) for word in WORDS]
    labels = [word for _ in range(8) for word in WORDS]
    train_masked_lm(texts, tmp_path / "start", steps=1, **small)
    options = {"steps": 30, "batch_size": 6, "learning_rate": 3e-3}
    losses = [
        tune_encoder(tmp_path / "start", tmp_path / name, texts, labels, random_state=seed, **options)
        for name, seed in (("one", 0), ("two", 0), ("three", 1))
    ]
    assert losses[0] == losses[1] != losses[2]
    assert np.mean(losses[0][-5:]) < 0.5 * np.mean(losses[0][:5])
    X = SentenceTransformer(str(tmp_path / "one"), device="cpu").encode(texts, normalize_embeddings=True)
    S, same = X @ X.T, np.equal.outer(labels, labels)
    assert S[same].mean() > S[~same].mean() + 0.3
