from __future__ import annotations

import time

import pytest

from theatrum.pipelines.pipeline import Pipeline, pipeline
from theatrum.serve import ServedPipeline
from theatrum.serve.highlighting import sentence_texts

QUERY = "How many points did the Panthers defense surrender?"


def search(client, status=200, **body):
    answer = client.post("/search", json={"query": QUERY} | body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_hits_are_those_of_the_pipeline(client, served, documents):
    found = search(client)
    ids, scores = served[0].pipeline.search([QUERY], 100)
    texts = {one.id: one for one in documents}
    assert [hit["id"] for hit in found["hits"]] == ids[0][:10].tolist()
    assert [hit["score"] for hit in found["hits"]] == [float(score) for score in scores[0][:10]]
    assert [hit["rank"] for hit in found["hits"]] == list(range(1, 11))
    assert (found["pipeline"], found["documents"], found["more"]) == ("winner", 241, True)
    best = found["hits"][0]
    assert (best["text"], best["title"]) == (texts[best["id"]].text, texts[best["id"]].title)
    assert best["attributes"]["topic"] == "Super Bowl 50"
    assert best["reason"] is None


def test_pages_fit_together(client):
    whole = [hit["id"] for hit in search(client, limit=60)["hits"]]
    pages = [search(client, offset=offset, limit=20) for offset in (0, 20, 40)]
    assert [hit["id"] for page in pages for hit in page["hits"]] == whole
    assert pages[2]["hits"][0]["rank"] == 41
    last = search(client, offset=230, limit=100, pipeline="small")
    assert len(last["hits"]) == 11
    assert last["more"] is False
    assert search(client, offset=900, limit=100)["hits"] == []


AS_DICT = {"topic": {"in": ["Black Death"]}, "length": {"lt": 200}}
AS_TEXT = "topic = 'Black Death' and length < 200"


@pytest.mark.parametrize("where", [AS_DICT, AS_TEXT])
def test_filters_are_dicts_or_text(client, where):
    for name in ("winner", "small", "winner/bm25"):
        hits = search(client, query="plague", where=where, pipeline=name)["hits"]
        assert hits
        assert all(hit["attributes"]["topic"] == "Black Death" and hit["attributes"]["length"] < 200 for hit in hits)


def test_reasons_are_words_and_the_nearest_sentence(client, served):
    by_words = search(client, reasons="words")["hits"][0]
    reason, text = by_words["reason"], by_words["text"]
    assert {text[start:end] for start, end in reason["text_words"]} >= {"Panthers", "defense", "points"}
    assert reason["similarity"] is None
    by_sentences = search(client, reasons="sentences")["hits"][0]["reason"]
    space, sentences = served[0].views["winner"].space, sentence_texts(text)
    cosines = space.encode(sentences, "document") @ space.encode([QUERY], "query")[0]
    assert text[slice(*by_sentences["sentence"])] == sentences[cosines.argmax()]
    assert by_sentences["similarity"] == pytest.approx(cosines.max(), abs=1e-6)
    assert search(client, reasons="sentences", pipeline="winner/bm25")["hits"][0]["reason"]["similarity"] is None


DEEP = {"not": {"topic": "x"}}
for _ in range(400):
    DEEP = {"not": DEEP}


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ({"query": ""}, 400, "query: String should have at least 1 character"),
        ({"query": "  \n"}, 400, "query: it is empty"),
        ({"query": 5}, 400, "query: Input should be a valid string"),
        ({"limit": 0}, 400, "limit"),
        ({"limit": "5"}, 400, "limit"),
        ({"offset": 995}, 400, "beyond 1,000"),
        ({"pipeline": "nobody"}, 404, "nothing is called 'nobody' here; there are 'winner'"),
        ({"where": {"colour": "red"}}, 400, "colour"),
        ({"where": {"length": {"near": 3}}}, 400, "where: filter: 'near'"),
        ({"where": {"length": {"gte": "long"}}}, 400, "where"),
        ({"where": "length >= "}, 400, "where"),
        ({"where": DEEP}, 400, "where"),
        ({"sort": "asc"}, 400, "sort: Extra inputs"),
    ],
)
def test_mistakes_are_told_in_the_shape_of_openai(client, body, status, part):
    found = search(client, status, **body)
    assert part in found["error"]["message"]
    assert found["error"]["type"] == "invalid_request_error"
    assert found["error"].keys() == {"message", "type", "param", "code"}


