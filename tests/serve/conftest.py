"""A service over paragraphs of Wikipedia, and what is needed to talk to it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.testclient import TestClient

from theatrum.bakeoffs.documents import attribute_columns
from theatrum.data import Document, load
from theatrum.pipelines.pipeline import pipeline
from theatrum.serve import ServedPipeline, Settings, create_app
from theatrum.serve.access import listen

HTML = "<img src=x onerror=\"document.title='broken in'\"><script>document.title='broken in'</script> & <b>bold</b>"


@pytest.fixture(scope="session")
def documents():
    rows = [
        Document(one.id, one.text, one.title, {"topic": one.title, "length": len(one.text.split()), "even": not n % 2})
        for n, one in enumerate(load("xquad-en").documents)
    ]
    return [*rows, Document("<b>evil</b>", f"Zeppelins are quoxotic. {HTML}", HTML, {"topic": HTML, "length": 9})]


@pytest.fixture(scope="session")
def make_served(documents):
    def make(name, text, rows=documents):
        ids, texts = [one.id for one in rows], [one.content for one in rows]
        return ServedPipeline(name, pipeline(text).fit(ids, texts, attribute_columns(rows)), rows)

    return make


@pytest.fixture(scope="session")
def served(make_served):
    return [make_served("winner", "rrf(bm25, lsa(dim=64) | flat)"), make_served("small", "lsa(dim=48) | pca(dim=32)")]


@pytest.fixture(scope="session")
def words_only(make_served):
    return make_served("words", "tfidf")


def _wait_until_ready(client):
    for _ in range(600):
        if client.get("/ready").status_code == 200:
            return
        time.sleep(0.05)
    raise AssertionError("the service did not become ready")


@contextmanager
def _asked(pipelines, **settings):
    app = create_app(pipelines, Settings(**settings))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        _wait_until_ready(client)
        yield client


@contextmanager
def _listening(pipelines, **settings):
    door = listen("127.0.0.1", 0)
    config = uvicorn.Config(create_app(pipelines, Settings(**settings)), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        door.close()


@pytest.fixture(scope="session")
def asked():
    """Gives a client of a service that runs in this process."""
    return _asked


@pytest.fixture(scope="session")
def listening():
    """Gives the address of a service that listens."""
    return _listening


@pytest.fixture(scope="session")
def client(served):
    with _asked(served) as client:
        yield client


@pytest.fixture(scope="session")
def address(served):
    with _listening(served) as address:
        yield address
