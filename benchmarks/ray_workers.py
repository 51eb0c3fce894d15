"""Encoding over Ray with 1, 2 and 4 workers, beside the local engine: texts a second, in one run.

Each worker has one core and one thread, and so has the local engine. ``ray_2`` is what a user waits for, with workers
that start and load the encoder, and ``ray_2_first`` the seconds until the first block is back. More workers than cores
gain nothing; that is shown, too. The bytes are compared. Prints one JSON line.

    python benchmarks/ray_workers.py [--encoder minilm] [--blocks 24]
"""

from __future__ import annotations

import os

# Before any library reads it: one thread for the local engine, as for a worker.
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import hashlib
import json
import time
from collections.abc import Iterator

import ray

import theatrum
from theatrum import data
from theatrum.store.block_encoding import EncodedBlock, LocalEngine
from theatrum.store.ray_engine import RayEngine

BLOCK = 64  # texts; small blocks, so that four workers have several each


def timed(made: Iterator[EncodedBlock]) -> tuple[float, float, str]:
    """Texts a second, seconds until the first block is back, and digest of the vectors."""
    digest = hashlib.sha256()
    times = [time.perf_counter()]
    for block in made:
        digest.update(block.vectors.tobytes())
        times.append(time.perf_counter())
    rate = (len(times) - 1) * BLOCK / (times[-1] - times[0])
    return rate, times[1] - times[0], digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--collection", default="cranfield")
    parser.add_argument("--blocks", type=int, default=24)
    options = parser.parse_args()
    texts = [document.content for document in data.load(options.collection).documents]
    texts = (texts * (options.blocks * BLOCK // len(texts) + 1))[: options.blocks * BLOCK]
    blocks = [texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK)]
    encoder = theatrum.pipeline(f"{options.encoder} | flat").retriever.encoder
    if hasattr(encoder, "fit"):
        encoder.fit(texts)
    encoder.encode(["wing"])  # loads the model

    whole, _, expected = timed(LocalEngine().encode(encoder, blocks, "document"))
    line = {
        "benchmark": "ray_workers",
        "encoder": options.encoder,
        "cores": os.cpu_count(),
        "texts": len(texts),
        "unit": "texts/s",
        "local": round(whole, 1),
    }
    # Four places even where there are fewer cores.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=4, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    for workers in (1, 2, 4):
        made = RayEngine(workers=workers).encode(encoder, blocks, "document")
        whole, first, found = timed(made)
        if found != expected:
            raise SystemExit(f"with {workers} workers the bytes differ: the comparison is void")
        line[f"ray_{workers}"] = round(whole, 1)
        line[f"ray_{workers}_first"] = round(first, 1)
    ray.shutdown()
    print(json.dumps(line))


if __name__ == "__main__":
    main()
