"""Hand-overs, opened by the real libraries: the same neighbours with the same scores."""

from __future__ import annotations

import faiss
import numpy as np
import pyarrow as pa
import pytest
import usearch.index

from theatrum.interop import to_faiss, to_hnswlib, to_table, to_usearch
from theatrum.interop.held import held
from theatrum.search import FlatIndex, index_contents
from theatrum.store import read_vectors

K = 5
KINDS = ["flat", "hnsw", "ivf"]
METRICS = ["cosine", "ip", "l2"]


def names_of(written):
    """Row i is the id of key i, without deleted ones."""
    table = pa.ipc.open_file(str(written.ids)).read_all()
    assert table.num_rows == written.rows
    return np.array(table["id"].to_pylist(), dtype=object)


def assert_same(index, queries, ids, scores):
    ours, best = index.search(queries, K)
    assert np.allclose(scores, best, atol=2e-4)
    assert (ids == ours).mean() > 0.98  # equal scores may change places


@pytest.mark.parametrize("deleted", [False, True], ids=["whole", "deleted"])
@pytest.mark.parametrize("quantizer", ["none", "int8", "pq", "opq"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_faiss_keeps_the_codes_and_finds_the_same(filled, queries, tmp_path, kind, metric, quantizer, deleted):
    index = filled(kind, metric, quantizer, deleted)
    written = to_faiss(index, tmp_path / "index.faiss")
    theirs = faiss.read_index(str(written.path))
    assert theirs.ntotal == written.rows == (800 if deleted else 1200)
    values, keys = theirs.search(queries, K)  # with the effort that the file says
    if kind == "hnsw" and quantizer in ("pq", "opq") and metric != "l2":
        # FAISS has this graph for L2 alone; it says so, and ranks what the codes stand for by L2.
        assert written.metric == "L2"
        X = np.vstack(list(held(index).vectors()))
        exact = np.sort(((queries[:, None] - X[None]) ** 2).sum(axis=2), axis=1)[:, :K]
        assert np.allclose(values, exact, atol=2e-4)
        return
    assert written.metric == ("L2" if metric == "l2" else "INNER_PRODUCT")
    assert_same(index, queries, names_of(written)[keys], -values if metric == "l2" else values)
    inner = theirs if quantizer != "opq" else faiss.downcast_index(theirs.index)
    if kind == "flat":
        assert inner.sa_code_size() == {"none": 64, "int8": 16, "pq": 6, "opq": 6}[quantizer]


@pytest.mark.parametrize("deleted", [False, True], ids=["whole", "deleted"])
@pytest.mark.parametrize("kind", KINDS)
def test_faiss_binary_is_asked_with_packed_signs(filled, queries, tmp_path, kind, deleted):
    index = filled(kind, "cosine", "binary", deleted)
    written = to_faiss(index, tmp_path / "index.faiss")
    theirs = faiss.read_index_binary(str(written.path))
    packed = np.packbits(queries > 0, axis=1, bitorder="little")
    distances, _ = theirs.search(packed, K)
    X = np.vstack(list(held(index).vectors()))
    hamming = ((queries > 0)[:, None] != (X > 0)[None]).sum(axis=2)
    assert written.metric == "Hamming"
    assert np.array_equal(distances, np.sort(hamming, axis=1)[:, :K])


def opened_usearch(written):
    index = usearch.index.Index.restore(str(written.path))
    index.expansion_search = 300
    assert (index.metric_kind.name.lower(), len(index)) == (written.metric, written.rows)
    return lambda queries: (lambda found: (found.keys, found.distances))(index.search(queries, K))


def opened_hnswlib(written):
    import hnswlib

    index = hnswlib.Index(space=written.metric, dim=written.dim)
    index.load_index(str(written.path))
    index.set_ef(300)
    assert index.get_current_count() == written.rows
    return lambda queries: index.knn_query(queries, K)


def hand_over(library):
    if library == "usearch":
        return to_usearch, opened_usearch
    pytest.importorskip("hnswlib", reason="hnswlib is built from source: pip install 'theatrum[hnswlib]'")
    return to_hnswlib, opened_hnswlib


@pytest.mark.parametrize("deleted", [False, True], ids=["whole", "deleted"])
@pytest.mark.parametrize("quantizer", ["none", "int8", "pq", "opq", "binary"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("library", ["usearch", "hnswlib"])
def test_graphs_of_decoded_vectors_find_the_same(filled, queries, tmp_path, library, metric, quantizer, deleted):
    write, read = hand_over(library)
    index = filled("flat", metric, quantizer, deleted)
    written = write(index, tmp_path / "index.bin")
    keys, distances = read(written)(queries)
    scores = -distances if metric == "l2" else 1 - distances
    _ours, best = index.search(queries, K)
    if quantizer == "binary":
        # Few distinct scores, and ours looks at candidates by Hamming distance alone: theirs may be a little better.
        assert (scores > best - 1e-4).all()
        return
    assert_same(index, queries, names_of(written)[keys.astype(np.int64)], scores)


@pytest.mark.parametrize("library", ["usearch", "hnswlib"])
def test_cosine_of_whole_vectors_takes_queries_of_any_length(filled, queries, tmp_path, library):
    write, read = hand_over(library)
    written = write(filled("hnsw"), tmp_path / "index.bin")
    assert written.metric.startswith("cos")
    search = read(written)
    assert np.allclose(search(queries)[1], search(queries * 7)[1], atol=1e-5)


@pytest.mark.parametrize("library", ["usearch", "hnswlib"])
def test_the_same_index_gives_the_same_file(filled, tmp_path, library):
    write, _ = hand_over(library)
    files = [write(filled("hnsw"), tmp_path / f"{n}.bin").path.read_bytes() for n in range(2)]
    assert files[0] == files[1]


def test_ids_and_attributes_go_along(filled, tmp_path):
    written = to_usearch(filled(deleted=True), tmp_path / "index.usearch")
    assert written.ids == tmp_path / "index.usearch.ids.arrow"
    table = pa.ipc.open_file(str(written.ids)).read_all()
    assert table.slice(0, 2).to_pylist() == [
        {"id": "n1", "attribute:year": 1, "attribute:topic": "t1"},
        {"id": "n2", "attribute:year": 2, "attribute:topic": "t2"},
    ]


@pytest.mark.parametrize("name", ["v.npy", "v.parquet", "v.lance"])
def test_tables_hold_what_the_index_holds(filled, tmp_path, name, monkeypatch):
    monkeypatch.setattr(index_contents, "_BLOCK", 100)
    index = filled(quantizer="int8", deleted=True)
    written = to_table(index, tmp_path / name, attributes=name != "v.npy")
    ids, X, attributes = read_vectors(written.path)
    rows = held(index)
    assert ids == rows.ids
    assert np.array_equal(X, np.vstack(list(rows.vectors())))
    assert attributes == ({} if name == "v.npy" else rows.attributes)


@pytest.mark.parametrize("write", [to_faiss, to_usearch, to_table])
def test_nothing_is_written_of_nothing(tmp_path, write):
    with pytest.raises(ValueError, match="is empty"):
        write(FlatIndex().fit(np.eye(3, dtype=np.float32)), tmp_path / "x.parquet")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_replaced(filled, tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(FileExistsError, match="is a folder"):
        to_faiss(filled(), tmp_path / "x")


def test_a_missing_library_names_its_extra(filled, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(ImportError, match=r"theatrum\[hnswlib\]"):
        to_hnswlib(filled(), tmp_path / "x")
