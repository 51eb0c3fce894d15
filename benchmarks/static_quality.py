"""Static encoders of one transformer at equal dimension: retrieval quality of ours against model2vec's recipe.

The peer is the published recipe done by formula (vectors of ``[CLS] token [SEP]``, uniform principal components, smooth
inverse frequencies with a = 1e-4 from Zipf's law by rank), on the same token vectors. The choices of StaticEncoder were
made on CISI and CACM; Cranfield only reports. Prints a table of mean nDCG@10 and one JSON line: the ratio of the
default to the peer and, with --teacher, to the transformer itself (some minutes). Needs the data sets (THEATRUM_DATA).
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from theatrum import data
from theatrum.evaluate import judge, ndcg_at
from theatrum.text import MiniLM, StaticEncoder
from theatrum.text.cached_tokenizer import CachedTokenizer
from theatrum.text.distillation import Teacher
from theatrum.text.minilm import packaged_folder
from theatrum.text.static import mean_rows
from theatrum.text.token_table import real_tokens


class Model2VecRecipe:
    """model2vec's distillation, written out."""

    def __init__(self, dim: int) -> None:
        tokenizer, raw = Teacher(packaged_folder()).vocabulary()
        special = {n for n, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        real = real_tokens(tokenizer.get_vocab(), special, len(raw))
        X = raw[real].astype(np.float64)
        X -= X.mean(axis=0)
        axes = np.linalg.eigh(X.T @ X)[1][:, ::-1][:, :dim]
        law = 1 / np.arange(2, len(X) + 2)
        law /= law.sum()
        self.tokens, self.table = CachedTokenizer(tokenizer), np.zeros((len(raw), dim), dtype=np.float32)
        self.table[real] = (X @ axes) * (1e-4 / (1e-4 + law))[:, None]

    def encode(self, texts):
        """Unit mean of the table's rows."""
        return mean_rows(*self.tokens(texts), self.table)


def ndcg(encoder, collection, texts):
    """nDCG@10 of each query that has a relevant document."""
    queries = [q for q in collection.queries if any(grade > 0 for grade in collection.qrels.get(q, {}).values())]
    scores = encoder.encode([collection.queries[q] for q in queries]) @ encoder.encode(texts).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    ids = np.array([document.id for document in collection.documents], dtype=object)
    return ndcg_at(judge(ids[best], queries, collection.qrels), 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--teacher", action="store_true", help="also run the transformer over the corpora")
    parser.add_argument("--collections", nargs="+", default=["cisi", "cacm", "cranfield"])
    options = parser.parse_args()

    everything = 10**9
    field = {
        "model2vec recipe": lambda texts: Model2VecRecipe(options.dim),
        "sif, frequencies of the corpus": lambda texts: make(texts, weighting="sif", context_tokens=0),
        "zipf, never fitted": lambda texts: StaticEncoder(n_components=options.dim),
        "zipf, no context": lambda texts: make(texts, context_tokens=0),
        "zipf, 32,768 tokens in context": lambda texts: make(texts, context_tokens=32_768),
        "zipf (default)": lambda texts: make(texts),
        "sif, the default's context": lambda texts: make(texts, weighting="sif"),
        "zipf, the whole corpus in context": lambda texts: make(texts, context_tokens=everything),
    }
    if options.teacher:
        field["MiniLM"] = lambda texts: MiniLM()

    def make(texts, **parameters):
        return StaticEncoder(n_components=options.dim, **parameters).fit(texts)

    results: dict[str, dict[str, np.ndarray]] = {}
    for name, build in field.items():
        line = f"{name:36s}"
        for key in options.collections:
            collection = data.load(key)
            texts = [document.content for document in collection.documents]
            start = time.perf_counter()
            encoder = build(texts)
            seconds = time.perf_counter() - start
            results.setdefault(name, {})[key] = ndcg(encoder, collection, texts)
            line += f"  {key} {results[name][key].mean():.4f} (fit {seconds:5.1f} s)"
        print(line, flush=True)

    ours, peer = results["zipf (default)"], results["model2vec recipe"]
    report = {"benchmark": "static_quality", "dim": options.dim, "metric": "nDCG@10", "ours": {}, "peer": {}}
    report |= {"ratio": {}, "standard_error_of_difference": {}}
    for key in options.collections:
        difference = ours[key] - peer[key]
        report["ours"][key], report["peer"][key] = round(ours[key].mean(), 4), round(peer[key].mean(), 4)
        report["ratio"][key] = round(ours[key].mean() / peer[key].mean(), 3)
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        report["standard_error_of_difference"][key] = round(error, 4)
    if options.teacher:
        report["of_teacher"] = {k: round(ours[k].mean() / results["MiniLM"][k].mean(), 3) for k in options.collections}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
