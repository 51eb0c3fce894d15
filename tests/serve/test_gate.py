"""What every request passes: keys, names, sizes; and what every answer carries, errors too."""

from __future__ import annotations

import json
import logging

import pytest
from starlette.testclient import TestClient

from theatrum.pipelines.pipeline import Pipeline
from theatrum.serve import Settings, create_app
from theatrum.serve.gate import OPEN_PATHS
from theatrum.serve.request_log import LOGGER, JsonLines

KEY = "a-key-of-twenty-four-abc"
JSON = {"content-type": "application/json"}
SECRET = "zanzibar"


@pytest.fixture(scope="module")
def locked(asked, words_only):
    with asked([words_only], api_keys=(KEY,), max_body_bytes=1000) as client:
        yield client


def test_without_a_key_only_what_tells_nothing_is_open(locked):
    for path, methods in locked.get("/openapi.json").json()["paths"].items():
        for method in methods:
            status = locked.request(method, path).status_code
            assert (status == 401) is (path not in OPEN_PATHS), path
    for path in OPEN_PATHS:
        assert locked.get(path).status_code == 200
    refused = locked.post("/search", json={"query": "x"})
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["error"]["type"] == "authentication_error"
    assert locked.get("/nothing").status_code == 401


def test_with_a_key_all_is_open_under_any_name(locked):
    headers = {"authorization": f"Bearer {KEY}", "host": "search.example"}
    assert locked.post("/search", json={"query": "plague"}, headers=headers).status_code == 200
    assert locked.get("/metrics", headers=headers).status_code == 200
    assert locked.get("/nothing", headers=headers).status_code == 404


def test_without_keys_other_names_are_refused(client):
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
        refused = client.post("/search", json={"query": "x"}, headers={"host": host})
        assert refused.status_code == 403
        assert "--keys" in refused.json()["error"]["message"]
    assert client.get("/health", headers={"host": "localhost:8000"}).status_code == 200


def test_large_bodies_are_refused_whether_they_say_so_or_not(locked):
    headers = {"authorization": f"Bearer {KEY}", **JSON}

    def in_parts():
        for _ in range(20):
            yield b" " * 100

    assert locked.post("/search", content=b" " * 1001, headers=headers).status_code == 413
    refused = locked.post("/search", content=in_parts(), headers=headers)
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "too_large"
    assert locked.post("/search", content=b"x" * 1000, headers=headers).status_code == 400


def test_every_answer_carries_the_same_protection(client):
    for path in ("/", "/health", "/nothing", "/docs"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert len(headers["x-request-id"]) == 16
        assert headers["cache-control"] in ("no-store", "no-cache")
    assert "access-control-allow-origin" not in client.get("/pipelines", headers={"origin": "http://a.example"}).headers


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "part"),
    [
        ("GET", "/nothing", b"", 404, "there is nothing at /nothing"),
        ("GET", "/search", b"", 405, "GET is not for /search"),
        ("POST", "/search", b"{", 400, "not valid JSON"),
        ("POST", "/search", b'{"query": "x"}', 400, "application/json"),
    ],
)
def test_errors_have_one_shape(client, method, path, content, status, part):
    headers = JSON if content == b"{" else {"content-type": "text/plain"}
    answer = client.request(method, path, content=content, headers=headers)
    assert answer.status_code == status
    assert part in answer.json()["error"]["message"]


@pytest.fixture
def lines():
    class Keep(logging.Handler):
        def __init__(self):
            super().__init__()
            self.texts = False
            self.lines = []

        def emit(self, record):
            self.lines.append(json.loads(JsonLines(texts=self.texts).format(record)))

    keep, logger = Keep(), logging.getLogger(LOGGER)
    logger.addHandler(keep)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield keep
    logger.removeHandler(keep)
    logger.setLevel(level)


def test_the_log_has_a_line_a_request_and_no_text(client, lines):
    answer = client.post("/search", json={"query": SECRET, "where": {SECRET: SECRET}})
    client.post("/search", json={"query": SECRET})
    client.post(f"/{SECRET}")
    client.get("/health")
    assert SECRET not in json.dumps(lines.lines)
    assert [line["status"] for line in lines.lines] == [400, 200, 404]
    first = lines.lines[0]
    assert first["id"] == answer.headers["x-request-id"]
    assert (first["event"], first["method"], first["route"]) == ("answered", "POST", "/search")
    assert first["milliseconds"] > 0


@pytest.mark.parametrize("texts", [False, True])
def test_a_fault_is_answered_and_logged(served, lines, monkeypatch, texts):
    search = Pipeline.search

    def broken(self, queries, *args):
        if queries == [SECRET]:
            raise RuntimeError(f"broken at {SECRET}")
        return search(self, queries, *args)

    lines.texts = texts
    app = create_app(served, Settings())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        monkeypatch.setattr(Pipeline, "search", broken)
        answer = client.post("/search", json={"query": SECRET})
    assert answer.status_code == 500
    assert SECRET not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    fault = next(line for line in lines.lines if line["event"] == "failed")
    assert (fault["error"], fault["level"]) == ("RuntimeError", "error")
    assert any("broken" in place for place in fault["at"])
    assert (SECRET in json.dumps(lines.lines)) is texts


def test_everything_is_counted(asked, words_only):
    with asked([words_only]) as client:
        for _ in range(3):
            client.post("/search", json={"query": "plague"})
        client.post("/search", json={"query": ""})
        client.get(f"/{SECRET}")
        text = client.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'theatrum_requests_total{method="POST",route="/search",status="200"} 3.0' in text.text
    assert 'theatrum_requests_total{method="POST",route="/search",status="400"} 1.0' in text.text
    assert 'theatrum_requests_total{method="GET",route="other",status="404"} 1.0' in text.text
    assert 'theatrum_batch_texts_sum{work="search"} 3.0' in text.text
    assert 'theatrum_documents{pipeline="words"} 241.0' in text.text
    assert "theatrum_ready 1.0" in text.text
    assert SECRET not in text.text
