"""HNSW: a graph of neighbours in layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from theatrum.checks import Constraint, Range
from theatrum.contracts import Quantizer, Vectors
from theatrum.search import faiss_engine as engine
from theatrum.search.faiss_engine import Metric
from theatrum.search.fine_copy import Precision
from theatrum.search.vector_index import VectorIndex


class HNSWIndex(VectorIndex):
    """Finds approximately and fast by walking a graph; keeps the Index contract.

    For hundreds of thousands of vectors and more, where single queries must be quick. The links take about ``8 * m``
    bytes a vector. Building is single-threaded, so that the same vectors give the same graph.

    Parameters
    ----------
    m : int, default=32
        Links a vector (twice that in the lowest layer).
    ef : int, default=64
        Candidates kept while searching; more finds more and takes longer.
    ef_construction : int, default=200
        The same while building.
    metric : {"cosine", "ip", "l2"}, default="cosine"
        How vectors are compared.
    rescore : {"int8", "float32"} or None, default=None
        Precision of a copy on disk from which the best candidates are scored again.
    oversample : int, default=8
        Candidates a hit for scoring again.

    References
    ----------
    Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small
    world graphs", PAMI 42(4), 2020.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    >>> index = HNSWIndex(m=8).fit(X)
    >>> index.add([str(i) for i in range(500)], X)
    >>> index.search(X[7:8], k=1)[0].tolist()
    [['7']]
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        **VectorIndex.constraints,
        "m": [Range(int, 2, 512)],
        "ef": [Range(int, 1)],
        "ef_construction": [Range(int, 1)],
    }

    def __init__(
        self,
        *,
        m: int = 32,
        ef: int = 64,
        ef_construction: int = 200,
        metric: Metric = "cosine",
        rescore: Precision | None = None,
        oversample: int = 8,
    ) -> None:
        super().__init__(metric=metric, rescore=rescore, oversample=oversample)
        self.m = m
        self.ef = ef
        self.ef_construction = ef_construction

    def _make(self, sample: Vectors, quantizer: Quantizer | None) -> Any:
        return engine.graph_index(sample.shape[1], self.metric, quantizer, links=self.m, effort=self.ef_construction)

    def _search_parameters(self, n: int, selector: Any) -> Any:
        return engine.faiss().SearchParametersHNSW(sel=selector, efSearch=max(self.ef, n))
