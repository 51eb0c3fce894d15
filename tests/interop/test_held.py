"""Looking into an index: living rows in order, decoded, in the space of the queries."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.interop.held import held
from theatrum.search import FlatIndex
from theatrum.search import index_contents as module
from theatrum.text.bm25 import BM25


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf"])
@pytest.mark.parametrize("quantizer", ["none", "int8", "pq", "opq", "binary"])
def test_rows_are_those_that_can_be_found(filled, queries, kind, quantizer, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 100)  # several blocks
    index = filled(kind, "ip", quantizer, deleted=True)
    rows = held(index)
    X = np.vstack(list(rows.vectors()))
    assert len(rows.ids) == len(X) == len(index) == 800
    assert rows.ids[:3] == ["n1", "n2", "n4"]
    assert rows.attributes["year"][:3] == [1, 2, 4]
    assert not rows.whole
    assert rows.exact == (quantizer == "none")
    # The same scores as a search gives: the vectors are in the queries' space.
    _ids, scores = index.search(queries, 5)
    expected = np.sort(queries @ X.T, axis=1)[:, ::-1][:, :5]
    assert np.allclose(scores, expected, atol=1e-4)


def test_the_finer_copy_is_what_counts(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 20)
    X = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    index = FlatIndex(metric="ip", rescore="float32").fit(X)
    index.add([str(row) for row in range(50)], X)
    assert held(index).exact
    assert np.array_equal(np.vstack(list(held(index).vectors())), X)
    coarse = FlatIndex(metric="ip", rescore="int8").fit(X)
    coarse.add([str(row) for row in range(50)], X)
    assert not held(coarse).exact


def empty():
    return FlatIndex().fit(np.eye(3, dtype=np.float32))


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (BM25(), "BM25 is no vector index"),
        (FlatIndex(), "FlatIndex is not fitted"),
        (empty(), "FlatIndex is empty"),
        ("an index", "str is no vector index"),
    ],
)
def test_what_cannot_be_handed_over(thing, message):
    with pytest.raises(ValueError, match=message):
        held(thing)


def test_codes_need_their_quantizer(filled, tmp_path):
    filled(quantizer="int8").save_state(tmp_path)
    opened = FlatIndex()
    opened.open_state(tmp_path)
    with pytest.raises(ValueError, match="call attach"):
        held(opened)
