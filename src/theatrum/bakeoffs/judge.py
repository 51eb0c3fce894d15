"""The judge: chooses on the dev half, reports on the test half, and calls ties ties."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from theatrum.bakeoffs.results import Budget, Judgement, Measurement, Questions, Smallest, Verdict
from theatrum.evaluate import holm, paired_randomization_test, pareto_front
from theatrum.pipelines.notation import parse
from theatrum.registry import part

KEEP = 0.99  # of the full-precision encoder's nDCG@10: what "as good" means for the smallest pipeline
_PERMUTATIONS = 10_000


def excess(measurement: Measurement, budget: Budget) -> float:
    """How far a pipeline is over the budget: the largest ratio of what it needs to what is allowed (1 is just met)."""
    ratios = [
        needed / allowed
        for needed, allowed in ((measurement.memory_bytes, budget.bytes), (measurement.p95_ms, budget.ms))
        if allowed is not None
    ]
    return max(ratios, default=0.0)


def judge(field: Sequence[Measurement], budget: Budget, questions: Questions) -> Judgement:
    """Choose the pipeline to take, and compare the whole field with it.

    Parameters
    ----------
    field : sequence of Measurement
        At least one; all over the same queries.
    budget : Budget
        Limits of memory and time.
    questions : {"judged", "titles", "sentences"}
        Said in the reason when they are proxies.

    Returns
    -------
    Judgement
        The recommendation with its reason, the smallest pipeline that is as good, and a verdict on everyone.
    """
    fitting = [one for one in field if excess(one, budget) <= 1]
    nearest = min(field, key=lambda one: (excess(one, budget), -one.dev_ndcg))
    chosen = max(fitting, key=lambda one: (one.dev_ndcg, -one.memory_bytes)) if fitting else nearest
    verdicts = _verdicts(field, chosen, budget)
    return Judgement(
        recommended=chosen.pipeline,
        budget_met=bool(fitting),
        reason=_reason(chosen, verdicts, budget, bool(fitting), questions, field),
        smallest=[_smallest(field, one) for one in field if _is_full_precision(one.pipeline)],
        verdicts=verdicts,
    )


def _is_full_precision(text: str) -> bool:
    """Whether a pipeline is an encoder as it is: no refiner, no quantizer, exact search."""
    calls = parse(text).calls
    return part(calls[0].name).kind == "encoder" and all(call.name == "flat" and not call.kwargs for call in calls[1:])


def _smallest(field: Sequence[Measurement], reference: Measurement) -> Smallest:
    """Fewest bytes among pipelines of one encoder that keep its quality: chosen on dev, and looked up on test."""
    encoder = parse(reference.pipeline).calls[0]
    own = [one for one in field if parse(one.pipeline).calls[0] == encoder]

    def least(good: Sequence[Measurement]) -> Measurement:
        return min(good, key=lambda one: (one.memory_bytes, one.disk_bytes, -one.dev_ndcg))

    def keeps(one: Measurement) -> float:
        return one.test_ndcg / reference.test_ndcg if reference.test_ndcg else math.nan

    chosen = least([one for one in own if one.dev_ndcg >= KEEP * reference.dev_ndcg])
    seen = least([one for one in own if one.test_ndcg >= KEEP * reference.test_ndcg])
    return Smallest(reference.pipeline, chosen.pipeline, keeps(chosen), seen.pipeline, keeps(seen))


def _verdicts(field: Sequence[Measurement], chosen: Measurement, budget: Budget) -> list[Verdict]:
    queries = list(chosen.test)
    best = np.array([chosen.test[query] for query in queries])
    others = [one for one in field if one is not chosen]
    scores = [np.array([one.test[query] for query in queries]) for one in others]
    p_values = [paired_randomization_test(row, best, n_permutations=_PERMUTATIONS, random_state=0) for row in scores]
    adjusted = dict(zip([one.pipeline for one in others], holm(p_values), strict=True)) if others else {}
    costs = np.array([[one.test_ndcg, one.memory_bytes, one.queries_per_second] for one in field])
    front = pareto_front(costs, maximise=np.array([True, False, True]))
    verdicts = [
        Verdict(
            pipeline=one.pipeline,
            difference=one.test_ndcg - chosen.test_ndcg,
            p_adjusted=float(adjusted.get(one.pipeline, 1.0)),
            tied=float(adjusted.get(one.pipeline, 1.0)) >= 0.05,
            fits_budget=excess(one, budget) <= 1,
            on_front=bool(on_front),
        )
        for one, on_front in zip(field, front, strict=True)
    ]
    return sorted(verdicts, key=lambda verdict: -verdict.difference)


def _reason(
    chosen: Measurement,
    verdicts: Sequence[Verdict],
    budget: Budget,
    met: bool,
    questions: Questions,
    field: Sequence[Measurement],
) -> str:
    """Two sentences: what to take with its figures, and how sure that is; pipelines stand between backticks."""
    figures = (
        f"nDCG@10 {chosen.test_ndcg:.3f} on {len(chosen.test)} test queries, "
        f"{chosen.memory_bytes:,.0f} bytes a document in memory, {chosen.p95_ms:.1f} ms a query (p95)"
    )
    if not met:
        first = f"No pipeline meets the budget ({budget}); the nearest is `{chosen.pipeline}` ({figures})."
    else:
        within = f" of those within {budget}" if budget.limited else ""
        first = f"Take `{chosen.pipeline}`: the best on the dev half{within} ({figures})."
    ties = [one.pipeline for one in verdicts if one.tied and one.pipeline != chosen.pipeline]
    bm25 = next((one for one in field if one.pipeline == "bm25"), None)
    against = ""
    if bm25 is not None and bm25 is not chosen:
        verdict = next(one for one in verdicts if one.pipeline == "bm25")
        relation = "tied with" if verdict.tied else "better than" if verdict.difference < 0 else "worse than"
        against = f"it is {relation} BM25 ({bm25.test_ndcg:.3f}, p = {verdict.p_adjusted:.3g})"
    tied = (
        f"{len(ties)} of {len(verdicts) - 1} others are tied with it: take a cheaper one of them if that matters more"
        if ties
        else "every other pipeline differs from it beyond chance"
    )
    proxies = {
        "judged": "",
        "titles": "; the questions are proxies (titles that must find their document), not what people asked",
        "sentences": "; the questions are proxies (sentences cut out of their document), not what people asked",
    }[questions]
    second = ", and ".join(filter(None, [against, tied])) + proxies + "."
    return f"{first} {second[0].upper()}{second[1:]}"
