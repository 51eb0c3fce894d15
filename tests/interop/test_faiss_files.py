"""Taking FAISS files over: ours and other people's, and those that are refused."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from theatrum.interop import from_faiss, to_faiss
from theatrum.interop.held import held
from theatrum.interop.index_files import ids_file
from theatrum.search import FlatIndex, HNSWIndex, InvertedFileIndex

X = np.random.default_rng(1).normal(size=(400, 16)).astype(np.float32)
UNIT = X / np.linalg.norm(X, axis=1, keepdims=True)


@pytest.mark.parametrize("quantizer", ["none", "int8", "pq"])
@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf"])
def test_ours_comes_back_as_it_was(filled, queries, tmp_path, kind, metric, quantizer):
    index = filled(kind, metric, quantizer)
    back = from_faiss(to_faiss(index, tmp_path / "x.faiss").path)
    assert (type(back), back.metric) == (type(index), metric)
    for where in (None, {"year": {"lt": 600}}):
        ours, theirs = index.search(queries, 5, where), back.search(queries, 5, where)
        assert np.array_equal(ours[0], theirs[0])
        assert np.allclose(ours[1], theirs[1], atol=1e-6)
    # It goes on living: more rows, fewer rows.
    back.add(["new"], queries[:1], {"year": [9], "topic": ["t"]})
    assert "new" in back.search(queries[:1], 3)[0][0]
    back.delete(["new", "n7"])
    assert len(back) == 1199


def theirs(tmp_path, index):
    faiss.write_index(index, str(tmp_path / "theirs.faiss"))
    return tmp_path / "theirs.faiss"


def made(description, measure=faiss.METRIC_L2, rows=X):
    index = faiss.index_factory(16, description, measure)
    index.train(rows)
    index.add(rows)
    return index


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("Flat", FlatIndex),
        ("HNSW16,Flat", HNSWIndex),
        ("IVF8,Flat", InvertedFileIndex),
        ("SQ8", FlatIndex),
        ("PQ8x4", FlatIndex),
        ("HNSW16,SQ8", HNSWIndex),
    ],
)
@pytest.mark.parametrize("measure", [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT], ids=["l2", "ip"])
def test_foreign_files(tmp_path, description, kind, measure):
    index = made(description, measure)
    opened = from_faiss(theirs(tmp_path, index), [f"n{row}" for row in range(400)])
    assert isinstance(opened, kind)
    values, keys = index.search(X[:10], 4)
    ids, scores = opened.search(X[:10], 4)
    assert np.allclose(scores, -values if measure == faiss.METRIC_L2 else values, rtol=1e-3, atol=1e-3)
    assert (ids == np.array([f"n{key}" for key in keys.ravel()]).reshape(keys.shape)).mean() > 0.95


def test_names_without_names(tmp_path):
    opened = from_faiss(theirs(tmp_path, made("Flat")))
    assert opened.search(X[7:8], 1)[0].tolist() == [["7"]]
    mapped = faiss.IndexIDMap2(faiss.IndexFlatL2(16))
    mapped.add_with_ids(X, np.arange(400) + 1000)
    opened = from_faiss(theirs(tmp_path, mapped))
    assert opened.search(X[7:8], 1)[0].tolist() == [["1007"]]


def test_cosine_over_a_product_index(tmp_path):
    path = theirs(tmp_path, made("Flat", faiss.METRIC_INNER_PRODUCT, UNIT))
    opened = from_faiss(path, metric="cosine")
    assert opened.search(X[7:8] * 9, 1)[1][0, 0] == pytest.approx(1, abs=1e-5)
    path = theirs(tmp_path, made("Flat", faiss.METRIC_INNER_PRODUCT))
    with pytest.raises(ValueError, match=r"row 0 has length .*cosine over a product index means unit rows"):
        from_faiss(path, metric="cosine")


def with_nan():
    rows = X.copy()
    rows[123, 4] = np.nan
    index = faiss.IndexFlatL2(16)
    index.add(rows)
    return index


def with_gaps():
    index = made("IVF8,Flat")
    index.reset()
    index.add_with_ids(X, np.arange(400) * 5)
    return index


REFUSED = {
    "residuals": (lambda: made("IVF8,PQ8x4"), {}, "IndexIVFPQ of residuals, which has no counterpart"),
    "half floats": (lambda: made("SQfp16"), {}, "of another type than QT_8bit"),
    "rotation": (lambda: made("OPQ8_16,PQ8x4"), {}, "IndexPreTransform, which has no counterpart"),
    "hashing": (lambda: made("LSH"), {}, "IndexLSH, which has no counterpart"),
    "other metric": (lambda: made("Flat", faiss.METRIC_L1), {}, "FAISS metric 2; only product and L2"),
    "metric that cannot be": (
        lambda: made("Flat"),
        {"metric": "cosine"},
        "compares by L2; it cannot be opened as cosine",
    ),
    "unknown metric": (lambda: made("Flat", 0), {"metric": "dot"}, "metric must be one of"),
    "empty": (lambda: faiss.IndexFlatL2(16), {}, "holds no vectors"),
    "nan": (with_nan, {}, "row 123 holds NaN"),
    "keys with gaps": (with_gaps, {}, "cannot be taken over"),
    "too few ids": (lambda: made("Flat"), {"ids": ["a"]}, "1 ids for 400 rows"),
    "ids twice": (lambda: made("Flat"), {"ids": ["a"] * 400}, "there already"),
    "attributes": (lambda: made("Flat"), {"attributes": {"year": [1]}}, "'year' has 1 values for 400 rows"),
}


@pytest.mark.parametrize(("make", "settings", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(tmp_path, make, settings, message):
    with pytest.raises(ValueError, match=message):
        from_faiss(theirs(tmp_path, make()), **settings)


@pytest.mark.filterwarnings("ignore:overflow")  # one wrong byte can make a number huge
def test_damaged_files_are_value_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        from_faiss(tmp_path / "none.faiss")
    rng = np.random.default_rng(0)
    for description in ("Flat", "HNSW8,Flat", "IVF8,Flat"):
        path = theirs(tmp_path, made(description))
        whole = path.read_bytes()
        spoilt = [b"", b"not faiss at all", whole[:100], whole[:-100]]
        for _ in range(60):  # one wrong byte, mostly in the head
            at = int(rng.integers(0, 300 if rng.random() < 0.7 else len(whole)))
            spoilt.append(whole[:at] + bytes([int(rng.integers(256))]) + whole[at + 1 :])
        refused = 0
        for data in spoilt:
            path.write_bytes(data)
            try:
                from_faiss(path).search(X[:3], 2)
            except ValueError:
                refused += 1
        assert refused > 4


def test_a_damaged_file_of_ids(filled, tmp_path):
    path = to_faiss(filled(), tmp_path / "x.faiss").path
    ids_file(path).write_bytes(b"ARROW1 not")
    with pytest.raises(ValueError, match=r"ids.arrow is missing, damaged or cut short"):
        from_faiss(path)
    to_faiss(filled(deleted=True), tmp_path / "y.faiss")
    ids_file(path).write_bytes(ids_file(tmp_path / "y.faiss").read_bytes())
    with pytest.raises(ValueError, match=r"x.faiss.ids.arrow: ids: 800 ids for 1200 rows"):
        from_faiss(path)


def test_the_quantizer_can_be_kept(filled, tmp_path):
    opened = from_faiss(to_faiss(filled(quantizer="int8"), tmp_path / "x.faiss").path)
    original = held(filled(quantizer="int8")).quantizer
    assert np.array_equal(held(opened).quantizer.low_, original.low_)
