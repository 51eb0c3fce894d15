"""Peak memory and speed of encoding 200,000 short documents with the static encoder, through the store.

The corpus is generated and streamed from a file; the limit is 1.5 GB for the whole process. Prints one JSON line.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N, LIMIT = 200_000, 1.5e9
WORDS = Path(__file__).read_text(encoding="utf-8").split() + [f"word{number}" for number in range(5000)]


def write_corpus(path: Path) -> None:
    """One JSON line a document, 20 words each, drawn by Zipf's law."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, N, 10_000):
            ranks = np.minimum(rng.zipf(1.3, size=(10_000, 20)), len(WORDS)) - 1
            for number, row in enumerate(ranks, start):
                file.write(json.dumps({"id": str(number), "text": " ".join(WORDS[rank] for rank in row)}) + "\n")


def main() -> None:
    """Encode and report."""
    from theatrum.data import read_corpus
    from theatrum.encoding import encode_corpus
    from theatrum.store import VectorStore

    pipeline = sys.argv[1] if len(sys.argv) > 1 else "static"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_corpus(root / "corpus.jsonl")
        start = time.perf_counter()
        done = encode_corpus(
            lambda: read_corpus(str(root / "corpus.jsonl")), pipeline, root / "vectors.npy", VectorStore(root / "store")
        )
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    row = {"documents": done.rows, "documents_per_second": round(done.rows / seconds), "peak_bytes": peak}
    print(json.dumps({**row, "limit_bytes": LIMIT, "limit_fraction": round(peak / LIMIT, 3)}))


if __name__ == "__main__":
    main()
