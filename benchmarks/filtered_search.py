"""Search under filters: FilteredIndex beside FAISS's selector, hnswlib's filter and LanceDB, at equal recall.

100,000 vectors of 384 dimensions (MiniLM vectors of newsgroup messages and noisy copies of them), 100 held-out queries,
ten hits; range, category and combined filters that let through 0.01% to all of the rows. Every graph is searched at
several efforts; the line of a filter holds, for each library, the most queries a second at a recall of at least 0.95
(``null`` where none reached it, with the best recall), and how many times faster we are than the fastest of the others.
FAISS searches the very graph of ours, and by comparing with all (``faiss flat``); its bitmap is made beforehand.
hnswlib calls back into Python for every row that it looks at, on one thread, as its documentation asks. usearch's
Python search takes no filter, and is left out. Prints one JSON line a filter.
"""

from __future__ import annotations

import json
import sys
import tempfile

import lancedb
import numpy as np
import pyarrow as pa

from theatrum.checks import unit_rows
from theatrum.claims.search.filtered_index import newsgroup_vectors, noisy_copies
from theatrum.evaluate.filtered_search_benchmark import filtered_search_benchmark
from theatrum.search import FilteredIndex
from theatrum.search.faiss_engine import faiss

N, K, RECALL = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, 10, 0.95
EFFORTS = (12, 16, 24, 32, 48, 64, 96, 128, 256)
SLOW = 0.05  # below this share hnswlib calls back so often that two efforts must do
SHARES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1.0)


class Ours:
    """FilteredIndex at one effort."""

    def __init__(self, index, ef):
        self.index, self.ef = index, ef

    def search(self, Q, k, where=None, *, explain=False):
        """Search."""
        self.index.ef = self.ef
        return self.index.search(Q, k, where, explain=explain)


class Masked:
    """A library whose filter is a list of rows; what it makes of a list is made once."""

    def __init__(self, masks):
        self.masks, self.made = masks, {}

    def search(self, Q, k, where):
        """Search."""
        if where not in self.made:
            self.made[where] = self.prepared(self.masks[where])
        found = self.found(unit_rows(Q), k, self.made[where])
        return np.where(found < 0, "", found.astype(str).astype(object)), None


class FaissSelector(Masked):
    """A FAISS index under a bitmap."""

    def __init__(self, structure, masks, ef=None):
        super().__init__(masks)
        self.structure, self.ef = structure, ef

    def prepared(self, mask):
        """Bits."""
        bits = np.packbits(mask, bitorder="little")
        return bits, faiss().IDSelectorBitmap(bits)

    def found(self, Q, k, made):
        """Positions."""
        lib, selector = faiss(), made[1]
        few = (
            lib.SearchParametersHNSW(efSearch=self.ef, sel=selector) if self.ef else lib.SearchParameters(sel=selector)
        )
        return self.structure.search(Q, k, params=few)[1]


class Hnswlib(Masked):
    """hnswlib with its callback."""

    def __init__(self, graph, masks, ef):
        super().__init__(masks)
        self.graph, self.ef = graph, ef

    def prepared(self, mask):
        """A function of a row."""
        return mask.tolist().__getitem__

    def found(self, Q, k, made):
        """Positions."""
        self.graph.set_ef(max(self.ef, k))
        found = np.full((len(Q), k), -1)
        for row, q in enumerate(Q):
            try:
                found[row] = self.graph.knn_query(q, k=k, num_threads=1, filter=made)[0]
            except RuntimeError:  # it found fewer than k, and gives none of them
                continue
        return found


class Lance:
    """A LanceDB table with indexes on the vectors and on both columns."""

    def __init__(self, table, ef):
        self.table, self.ef = table, ef

    def search(self, Q, k, where):
        """Search, query by query: it has no batches under a filter."""
        found = []
        for q in unit_rows(Q):
            asked = self.table.search(q).distance_type("cosine").where(where, prefilter=True).limit(k).ef(self.ef)
            ids = asked.refine_factor(4).select(["id", "_distance"]).to_arrow()["id"].to_pylist()
            found.append(ids + [""] * (k - len(ids)))
        return np.array(found, dtype=object), None


