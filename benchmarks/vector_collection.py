"""A million vectors of 384 dimensions in a collection: opening, searching, changing, memory; beside LanceDB itself.

The peer searches the same table exactly, as LanceDB does without an index, one query at a time. Memory is the peak
of a fresh process that opens and searches, pages of mapped files included. Prints one JSON line.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lancedb
import numpy as np
from timing import seconds

from theatrum.checks import unit_rows
from theatrum.store import VectorCollection

N, DIM, BATCH, K = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, 384, 100_000, 10

READER = """
import sys, time, numpy as np
from theatrum.store import VectorCollection
import lancedb
start = time.perf_counter()
collection = VectorCollection(sys.argv[1])
opened = time.perf_counter() - start
Q = np.random.default_rng(7).standard_normal((64, collection.dim), dtype=np.float32)
for q in (1, 64, 1):
    collection.search(Q[:q], 10)
collection.search(Q[:1], 10, "year >= 1990")
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(opened, int(peak.split()[1]) / 1024)
"""


def fill(path):
    """Make the collection; returns the seconds of each addition."""
    rng = np.random.default_rng(0)
    collection, times = VectorCollection.create(path, DIM), []
    for start in range(0, N, BATCH):
        X = rng.standard_normal((BATCH, DIM), dtype=np.float32)
        ids, years = [f"doc-{row}" for row in range(start, start + BATCH)], rng.integers(1900, 2020, BATCH).tolist()
        times.append(seconds(lambda ids=ids, X=X, years=years: collection.add(ids, X, {"year": years})))
    return times


def main() -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "collection"
        adding = fill(path)
        done = subprocess.run([sys.executable, "-c", READER, str(path)], capture_output=True, text=True, check=True)
        opened, peak = map(float, done.stdout.split())
        collection, table = VectorCollection(path), lancedb.connect(path).open_table("rows")
        Q = unit_rows(np.random.default_rng(7).standard_normal((64, DIM), dtype=np.float32))
        X = np.random.default_rng(8).standard_normal((1000, DIM), dtype=np.float32)

        def peer(q):
            return (
                table.search(q)
                .distance_type("cosine")
                .select(["id", "_distance"])
                .limit(K)
                .to_arrow()["id"]
                .to_pylist()
            )

        ours, theirs, same = [], [], []
        for q in Q[:8]:
            start = time.perf_counter()
            found = collection.search(q[None], K, rescore=True)[0][0].tolist()
            middle = time.perf_counter()
            wanted = peer(q)
            ours.append(middle - start)
            theirs.append(time.perf_counter() - middle)
            same.append(len(set(found) & set(wanted)) / K)
        print(
            json.dumps(
                {
                    "rows": N,
                    "open_s": round(opened, 3),
                    "peak_mb_opening_and_searching": round(peak),
                    "codes_mb": round(collection.memory_bytes / 1e6),
                    "add_100k_s": round(statistics.median(adding), 2),
                    "one_query_ms": round(1e3 * statistics.median(ours), 1),
                    "lancedb_exact_ms": round(1e3 * statistics.median(theirs), 1),
                    "recall_against_lancedb_exact": round(float(np.mean(same)), 4),
                    "batch_of_64_ms": round(1e3 * seconds(lambda: collection.search(Q, K)), 1),
                    "filter_1_percent_ms": round(1e3 * seconds(lambda: collection.search(Q[:1], K, "year = 1990")), 1),
                    "add_1000_s": round(seconds(lambda: collection.add([f"x{i}" for i in range(1000)], X)), 2),
                    "upsert_1000_s": round(seconds(lambda: collection.upsert([f"x{i}" for i in range(1000)], X)), 2),
                    "delete_1000_s": round(seconds(lambda: collection.delete([f"x{i}" for i in range(1000)])), 2),
                    "snapshot_s": round(seconds(lambda: collection.snapshot(Path(folder) / "snapshot")), 2),
                    "compact_s": round(seconds(collection.compact), 1),
                }
            )
        )


if __name__ == "__main__":
    main()
