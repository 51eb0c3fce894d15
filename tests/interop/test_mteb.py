"""A real mteb evaluation on a task made here: its nDCG@10 is ours."""

from __future__ import annotations

import mteb
import numpy as np
import pytest
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.models_protocols import EncoderProtocol

import theatrum
from theatrum.evaluate import judge, ndcg_at
from theatrum.interop.mteb import MtebEncoder

_META = {
    "dataset": {"path": "local/local", "revision": "1"},
    "description": "local",
    "category": "t2t",
    "eval_splits": ["test"],
    "eval_langs": ["eng-Latn"],
    "modalities": ["text"],
}


@pytest.fixture(scope="module")
def collection():
    """Random texts and random judgements: a figure that moves with every change of a ranking."""
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{word}" for word in rng.integers(0, 150, 12)) for _ in range(300)]
    ids = [f"d{row}" for row in range(300)]
    queries = {f"q{row}": " ".join(texts[row].split()[:4]) for row in range(0, 300, 10)}
    qrels = {query: {ids[row]: int(rng.integers(1, 3)) for row in rng.permutation(300)[:60]} for query in queries}
    return ids, texts, queries, qrels


def task_of(collection):
    ids, texts, queries, qrels = collection

    class Local(AbsTaskRetrieval):
        metadata = TaskMetadata(name="LocalRetrieval", type="Retrieval", main_score="ndcg_at_10", **_META)

        def load_data(self, *args, **kwargs):
            self.corpus = {"test": {name: {"text": text, "title": ""} for name, text in zip(ids, texts, strict=True)}}
            self.queries = {"test": queries}
            self.relevant_docs = {"test": qrels}
            self.data_loaded = True

    return Local()


def measured_by_mteb(model, task, tmp_path):
    cache = mteb.ResultCache(tmp_path / "mteb")
    result = mteb.evaluate(model, [task], cache=cache, show_progress_bar=False, co2_tracker=False)
    return result.task_results[0].scores["test"][0]


@pytest.mark.parametrize(
    "text",
    [
        "lsa(dim=64)",
        "lsa(dim=64) | zipf_whiten(dim=16) | int8",
        "lsa(dim=64) | binary",
        "lsa(dim=64) | pq(m=32, bits=5) | flat(metric='ip')",
    ],
)
def test_mteb_measures_what_we_measure(collection, tmp_path, text):
    ids, texts, queries, qrels = collection
    pipeline = theatrum.pipeline(text).fit(ids, texts)
    model = MtebEncoder(pipeline)
    assert isinstance(model, EncoderProtocol)
    theirs = measured_by_mteb(model, task_of(collection), tmp_path)["ndcg_at_10"]
    # Every document is scored: with binary codes our search looks at the nearest by Hamming distance alone.
    names, _scores = pipeline.search(list(queries.values()), len(ids))
    ours = float(np.mean(ndcg_at(judge(names, list(queries), qrels), 10)))
    assert 0.05 < theirs < 0.9
    assert theirs == pytest.approx(ours, abs=1e-4)


def test_roles_follow_the_prompt_types(collection, tmp_path):
    asked = []

    class Roles:
        dim = 4
        max_tokens = 7

        def encode(self, items, *, role="document", batch_size=64, show_progress=False):
            asked.append((role, len(items), batch_size))
            rng = np.random.default_rng(len(items))
            return rng.normal(size=(len(items), 4)).astype(np.float32)

        def fingerprint(self):
            return "roles"

    model = MtebEncoder(Roles(), name="us/roles")
    mteb.evaluate(model, [task_of(collection)], cache=None, encode_kwargs={"batch_size": 16}, show_progress_bar=False)
    assert sorted(asked) == [("document", 300, 16), ("query", 30, 16)]
    meta = model.mteb_model_meta
    assert (meta.name, meta.embed_dim, meta.max_tokens) == ("us/roles", 4, 7)


def test_sentence_pairs(corpus, tmp_path):
    class Local(AbsTaskSTS):
        metadata = TaskMetadata(name="LocalSTS", type="STS", main_score="cosine_spearman", **_META)
        min_score, max_score = 0, 1

        def load_data(self, *args, **kwargs):
            from datasets import Dataset

            texts = corpus[1]
            rows = {
                "sentence1": texts[:100],
                "sentence2": [texts[row + row % 7] for row in range(100)],
                "score": [float(row % 7 == 0) for row in range(100)],
            }
            self.dataset = {"test": Dataset.from_dict(rows)}
            self.data_loaded = True

    model = MtebEncoder(theatrum.pipeline("lsa(dim=24)").fit(*corpus))
    scores = measured_by_mteb(model, Local(), tmp_path)
    assert scores["cosine_spearman"] > 0.3


def test_names_and_revisions(corpus):
    model = MtebEncoder(theatrum.pipeline("lsa(dim=24) | pca(dim=8)").fit(*corpus))
    meta = model.mteb_model_meta
    assert meta.name == "theatrum/lsa_dim=24_pca_dim=8"
    assert (meta.revision, meta.embed_dim) == (model.model.fingerprint(), 8)


@pytest.mark.parametrize(
    ("text", "message"), [("bm25", "makes rankings"), ("lsa | flat(metric='l2')", "mteb compares by cosine or product")]
)
def test_what_mteb_cannot_measure(text, message):
    with pytest.raises(ValueError, match=message):
        MtebEncoder(text)
