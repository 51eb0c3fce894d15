"""Inverted file: vectors in lists by their nearest centroid, of which a search reads a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from theatrum.checks import Constraint, Range
from theatrum.contracts import Quantizer, Vectors
from theatrum.search import faiss_engine as engine
from theatrum.search.faiss_engine import Metric
from theatrum.search.fine_copy import Precision
from theatrum.search.vector_index import VectorIndex


class InvertedFileIndex(VectorIndex):
    """Finds approximately by reading a few of many lists; keeps the Index contract.

    Smaller and quicker to build than `HNSWIndex`, slower at the same recall. Good for millions of codes.

    Parameters
    ----------
    lists : int or None, default=None
        Lists; about the square root of the sample that ``fit`` sees by default.
    probes : int, default=8
        Lists read a query.
    metric : {"cosine", "ip", "l2"}, default="cosine"
        How vectors are compared.
    rescore : {"int8", "float32"} or None, default=None
        Precision of a copy on disk from which the best candidates are scored again.
    oversample : int, default=8
        Candidates a hit for scoring again.

    References
    ----------
    Sivic and Zisserman, "Video Google", ICCV 2003; Jégou, Douze and Schmid, PAMI 33(1), 2011.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    >>> index = InvertedFileIndex(lists=10, probes=4).fit(X)
    >>> index.add([str(i) for i in range(500)], X)
    >>> index.search(X[7:8], k=1)[0].tolist()
    [['7']]
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        **VectorIndex.constraints,
        "lists": [Range(int, 1), None],
        "probes": [Range(int, 1)],
    }

    def __init__(
        self,
        *,
        lists: int | None = None,
        probes: int = 8,
        metric: Metric = "cosine",
        rescore: Precision | None = None,
        oversample: int = 8,
    ) -> None:
        super().__init__(metric=metric, rescore=rescore, oversample=oversample)
        self.lists = lists
        self.probes = probes

    def _make(self, sample: Vectors, quantizer: Quantizer | None) -> Any:
        lists = self.lists or max(int(np.sqrt(len(sample))), 1)
        if lists > len(sample):
            raise ValueError(f"{lists} lists need at least as many vectors to learn from, got {len(sample)}")
        return engine.inverted_index(sample.shape[1], self.metric, quantizer, sample=sample, lists=lists)

    def _search_parameters(self, n: int, selector: Any) -> Any:
        # Binary inverted files take no parameters object.
        if isinstance(self._index, engine.faiss().IndexBinary):
            self._index.nprobe = self.probes
            return None
        return engine.faiss().SearchParametersIVF(sel=selector, nprobe=self.probes)