HALF_CHARACTERS = [b'{"query": "x", "where": {"topic": "\\ud800"}}', b'{"query": "wing \\ud800"}']


@pytest.mark.parametrize("raw", [*HALF_CHARACTERS, b"{", b"[]", b""])
def test_bodies_that_are_none_are_refused(client, raw):
    answer = client.post("/search", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_a_fault_is_not_blamed_on_a_filter_that_is_not_there(client, monkeypatch):
    def broken(self, queries, *args):
        raise ValueError("a damaged index")

    monkeypatch.setattr(Pipeline, "search", broken)
    assert search(client, 500)["error"]["type"] == "server_error"
    assert "where" in search(client, 400, where=AS_DICT)["error"]["message"]


def test_documents_by_id(client, documents):
    answer = client.get("/documents", params={"id": [documents[3].id, documents[-1].id]}).json()
    assert [one["id"] for one in answer["documents"]] == [documents[3].id, documents[-1].id]
    assert answer["documents"][1]["text"] == documents[-1].text
    assert client.get("/documents", params={"id": "nobody"}).status_code == 404
    assert client.get("/documents").status_code == 400


def test_pipelines_and_their_facets(client):
    entries = {entry["name"]: entry for entry in client.get("/pipelines").json()}
    assert list(entries) == ["winner", "winner/bm25", "winner/lsa(dim=64) | flat", "small"]
    assert entries["winner"]["vectors"] and entries["winner"]["words"] and entries["winner"]["texts"]
    assert not entries["winner/bm25"]["vectors"] and not entries["small"]["words"]
    facets = {facet["name"]: facet for facet in entries["small"]["facets"]}
    assert facets.keys() == {"topic", "length", "even"}
    assert facets["even"]["values"] == [{"value": False, "count": 120}, {"value": True, "count": 120}]
    assert facets["length"]["low"] == 9


def test_a_pipeline_indexed_without_attributes_offers_no_facets(asked, make_served, documents):
    plain = pipeline("bm25").fit([one.id for one in documents], [one.content for one in documents])
    with asked([ServedPipeline("plain", plain, documents), ServedPipeline("alone", plain, [])]) as client:
        assert [entry["facets"] for entry in client.get("/pipelines").json()] == [[], []]
        bare = client.post("/search", json={"query": QUERY, "pipeline": "alone", "reasons": "sentences"}).json()
        assert bare["hits"][0]["text"] == ""
        assert bare["hits"][0]["id"] == "00-00"
        assert client.get("/map", params={"pipeline": "alone"}).status_code == 404


def test_the_map_comes_once_it_is_made(asked, client, words_only):
    def wait(client, name):
        for _ in range(400):
            answer = client.get("/map", params={"pipeline": name}).json()
            if answer["state"] != "working":
                return answer
            time.sleep(0.05)
        raise AssertionError("the map was not made")

    made = wait(client, "winner")
    assert made["state"] == "ready", made["message"]
    assert len(made["ids"]) == len(made["x"]) == len(made["y"]) == len(made["labels"]) == 241
    assert "lsa(dim=64)" in made["message"]
    assert {one["name"] for one in made["colours"]} == {"topic", "even"}
    with asked([words_only], map_documents=100) as client:
        made = wait(client, "words")
        assert len(made["ids"]) == 100
        assert "100 of 241 documents" in made["message"]
