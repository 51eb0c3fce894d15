"""MiniLM's nDCG@10 as we measure it against what mteb's own evaluator gives on the same collection.

Both sides see the same texts (title and body joined by us) and the same model folder; the figures must agree to 1e-4.
mteb measures the model twice: as sentence-transformers gives it, and through our own wrapper. Prints one JSON line a
collection.
"""

from __future__ import annotations

import json
import sys

import mteb
import numpy as np
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from sentence_transformers import SentenceTransformer

import theatrum
from theatrum.data import load
from theatrum.evaluate import judge, ndcg_at
from theatrum.interop.mteb import MtebEncoder
from theatrum.text.minilm import packaged_folder

LIMIT = 1e-4


def as_task(collection) -> AbsTaskRetrieval:
    """The collection as an mteb task that needs no hub."""

    class Local(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=f"Local-{collection.name}", dataset={"path": "local/local", "revision": "1"}, description="local",
            type="Retrieval", category="t2t", eval_splits=["test"], eval_langs=["eng-Latn"], main_score="ndcg_at_10",
            modalities=["text"],
        )  # fmt: skip

        def load_data(self, *args, **kwargs) -> None:
            self.corpus = {"test": {d.id: {"text": d.content, "title": ""} for d in collection.documents}}
            self.queries = {"test": dict(collection.queries)}
            self.relevant_docs = {"test": {query: dict(grades) for query, grades in collection.qrels.items()}}
            self.data_loaded = True

    return Local()


def ours(collection) -> float:
    """Mean nDCG@10 over the queries that have a relevant document."""
    documents = collection.documents
    queries = [query for query in collection.queries if query in collection.qrels]
    pipeline = theatrum.pipeline("minilm").fit([d.id for d in documents], [d.content for d in documents])
    ids, _ = pipeline.search([collection.queries[query] for query in queries], 10)
    judged = judge(ids, queries, collection.qrels)
    return float(np.mean(ndcg_at(judged, 10)[judged.has_relevant]))


def theirs(model, collection) -> float:
    """The same figure as mteb gives it."""
    result = mteb.evaluate(model, [as_task(collection)], cache=None, overwrite_strategy="always")
    return result.task_results[0].scores["test"][0]["ndcg_at_10"]


def main() -> None:
    """Compare on the collections named, xquad-en and cranfield otherwise."""
    model = SentenceTransformer(str(packaged_folder()), device="cpu")
    for name in sys.argv[1:] or ["xquad-en", "cranfield"]:
        collection = load(name)
        peer, wrapped = theirs(model, collection), theirs(MtebEncoder("minilm"), collection)
        mine = ours(collection)
        away = max(abs(mine - peer), abs(mine - wrapped))
        row = {"collection": name, "ours": mine, "mteb": peer, "mteb_wrapped": wrapped, "difference": away}
        print(json.dumps({**row, "limit": LIMIT, "agrees": away < LIMIT, "mteb_version": mteb.__version__}))


if __name__ == "__main__":
    main()
