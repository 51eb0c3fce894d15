"""Exact search of 100,000 vectors of 384 dimensions: FlatIndex against bare FAISS, one query and a batch of 64.

The peer is ``faiss.IndexFlatIP`` as its wheel comes. Both must find the same vectors. The limit is reading all vectors
once (one query), or the matrix product (64 queries), measured on this machine. Prints one JSON line a batch size.
"""

from __future__ import annotations

import json
import statistics

import numpy as np
from timing import comparison, interleaved

from theatrum.search import FlatIndex
from theatrum.search.faiss_engine import faiss

N, DIM, K = 100_000, 384, 10


def main() -> None:
    """Compare."""
    library = faiss()
    usual, ours_threshold = 128_000, library.cvar.distance_compute_blas_threshold  # of the wheel, and as we set it
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, DIM), dtype=np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    names = [str(row) for row in range(N)]
    index = FlatIndex().fit(X[:1000])
    index.add(names, X)
    peer = library.IndexFlatIP(DIM)
    peer.add(X)

    def bare(Q):
        library.cvar.distance_compute_blas_threshold = usual
        try:
            return peer.search(Q, K)
        finally:
            library.cvar.distance_compute_blas_threshold = ours_threshold

    for queries in (1, 64):
        Q = rng.standard_normal((queries, DIM), dtype=np.float32)
        Q /= np.linalg.norm(Q, axis=1, keepdims=True)
        if index.search(Q, K)[0].tolist() != [[names[place] for place in row] for row in bare(Q)[1]]:
            raise SystemExit("the two find different vectors: the comparison is void")
        times = interleaved(
            {
                "ours": lambda Q=Q: index.search(Q, K),
                "peer": lambda Q=Q: bare(Q),
                "again": lambda Q=Q: bare(Q),
                "limit": lambda Q=Q: Q @ X.T,
            },
            rounds=21,
        )
        ours = statistics.median(times["ours"])
        line = {
            "benchmark": "flat_search",
            "vectors": N,
            "queries": queries,
            "threads": library.omp_get_max_threads(),
            "ours": round(ours / queries * 1e3, 3),
            "peer": round(statistics.median(times["peer"]) / queries * 1e3, 3),
            "unit": "ms a query",
            **comparison(times),
            "limit_fraction": round(statistics.median(times["limit"]) / ours, 3),
            "gb_per_s": round(X.nbytes / ours / 1e9, 1),
        }
        print(json.dumps(line))


if __name__ == "__main__":
    main()
