"""Metrics of rankings against pytrec_eval: nDCG@10, reciprocal rank and MAP@100 a query, 1,000 queries 100 deep.

What is timed, for several systems on the same queries, everything in one thread:

- ``ratio``: from arrays of ids to numbers a query. Ours: ``Judgements.judge`` and the three metrics; pytrec_eval: its
  dictionary of runs, which it needs, and ``evaluate``. Reading the judgements is outside on both sides: once a field.
- ``ratio_runs_ready``: the same, but pytrec_eval's dictionaries are there already and ours still starts from ids.
- ``ratio_metrics_only``: the three metrics on judged rankings against ``evaluate`` on ready dictionaries. Not the same
  work: pytrec_eval looks up ids, sorts, and computes in one call.

The limit is one pass that hashes every id (a set a ranking, which finding repeated documents needs in any case);
``limit_fraction`` is its time over ours. ``noise`` is how far an A/A run of ours strays from 1.
"""

from __future__ import annotations

import json
import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

from collections.abc import Callable

import numpy as np
import pytrec_eval
from timing import interleaved

from theatrum.evaluate import average_precision_at, judge, ndcg_at, prepare_judgements, reciprocal_rank_at

N_QUERIES, DEPTH, N_SYSTEMS, N_DOCUMENTS, N_JUDGED, ROUNDS = 1000, 100, 10, 20_000, 30, 7
MEASURES = {"ndcg_cut.10": "ndcg_cut_10", "recip_rank": "recip_rank", "map_cut.100": "map_cut_100"}


def make_field():
    """Graded judgements, and systems that find about half of the judged documents of each query."""
    rng = np.random.default_rng(0)
    documents = np.array([f"document-{i:05d}" for i in range(N_DOCUMENTS)], dtype=object)
    judged = [rng.choice(N_DOCUMENTS, N_JUDGED, replace=False) for _ in range(N_QUERIES)]
    qrels = {
        f"q{row}": dict(zip(documents[some], rng.integers(0, 4, N_JUDGED).tolist(), strict=True))
        for row, some in enumerate(judged)
    }
    systems = []
    for _ in range(N_SYSTEMS):
        ranked = np.empty((N_QUERIES, DEPTH), dtype=object)
        for row, some in enumerate(judged):
            found = rng.choice(some, N_JUDGED // 2, replace=False)
            others = np.setdiff1d(rng.choice(N_DOCUMENTS, DEPTH, replace=False), found)[: DEPTH - len(found)]
            ranked[row] = documents[rng.permutation(np.concatenate([found, others]))]
        systems.append(ranked)
    return list(qrels), qrels, systems


def metrics(judged):
    """Return the three metrics, (3, q)."""
    return np.array([ndcg_at(judged, 10), reciprocal_rank_at(judged, DEPTH), average_precision_at(judged, DEPTH)])


def main():
    queries, qrels, systems = make_field()
    scores = np.tile(np.arange(DEPTH, 0, -1.0), (N_QUERIES, 1))
    judgements = prepare_judgements(queries, qrels)
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES))

    def as_run(ranked):
        rows = zip(queries, ranked.tolist(), scores.tolist(), strict=True)
        return {query: dict(zip(ids, values, strict=True)) for query, ids, values in rows}

    # Correctness before speed.
    difference = 0.0
    for ranked in systems:
        answers = evaluator.evaluate(as_run(ranked))
        peer = np.array([[answers[query][name] for query in queries] for name in MEASURES.values()])
        difference = max(difference, float(np.abs(peer - metrics(judge(ranked, queries, qrels))).max()))
    if difference > 1e-9:
        raise SystemExit(f"the numbers differ by {difference}")

    runs = [as_run(ranked) for ranked in systems]
    all_judged = [judgements.judge(ranked) for ranked in systems]
    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: [metrics(judgements.judge(ranked)) for ranked in systems],
        "peer": lambda: [evaluator.evaluate(as_run(ranked)) for ranked in systems],
        "ours_again": lambda: [metrics(judgements.judge(ranked)) for ranked in systems],
        "peer_runs_ready": lambda: [evaluator.evaluate(run) for run in runs],
        "ours_metrics_only": lambda: [metrics(judged) for judged in all_judged],
        "limit": lambda: [len(set(ranking)) for ranked in systems for ranking in ranked.tolist()],
    }
    times = interleaved(contestants, rounds=ROUNDS)
    took = {name: np.array(values) / N_SYSTEMS for name, values in times.items()}

    def spread(above, below):
        ratio = took[above] / took[below]
        return [round(float(value), 3) for value in (np.median(ratio), ratio.min(), ratio.max())]

    ratio, low, high = spread("peer", "ours")
    noise = np.abs(took["ours_again"] / took["ours"] - 1)
    print(
        json.dumps(
            {
                "ours": round(float(np.median(took["ours"])) * 1e3, 3),
                "peer": round(float(np.median(took["peer"])) * 1e3, 3),
                "unit": "ms a system of 1,000 queries x 100",
                "ratio": ratio,
                "ratio_range": [low, high],
                "limit_fraction": spread("limit", "ours")[0],
                "noise": round(float(np.median(noise)), 3),
                "ratio_runs_ready": spread("peer_runs_ready", "ours")[0],
                "ratio_metrics_only": spread("peer_runs_ready", "ours_metrics_only")[0],
                "ours_metrics_only": round(float(np.median(took["ours_metrics_only"])) * 1e3, 3),
                "largest_difference": difference,
                "threads": int(os.environ["OMP_NUM_THREADS"]),
            }
        )
    )


if __name__ == "__main__":
    main()
