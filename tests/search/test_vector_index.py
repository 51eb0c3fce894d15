"""Every index with every quantizer: exact where it must be, close where it may be, and the same after opening."""

from __future__ import annotations

import numpy as np
import pytest

import theatrum
from theatrum.checks import unit_rows
from theatrum.compress import BinaryQuantizer, Int8Quantizer, OptimizedProductQuantizer, ProductQuantizer
from theatrum.search import FlatIndex, HNSWIndex, InvertedFileIndex
from theatrum.search.vector_index import VectorIndex

N, D = 1500, 32
rng = np.random.default_rng(0)
centres = rng.normal(size=(30, D))
X = unit_rows((centres[rng.integers(30, size=N)] + 0.5 * rng.normal(size=(N, D))).astype(np.float32))
Q = unit_rows((centres[rng.integers(30, size=20)] + 0.5 * rng.normal(size=(20, D))).astype(np.float32))
IDS = [f"d{i}" for i in range(N)]
QUANTIZERS = {
    "full": lambda: None,
    "int8": Int8Quantizer,
    "binary": BinaryQuantizer,
    "pq": lambda: ProductQuantizer(m=8),
    "opq": lambda: OptimizedProductQuantizer(m=8, bits=6),
}
INDEXES = {
    "flat": FlatIndex,
    "hnsw": lambda **k: HNSWIndex(m=16, **k),
    "ivf": lambda **k: InvertedFileIndex(probes=16, **k),
}


def made(index, quantizer, **options):
    fitted = QUANTIZERS[quantizer]()
    if fitted is not None:
        fitted.fit(X)
    built = INDEXES[index](**options).fit(X, fitted)
    built.add(IDS, X, {"number": list(range(N)), "odd": [i % 2 == 1 for i in range(N)]})
    return built, fitted


