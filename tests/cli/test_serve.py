"""`theatrum serve` as a process: it starts, answers, refuses what is unsafe, and stops well."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from theatrum.pipelines.pipeline import pipeline

THEATRUM = Path(sys.executable).with_name("theatrum")


@pytest.fixture(scope="module")
def folder(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "plates"
    pipeline("rrf(bm25, lsa(dim=16))").fit(*corpus).save(folder)
    return folder


def ask(url, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


def started(*arguments):
    """A running service, its address, and the lines of its log as they come."""
    process = subprocess.Popen([THEATRUM, "serve", *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    lines, ready = [], threading.Event()

    def read():
        for line in process.stderr:
            lines.append(line)
            if '"event": "ready"' in line:
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    assert ready.wait(60)
    assert process.poll() is None, "".join(lines)
    return process, re.search(r"http://\S+", "".join(lines))[0].rstrip("/"), lines


def test_it_stops_when_all_is_answered(folder):
    process, address, lines = started(folder, "--port", 0, "--max-batch", 1)
    assert ask(f"{address}/ready") == {"status": "ready"}
    assert ask(f"{address}/search", {"query": "shock waves"})["hits"][0]["id"].startswith("shock")
    answers = []
    texts = [f"shock waves {number}" for number in range(1500)]
    long = threading.Thread(target=lambda: answers.append(ask(f"{address}/v1/embeddings", {"input": texts})))
    long.start()
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    long.join(30)
    assert process.wait(30) == 0
    assert len(answers[0]["data"]) == 1500
    records = [json.loads(line) for line in lines if line.startswith("{")]
    assert {"path", "query"}.isdisjoint(key for record in records for key in record)
    assert "Traceback" not in "".join(lines)


def test_keys_open_it(folder, tmp_path):
    (tmp_path / "keys").write_text("a-key-of-twenty-four-abc\n")
    process, address, _ = started(folder, "--port", 0, "--keys", tmp_path / "keys", "--host", "0.0.0.0")
    try:
        address = address.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{address}/pipelines")
        assert ask(f"{address}/pipelines", authorization="Bearer a-key-of-twenty-four-abc")[0]["name"] == "plates"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "not a saved part"),
        (["{folder}", "--host", "0.0.0.0"], "no API key is set"),
        (["{folder}", "--compare", "{folder}"], "two pipelines are called 'plates'"),
        (["{folder}", "--keys", "nowhere"], "nowhere"),
        (["{folder}", "--host", "203.0.113.1", "--keys", "{keys}"], "cannot listen on 203.0.113.1"),
    ],
)
def test_mistakes_end_with_one_sentence(arguments, sentence, folder, tmp_path):
    (tmp_path / "keys").write_text("a-key-of-twenty-four-abc\n")
    names = {"{folder}": str(folder), "{keys}": str(tmp_path / "keys")}
    command = [THEATRUM, "serve", *[names.get(argument, argument) for argument in arguments], "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
