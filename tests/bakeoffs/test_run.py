"""The main job from end to end, without a model: measured, judged, written, searched."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

import theatrum
from theatrum.bakeoffs import Listener
from theatrum.data import Document

FIELD = ["tfidf", "lsa(dim=24)", "lsa(dim=24) | int8", "lsa(dim=24) | binary | hnsw", "rrf(bm25, lsa(dim=24))"]


@pytest.fixture(scope="module")
def result(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bakeoff")
    documents = [Document(name, text) for name, text in zip(*corpus, strict=True)]
    return theatrum.bakeoff(documents, pipelines=FIELD, out=folder / "out", store=folder / "store", name="<plates>")


def test_every_pipeline_is_measured(result):
    assert [one.pipeline for one in result.measurements] == ["bm25", *FIELD]
    for one in result.measurements:
        assert 0 <= one.test_ndcg <= 1
        assert len(one.test) == result.n_test
        assert len(one.dev) == result.n_dev
        assert min(one.memory_bytes, one.disk_bytes, one.queries_per_second, one.p95_ms, one.build_seconds) > 0
    by_name = {one.pipeline: one for one in result.measurements}
    assert by_name["lsa(dim=24)"].memory_bytes == 96
    assert by_name["lsa(dim=24) | int8"].memory_bytes == pytest.approx(24)


def test_the_files_are_there_and_agree(result):
    rows = pq.read_table(result.out / "results.parquet").to_pylist()
    assert [row["pipeline"] for row in rows] == [one.pipeline for one in result.measurements]
    assert sum(row["recommended"] for row in rows) == 1
    assert rows[0]["ndcg_at_10_test"] == pytest.approx(result.measurements[0].test_ndcg)
    assert len(rows[0]["per_query"]) == result.n_dev + result.n_test


def test_the_report_is_one_offline_file(result):
    page = (result.out / "report.html").read_text()
    assert len(page) < 2_000_000
    for outside in ("<script", 'src="http', 'href="http', "@import", "url(http"):
        assert outside not in page
    assert "&lt;plates&gt;" in page and "<plates>" not in page
    assert "proxies" in page
    for one in result.measurements:
        assert one.pipeline.replace("'", "&#x27;") in page
    assert page.index("<svg") < page.index("<table")


def test_the_winner_serves_whole_documents(result, corpus):
    winner = theatrum.open(result.out / "winner")
    assert str(winner) == result.judgement.recommended
    found, _ = winner.search([corpus[1][42]], 1)
    assert found[0, 0] == corpus[0][42]


def test_running_again_replaces_and_encodes_nothing(corpus, tmp_path):
    documents = [Document(name, text) for name, text in zip(*corpus, strict=True)]
    runs = [
        theatrum.bakeoff(documents, pipelines=FIELD[1:2], out=tmp_path / "out", store=tmp_path / "store")
        for _ in range(2)
    ]
    assert runs[0].encoders[0].encoded > 100  # distinct texts
    assert runs[1].encoders[0].encoded == 0
    assert runs[0].measurements[1].test == runs[1].measurements[1].test


def test_a_pipeline_that_cannot_run_is_left_out_with_its_reason(corpus, tmp_path):
    heard = []

    class Ear(Listener):
        def left_out(self, pipeline, reason):
            heard.append(pipeline)

    result = theatrum.bakeoff(corpus[1], pipelines=["lsa(dim=24) | pq(m=7)"], store=tmp_path, listener=Ear())
    assert heard == ["lsa(dim=24) | pq(m=7)"] == list(result.left_out)
    assert "m=7 does not divide" in result.left_out[heard[0]]


def test_judged_questions_and_budget(corpus, tmp_path):
    ids, texts = corpus
    queries = {f"q{topic}": f"{topic} study of" for topic in ("wing", "heat", "shock", "shell", "orbit")}
    qrels = {query: {name: 1 for name in ids if name.startswith(query[1:])} for query in queries}
    documents = [Document(name, text) for name, text in zip(ids, texts, strict=True)]
    result = theatrum.bakeoff(documents, queries, qrels, budget="bytes=1", pipelines=["tfidf"], store=tmp_path)
    assert result.questions == "judged"
    assert not result.judgement.budget_met


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"docs": []}, "the corpus is empty"),
        ({"docs": "one text"}, "put it in a list"),
        ({"docs": ["a b c d"], "queries": {"q": "a"}}, "go together"),
        ({"docs": ["a. b."], "pipelines": ["lsa | int9"]}, "did you mean 'int8'"),
        ({"docs": ["a. b."], "budget": "kg=1"}, "write limits as"),
    ],
)
def test_mistakes_come_before_work(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        theatrum.bakeoff(**arguments, store=tmp_path)


def test_a_foreign_winner_folder_is_not_replaced(corpus, tmp_path):
    (tmp_path / "winner").mkdir()
    (tmp_path / "winner" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="was not written by theatrum"):
        theatrum.bakeoff(corpus[1], pipelines=["bm25"], out=tmp_path, store=tmp_path / "store")


def test_results_are_json_ready(result):
    json.dumps({one.pipeline: dict(one.test) for one in result.measurements})