def brute(vectors, queries, k, rows=None):
    scores = queries @ vectors.T
    if rows is not None:
        scores[:, ~rows] = -np.inf
    order = np.lexsort((np.broadcast_to(np.arange(len(vectors)), scores.shape), -scores), axis=1)[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


def recall(found, expected):
    return np.mean([len(set(a) & {f"d{i}" for i in b}) / len(b) for a, b in zip(found, expected, strict=True)])


def test_flat_is_exact():
    index, _ = made("flat", "full")
    ids, scores = index.search(Q, 10)
    order, values = brute(X, Q, 10)
    assert ids.tolist() == [[f"d{i}" for i in row] for row in order]
    assert np.allclose(scores, values, atol=1e-6)


@pytest.mark.parametrize("quantizer", ["int8", "pq", "opq"])
def test_flat_over_codes_is_exact_for_the_codes(quantizer):
    index, fitted = made("flat", quantizer)
    ids, scores = index.search(Q, 10)
    order, values = brute(fitted.decode(fitted.encode(X)), Q, 10)
    assert recall(ids, order) > 0.99  # equal but for rounding at the edge
    assert np.allclose(scores, values, atol=1e-3)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("index", ["hnsw", "ivf"])
def test_approximate_indexes_find_what_flat_finds(index, quantizer):
    exact, _ = made("flat", quantizer)
    built, _ = made(index, quantizer)
    expected = [[int(name[1:]) for name in row] for row in exact.search(Q, 10)[0]]
    assert recall(built.search(Q, 10)[0], expected) >= (0.9 if quantizer in ("full", "int8") else 0.75)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("index", INDEXES)
def test_opened_indexes_answer_bit_for_bit_alike(index, quantizer, tmp_path):
    built, fitted = made(index, quantizer, rescore="int8")
    built.delete(["d3", "d77"])
    theatrum.save(built, tmp_path / "index")
    opened = theatrum.open(tmp_path / "index")
    if fitted is not None:
        with pytest.raises(ValueError, match="call attach first"):
            opened.search(Q, 3)
        opened.attach(fitted)
    for where in (None, {"number": {"lt": 500}}, {"odd": True}):
        (ids, scores), (ids2, scores2) = built.search(Q, 7, where), opened.search(Q, 7, where)
        assert ids.tolist() == ids2.tolist()
        assert scores.tobytes() == scores2.tobytes()
    assert (len(opened), opened.memory_bytes, opened.disk_bytes) == (len(built), built.memory_bytes, built.disk_bytes)
    before = (tmp_path / "index" / "fine.bin").read_bytes()
    opened.add(["new"], X[:1] * 2, {"number": [-1], "odd": [False]})
    assert "new" in opened.search(X[:1], 5)[0]
    assert (tmp_path / "index" / "fine.bin").read_bytes() == before


@pytest.mark.parametrize("quantizer", ["binary", "pq"])
def test_scoring_again_improves_recall(quantizer):
    order, _ = brute(X, Q, 10)
    plain, _ = made("flat", quantizer)
    again, _ = made("flat", quantizer, rescore="float32", oversample=20)
    assert recall(again.search(Q, 10)[0], order) > recall(plain.search(Q, 10)[0], order) + 0.05
    assert recall(again.search(Q, 10)[0], order) > 0.95
    ids, scores = again.search(Q, 3)
    places = np.array([[int(name[1:]) for name in row] for row in ids])
    assert np.allclose(scores, np.einsum("qd,qkd->qk", Q, X[places]), atol=1e-5)


@pytest.mark.parametrize(
    ("quantizer", "bytes_each"), [("full", 4 * D), ("int8", D), ("binary", D // 8), ("pq", 8), ("opq", 6)]
)
def test_memory_is_what_it_says(quantizer, bytes_each):
    index, _ = made("flat", quantizer, rescore="int8")
    assert index.memory_bytes == N * bytes_each
    assert index.disk_bytes == N * D
    graph, _ = made("hnsw", quantizer)
    assert graph.memory_bytes > N * (bytes_each + 4 * 2 * 16)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("share", [0.005, 0.3, 0.97])
def test_filters_return_k_survivors(index, quantizer, share, monkeypatch):
    monkeypatch.setattr("theatrum.search.vector_index._EXACT_BELOW", 100)  # so that both ways are walked
    built, _ = made(index, quantizer)
    limit = int(N * share)
    ids, _ = built.search(Q, 5, {"number": {"lt": limit}})
    assert all(name and int(name[1:]) < limit for name in ids.ravel())
    if index == "flat" and quantizer == "full":
        order, _ = brute(X, Q, 5, np.arange(N) < limit)
        assert ids.tolist() == [[f"d{i}" for i in row] for row in order]


@pytest.mark.parametrize("index", INDEXES)
def test_deleted_ids_are_never_found_and_can_come_again(index):
    built, _ = made(index, "full")
    best = built.search(Q[:1], 1)[0][0, 0]
    built.delete([best])
    assert len(built) == N - 1
    assert best not in built.search(Q[:1], 50)[0]
    built.add([best], Q[:1], {"number": [-1], "odd": [False]})
    assert built.search(Q[:1], 1)[0][0, 0] == best
    with pytest.raises(ValueError, match="'nobody' is not in the index; nothing was deleted"):
        built.delete(["d0", "nobody"])
    assert len(built) == N


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("rescore", [None, "int8", "float32"])
def test_compacting_gives_space_back_and_changes_no_answer(index, quantizer, rescore):
    built, _ = made(index, quantizer, rescore=rescore)
    gone = [name for row, name in enumerate(IDS) if row % 3]
    built.delete(gone)
    before, memory = built.search(Q, 10, "number >= 100"), built.memory_bytes
    built.compact()
    assert built.memory_bytes < 0.45 * memory
    assert built.disk_bytes == len(built) * {None: 0, "int8": D, "float32": 4 * D}[rescore]
    assert built.ids == [name for name in IDS if name not in set(gone)]
    after = built.search(Q, 10, "number >= 100")
    shared = [len(set(a) & set(b)) for a, b in zip(before[0].tolist(), after[0].tolist(), strict=True)]
    assert np.mean(shared) == 10 if index == "flat" and quantizer in ("full", "int8", "binary") else np.mean(shared) > 8
    built.add(gone[:5], X[[1, 2, 4, 5, 7]], {"number": [1] * 5, "odd": [False] * 5})
    assert set(gone[:5]) <= set(built.ids)
    structure = built.contents.structure
    built.compact()
    assert built.contents.structure is structure  # nothing to give back, nothing done


def test_metrics():
    raw = X * np.linspace(0.5, 2, N, dtype=np.float32)[:, None]
    for metric, scores in {"ip": Q @ raw.T, "l2": -((Q[:, None] - raw[None]) ** 2).sum(-1), "cosine": Q @ X.T}.items():
        index = FlatIndex(metric=metric).fit(raw)
        index.add(IDS, raw)
        ids, values = index.search(Q, 3)
        assert ids[:, 0].tolist() == [f"d{i}" for i in scores.argmax(axis=1)]
        assert np.allclose(values[:, 0], scores.max(axis=1), atol=1e-4)


def test_ties_padding_and_empty_input():
    same = np.ones((6, 8), dtype=np.float32)
    index = FlatIndex().fit(same)
    assert index.search(same[:1], 2)[0].tolist() == [["", ""]]
    index.add(list("fedcba"), same)
    ids, scores = index.search(same[:1], 9)
    assert ids[0].tolist() == [*"fedcba", "", "", ""]
    assert np.isneginf(scores[0, 6:]).all()
    assert index.search(np.empty((0, 8), np.float32), 3)[0].shape == (0, 3)
    index.add([], np.empty((0, 8), np.float32))
    assert len(index) == 6


def test_zero_vectors_are_found_last():
    rows = np.vstack([np.zeros(8), np.eye(8)]).astype(np.float32)
    index = FlatIndex().fit(rows)
    index.add([str(i) for i in range(9)], rows)
    assert index.search(np.ones((1, 8), np.float32), 9)[0][0, -1] == "0"
    assert np.isfinite(index.search(np.zeros((1, 8), np.float32), 3)[1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.add(["d1"], X[:1], {"number": [1], "odd": [True]}), "'d1' is in the index already"),
        (lambda i: i.add(["n", "n"], X[:2]), "'n' .row 1. is there already"),
        (lambda i: i.add(["n"], X[:1, :3]), "expected 32 columns, got 3"),
        (lambda i: i.add(["n"], X[:1] * np.nan), "NaN"),
        (lambda i: i.add(["n"], X[:1]), "every batch must bring the same columns"),
        (lambda i: i.add(["n"], X[:1], {"number": [1, 2], "odd": [True]}), "'number' has 2 values for 1 rows"),
        (lambda i: i.search(Q, 0), "k must be"),
        (lambda i: i.search(Q[:, :3], 1), "Q: expected 32 columns"),
        (lambda i: i.search(Q, 1, {"none": 1}), "no attribute 'none'"),
    ],
)
def test_bad_input_changes_nothing(call, message):
    index, _ = made("flat", "full")
    with pytest.raises(ValueError, match=message):
        call(index)
    assert len(index) == N
    assert index.search(Q[:1], 1)[0][0, 0]


def test_unstorable_quantizers_and_bare_indexes_say_so():
    class Odd:
        def fit(self, X):
            return self

    with pytest.raises(ValueError, match="Odd does not say how its codes are stored"):
        FlatIndex().fit(X, Odd())
    with pytest.raises(TypeError, match="use FlatIndex"):
        VectorIndex().fit(X)
    with pytest.raises(ValueError, match="40 lists need at least as many vectors"):
        InvertedFileIndex(lists=40).fit(X[:10])


@pytest.mark.parametrize("name", ["index.faiss", "rows.arrow", "state.json", "fine.bin"])
def test_damaged_folders_say_so(tmp_path, name):
    built, _ = made("flat", "full", rescore="int8")
    theatrum.save(built, tmp_path / "index")
    path = tmp_path / "index" / name
    path.write_bytes(path.read_bytes()[:15])
    with pytest.raises(ValueError, match=r"damaged|cut short|not a readable"):
        theatrum.open(tmp_path / "index")


def test_mixed_folders_are_refused(tmp_path):
    for name, rows in (("a", X), ("b", X[:100])):
        index = FlatIndex().fit(rows)
        index.add(IDS[: len(rows)], rows)
        theatrum.save(index, tmp_path / name)
    (tmp_path / "a" / "index.faiss").write_bytes((tmp_path / "b" / "index.faiss").read_bytes())
    with pytest.raises(ValueError, match="files of two indexes were mixed"):
        theatrum.open(tmp_path / "a")
