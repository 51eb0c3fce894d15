"""The scan against a sort of all scores, with and without codes, rows and distances."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.compress import Int8Quantizer
from theatrum.search import FlatIndex, exact_scan
from theatrum.search.exact_scan import StoredRows, best_rows

N, D = 9001, 24
rng = np.random.default_rng(0)
X = rng.normal(size=(N, D)).astype(np.float32)
Q = rng.normal(size=(11, D)).astype(np.float32)
CODES = rng.integers(256, size=(N, D), dtype=np.uint8)
LOW, STEP = rng.normal(size=D).astype(np.float32), rng.uniform(0.01, 0.02, size=D).astype(np.float32)
SOME = np.sort(rng.choice(N, 5000, replace=False))


def slow(vectors, k, squared, rows):
    wanted = np.arange(N) if rows is None else rows
    rows64, asked = vectors[wanted].astype(np.float64), Q.astype(np.float64)
    scores = asked @ rows64.T
    if squared:
        scores = -((asked[:, None, :] - rows64) ** 2).sum(axis=2)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return wanted[order], np.take_along_axis(scores, order, axis=1)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("stored", [StoredRows(X), StoredRows(CODES, LOW, STEP)], ids=["vectors", "codes"])
@pytest.mark.parametrize("rows", [None, SOME], ids=["all", "some"])
@pytest.mark.parametrize("k", [1, 10, 4500])
def test_it_equals_a_sort_of_all_scores(monkeypatch, compiled, squared, stored, rows, k):
    monkeypatch.setattr(exact_scan, "_SMALL", 0 if compiled else 10**12)
    found, scores = best_rows(stored, Q, k, squared=squared, rows=rows)
    expected, exact = slow(stored.decoded(slice(None)), k, squared, rows)
    np.testing.assert_allclose(scores, exact, rtol=1e-4, atol=1e-4)
    # Where two scores agree to the last bits of float32, either order is right.
    assert (found == expected).mean() > 0.995
    assert all(len(set(row)) == k for row in found.tolist())


def test_equal_scores_come_in_the_order_of_the_rows(monkeypatch):
    monkeypatch.setattr(exact_scan, "_SMALL", 0)
    same = np.tile(X[:1], (9000, 1))
    assert best_rows(StoredRows(same), Q, 7)[0].tolist() == [list(range(7))] * len(Q)


def test_many_queries_go_in_rounds_and_find_the_same(monkeypatch):
    monkeypatch.setattr(exact_scan, "_SMALL", 0)
    at_once = best_rows(StoredRows(X), Q, 10)
    monkeypatch.setattr(exact_scan, "_HELD", 60)  # two queries a round
    in_rounds = best_rows(StoredRows(X), Q, 10)
    np.testing.assert_array_equal(at_once[0], in_rounds[0])
    np.testing.assert_array_equal(at_once[1], in_rounds[1])


def test_codes_may_lie_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(exact_scan, "_SMALL", 0)
    CODES.tofile(tmp_path / "codes.bin")
    mapped = np.memmap(tmp_path / "codes.bin", np.uint8, "r", shape=CODES.shape)
    in_memory, in_file = (best_rows(StoredRows(codes, LOW, STEP), Q, 10) for codes in (CODES, mapped))
    np.testing.assert_array_equal(in_memory[0], in_file[0])


@pytest.mark.parametrize("quantizer", [None, Int8Quantizer], ids=["full", "int8"])
@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_the_flat_index_finds_what_faiss_finds(quantizer, metric):
    fitted = quantizer().fit(X) if quantizer else None
    index = FlatIndex(metric=metric).fit(X, fitted)
    index.add([str(row) for row in range(N)], X)
    found, scores = index._candidates(index._normalised(Q), 10, None)
    expected, theirs = super(FlatIndex, index)._candidates(index._normalised(Q), 10, None)
    assert (found == expected).mean() > 0.99
    np.testing.assert_allclose(scores, theirs, rtol=1e-4, atol=1e-4)
