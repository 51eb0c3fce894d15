"""Reading vectors of any origin: formats, guesses, blocks, and rows that are refused by number."""

from __future__ import annotations

import datetime as dt

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from theatrum.store import open_vectors, read_vectors, write_vectors
from theatrum.store import vector_reader as module

X = np.random.default_rng(0).normal(size=(9000, 6)).astype(np.float32)
IDS = [f"n{row}" for row in range(len(X))]


def write(path, **columns):
    """As other people write: plain Arrow, their own names and types."""
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=1000)
    else:
        database = lancedb.connect(path.parent)
        if len(table):
            database.create_table(path.stem, table)
        else:
            database.create_table(path.stem, schema=table.schema)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".lance"])
@pytest.mark.parametrize("item", [pa.float16(), pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("shape", [pa.list_, pa.large_list, lambda item: pa.list_(item, 6)], ids=["list", "large", "6"])
def test_list_columns_of_others(tmp_path, suffix, item, shape):
    rows = X[:50].astype(item.to_pandas_dtype())
    file = write(
        tmp_path / f"theirs{suffix}",
        Embedding=pa.array(list(rows), shape(item)),
        doc_id=pa.array(range(100, 150)),
        year=pa.array([None, *range(1951, 2000)]),
        tags=pa.array([["wing"]] * 50),
        other_vector=pa.array([[0.5]] * 50, pa.list_(pa.float32())),
        raw=pa.array([b"x"] * 50),
    )
    ids, got, attributes = read_vectors(file)
    assert got.dtype == np.float32
    assert np.array_equal(got, rows.astype(np.float32))
    assert ids == [str(number) for number in range(100, 150)]
    assert attributes == {"year": [None, *range(1951, 2000)], "tags": [["wing"]] * 50}
    assert list(read_vectors(file, attributes=["year"])[2]) == ["year"]


def test_a_table_by_plain_lancedb_with_its_own_schema(tmp_path):
    rows = [
        {"vec": row.tolist(), "url": name, "on": dt.date(1958, 1, 1)} for row, name in zip(X[:20], IDS, strict=False)
    ]
    table = lancedb.connect(tmp_path).create_table("papers", rows[:10])
    table.add(rows[10:])
    ids, got, attributes = read_vectors(tmp_path / "papers.lance")
    assert (ids, attributes["on"][0]) == (IDS[:20], dt.date(1958, 1, 1))
    assert np.allclose(got, X[:20])


@pytest.mark.parametrize("name", ["v.npy", "v.parquet", "v.lance"])
def test_what_is_written_is_read_in_blocks(tmp_path, name):
    attributes = {} if name == "v.npy" else {"year": list(range(9000))}
    write_vectors(tmp_path / name, IDS, X, attributes)
    file = open_vectors(tmp_path / name)
    assert (file.rows, file.dim) == X.shape
    for _ in range(2):  # from the start each time
        blocks = list(file)
        assert len(blocks) > 1
        assert max(len(block.ids) for block in blocks) <= module.ROWS
        assert np.array_equal(np.vstack([block.vectors for block in blocks]), X)
        assert [one for block in blocks for one in block.ids] == IDS
        assert [year for block in blocks for year in block.attributes.get("year", [])] == attributes.get("year", [])


def test_a_lance_table_in_pieces_and_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 7)
    database = lancedb.connect(tmp_path)
    rows = [{"id": name, "vector": row} for name, row in zip(IDS[:300], X[:300].tolist(), strict=True)]
    table = database.create_table("v", rows[:100])
    for start in (100, 150, 290):
        table.add(rows[start : {100: 150, 150: 290, 290: 300}[start]])
    table.delete("id IN ('n3', 'n120', 'n299')")
    ids, got, _ = read_vectors(tmp_path / "v.lance")
    left = [row for row in range(300) if row not in (3, 120, 299)]
    assert ids == [IDS[row] for row in left]
    assert np.array_equal(got, X[left])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_others_are_named_by_row(tmp_path, dtype, order):
    rows = np.array(X[:30], dtype=dtype, order=order)
    np.save(tmp_path / "v.npy", rows)
    ids, got, _ = read_vectors(tmp_path / "v.npy")
    assert ids == [str(row) for row in range(30)]
    assert np.array_equal(got, rows.astype(np.float32))


# LanceDB itself looks after columns that are called "vector".
def spoilt(row, value):
    rows = X[:8].tolist()
    rows[row] = value
    return pa.array(rows, pa.list_(pa.float64()))


SPOILT_ROWS = {
    "nan": (5, [float("nan")] * 6, "row 5 of 'dense' holds NaN"),
    "infinite": (5, [float("inf")] * 6, "row 5 of 'dense' holds NaN, infinity"),
    "too large": (5, [1e300] * 6, "row 5 of 'dense' holds .* a number beyond float32"),
    "ragged": (3, [1.0] * 5, "row 3 of 'dense' has 5 numbers, the first row has 6"),
    "missing": (7, None, "row 7 of 'dense' is missing"),
    "missing first": (0, None, "row 0 of 'dense' is missing"),
    "missing number": (2, [1.0, None, 1.0, 1.0, 1.0, 1.0], "row 2 of 'dense' has a missing number"),
    "empty first": (0, [], "row 0 of 'dense' is an empty list"),
}


@pytest.mark.parametrize("suffix", [".parquet", ".lance"])
@pytest.mark.parametrize(("row", "value", "message"), SPOILT_ROWS.values(), ids=SPOILT_ROWS)
def test_spoilt_rows_are_named(tmp_path, suffix, row, value, message):
    file = write(tmp_path / f"v{suffix}", dense=spoilt(row, value), id=pa.array(IDS[:8]))
    with pytest.raises(ValueError, match=message):
        read_vectors(file)


def test_the_row_of_a_later_block(tmp_path):
    rows = X.copy()
    rows[8123, 2] = np.nan
    np.save(tmp_path / "v.npy", rows)
    with pytest.raises(ValueError, match="row 8123 holds NaN"):
        read_vectors(tmp_path / "v.npy")
    file = write(tmp_path / "v.parquet", vector=pa.array(list(rows)), id=pa.array(IDS))
    with pytest.raises(ValueError, match="row 8123 of 'vector' holds NaN"):
        read_vectors(file)


VECTORS, CODES = pa.array(X[:4].tolist()), pa.array([[1, 2]] * 4, pa.list_(pa.uint8(), 2))
SPOILT_TABLES = {
    "no vectors": ({"id": IDS[:4]}, {}, "no column holds vectors; name one. The columns are: id"),
    "two candidates": (
        {"left": VECTORS, "right": VECTORS},
        {},
        r"several columns could be the vectors \(left, right\)",
    ),
    "unknown column": ({"vector": VECTORS}, {"vector_column": "v"}, "no column 'v' for the vector; .* are: vector"),
    "unknown id": ({"vector": VECTORS}, {"id_column": "v"}, "no column 'v' for the id"),
    "unknown attribute": ({"vector": VECTORS}, {"attributes": ["v"]}, "no column 'v'"),
    "not lists": ({"vector": VECTORS, "x": IDS[:4]}, {"vector_column": "x"}, "'x' holds string, not lists"),
    "codes": ({"vector": CODES}, {}, "codes, not vectors; decode them"),
    "no id": ({"vector": VECTORS, "id": ["a", None, "c", "d"]}, {}, "row 1 has no id"),
    "duplicate id": ({"vector": VECTORS, "id": ["a", "b", "a", "d"]}, {}, r"'a' \(row 2\) is there already"),
    "no rows": ({"vector": VECTORS[:0], "id": pa.array([], pa.string())}, {}, "has no rows"),
}


@pytest.mark.parametrize("suffix", [".parquet", ".lance"])
@pytest.mark.parametrize(("columns", "settings", "message"), SPOILT_TABLES.values(), ids=SPOILT_TABLES)
def test_spoilt_tables(tmp_path, suffix, columns, settings, message):
    file = write(tmp_path / f"v{suffix}", **{name: pa.array(values) for name, values in columns.items()})
    with pytest.raises(ValueError, match=message):
        read_vectors(file, **settings)


@pytest.mark.parametrize("name", ["v.npy", "v.parquet"])
def test_damaged_files(tmp_path, name):
    write_vectors(tmp_path / name, IDS[:100], X[:100])
    whole = (tmp_path / name).read_bytes()
    for spoil in (whole[: len(whole) // 2], b"", b"not at all", whole[: len(whole) // 2] + b"\0" * 400):
        (tmp_path / name).write_bytes(spoil)
        with pytest.raises(ValueError, match=r"not a readable|damaged"):
            read_vectors(tmp_path / name)


def test_damaged_lance(tmp_path):
    (tmp_path / "v.lance").mkdir()
    with pytest.raises(ValueError, match="not a readable LanceDB table"):
        read_vectors(tmp_path / "v.lance")
    write_vectors(tmp_path / "w.lance", IDS[:100], X[:100])
    for data in (tmp_path / "w.lance" / "data").iterdir():
        data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"readable|damaged"):
        read_vectors(tmp_path / "w.lance")


def test_nothing_is_made_by_looking(tmp_path):
    for name in ("v.npy", "v.parquet", "none/v.lance"):
        with pytest.raises(FileNotFoundError):
            open_vectors(tmp_path / name)
    with pytest.raises(ValueError, match="must be one of"):
        open_vectors(tmp_path / "v.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3), "expected two dimensions"),
        (np.ones((2, 2, 2)), "expected two dimensions"),
        (np.ones((0, 3)), "at least one row"),
        (np.ones((3, 2), dtype=np.uint8), "uint8: codes, not vectors"),
        (np.array([["a"]]), "<U1: codes, not vectors"),
    ],
)
def test_arrays_that_are_no_vectors(tmp_path, array, message):
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(ValueError, match=message):
        read_vectors(tmp_path / "v.npy")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "v.npy", np.array([[object()]]))
    with pytest.raises(ValueError, match=r"not a readable .npy file of numbers"):
        read_vectors(tmp_path / "v.npy")


def test_ids_that_do_not_fit(tmp_path):
    np.save(tmp_path / "v.npy", X[:3])
    (tmp_path / "v.ids.txt").write_text("a\nb\n")
    with pytest.raises(ValueError, match="2 ids for the 3 rows"):
        read_vectors(tmp_path / "v.npy")
    (tmp_path / "v.ids.txt").write_bytes(b"a\nb\n\xff\n")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_vectors(tmp_path / "v.npy")
