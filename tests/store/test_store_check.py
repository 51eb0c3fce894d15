"""Checking and mending stores."""

import numpy as np
import pytest

import theatrum
from theatrum.store import VectorCollection, VectorStore, check_store, repair_store

D = 6


def vectors(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)


@pytest.fixture
def collection(tmp_path):
    made = VectorCollection.create(tmp_path / "c", D)
    made.add([f"a{row}" for row in range(300)], vectors(300))
    made.add([f"b{row}" for row in range(300)], vectors(300, 1))
    return made


def test_all_is_well(collection, tmp_path):
    assert check_store(collection.path) == []
    store, encoder = VectorStore(tmp_path / "cache"), theatrum.pipeline("lsa(dim=2)").retriever.encoder
    texts = ["heat in thin plates", "shock waves on wings", "heat and shock"]
    store.encode(encoder.fit(texts), texts)
    assert check_store(tmp_path / "cache") == []
    assert repair_store(tmp_path / "cache") == []
    assert store.encode(encoder, texts).encoded == 0


def test_no_store(tmp_path):
    with pytest.raises(FileNotFoundError, match="no store"):
        check_store(tmp_path)


def test_damaged_codes_are_made_again(collection):
    first, second = sorted((collection.path / "segments").iterdir())
    (first / "codes.npy").write_bytes(b"\x93NUMPY")
    values = np.load(second / "codes.npy")
    values[7] = 255 - values[7]
    np.save(second / "codes.npy", values)
    findings = check_store(collection.path)
    assert {(finding.path, finding.harm) for finding in findings} == {(first, False), (second, True)}
    assert repair_store(collection.path) == []
    Q = vectors(3, 9)
    _, scores = VectorCollection(collection.path).search(Q, 5)
    fine = VectorCollection(collection.path).search(Q, 5, rescore=True)
    np.testing.assert_allclose(scores, fine[1], atol=0.02)


def test_what_a_killed_process_left_is_removed(collection):
    (collection.path / "segments" / ".x.1234.tmp").mkdir()
    orphan = collection.path / "rows.lance" / "data" / "orphan.lance"
    orphan.write_bytes(b"cut")
    assert [(finding.harm, finding.path.name) for finding in check_store(collection.path)] == [(False, ".x.1234.tmp")]
    assert repair_store(collection.path) == []
    assert len(VectorCollection(collection.path)) == 600


@pytest.mark.parametrize("damage", ["cut", "gone", "zeros"])
def test_lost_rows_are_told_and_only_given_up_on_request(collection, damage):
    files = sorted((collection.path / "rows.lance" / "data").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    content = files[-1].read_bytes()
    if damage == "gone":
        files[-1].unlink()
    else:
        files[-1].write_bytes(content[: len(content) // 2] if damage == "cut" else bytes(len(content)))
    (finding,) = (finding for finding in check_store(collection.path) if finding.harm)
    assert "cannot be read" in finding.what
    assert any(finding.harm for finding in repair_store(collection.path))
    assert repair_store(collection.path, roll_back=True) == []
    again = VectorCollection(collection.path)
    assert again.ids == [f"a{row}" for row in range(300)]
    assert np.array_equal(again.get(["a7"])[0], vectors(300)[7:8])


def test_two_rows_of_one_name(collection):
    table = collection._table().open()
    table.add(table.take([0], ["id", "vector"]))
    (finding,) = check_store(collection.path)
    assert finding.harm and "1 rows have a name that another one has" in finding.what
