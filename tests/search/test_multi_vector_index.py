"""MultiVectorIndex: exact while small, candidates and exact scores beyond, with every index and quantizer."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import theatrum
from theatrum.checks import unit_rows
from theatrum.compress import Int8Quantizer, ProductQuantizer
from theatrum.search import FixedDimensionalEncoding, FlatIndex, HNSWIndex, MaxSim, MultiVectorIndex
from theatrum.search import multi_vector_index as module

rng = np.random.default_rng(0)
N = 320  # enough for 8-bit codebooks
DOCS = [unit_rows(rng.normal(size=(n, 16)).astype(np.float32)) for n in rng.integers(4, 12, size=N)]
QUERIES = [unit_rows((doc[:4] + rng.normal(size=(4, 16)) / 20).astype(np.float32)) for doc in DOCS[:30]]
IDS = [f"d{row}" for row in range(N)]
YEARS = {"year": [1950 + row % 40 for row in range(N)]}


def made(index=None, quantizer=None, **parameters):
    encoding = FixedDimensionalEncoding(10, 4, 8)
    parameters = {"n_candidates": 60, "exact_below": 0, "store": "float32", **parameters}
    return MultiVectorIndex(encoding, index, quantizer=quantizer, **parameters)


def filled(*args, **parameters):
    index = made(*args, **parameters)
    for part in (slice(0, 280), slice(280, N)):
        index.add(IDS[part], DOCS[part], {"year": YEARS["year"][part]})
    return index


def exact():
    index = MaxSim(store="float32")
    index.add(IDS, DOCS, YEARS)
    return index


KINDS = [
    (None, None),
    (lambda: FlatIndex(metric="ip"), Int8Quantizer),
    (lambda: FlatIndex(metric="ip"), lambda: ProductQuantizer(m=160)),
    (lambda: HNSWIndex(metric="ip"), None),
    (lambda: HNSWIndex(metric="ip"), Int8Quantizer),
]


@pytest.mark.parametrize(("index", "quantizer"), KINDS)
def test_the_nearest_documents_are_found_with_their_exact_scores(index, quantizer):
    built = filled(index and index(), quantizer and quantizer())
    ids, scores = built.search(QUERIES, 5)
    wanted, values = exact().search(QUERIES, 5)
    assert (ids[:, 0] == wanted[:, 0]).mean() > 0.95
    right = ids == wanted
    assert np.allclose(scores[right], values[right], atol=1e-5)


def test_a_small_collection_is_compared_whole():
    built = filled(exact_below=N + 1)
    assert built.memory_bytes == exact().memory_bytes
    assert (built.search(QUERIES, 9)[0] == exact().search(QUERIES, 9)[0]).all()
    built.add(["more"], [DOCS[0]], {"year": [2000]})
    assert built.memory_bytes > exact().memory_bytes + (N + 1) * 1280 * 4 - 1
    assert built.search(QUERIES[:1], 2)[0].tolist() == [["d0", "more"]]


def test_without_an_encoding_every_size_is_compared_whole():
    built = MultiVectorIndex(exact_below=0, store="float32")
    built.add(IDS, DOCS, YEARS)
    assert (built.search(QUERIES, 9)[0] == exact().search(QUERIES, 9)[0]).all()


def test_as_many_candidates_as_documents_are_exact():
    ids, scores = filled(n_candidates=N).search(QUERIES, 7)
    wanted, values = exact().search(QUERIES, 7)
    assert (ids == wanted).all()
    assert np.allclose(scores, values, atol=1e-5)


@pytest.mark.parametrize("exact_below", [0, N + 1])
@pytest.mark.parametrize("where", [{"year": {"gte": 1985}}, "year >= 1985"])
def test_filters(where, exact_below):
    ids, _ = filled(exact_below=exact_below, n_candidates=N).search(QUERIES, 50, where)
    assert (ids == exact().search(QUERIES, 50, where)[0]).all()
    assert {YEARS["year"][IDS.index(name)] for name in ids.ravel() if name} == set(range(1985, 1990))


def test_deleted_documents_are_not_found():
    built = filled()
    built.delete(IDS[:30])
    assert not set(built.search(QUERIES, 10)[0].ravel()) & set(IDS[:30])
    assert len(built) == N - 30
    built.add(IDS[:1], DOCS[:1], {"year": [2001]})
    assert built.search(QUERIES[:1], 1)[0].tolist() == [["d0"]]


def test_compacting_gives_space_back():
    built = filled()
    memory = built.memory_bytes
    built.delete(IDS[::2])
    before = built.search(QUERIES, 5, {"year": {"lt": 1980}})
    built.compact()
    assert built.memory_bytes < 0.6 * memory
    after = built.search(QUERIES, 5, {"year": {"lt": 1980}})
    assert (before[0][:, 0] == after[0][:, 0]).mean() > 0.95
    built.add(["new"], DOCS[:1], {"year": [1950]})
    assert built.search(DOCS[:1], 1)[0].tolist() == [["new"]]
    built.delete(["new", *IDS[1::2]])
    built.compact()
    assert len(built) == built.memory_bytes == 0
    built.add(IDS[:3], DOCS[:3], {"year": [1, 2, 3]})
    assert built.search(DOCS[:1], 1)[0].tolist() == [["d0"]]


def test_adding_nothing_is_nothing():
    for built in (made(), filled()):
        before = len(built)
        built.add([], [], {"year": []})
        assert len(built) == before


def test_deleted_documents_are_not_built_in():
    built = made(exact_below=200)
    built.add(IDS[:150], DOCS[:150], {"year": YEARS["year"][:150]})
    built.delete(IDS[:20])
    built.add(IDS[150:], DOCS[150:], {"year": YEARS["year"][150:]})
    assert not set(built.search(QUERIES, 10)[0].ravel()) & set(IDS[:20])
    assert (built.search(QUERIES[25:], 1)[0].ravel() == IDS[25:30]).all()


def test_blocks_change_nothing(monkeypatch):
    whole = filled().search(QUERIES, 9)
    monkeypatch.setattr(module, "_BLOCK", 1280 * 7)
    parts = filled().search(QUERIES, 9)
    assert (whole[0] == parts[0]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: made(FlatIndex()).add(IDS, DOCS), "compares by 'cosine', the encodings must be compared by 'ip'"),
        (lambda: made(n_candidates=0).add(IDS, DOCS), "n_candidates must be a whole number of at least 1"),
        (lambda: made(exact_below=-1).add(IDS, DOCS), "exact_below must be a whole number of at least 0"),
        (lambda: made(store="x").add(IDS, DOCS), "store must be one of"),
        (lambda: made().add(["a"], [np.ones((0, 3))]), "docs: 'a': at least 1 row"),
        (lambda: filled().add(["a"], [np.ones((1, 3))], {"year": [1]}), "docs: 'a': expected 16 columns, got 3"),
        (lambda: filled().add(["d0"], DOCS[:1], {"year": [1]}), "'d0' is in the index already"),
        (lambda: filled().search([np.ones((1, 3))], 1), "expected 16 columns, got 3"),
        (lambda: filled().search(QUERIES, 0), "k must be"),
        (lambda: filled().delete(["q"]), "'q' is not in the index; nothing was deleted"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("index", "quantizer"), KINDS)
def test_opened_index_is_bit_identical_in_a_fresh_process(index, quantizer, tmp_path):
    built = filled(index and index(), quantizer and quantizer())
    built.delete(["d3"])
    ids, scores = built.search(QUERIES, 7)
    built.save(tmp_path / "saved")
    np.savez(tmp_path / "queries.npz", *QUERIES)
    saved, asked = str(tmp_path / "saved"), str(tmp_path / "queries.npz")
    code = (
        "import sys, numpy as np\n"
        "from theatrum.search import MultiVectorIndex\n"
        f"index, queries = MultiVectorIndex.open({saved!r}), np.load({asked!r})\n"
        "ids, scores = index.search([queries[name] for name in queries.files], 7)\n"
        f"np.savez({str(tmp_path / 'out.npz')!r}, ids=ids.astype('U'), scores=scores, memory=index.memory_bytes)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    opened = np.load(tmp_path / "out.npz")
    assert (opened["ids"] == ids.astype("U")).all()
    assert opened["scores"].tobytes() == scores.tobytes()
    assert opened["memory"] == built.memory_bytes


def test_a_small_index_keeps_what_it_is_to_become(tmp_path):
    built = made(HNSWIndex(m=8, metric="ip"), Int8Quantizer(), exact_below=300)
    built.add(IDS[:10], DOCS[:10], {"year": YEARS["year"][:10]})
    built.save(tmp_path / "saved")
    opened = MultiVectorIndex.open(tmp_path / "saved")
    assert (opened.exact_below, opened.n_candidates, opened.index.m, opened.store) == (300, 60, 8, "float32")
    opened.add(IDS[10:], DOCS[10:], {"year": YEARS["year"][10:]})
    assert opened.search(QUERIES[4:5], 1)[0].tolist() == [["d4"]]
    assert len(opened) == len(opened.index) == N


def test_other_folders_are_refused(tmp_path):
    theatrum.save(FixedDimensionalEncoding(), tmp_path / "part")
    with pytest.raises(ValueError, match=r"open it with theatrum\.open"):
        MultiVectorIndex.open(tmp_path / "part")
    with pytest.raises(FileNotFoundError):
        MultiVectorIndex.open(tmp_path / "nothing")
