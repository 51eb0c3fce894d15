"""Exact search of 200,000 vectors of 384 dimensions: FlatIndex against bare FAISS, float32 and int8, 1 and 64 queries.

The peers are ``IndexFlatIP`` and ``IndexScalarQuantizer`` as the wheel comes, on the same vectors; both must find the
same ones. ``read_gb_per_s`` is the memory bandwidth of this machine, measured in the same rounds by adding up as many
bytes with the same threads; ``of_bandwidth`` is the share of it at which one query scans (at least 0.6 for float32; of
int8 codes a core cannot convert as many a second as memory gives). Prints one JSON line a case.
"""

from __future__ import annotations

import json
import statistics

import numpy as np
from numba import njit, prange
from timing import comparison, interleaved

from theatrum.compress import Int8Quantizer
from theatrum.search import FlatIndex
from theatrum.search.faiss_engine import faiss

N, DIM, K = 200_000, 384, 10


@njit(parallel=True, fastmath=True)
def read(words):
    """Add up a matrix of whole numbers: nothing but reading memory."""
    total = 0
    for row in prange(len(words)):
        part = 0
        for j in range(words.shape[1]):
            part += words[row, j]
        total += part
    return total


def contestants(library, X, quantizer):
    """Our index and the peer's, with the same vectors."""
    index = FlatIndex().fit(X[:10_000], quantizer)
    index.add([str(row) for row in range(N)], X)
    peer = library.IndexFlatIP(DIM)
    if quantizer is not None:
        # The same codes in both, so that both must find the same.
        peer = library.IndexScalarQuantizer(DIM, library.ScalarQuantizer.QT_8bit, library.METRIC_INNER_PRODUCT)
        ranges = np.concatenate([quantizer.low_, quantizer.span_]).astype(np.float32)
        library.copy_array_to_vector(ranges, peer.sq.trained)
        peer.is_trained = True
    peer.add(X)
    return index, peer


def main() -> None:
    """Compare."""
    library = faiss()
    usual, ours_threshold = 128_000, library.cvar.distance_compute_blas_threshold  # of the wheel, and as we set it
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, DIM), dtype=np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    words = X.view(np.int64)

    for name, quantizer in (("float32", None), ("int8", Int8Quantizer().fit(X))):
        index, peer = contestants(library, X, quantizer)

        def bare(Q, peer=peer):
            library.cvar.distance_compute_blas_threshold = usual
            try:
                return peer.search(Q, K)
            finally:
                library.cvar.distance_compute_blas_threshold = ours_threshold

        for queries in (1, 64):
            Q = rng.standard_normal((queries, DIM), dtype=np.float32)
            Q /= np.linalg.norm(Q, axis=1, keepdims=True)
            same = np.mean(index.search(Q, K)[0] == bare(Q)[1].astype(str))
            if same < 0.99:
                raise SystemExit(f"the two agree in {same:.0%} of the hits: the comparison is void")
            times = interleaved(
                {
                    "ours": lambda Q=Q, index=index: index.search(Q, K),
                    "peer": lambda Q=Q: bare(Q),
                    "again": lambda Q=Q: bare(Q),
                    "read": lambda: read(words),
                },
                rounds=21,
            )
            ours, bandwidth = statistics.median(times["ours"]), X.nbytes / statistics.median(times["read"])
            line = {
                "benchmark": "flat_search",
                "vectors": N,
                "stored": name,
                "queries": queries,
                "threads": library.omp_get_max_threads(),
                "ours": round(ours / queries * 1e3, 3),
                "peer": round(statistics.median(times["peer"]) / queries * 1e3, 3),
                "unit": "ms a query",
                **comparison(times),
                "read_gb_per_s": round(bandwidth / 1e9, 1),
            }
            if queries == 1:
                scanned = (X.nbytes if quantizer is None else X.nbytes // 4) / ours
                line |= {"scan_gb_per_s": round(scanned / 1e9, 1), "of_bandwidth": round(scanned / bandwidth, 3)}
            print(json.dumps(line))


if __name__ == "__main__":
    main()
