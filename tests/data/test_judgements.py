"""Queries and judgements: all of them, or a clear sentence."""

from __future__ import annotations

import pytest

from theatrum.data import read_qrels, read_queries


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.jsonl", '{"id": "1", "text": "why"}\n{"id": "2", "text": "how"}\n'),
        ("q.jsonl", '{"_id": "1", "query": "why"}\n{"_id": "2", "query": "how"}\n'),
        ("q.tsv", "id\tquestion\n1\twhy\n2\thow\n"),
        ("q.csv", "id,text\n1,why\n2,how\n"),
    ],
)
def test_queries(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert read_queries(tmp_path / name) == {"1": "why", "2": "how"}


def test_no_query_is_left_out_silently(tmp_path):
    (tmp_path / "q.jsonl").write_text('{"id": "1", "text": "why"}\n{"id": "1", "text": "again"}\n')
    with pytest.raises(ValueError, match=r"1 queries cannot be used .1 duplicate id."):
        read_queries(tmp_path / "q.jsonl")


def test_queries_without_a_text_column(tmp_path):
    (tmp_path / "q.jsonl").write_text('{"id": "1", "wish": "why"}\n')
    with pytest.raises(ValueError, match="column"):
        read_queries(tmp_path / "q.jsonl")


@pytest.mark.parametrize(
    "content",
    [
        "query_id\tdoc_id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t1\n",
        "q1\td1\t2\nq1\td2\t0\nq2\td1\t1\n",
        "query,document,grade\nq1,d1,2\nq1,d2,0\nq2,d1,1\n",
        "q1 0 d1 2\nq1 0 d2 0\n\nq2 0 d1 1\n",
        "query-id\tcorpus-id\tscore\r\nq1\td1\t2.0\r\nq1\td2\t0\r\nq2\td1\t1\r\n",
    ],
)
def test_judgements(tmp_path, content):
    (tmp_path / "qrels.tsv").write_bytes(content.encode())
    assert read_qrels(tmp_path / "qrels.tsv") == {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": 1}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q1\td1\t1\nq1\td2\tgood\n", "line 2: the grade 'good' is not a whole number"),
        ("q1\td1\n", "line 1: 2 columns"),
        ("", "no judgements"),
    ],
)
def test_bad_judgements_name_the_line(tmp_path, content, message):
    (tmp_path / "qrels.tsv").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_qrels(tmp_path / "qrels.tsv")
