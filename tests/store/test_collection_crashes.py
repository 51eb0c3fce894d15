"""A process that is killed in any change loses nothing that it was told is safe, and leaves nothing half done."""

import random
import subprocess
import sys
import time

import numpy as np
import pytest

from theatrum.store import VectorCollection
from theatrum.store.store_check import check_store

D, ROWS = 8, 200

# Each does its work over and over, and says on standard output what has returned.
PREPARE = """
import itertools, os, sys, numpy as np
from datetime import timedelta
from theatrum.store import VectorCollection
path, run = sys.argv[1], sys.argv[2]
collection = VectorCollection(path)
def names(batch): return [f"{batch}:{row}" for row in range(200)]
def constant(value): return np.full((200, 8), value, np.float32)
def say(word): os.write(1, f"{word}\\n".encode())
say("ready")
"""
WORK = {
    "add": 'for b in itertools.count():\n    collection.add(names(f"{run}-{b}"), constant(b + 1))\n    say(b)',
    "upsert": "for b in itertools.count(1):\n    collection.upsert(names('same'), constant(int(run) * 1000 + b))\n"
    "    say(int(run) * 1000 + b)",
    "delete": "for b in sorted({name.split(':')[0] for name in collection.ids}):\n    collection.delete(names(b))\n"
    "    say(b)",
    "compact": "for b in itertools.count(1):\n    collection.compact(timedelta(hours=b % 2))\n    say(b)",
    "snapshot": 'for b in itertools.count():\n    collection.snapshot(f"{path}-{run}-{b}")\n    say(b)',
}


def killed(path, work, run, rng):
    """Start the work, kill it somewhere in the middle, and return what it had said."""
    process = subprocess.Popen(
        [sys.executable, "-c", PREPARE + WORK[work], str(path), str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"ready\n", process.stderr.read().decode()
    time.sleep(rng.uniform(0.0, 0.35))
    process.kill()
    said, _ = process.communicate()
    return [line.decode() for line in said.splitlines()]


def batches(collection):
    """Rows by the batch that they came in, and the value that all of a batch must share."""
    X, _ = collection.get(collection.ids)
    found = {}
    for name, x in zip(collection.ids, X, strict=True):
        found.setdefault(name.split(":")[0], []).append(float(x[0]))
        assert len(set(x.tolist())) == 1
    assert all(len(values) == ROWS and len(set(values)) == 1 for values in found.values())
    return {batch: values[0] for batch, values in found.items()}


def look_after_add(path, before, said, run):
    now = batches(VectorCollection(path))
    assert {**before, **{f"{run}-{b}": int(b) + 1.0 for b in said}}.items() <= now.items()
    assert len(now) - len(before) - len(said) in (0, 1)  # what was being added may be there as well


def look_after_upsert(path, before, said, run):
    now = batches(VectorCollection(path))
    last = float(said[-1]) if said else before["same"]
    assert now.keys() == before.keys()
    assert now["same"] in {last, last + 1 if said else run * 1000 + 1.0}


def look_after_delete(path, before, said, run):
    now = batches(VectorCollection(path))
    assert not now.keys() & set(said)
    assert now.items() <= before.items()
    assert len(before) - len(now) - len(said) in (0, 1)


def look_after_compact(path, before, said, run):
    assert batches(VectorCollection(path)) == before


def look_after_snapshot(path, before, said, run):
    assert batches(VectorCollection(path)) == before
    for b in range(len(said) + 2):
        there = path.with_name(f"{path.name}-{run}-{b}")
        assert there.exists() or str(b) not in said
        if there.exists() and b in (0, len(said) - 1, len(said)):  # the last one may be there and not yet said
            assert batches(VectorCollection(there)) == before


LOOK = {
    "add": look_after_add,
    "upsert": look_after_upsert,
    "delete": look_after_delete,
    "compact": look_after_compact,
    "snapshot": look_after_snapshot,
}


def crash(tmp_path, work, kills):
    rng = random.Random(work)
    path = tmp_path / "c"
    collection = VectorCollection.create(path, D)
    collection.add([f"same:{row}" for row in range(ROWS)], np.full((ROWS, D), 0.5, np.float32))
    heard = 0
    for run in range(kills):
        if work != "upsert":
            while len(batches(VectorCollection(path))) < 12:
                filler = f"filler{run}-{len(batches(VectorCollection(path)))}"
                collection.add([f"{filler}:{row}" for row in range(ROWS)], np.full((ROWS, D), 3, np.float32))
        before = batches(VectorCollection(path))
        said = killed(path, work, run, rng)
        heard += len(said)
        LOOK[work](path, before, said, run)
        after = VectorCollection(path)
        ids, _ = after.search(np.ones((1, D), np.float32), len(after) + 1)
        assert set(ids[0]) == {*after.ids, ""}
        assert not [finding for finding in check_store(path) if finding.harm]
        collection.refresh()
    assert heard or kills < 5  # the kills came in the middle of work, not before it


@pytest.mark.parametrize("work", sorted(WORK))
def test_a_kill(tmp_path, work):
    crash(tmp_path, work, 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("work", sorted(WORK))
def test_fifty_kills(tmp_path, work):
    crash(tmp_path, work, 50)
