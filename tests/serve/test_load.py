"""A few seconds of what benchmarks/serve_load.py does for minutes: many clients at once, and no error but 429."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from theatrum.data import load

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serve_load.py"


@pytest.fixture(scope="module")
def press():
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[SCRIPT.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module.press
    del sys.modules[SCRIPT.stem]


@pytest.mark.parametrize("settings", [{}, {"max_waiting": 20}])
def test_many_clients_at_once(listening, served, press, settings):
    bodies = [json.dumps({"query": query, "limit": 3}).encode() for query in load("xquad-en").queries.values()]
    with listening(served, **settings) as address:
        run = press(urllib.parse.urlsplit(address).port, "/search", bodies, clients=200, seconds=2.5)
        found = asyncio.run(run)
        with urllib.request.urlopen(f"{address}/metrics") as answer:
            counted = answer.read().decode()
    assert set(found.statuses) <= {"200", "429"}
    assert ("429" in found.statuses) is bool(settings)
    assert found.statuses["200"] > 100
    numbers = dict(line.rsplit(" ", 1) for line in counted.splitlines() if not line.startswith("#"))
    texts, batches = (float(numbers[f'theatrum_batch_texts_{part}{{work="search"}}']) for part in ("sum", "count"))
    assert texts / batches > 3
