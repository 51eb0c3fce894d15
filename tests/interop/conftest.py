"""One set of vectors for all hand-overs, and every kind of index over it."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.checks import unit_rows
from theatrum.compress import BinaryQuantizer, Int8Quantizer, OptimizedProductQuantizer, ProductQuantizer
from theatrum.search import FlatIndex, HNSWIndex, InvertedFileIndex

N, DIM = 1200, 16
_RNG = np.random.default_rng(0)
_SCALES = np.linspace(1, 0.2, DIM)
VECTORS = unit_rows((_RNG.normal(size=(N, DIM)) * _SCALES).astype(np.float32))
QUERIES = unit_rows((_RNG.normal(size=(20, DIM)) * _SCALES).astype(np.float32))
NAMES = [f"n{row}" for row in range(N)]

QUANTIZERS = {
    "none": lambda: None,
    "int8": lambda: Int8Quantizer().fit(VECTORS),
    "pq": lambda: ProductQuantizer(8, bits=6).fit(VECTORS),
    "opq": lambda: OptimizedProductQuantizer(8, bits=6).fit(VECTORS),
    "binary": lambda: BinaryQuantizer().fit(VECTORS),
}
KINDS = {
    "flat": lambda metric: FlatIndex(metric=metric),
    "hnsw": lambda metric: HNSWIndex(m=16, ef=300, metric=metric),
    "ivf": lambda metric: InvertedFileIndex(lists=8, probes=8, metric=metric),
}


@pytest.fixture(scope="session")
def filled():
    """Make a filled index: kind, metric, quantizer, and whether every third row was deleted."""

    def make(kind="flat", metric="cosine", quantizer="none", deleted=False):
        index = KINDS[kind](metric)
        index.fit(VECTORS, QUANTIZERS[quantizer]())
        index.add(NAMES, VECTORS, {"year": [None, *range(1, N)], "topic": [f"t{row % 3}" for row in range(N)]})
        if deleted:
            index.delete(NAMES[::3])
        return index

    return make


@pytest.fixture
def queries():
    return QUERIES
