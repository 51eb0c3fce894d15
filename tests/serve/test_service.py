"""Getting ready, being too busy, and who is served under which name."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from theatrum.pipelines.pipeline import Pipeline
from theatrum.serve import ServedPipeline, Settings, create_app, open_served


def test_requests_wait_until_all_is_loaded(words_only, monkeypatch):
    loaded = threading.Event()
    warm_up = ServedPipeline.warm_up
    monkeypatch.setattr(ServedPipeline, "warm_up", lambda self: loaded.wait(10) and warm_up(self))
    app = create_app([words_only])
    with TestClient(app, base_url="http://127.0.0.1") as client, ThreadPoolExecutor(1) as thread:
        refused = client.get("/ready")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert client.get("/health").json() == {"status": "ok"}
        early = thread.submit(client.post, "/search", json={"query": "plague"})
        loaded.set()
        assert early.result(10).json()["hits"]
        assert client.get("/ready").json() == {"status": "ready"}


def test_what_cannot_be_loaded_is_said(words_only, monkeypatch):
    def missing(self):
        raise OSError("no weights here")

    monkeypatch.setattr(ServedPipeline, "warm_up", missing)
    with TestClient(create_app([words_only]), base_url="http://127.0.0.1") as client:
        client.get("/pipelines")
        answer = client.get("/ready")
        assert answer.status_code == 503
        assert "no weights here" in answer.json()["error"]["message"]


def test_too_much_at_once_is_refused_with_a_time_to_come_again(words_only, monkeypatch, asked):
    release = threading.Event()
    search = Pipeline.search

    def slow(self, queries, *args, **others):
        if queries != ["warm up"]:
            release.wait(10)
        return search(self, queries, *args, **others)

    monkeypatch.setattr(Pipeline, "search", slow)
    with (
        asked([words_only], max_waiting=4, max_batch=2) as client,
        ThreadPoolExecutor(12) as threads,
    ):
        answers = [threads.submit(client.post, "/search", json={"query": f"plague {n}"}) for n in range(12)]
        done = [answer for answer in answers if _done(answer, release)]
        codes = sorted(answer.result(10).status_code for answer in answers)
    assert codes == [200] * 4 + [429] * 8
    busy = next(answer.result() for answer in done if answer.result().status_code == 429)
    assert 1 <= int(busy.headers["retry-after"]) <= 60
    assert busy.json()["error"]["type"] == "rate_limit_error"


def _done(answer, release):
    """Wait for refusals; when none comes any more, let the others go."""
    try:
        answer.result(0.5)
    except TimeoutError:
        release.set()
        return False
    return True


def test_names_must_differ(served):
    with pytest.raises(ValueError, match="two pipelines are called 'winner'"):
        create_app([served[0], served[0]])
    with pytest.raises(ValueError, match="no pipeline"):
        create_app([])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_inputs": 0}, "max_inputs"),
        ({"map_documents": 20_001}, "map_documents"),
    ],
)
def test_limits_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)


def test_a_winner_of_a_bakeoff_is_served_with_its_attributes(tmp_path, documents, asked):
    import theatrum

    theatrum.bakeoff(documents[:80], pipelines=["bm25", "tfidf"], store=tmp_path / "store", out=tmp_path / "out")
    served = open_served(tmp_path / "out" / "winner")
    assert list(served.views) == ["winner"]
    with asked([served]) as client:
        (entry,) = client.get("/pipelines").json()
        assert {facet["name"] for facet in entry["facets"]} == {"topic", "length", "even"}
        found = client.post("/search", json={"query": "plague in the super bowl", "where": {"even": True}}).json()
        assert found["hits"]
        assert all(hit["attributes"]["even"] and hit["text"] for hit in found["hits"])