def filters():
    """Attributes of all rows, and filters as text with the rows that pass."""
    rng = np.random.default_rng(1)
    spread, drawn = rng.permutation(N) / N, rng.permutation(N) / N
    edges = np.cumsum([0.0001, 0.001, 0.01, 0.05, 0.1, 0.2])
    kinds = np.array(["a", "b", "c", "d", "e", "f", "g"])[np.searchsorted(edges, drawn, side="right")]
    masks = {f"spread < {share}": spread < share for share in SHARES}
    masks |= {f"kind = '{kind}'": kinds == kind for kind in "bdfg"}
    masks |= {f"kind = '{kind}' and spread < 0.3": (kinds == kind) & (spread < 0.3) for kind in "cfg"}
    return {"spread": spread, "kind": kinds}, {where: mask for where, mask in masks.items() if mask.any()}


def lance_table(folder, X, columns):
    """Make the table and its indexes."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])
    rows = {"id": [str(row) for row in range(len(X))], "vector": vectors}
    table = lancedb.connect(folder).create_table(
        "rows", pa.table(rows | {name: pa.array(c) for name, c in columns.items()})
    )
    table.create_index(metric="cosine", index_type="IVF_HNSW_SQ", num_partitions=1, m=32, ef_construction=100)
    for column in columns:
        table.create_scalar_index(column)
    table.wait_for_index([index.name for index in table.list_indices()])
    return table


def contestants(X, columns, masks, folder):
    """All libraries at all efforts: (library, effort) -> something to search."""
    import hnswlib

    index = FilteredIndex(ef_construction=100).fit(X[:10_000])
    index.add([str(row) for row in range(len(X))], X, {name: column.tolist() for name, column in columns.items()})
    graph = hnswlib.Index("cosine", X.shape[1])
    graph.init_index(len(X), M=32, ef_construction=100)
    graph.add_items(X, num_threads=-1)
    flat = faiss().IndexFlatIP(X.shape[1])
    flat.add(X)
    table = lance_table(folder, X, columns)
    everyone = {("faiss flat", 0): FaissSelector(flat, masks)}
    for ef in EFFORTS:
        everyone["theatrum", ef] = Ours(index, ef)
        everyone["faiss hnsw", ef] = FaissSelector(index.contents.structure, masks, ef)
        everyone["hnswlib", ef] = Hnswlib(graph, masks, ef)
    everyone |= {("lancedb", ef): Lance(table, ef) for ef in (64, 256)}
    return everyone


def main() -> None:
    """Compare."""
    base, Q = newsgroup_vectors(4200, 100)
    X = unit_rows(np.vstack([base, noisy_copies(base, N - len(base), 0)]))
    columns, masks = filters()
    with tempfile.TemporaryDirectory() as folder:
        everyone = contestants(X, columns, masks, folder)
        for where, mask in masks.items():
            few = mask.mean() < SLOW
            asked = {key: one for key, one in everyone.items() if key[0] != "hnswlib" or key[1] in (16, 64) or not few}
            named = {f"{name} {ef}": one for (name, ef), one in asked.items()}
            cells = filtered_search_benchmark(named, X, Q, {where: mask}, k=K, rounds=2)
            best = {}
            for (name, ef), cell in zip(asked, cells, strict=True):
                kept = best.setdefault(name, {"qps": None, "recall": 0.0})
                faster = cell.recall >= RECALL and cell.queries_per_second > (kept["qps"] or 0)
                if faster or (kept["qps"] is None and cell.recall > kept["recall"]):
                    speed = round(cell.queries_per_second, 1) if faster else None
                    best[name] = {"qps": speed, "recall": round(cell.recall, 3), "ef": ef, "way": cell.way}
            fastest = max((one["qps"] or 0 for name, one in best.items() if name != "theatrum"), default=0)
            ratio = round((best["theatrum"]["qps"] or 0) / fastest, 2) if fastest else None
            print(json.dumps({"filter": where, "selectivity": float(mask.mean()), "ratio": ratio, **best}), flush=True)


if __name__ == "__main__":
    main()
