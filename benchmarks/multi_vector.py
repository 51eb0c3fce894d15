"""Late interaction: MaxSim and MultiVectorIndex beside the exact MaxSim of sentence-transformers, one run.

NPL, 11,426 short documents, as MiniLM's token vectors; 64 of its queries, ten hits. ``recall`` is the share of the
exact ten that are found. PyLate pins versions of sentence-transformers and torch that this library cannot be installed
with; what its models are scored by is in sentence-transformers 6 now, and is the peer here. Prints one JSON line a
contestant.
"""

from __future__ import annotations

import json
import os
import statistics

import numpy as np
import torch
from sentence_transformers.util import maxsim
from timing import interleaved

from theatrum.claims.search.fixed_dimensional_encoding import minilm_collection
from theatrum.compress import Int8Quantizer
from theatrum.search import FixedDimensionalEncoding, FlatIndex, HNSWIndex, MaxSim, MultiVectorIndex

QUERIES, K = 64, 10


def encoded(index, quantizer, n_candidates):
    """A MultiVectorIndex over fixed dimensional encodings; empty blocks left empty, which suits MiniLM's tokens."""
    encoding = FixedDimensionalEncoding(20, 4, 8, fill_empty=False)
    return MultiVectorIndex(encoding, index, quantizer=quantizer, n_candidates=n_candidates, exact_below=0)


def main() -> None:
    """Compare."""
    collection = minilm_collection("npl")
    queries, ids = collection.queries[:QUERIES], np.array(collection.doc_ids, dtype=object)
    indexes = {
        "theatrum MaxSim float32": MaxSim(store="float32"),
        "theatrum MaxSim int8": MaxSim(store="int8"),
        "theatrum fde | int8 | flat | maxsim(100)": encoded(FlatIndex(metric="ip"), Int8Quantizer(), 100),
        "theatrum fde | int8 | hnsw | maxsim(200)": encoded(HNSWIndex(metric="ip", ef=256), Int8Quantizer(), 200),
    }
    for index in indexes.values():
        index.add(collection.doc_ids, collection.docs)
    theirs = [torch.from_numpy(doc) for doc in collection.docs]
    asked = [torch.from_numpy(query) for query in queries]
    torch.set_num_threads(os.cpu_count() or 1)

    def peer():
        return ids[maxsim(asked, theirs).topk(K, dim=1).indices.numpy()]

    work = {name: lambda index=index: index.search(queries, K)[0] for name, index in indexes.items()}
    work["sentence-transformers maxsim"] = peer
    times = interleaved(work, rounds=5)
    exact = peer()
    for name, run in work.items():
        found = run()
        recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
        seconds = statistics.median(times[name])
        peer_seconds = statistics.median(times["sentence-transformers maxsim"])
        line = {
            "contestant": name,
            "queries_per_s": round(QUERIES / seconds, 1),
            "ratio": round(peer_seconds / seconds, 2),
        }
        memory = indexes[name].memory_bytes if name in indexes else sum(doc.numel() * 4 for doc in theirs)
        print(json.dumps(line | {"recall": round(float(recall), 4), "memory_mb": round(memory / 1e6, 1)}), flush=True)


if __name__ == "__main__":
    main()
