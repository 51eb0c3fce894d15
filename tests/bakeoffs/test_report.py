"""The pictures and the page of the report."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from theatrum.bakeoffs.judge import judge
from theatrum.bakeoffs.report import render_report
from theatrum.bakeoffs.report.charts import FAMILIES, family, pareto_chart, wins_chart
from theatrum.bakeoffs.results import BakeoffResult, Budget, EncoderReport, Measurement


def measured(pipeline, quality, memory):
    return Measurement(
        pipeline, {"d": quality}, {f"q{i}": quality * (i % 3) / 2 for i in range(9)}, 0.9, memory, memory, float("nan"),
        1.0, 50.0, 20.0, 1.0, -1,
    )  # fmt: skip


FIELD = [
    measured("bm25", 0.3, 500),
    measured("minilm", 0.5, 1536),
    measured("minilm | int8", 0.5, 384),
    measured("rrf(bm25, minilm)", 0.6, 2036),
]


def result(**changes):
    budget = changes.pop("budget", Budget())
    parts = {
        "name": "a <b> & c", "n_documents": 100, "n_dev": 1, "n_test": 9, "questions": "judged", "rejected": 3,
        "budget": budget, "measurements": FIELD,
        "encoders": [EncoderReport("minilm", 384, 0, 100, 0.0, 25, 256, float("nan"))],
        "left_out": {"minilm | pq(m=5)": "m=5 does not <divide> 384"},
        "judgement": judge(FIELD, budget, changes.get("questions", "judged")),
        "queries": {f"q{i}": f"question {i} <script>" for i in range(9)},
    }  # fmt: skip
    return BakeoffResult(**{**parts, **changes})


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        ("bm25", "lexical"),
        ("minilm", "dense"),
        ("minilm | hnsw(ef=9)", "dense"),
        ("minilm | pca(dim=8)", "dense, smaller"),
        ("rrf(bm25, minilm)", "fusion"),
    ],
)
def test_families(pipeline, expected):
    assert family(pipeline) == expected
    assert expected in FAMILIES


def test_pictures_are_whole_svgs_without_fixed_size():
    numbers = {one.pipeline: number for number, one in enumerate(FIELD, 1)}
    picture = pareto_chart(
        FIELD, numbers, "minilm", cost="memory_bytes", title="bytes", larger_is_better=False, width=300
    )
    for svg in (picture, wins_chart(FIELD[1].test, FIELD[0].test, width=300)):
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg") and "viewBox" in root.attrib and "width" not in root.attrib
    assert {text.text for text in ElementTree.fromstring(picture).iter() if (text.text or "").isdigit()} >= {"1", "4"}


def test_numbers_that_would_cover_each_other_are_left_out_by_rank():
    field = [replace(FIELD[0], pipeline=name) for name in ("bm25", "tfidf", "lsa")]
    numbers = {one.pipeline: number for number, one in enumerate(field, 1)}
    picture = pareto_chart(
        field, numbers, "tfidf", cost="memory_bytes", title="bytes", larger_is_better=False, width=300
    )
    drawn = [text.text for text in ElementTree.fromstring(picture).iter() if text.text in {"1", "2", "3"}]
    assert drawn == ["2"]


def test_the_page_escapes_and_says_everything():
    page = render_report(result(), {"q1": [("d7", "a text with <b>tags</b>")]})
    assert "a &lt;b&gt; &amp; c" in page
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "&lt;b&gt;tags" in page
    assert "3 rows of the source could not be used" in page
    assert "reads 256 tokens: 25 of 100 documents (25.0%)" in page
    assert "m=5 does not &lt;divide&gt; 384" in page
    assert "from store" in page
    assert (
        "as good as <code>minilm</code> (1,536 bytes a document) on the dev half: <code>minilm | int8</code>, 384"
        in page
    )
    assert not re.search(r"\$[a-z_]+", page.replace("$", "$", 1))


def test_proxies_and_budgets_are_said():
    assert "The questions are proxies" in render_report(result(questions="titles"), {})
    page = render_report(result(budget=Budget(bytes=10)), {})
    assert "No pipeline meets the budget (bytes=10)" in page
    assert "(over budget)" in page


def test_a_field_of_bm25_alone():
    field = FIELD[:1]
    page = render_report(
        result(measurements=field, encoders=[], judgement=judge(field, Budget(), "judged"), left_out={}), {}
    )
    assert "No encoder took part" in page
    assert "Query by query" not in page
