"""Claim 082: a linear map trained on neighbours keeps them better than the principal components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.random_projection import GaussianRandomProjection

from theatrum.checks import unit_rows
from theatrum.claims.encoded import encode_cached
from theatrum.claims.outcome import Inequality, Outcome, Scale
from theatrum.contracts import Vectors
from theatrum.data import LabelledTexts, load
from theatrum.evaluate import judge, ndcg_at
from theatrum.refine import TwinLearningReduction
from theatrum.text.minilm import MiniLM

_DIMS = (8, 16, 32, 64, 128)
_SEEDS = 5
_CLINC_A_CLASS, _NEWS_BASE, _NEWS_QUERIES = 25, 3000, 1000


@dataclass(frozen=True)
class Retrieval:
    """Vectors to search, queries, and how a ranking is scored.

    Parameters
    ----------
    base, queries : ndarray of float32, shape (n, d), (q, d)
        Reductions are fitted on ``base`` only.
    score : callable
        Similarities (q, n) -> a number, larger is better.
    """

    base: Vectors
    queries: Vectors
    score: Callable[[NDArray[np.float32]], float]


def label_map(base: NDArray[np.str_], queries: NDArray[np.str_], depth: int) -> Callable[[NDArray[np.float32]], float]:
    """Mean average precision of the first ``depth``, where a hit is a row of the query's label.

    The divisor is the number of hits that there could be among the first ``depth``.
    """

    def score(similarities: NDArray[np.float32]) -> float:
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :depth]
        hits = base[order] == queries[:, None]
        precision = hits.cumsum(axis=1) / np.arange(1, depth + 1)
        possible = np.minimum((base[None] == np.unique(queries)[:, None]).sum(axis=1), depth)
        by_label = dict(zip(np.unique(queries), possible, strict=True))
        divisor = np.array([by_label[label] for label in queries])
        return float(((precision * hits).sum(axis=1) / divisor).mean())

    return score


def clinc150(a_class: int) -> Retrieval:
    """Questions to a voice assistant: same intent among training rows, in scope only."""
    rows: LabelledTexts = load("clinc150")
    train, test = rows.split("train"), rows.split("test")
    labels = np.array(train.labels)
    rng = np.random.default_rng(0)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(labels == name))[:a_class] for name in np.unique(labels)])
    encoder = MiniLM()
    base = encode_cached(encoder, [train.texts[row] for row in chosen])
    queries = encode_cached(encoder, list(test.texts))
    return Retrieval(base, queries, label_map(labels[chosen], np.array(test.labels), 25))


def newsgroups() -> Retrieval:
    """Newsgroup messages: same group, by the first 128 tokens of each message."""
    rows: LabelledTexts = load("20newsgroups")
    rng = np.random.default_rng(0)
    encoder = MiniLM(token_limit=128)
    sides = []
    for split, n in (("train", _NEWS_BASE), ("test", _NEWS_QUERIES)):
        part = rows.split(split)
        usable = np.array([row for row, text in enumerate(part.texts) if text.strip()])
        chosen = rng.permutation(usable)[:n]
        vectors = encode_cached(encoder, [part.texts[row] for row in chosen])
        sides.append((vectors, np.array(part.labels)[chosen]))
    (base, labels), (queries, wanted) = sides
    return Retrieval(base, queries, label_map(labels, wanted, 100))


def cranfield() -> Retrieval:
    """Abstracts and their judged queries; the reduction sees documents only."""
    collection = load("cranfield")
    ids = np.array([document.id for document in collection.documents], dtype=object)
    queries = list(collection.queries)
    encoder = MiniLM()

    def score(similarities: NDArray[np.float32]) -> float:
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :10]
        return float(ndcg_at(judge(ids[order], queries, collection.qrels), 10).mean())

    base = encode_cached(encoder, [document.content for document in collection.documents])
    return Retrieval(base, encode_cached(encoder, list(collection.queries.values())), score)


def reductions(m: int, seed: int, epochs: int) -> dict[str, Callable[[Retrieval], tuple[Vectors, Vectors]]]:
    """Method and baselines: each fitted on the base, each ending in unit rows."""

    def mapped(estimator: object) -> Callable[[Retrieval], tuple[Vectors, Vectors]]:
        def run(data: Retrieval) -> tuple[Vectors, Vectors]:
            estimator.fit(data.base)  # type: ignore[attr-defined]  # scikit-learn's estimators are untyped
            return estimator.transform(data.base), estimator.transform(data.queries)  # type: ignore[attr-defined]

        return run

    return {
        "TLDR": mapped(TwinLearningReduction(m, epochs=epochs, random_state=seed)),
        "PCA": mapped(PCA(m, svd_solver="full")),
        "PCA whitening": mapped(PCA(m, whiten=True, svd_solver="full")),
        "random projection": mapped(GaussianRandomProjection(m, random_state=seed)),
        "first dimensions": lambda data: (data.base[:, :m], data.queries[:, :m]),
    }


def measured(data: Retrieval, base: Vectors, queries: Vectors) -> float:
    """Score of a reduced collection under cosine."""
    return data.score(unit_rows(queries.astype(np.float32)) @ unit_rows(base.astype(np.float32)).T)


def claim_082(scale: Scale) -> Outcome:
    """TLDR keeps same-label neighbours better than PCA with and without whitening, at strong compression."""
    smoke = scale == "smoke"
    tasks: Mapping[str, Callable[[], Retrieval]] = (
        {"CLINC150": lambda: clinc150(7)}
        if smoke
        else {"CLINC150": lambda: clinc150(_CLINC_A_CLASS), "20 Newsgroups": newsgroups, "Cranfield": cranfield}
    )
    dims, seeds, epochs = ((16,), 2, 10) if smoke else (_DIMS, _SEEDS, 100)
    measurements: dict[str, dict[str, list[float]]] = {}
    inequalities = []
    for task, make in tasks.items():
        data = make()
        measurements[f"{task}, all 384 dimensions"] = {"score": [measured(data, data.base, data.queries)]}
        for m in dims:
            found: dict[str, list[float]] = {}
            for seed in range(seeds):
                for name, run in reductions(m, seed, epochs).items():
                    # Baselines without chance are measured once and stand for every seed.
                    if seed and name not in ("TLDR", "random projection"):
                        found[name].append(found[name][0])
                    else:
                        found.setdefault(name, []).append(measured(data, *run(data)))
            for name, values in found.items():
                measurements.setdefault(f"{task}, {name}", {})[f"m={m}"] = values
            inequalities += _inequalities(task, m, {name: np.array(values) for name, values in found.items()})
    return Outcome(
        measurements,
        inequalities,
        notes=(
            "MiniLM vectors. CLINC150: 25 training rows a class drawn once (3,750), all 4,500 test rows as queries, "
            "MAP@25. 20 Newsgroups: 3,000 training and 1,000 test messages drawn once, cut at 128 tokens, MAP@100. "
            "Cranfield: nDCG@10 of all queries, fitted on documents only. Hyper-parameters are those of the card "
            "(k = 3, Adam, projector of 512, at most 100 epochs), nothing was tuned. A linear autoencoder trained on "
            "squared error spans the same space as PCA and is not a baseline of its own."
        ),
    )


def _inequalities(task: str, m: int, found: Mapping[str, NDArray[np.float64]]) -> list[Inequality]:
    best = np.maximum(found["PCA"], found["PCA whitening"])
    if task == "Cranfield":
        if m > 64:
            return []
        difference = found["TLDR"] - found["PCA"]
        return [Inequality(f"{task}, m={m}: TLDR >= PCA (nDCG@10)", difference.tolist(), "seeds", 0.0, None)]
    if m <= 32:
        says = f"{task}, m={m}: TLDR >= best of PCA and PCA whitening + 0.02 (MAP)"
        return [Inequality(says, (found["TLDR"] - best).tolist(), "seeds", 0.02)]
    if m == 128:
        difference = found["TLDR"] - found["PCA"]
        return [Inequality(f"{task}, m={m}: TLDR >= PCA - 0.01 (MAP)", difference.tolist(), "seeds", -0.01, None)]
    return []
