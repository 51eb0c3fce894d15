"""Flat index: compares with everything."""

from __future__ import annotations

from typing import Any

from theatrum.contracts import Quantizer, Scores, Vectors
from theatrum.search import faiss_engine as engine
from theatrum.search.exact_scan import best_rows
from theatrum.search.faiss_engine import Positions
from theatrum.search.search_plan import Survivors
from theatrum.search.vector_index import VectorIndex


class FlatIndex(VectorIndex):
    """Finds exactly; keeps the Index contract.

    The right index up to some hundred thousand vectors, and for measuring: what it returns is right for the codes it
    holds. With codes and ``rescore`` it searches a small first pass in memory and a finer copy on disk.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2"}, default="cosine"
        How vectors are compared.
    rescore : {"int8", "float32"} or None, default=None
        Precision of a copy on disk from which the best candidates are scored again.
    oversample : int, default=8
        Candidates a hit for scoring again.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.eye(4, dtype=np.float32)
    >>> index = FlatIndex().fit(X)
    >>> index.add(["a", "b", "c", "d"], X, {"year": [1958, 1962, 1969, None]})
    >>> ids, scores = index.search(X[2:3] + X[0:1] / 2, k=2)
    >>> ids.tolist(), [round(float(score), 2) for score in scores[0]]
    ([['c', 'a']], [0.89, 0.45])
    >>> index.search(X[2:3] + X[0:1] / 2, k=2, where={"year": {"lt": 1965}})[0].tolist()
    [['a', 'b']]
    """

    def _make(self, sample: Vectors, quantizer: Quantizer | None) -> Any:
        return engine.flat_index(sample.shape[1], self.metric, quantizer)

    def _candidates(self, Q: Vectors, n: int, survivors: Survivors | None) -> tuple[Positions, Scores]:
        stored = self._stored
        if stored is None:
            return super()._candidates(Q, n, survivors)
        rows = None if survivors is None else survivors.rows
        return best_rows(stored, Q, n if rows is None else min(n, len(rows)), squared=self.metric == "l2", rows=rows)
