from __future__ import annotations

import pytest

from theatrum.bakeoffs.documents import FILE, attribute_columns, read_documents, write_documents
from theatrum.data import Document
from theatrum.serve.documents import DocumentTable

ROWS = [
    Document("a", "swept wings", "Wings", {"year": 1958, "tags": ["x"], "raw": {"deep": 1}, "score": float("nan")}),
    Document("b", "thin plates \U0001f642", "", {"year": None, "tags": [], "mixed": 3}),
    Document("c", "", "Only a title", {"year": 1.5, "mixed": "three", "long": "x" * 2000, "half": "\ud800"}),
]


def test_documents_survive_the_disk_with_what_can_be_filtered_by(tmp_path, monkeypatch):
    monkeypatch.setattr("theatrum.bakeoffs.documents._BATCH", 2)
    write_documents(ROWS, tmp_path)
    table = DocumentTable.open(tmp_path)
    assert len(table) == 3
    assert [one and one.title for one in table.get(["c", "nobody", "a"])] == ["Only a title", None, "Wings"]
    assert [one.id for one in table.rows([2, 0, 1, 2])] == ["c", "a", "b", "c"]
    assert table.columns == attribute_columns(ROWS) == {"year": [1958, None, 1.5], "tags": [["x"], [], None]}
    found = read_documents(tmp_path, ["b", "a"])
    assert found["b"].text == ROWS[1].text
    assert found["a"].attributes == {"year": 1958, "tags": ["x"]}


def test_a_pipeline_saved_by_itself_has_no_documents(tmp_path):
    assert len(DocumentTable.open(tmp_path)) == 0
    assert DocumentTable.open(tmp_path).get(["a"]) == [None]


def test_documents_of_an_older_version_have_no_attributes(tmp_path):
    import pyarrow as pa

    old = pa.table({"id": ["a"], "title": [""], "text": ["swept wings"]})
    assert DocumentTable(old).columns == {}
    assert DocumentTable(old).rows([0])[0].text == "swept wings"


def test_damaged_documents_are_told(tmp_path):
    (tmp_path / FILE).write_bytes(b"ARROW1 and nothing else")
    with pytest.raises(ValueError, match=FILE):
        DocumentTable.open(tmp_path)
