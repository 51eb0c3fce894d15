"""MaxSim: the definition, contract of the index, filters, candidates, save and open."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import theatrum
from theatrum.contracts import Reranker
from theatrum.search import MaxSim, chamfer, max_sim

rng = np.random.default_rng(0)
DOCS = [rng.normal(size=(n, 6)).astype(np.float32) for n in rng.integers(1, 9, size=40)]
QUERIES = [rng.normal(size=(n, 6)).astype(np.float32) for n in (3, 1, 5)]
IDS = [f"d{row}" for row in range(40)]
YEARS = {"year": list(range(1950, 1990)), "author": ["lin", None] * 20}
ONE = {name: values[:1] for name, values in YEARS.items()}


def slow(Q, docs):
    return np.array([sum(max(float(q @ p) for p in doc) for q in Q) for doc in docs])


def filled(**parameters):
    index = MaxSim(**parameters)
    index.add(IDS[:15], DOCS[:15], {name: values[:15] for name, values in YEARS.items()})
    index.add(IDS[15:], DOCS[15:], {name: values[15:] for name, values in YEARS.items()})
    return index


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 7), min_size=1, max_size=9), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_the_definition(seed, sizes, n):
    random = np.random.default_rng(seed)
    docs, Q = [random.normal(size=(size, 4)) for size in sizes], random.normal(size=(n, 4))
    assert np.allclose(chamfer(Q, docs), slow(Q, docs), atol=1e-5)


def test_blocks_change_nothing(monkeypatch):
    whole, index = chamfer(QUERIES[0], DOCS), filled(store="float32")
    ids, scores = index.search(QUERIES, 40)
    monkeypatch.setattr(max_sim, "_DOC_TOKENS", 10)
    monkeypatch.setattr(max_sim, "_QUERY_TOKENS", 4)
    assert np.allclose(chamfer(QUERIES[0], DOCS), whole, atol=1e-5)
    assert (index.search(QUERIES, 40)[0] == ids).all()
    assert np.allclose(index.search(QUERIES, 40)[1], scores, atol=1e-5)


@pytest.mark.parametrize(("store", "error"), [("float32", 1e-5), ("float16", 0.02), ("int8", 0.15)])
def test_search_is_the_sorted_definition(store, error):
    ids, scores = filled(store=store).search(QUERIES, 40)
    for row, query in enumerate(QUERIES):
        exact = dict(zip(IDS, slow(query, DOCS), strict=True))
        assert set(ids[row]) == set(IDS)
        assert (np.diff(scores[row]) <= 0).all()
        assert np.abs([exact[name] for name in ids[row]] - scores[row]).max() < error


def test_more_hits_than_documents_end_in_nothing():
    ids, scores = filled().search(QUERIES, 43)
    assert (ids[:, 40:] == "").all()
    assert (scores[:, 40:] == -np.inf).all()
    assert MaxSim().search(QUERIES, 2)[0].tolist() == [["", ""]] * 3
    assert filled().search([], 3)[0].shape == (0, 3)


def test_equal_scores_stay_in_the_order_of_adding():
    index = MaxSim()
    index.add(["z", "y", "x"], [DOCS[0]] * 3)
    assert index.search(QUERIES[:1], 3)[0].tolist() == [["z", "y", "x"]]
    wanted = np.array([["x", "", "y", "x"]], dtype=object)
    assert index.rescore(QUERIES[:1], wanted, 3)[0].tolist() == [["y", "x", ""]]


def test_deleted_documents_are_not_found_and_can_come_again():
    index = filled()
    best = index.search(QUERIES[:1], 1)[0][0, 0]
    index.delete([best])
    assert len(index) == 39
    assert best not in index.search(QUERIES[:1], 40)[0]
    assert best not in index.ids
    assert len(index.attributes["year"]) == 39
    with pytest.raises(ValueError, match=f"'{best}' is not in the index; nothing was deleted"):
        index.delete([best])
    index.add([best], [DOCS[IDS.index(best)]], {"year": [1], "author": [None]})
    assert index.search(QUERIES[:1], 1)[0][0, 0] == best


@pytest.mark.parametrize("where", [{"year": {"gte": 1960}, "author": "lin"}, "year >= 1960 and author = 'lin'"])
def test_filters(where):
    ids, _ = filled(store="float32").search(QUERIES, 40, where)
    wanted = [row for row in range(40) if row >= 10 and row % 2 == 0]
    exact = slow(QUERIES[0], [DOCS[row] for row in wanted])
    assert ids[0, : len(wanted)].tolist() == [IDS[wanted[i]] for i in np.argsort(-exact)]
    assert (ids[0, len(wanted) :] == "").all()
    with pytest.raises(ValueError, match="no attribute 'colour'"):
        filled().search(QUERIES, 1, {"colour": "red"})


def test_rescoring_is_searching_among_candidates():
    index = filled(store="float32")
    everything, scores = index.search(QUERIES, 40)
    some = np.array([row[[7, 3, 20]] for row in everything])
    ids, values = index.rescore(QUERIES, some, 5)
    assert ids.tolist() == [[*row[[3, 7, 20]], "", ""] for row in everything]
    assert np.allclose(values[:, :3], scores[:, [3, 7, 20]], atol=1e-5)
    with pytest.raises(ValueError, match=r"'q' \(query 1\) has no tokens here"):
        index.rescore(QUERIES[:2], np.array([["d0"], ["q"]], dtype=object), 1)
    with pytest.raises(ValueError, match="1 rows for 3 queries"):
        index.rescore(QUERIES, some[:1], 1)


def test_documents_come_back_as_they_are_kept():
    found = filled(store="float32").documents(["d3", "d20"])
    assert np.array_equal(found[0], DOCS[3])
    assert np.array_equal(found[1], DOCS[20])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: filled().add(["d3"], DOCS[:1], YEARS), "'d3' is in the index already"),
        (lambda: filled().add(["n", "n"], DOCS[:2], YEARS), "'n' .row 1. is there already"),
        (lambda: filled().add(["n"], DOCS[:2], YEARS), "1 ids for 2 rows"),
        (lambda: filled().add(["n"], [np.ones((0, 6))], ONE), "docs: 'n': at least 1 row"),
        (lambda: filled().add(["n"], [np.ones((1, 5))], ONE), "docs: 'n': expected 6 columns, got 5"),
        (lambda: filled().add(["n"], DOCS[:1], {"year": [1]}), "every batch must bring the same columns"),
        (lambda: filled().add(["n"], DOCS[:1], {"year": [1, 2], "author": [None]}), "2 values for 1 rows"),
        (lambda: filled().search(QUERIES, 0), "k must be a whole number of at least 1, got 0"),
        (lambda: filled().search([np.ones((1, 5))], 1), "Q: set 0: expected 6 columns, got 5"),
        (lambda: filled().search(QUERIES[0], 1), "put it in a list"),
        (lambda: MaxSim(0).fit(DOCS), "n_candidates must be a whole number of at least 1, got 0"),
        (lambda: MaxSim(store="half").add(IDS, DOCS), "store must be one of 'float16', 'float32', 'int8'"),
        (lambda: chamfer([[1, np.nan]], DOCS), "Q: row 0 holds NaN"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_refused_changes_nothing():
    index = filled()
    before = index.memory_bytes
    for bad in ({"year": [1]}, {"year": ["x"], "author": [None]}):
        with pytest.raises(ValueError, match="attributes"):
            index.add(["n"], DOCS[:1], bad)
    assert (len(index), index.memory_bytes) == (40, before)
    index.add([], [], {"year": [], "author": []})
    index.fit(DOCS)
    assert (len(index), index.memory_bytes) == (0, 0)


@pytest.mark.parametrize("store", ["float16", "float32", "int8"])
def test_save_and_open(store, tmp_path):
    index = filled(n_candidates=7, store=store)
    index.delete(["d5"])
    theatrum.save(index, tmp_path / "index")
    opened = theatrum.open(tmp_path / "index")
    assert isinstance(opened, Reranker)
    assert (opened.n_candidates, opened.memory_bytes, len(opened)) == (7, index.memory_bytes, 39)
    for where in (None, "year < 1970"):
        for ours, theirs in zip(index.search(QUERIES, 9, where), opened.search(QUERIES, 9, where), strict=True):
            assert (ours == theirs).all()
    opened.add(["new"], DOCS[:1], {"year": [1999], "author": [None]})
    assert opened.search(QUERIES, 1, "year > 1990")[0].tolist() == [["new"]] * 3


def test_an_empty_index_and_damaged_folders(tmp_path):
    theatrum.save(MaxSim(), tmp_path / "empty")
    assert len(theatrum.open(tmp_path / "empty")) == 0
    theatrum.save(filled(), tmp_path / "index")
    (tmp_path / "index" / "tokens.safetensors").unlink()
    with pytest.raises(ValueError, match="40 ids and 0 sets"):
        theatrum.open(tmp_path / "index")
    (tmp_path / "index" / "rows.arrow").unlink()
    with pytest.raises(ValueError, match="incomplete or damaged"):
        theatrum.open(tmp_path / "index")
