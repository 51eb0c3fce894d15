"""Hits with their texts, from a mapping or from a winner folder."""

from __future__ import annotations

import pytest

import theatrum
from theatrum.bakeoffs.documents import write_documents
from theatrum.data import Document
from theatrum.interop.hits import TextSearch

TEXTS = {"a": "swept wings in shock waves", "b": "heat in thin plates", "c": "wings and plates"}
YEARS = {"year": [1958, 1962, 1969]}


@pytest.fixture
def pipeline():
    return theatrum.pipeline("bm25").fit(list(TEXTS), list(TEXTS.values()), YEARS)


@pytest.fixture
def winner(pipeline, tmp_path):
    pipeline.save(tmp_path / "winner")
    write_documents([Document(name, text, f"On {name}") for name, text in TEXTS.items()], tmp_path / "winner")
    return tmp_path / "winner"


def test_texts_by_id(pipeline):
    hits = TextSearch(pipeline, TEXTS).find("thin plates", 3)
    assert [(hit.document.id, hit.document.text) for hit in hits] == [("b", TEXTS["b"]), ("c", TEXTS["c"])]
    assert hits[0].score > hits[1].score
    given = {name: Document(name, text, "title") for name, text in TEXTS.items()}
    assert TextSearch(pipeline, given).find("thin plates", 1)[0].document.title == "title"


def test_a_winner_folder_carries_its_texts(winner):
    search = TextSearch.open(winner)
    assert [hit.document.title for hit in search.find("thin plates", 3)] == ["On b", "On c"]
    assert [hit.document.id for hit in search.find("thin plates", 3, {"year": {"gt": 1965}})] == ["c"]
    assert search.find("nothing of the kind", 3) == []


def test_what_has_no_texts(pipeline, tmp_path):
    pipeline.save(tmp_path / "alone")
    with pytest.raises(FileNotFoundError, match="Give the texts"):
        TextSearch.open(tmp_path / "alone")
    assert TextSearch.open(tmp_path / "alone", TEXTS).find("thin", 1)[0].document.id == "b"
    with pytest.raises(ValueError, match="no text for the id 'b'"):
        TextSearch(pipeline, {"a": "x"}).find("thin plates", 3)
