"""Writing vectors: what other programs find, what is refused, and nothing half written."""

from __future__ import annotations

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from theatrum.store import read_vectors, write_blocks, write_vectors

X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
IDS = [f"n{row}" for row in range(20)]
COLUMNS = {"year": [None, *range(1951, 1970)], "tags": [["a", "b"]] * 20, "topic": ["wings"] * 20}


def test_a_program_without_us_finds_everything(tmp_path):
    write_vectors(tmp_path / "v.npy", IDS, X)
    assert np.array_equal(np.load(tmp_path / "v.npy"), X)
    assert (tmp_path / "v.ids.txt").read_text().split() == IDS
    write_vectors(tmp_path / "v.parquet", IDS, X, COLUMNS)
    write_vectors(tmp_path / "v.lance", IDS, X, COLUMNS)
    opened = lancedb.connect(tmp_path).open_table("v")
    for table in (pq.read_table(tmp_path / "v.parquet"), opened.to_arrow()):
        assert table.schema.field("vector").type == pa.list_(pa.float32(), 6)
        assert table.column_names == ["id", "vector", *COLUMNS]
        assert np.array_equal(np.stack(table["vector"].to_pylist()).astype(np.float32), X)
        assert {name: table[name].to_pylist() for name in COLUMNS} == COLUMNS
    assert [hit["id"] for hit in opened.search(X[3]).limit(1).to_list()] == ["n3"]
    assert opened.search(X[3]).where("year > 1965").limit(1).to_list()[0]["year"] > 1965


@pytest.mark.parametrize("name", ["v.npy", "v.parquet", "v.lance"])
def test_replaces_and_leaves_no_scraps(tmp_path, name):
    write_vectors(tmp_path / name, IDS, X)
    write_vectors(tmp_path / name, IDS[:3], X[:3])
    assert read_vectors(tmp_path / name)[0] == IDS[:3]
    assert {path.name for path in tmp_path.iterdir()} <= {name, "v.ids.txt"}


@pytest.mark.parametrize("name", ["v.npy", "v.parquet"])
def test_a_failure_leaves_the_old_file(tmp_path, name):
    write_vectors(tmp_path / name, IDS[:3], X[:3])

    def blocks():
        yield X[:10]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_blocks(tmp_path / name, IDS, blocks())
    assert read_vectors(tmp_path / name)[0] == IDS[:3]
    assert {path.name for path in tmp_path.iterdir()} <= {name, "v.ids.txt"}


@pytest.mark.parametrize("name", ["v.npy", "v.parquet", "v.lance"])
def test_odd_ids_come_back(tmp_path, name):
    odd = ["a b", "ü\u2028x", "c\rd", "7"]
    write_vectors(tmp_path / name, odd, X[:4])
    assert read_vectors(tmp_path / name)[0] == odd


SPOILT = {
    "ending": ("v.csv", IDS, {}, "must be one of .npy, .parquet, .lance"),
    "ids": ("v.npy", IDS[:3], {}, "3 ids for 20 rows"),
    "line break": ("v.npy", ["a\nb", *IDS[1:]], {}, "has a line break"),
    "no place": ("v.npy", IDS, COLUMNS, "no place for attributes"),
    "length": ("v.parquet", IDS, {"year": [1]}, "'year' has 1 values for 20 rows"),
    "name": ("v.parquet", IDS, {"vector": IDS}, "'vector' is the name of a column of its own"),
    "types": ("v.parquet", IDS, {"year": [1, "x"] * 10}, "'year' holds values of several types"),
}


@pytest.mark.parametrize(("name", "ids", "columns", "message"), SPOILT.values(), ids=SPOILT)
def test_bad_input_writes_nothing(tmp_path, name, ids, columns, message):
    with pytest.raises(ValueError, match=message):
        write_vectors(tmp_path / name, ids, X, columns)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["v.npy", "v.parquet"])
@pytest.mark.parametrize(("ids", "message"), [(IDS[:5], "5 ids for more than 20"), ([*IDS, "x"], "21 ids for 20 rows")])
def test_blocks_that_do_not_add_up(tmp_path, name, ids, message):
    with pytest.raises(ValueError, match=message):
        write_blocks(tmp_path / name, ids, iter([X]))
    assert not list(tmp_path.iterdir())
