"""Rows with ids and attributes."""

import numpy as np
import pytest

from theatrum.search.named_rows import ROWS_FILE, NamedRows


@pytest.fixture
def rows():
    made = NamedRows()
    made.append(made.check(["a", "b", "c"], 3, {"year": [1, 2, None]}), {"year": [1, 2, None]})
    made.append(made.check(["d"], 1, {"year": [4]}), {"year": [4]})
    made.delete(["b"])
    return made


def test_deleted_rows_keep_their_places(rows):
    assert (rows.ids, rows.total, len(rows)) == (["a", "c", "d"], 4, 3)
    assert rows.places == {"a": 0, "c": 2, "d": 3}
    assert rows.living.tolist() == [0, 2, 3]
    assert rows.labels.tolist() == ["a", "b", "c", "d", ""]
    assert rows.attributes == {"year": [1, None, 4]}
    assert rows.survivors("year >= 2").rows.tolist() == [3]
    assert rows.survivors(None).rows.tolist() == [0, 2, 3]
    rows.append(rows.check(["b"], 1, {"year": [9]}), {"year": [9]})  # a deleted name is free again
    assert rows.survivors("year >= 2").rows.tolist() == [3, 4]
    assert rows.labels[4] == "b"


def test_closed_up(rows):
    closed = rows.compacted()
    assert (closed.ids, closed.total, closed.attributes) == (rows.ids, 3, rows.attributes)


def test_there_and_back(rows, tmp_path):
    rows.save(tmp_path)
    again = NamedRows.open(tmp_path)
    assert (again.names, again.places, again.attributes) == (rows.names, rows.places, rows.attributes)
    assert np.array_equal(again.alive, rows.alive)
    assert again.survivors("year >= 2").rows.tolist() == [3]
    (tmp_path / ROWS_FILE).write_bytes(b"ARROW1")
    with pytest.raises(ValueError, match="damaged"):
        NamedRows.open(tmp_path)


@pytest.mark.parametrize(
    ("ids", "attributes", "message"),
    [
        (["a"], {"year": [1]}, "'a' is in the index already"),
        (["x", "x"], {"year": [1, 2]}, "'x' .row 1. is there already"),
        (["x"], {}, "every batch must bring the same columns"),
        (["x"], {"year": ["late"]}, "holds numbers such as 1"),
    ],
)
def test_what_is_refused(rows, ids, attributes, message):
    with pytest.raises(ValueError, match=message):
        rows.check(ids, len(ids), attributes)
    with pytest.raises(ValueError, match="'x' is not in the index; nothing was deleted"):
        rows.delete(["a", "x"])
    assert rows.ids == ["a", "c", "d"]
