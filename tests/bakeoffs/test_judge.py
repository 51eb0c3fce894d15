"""The judge chooses on dev, reports on test, and calls ties ties."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.bakeoffs.judge import judge
from theatrum.bakeoffs.results import Budget, Measurement

N = 60


def measured(pipeline, dev, test, memory=100.0, ms=10.0, seed=0):
    """A pipeline whose queries scatter around a level; the same seed is the same queries."""
    noise = np.random.default_rng(seed).normal(0, 0.1, size=(2, N))
    noise -= noise.mean(axis=1, keepdims=True)
    return Measurement(
        pipeline=pipeline,
        dev={f"d{i}": dev + noise[0, i] for i in range(N)},
        test={f"t{i}": test + noise[1, i] for i in range(N)},
        recall_at_100=0.9,
        memory_bytes=memory,
        disk_bytes=memory,
        documents_per_second=100.0,
        build_seconds=1.0,
        queries_per_second=1000 / ms,
        p95_ms=ms,
        search_ms=1.0,
        peak_memory=0,
    )


FIELD = [
    measured("bm25", 0.40, 0.40, memory=300, ms=1, seed=1),
    measured("minilm", 0.50, 0.50, memory=1536),
    measured("minilm | int8", 0.499, 0.499, memory=384),
    measured("minilm | binary", 0.44, 0.44, memory=48),
    measured("rrf(bm25, minilm)", 0.55, 0.52, memory=1836, ms=12, seed=2),
]


def test_the_choice_is_made_on_dev():
    test_winner = measured("tfidf", 0.10, 0.90)
    judged = judge([*FIELD, test_winner], Budget(), "judged")
    assert judged.recommended == "rrf(bm25, minilm)"
    assert judged.verdicts[0].pipeline == "tfidf"


def test_the_budget_is_kept():
    judged = judge(FIELD, Budget(bytes=400), "judged")
    assert judged.recommended == "minilm | int8"
    assert judged.budget_met
    assert {v.pipeline for v in judged.verdicts if v.fits_budget} == {"bm25", "minilm | int8", "minilm | binary"}
    assert judge(FIELD, Budget(bytes=400, ms=5), "judged").recommended == "bm25"


def test_a_budget_that_nothing_meets_names_the_nearest():
    judged = judge(FIELD, Budget(bytes=40), "judged")
    assert not judged.budget_met
    assert judged.recommended == "minilm | binary"
    assert "No pipeline meets the budget (bytes=40); the nearest is `minilm | binary`" in judged.reason


def test_ties_are_ties_and_differences_are_differences():
    judged = judge(FIELD, Budget(), "judged")
    verdicts = {one.pipeline: one for one in judged.verdicts}
    assert verdicts["minilm"].tied is (verdicts["minilm"].p_adjusted >= 0.05)
    assert not verdicts["bm25"].tied
    assert "better than BM25" in judged.reason
    same = judge([FIELD[1], measured("minilm | hnsw", 0.5, 0.5)], Budget(), "judged")
    assert all(one.tied for one in same.verdicts)


def test_the_smallest_that_keeps_the_quality():
    (small,) = judge(FIELD, Budget(), "judged").smallest
    assert (small.encoder, small.pipeline) == ("minilm", "minilm | int8")
    assert small.keeps == small.on_test_keeps == pytest.approx(0.499 / 0.5)


def test_what_keeps_the_quality_on_test_is_named_beside_the_choice():
    lucky = measured("minilm | pq(m=24)", 0.50, 0.40, memory=24)
    (small,) = judge([*FIELD, lucky], Budget(), "judged").smallest
    assert (small.pipeline, small.on_test) == ("minilm | pq(m=24)", "minilm | int8")
    assert small.keeps == pytest.approx(0.8)


def test_each_encoder_is_shrunk_by_itself():
    field = [*FIELD, measured("static", 0.45, 0.45, memory=1024), measured("static | int8", 0.45, 0.45, memory=256)]
    small = {one.encoder: one.pipeline for one in judge(field, Budget(), "judged").smallest}
    assert small == {"minilm": "minilm | int8", "static": "static | int8"}


def test_a_field_without_dense_pipelines():
    judged = judge([FIELD[0]], Budget(), "judged")
    assert judged.recommended == "bm25"
    assert judged.smallest == []


def test_the_front():
    fronts = {one.pipeline: one.on_front for one in judge(FIELD, Budget(), "judged").verdicts}
    assert fronts == dict.fromkeys(fronts, True)
    worse = measured("tfidf", 0.39, 0.39, memory=301, ms=2)
    assert not {v.pipeline: v.on_front for v in judge([*FIELD, worse], Budget(), "judged").verdicts}["tfidf"]


@pytest.mark.parametrize("kind", ["titles", "sentences"])
def test_proxies_are_said_to_be_proxies(kind):
    assert "the questions are proxies" in judge(FIELD, Budget(), kind).reason
