"""What the rest of the store relies on in LanceDB; a new version of it has to pass this first."""

import threading
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from theatrum.store import StoreError
from theatrum.store.lance_table import ROW_ID, LanceTable, is_remote, storage_errors

SCHEMA = pa.schema([("id", pa.string()), ("value", pa.float64())])


def rows(*names, value=0.0):
    return pa.table({"id": list(names), "value": [value] * len(names)}, schema=SCHEMA)


def named(table):
    found = table.rows(["id"])
    return dict(zip(found["id"].to_pylist(), found[ROW_ID].to_pylist(), strict=True))


@pytest.fixture
def table(tmp_path):
    made = LanceTable(tmp_path, "rows")
    assert not made.exists()
    with made.writing():
        made.create(SCHEMA)
        made.add(rows("a", "b", "c"))
    assert made.exists()
    return made


def test_a_row_id_never_names_another_row(table):
    """Neither after deleting, replacing, compacting nor going back; segments of codes rest on this."""
    seen = dict(named(table))  # id -> row id, of all times
    owner = {row: name for name, row in seen.items()}

    def look():
        for name, row in named(table).items():
            assert owner.setdefault(row, name) == name

    first = table.version
    for step in range(6):
        table.add(rows(f"d{step}", f"e{step}"))
        look()
        kept = {name: row for name, row in named(table).items() if name != "b"}
        table.upsert(rows("b", f"f{step}", value=step), "id")
        look()
        assert kept.items() <= named(table).items()  # who was not replaced keeps its row id
        table.delete(f"id = 'd{step}'")
        look()
        if step == 2:
            table.compact()
            look()
    table.restore(first)
    look()
    table.add(rows("z"))
    look()
    assert set(named(table)) == {"a", "b", "c", "z"}


def test_an_opened_table_stands_still_until_it_is_refreshed(table):
    other = LanceTable(table.folder, "rows").open()
    table.delete("id = 'a'")
    assert list(named(other)) == ["a", "b", "c"]
    other.refresh()
    assert list(named(other)) == ["b", "c"]
    other.at(table.version - 1)
    assert list(named(other)) == ["a", "b", "c"]
    assert table.versions()[0] == table.version


def test_rows_are_taken_in_the_order_asked_for_and_as_often(table):
    at = named(table)
    found = table.take([at["c"], at["a"], at["c"]], ["id"])
    assert found["id"].to_pylist() == ["c", "a", "c"]
    assert [len(batch) for batch in table.batches(["id", "value"], 2)] == [2, 1]


def test_columns_are_added_and_widened(table):
    table.add_columns([pa.field("day", pa.date32())])
    table.widen("day", pa.timestamp("us", "UTC"))
    assert table.schema.field("day").type == pa.timestamp("us", "UTC")
    assert table.rows(["day"])["day"].to_pylist() == [None] * 3


def test_compacting_forgets_what_it_may(table):
    for step in range(5):
        table.add(rows(f"n{step}"))
    table.compact()
    assert len(table.versions()) > 5
    assert table.pieces == 1
    table.compact(timedelta(0))
    assert len(table.versions()) == 1
    assert len(table) == 8


def test_one_writer_at_a_time(table):
    order = []

    def write():
        with LanceTable(table.folder, "rows").writing():
            order.append("second")

    with table.writing():
        other = threading.Thread(target=write)
        other.start()
        other.join(0.3)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="'rows' cannot be opened"):
        LanceTable(tmp_path, "rows").open()


def test_what_is_told_of_a_disk_that_cannot_be_written():
    with pytest.raises(StoreError, match="the disk is full"), storage_errors("here"):
        raise RuntimeError("LanceError(IO): No space left on device (os error 28)")
    with pytest.raises(StoreError, match="cannot be written"), storage_errors("here"):
        raise PermissionError("denied")
    assert is_remote("s3://bucket/x") and not is_remote("/x")
    assert LanceTable("s3://bucket/x", "rows").folder == "s3://bucket/x"


def test_wide_rows_pass_unchanged(tmp_path):
    X = np.random.default_rng(0).standard_normal((5000, 16)).astype(np.float32)
    table = LanceTable(tmp_path, "wide")
    batch = pa.table({"vector": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 16)})
    with table.writing():
        table.create(batch.schema)
        table.add(batch)
    parts = [part["vector"].combine_chunks().flatten().to_numpy() for part in table.batches(["vector"], 999)]
    assert np.array_equal(np.concatenate(parts).reshape(-1, 16), X)
