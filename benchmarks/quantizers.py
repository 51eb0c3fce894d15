"""Encoding 50,000 vectors of 384 dimensions: our quantizers against FAISS's of the same size, and what each keeps.

Same threads, same training rows. ``recall_at_10`` is measured against exact search of the float32 vectors, by exact
search of the decoded codes. Prints one JSON line a quantizer.
"""

from __future__ import annotations

import json
import statistics

import numpy as np
from timing import comparison, interleaved, seconds

from theatrum.compress import BinaryQuantizer, Int8Quantizer, OptimizedProductQuantizer, ProductQuantizer
from theatrum.search.faiss_engine import faiss

N, DIM, TRAIN, QUERIES = 50_000, 384, 10_000, 200


def vectors(rng, n, mixing):
    """Unit rows with a spectrum that falls off, as embeddings have."""
    X = rng.standard_normal((n, DIM)).astype(np.float32) @ mixing
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def best(Q, X):
    """Positions of the ten best products."""
    return np.argpartition(-(Q @ X.T), 10, axis=1)[:, :10]


def main() -> None:
    """Compare."""
    library = faiss()
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0]
    mixing = ((turn * np.arange(1, DIM + 1) ** -0.5) @ turn.T).astype(np.float32)
    X, Q = vectors(rng, N, mixing), vectors(rng, QUERIES, mixing)
    train, exact = X[:TRAIN], best(Q, X)
    pairs = {
        "int8": (Int8Quantizer(), library.IndexScalarQuantizer(DIM, library.ScalarQuantizer.QT_8bit)),
        "binary": (BinaryQuantizer(), library.index_factory(DIM, "LSHrt")),
        "pq(m=48)": (ProductQuantizer(m=48), library.index_factory(DIM, "PQ48x8")),
        "opq(m=48)": (OptimizedProductQuantizer(m=48), library.index_factory(DIM, "OPQ48,PQ48x8")),
    }
    for name, (ours, peer) in pairs.items():
        ours_fit, peer_fit = seconds(lambda ours=ours: ours.fit(train)), seconds(lambda peer=peer: peer.train(train))
        times = interleaved(
            {
                "ours": lambda ours=ours: ours.encode(X),
                "peer": lambda peer=peer: peer.sa_encode(X),
                "again": lambda peer=peer: peer.sa_encode(X),
            },
            rounds=5,
        )

        def recall(decoded):
            hits = (best(Q, decoded)[:, :, None] == exact[:, None, :]).any(axis=2)
            return round(float(hits.mean()), 3)

        line = {
            "benchmark": "quantizers",
            "quantizer": name,
            "threads": library.omp_get_max_threads(),
            "bytes": int(ours.encode(X[:1]).nbytes),
            "peer_bytes": int(peer.sa_code_size()),
            "ours": round(N / statistics.median(times["ours"])),
            "peer": round(N / statistics.median(times["peer"])),
            "unit": "vectors/s",
            **comparison(times),
            "fit_s": [round(ours_fit, 2), round(peer_fit, 2)],
            "recall_at_10": [recall(ours.decode(ours.encode(X))), recall(peer.sa_decode(peer.sa_encode(X)))],
        }
        print(json.dumps(line))


if __name__ == "__main__":
    main()
