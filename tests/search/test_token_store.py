"""Kept tokens: precision, growth, taking some, files."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.search.token_sets import end_to_end
from theatrum.search.token_store import FILE, TokenStore, packed

rng = np.random.default_rng(0)
SETS = [rng.normal(size=(n, 8)).astype(np.float32) for n in (3, 1, 5, 2, 4)]


def filled(precision):
    store = TokenStore(precision)
    store.append(*end_to_end(SETS[:2]))
    store.append(*end_to_end(SETS[2:]))
    return store


@pytest.mark.parametrize(("precision", "error"), [("float32", 0.0), ("float16", 2e-3), ("int8", 0.02)])
def test_what_is_kept_is_near_what_came(precision, error):
    store = filled(precision)
    for positions in ([0, 1, 2, 3, 4], [1, 3], [4], []):
        found = store.sets(np.array(positions, dtype=np.int64))
        assert len(found) == len(positions)
        for one, position in zip(found, positions, strict=True):
            assert one.shape == SETS[position].shape
            assert one.dtype == np.float32
            assert np.abs(one - SETS[position]).max() <= error
    assert store.sizes(np.array([2, 0])) == [5, 3]


def test_bytes_are_counted():
    assert filled("float32").memory_bytes == 15 * 8 * 4 + 5 * 8
    assert filled("float16").memory_bytes == 15 * 8 * 2 + 5 * 8
    assert filled("int8").memory_bytes == 15 * 8 + 15 * 4 + 5 * 8


def test_int8_uses_the_whole_range_of_each_token():
    codes, factors = packed(np.array([[1e-3, -2e-3], [0, 0], [50, 100]], np.float32), "int8")
    assert codes.tolist() == [[64, -127], [0, 0], [64, 127]]
    assert np.allclose(factors, [2e-3 / 127, 1, 100 / 127])


def test_a_number_too_large_for_half_precision_is_refused():
    with pytest.raises(ValueError, match="too large for float16; scale the vectors, or set store='float32'"):
        packed(np.array([[1e6]], np.float32), "float16")


def test_what_is_kept_does_not_change_with_the_array_that_it_came_from():
    own = np.ones((2, 3), np.float32)
    store = TokenStore("float32")
    store.append(*end_to_end([own]))
    own[:] = 7
    assert store.sets(np.array([0]))[0].tolist() == np.ones((2, 3)).tolist()


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_save_and_open(precision, tmp_path):
    store, opened = filled(precision), TokenStore(precision)
    store.save(tmp_path)
    opened.open(tmp_path)
    every = np.arange(5)
    assert [one.tobytes() for one in opened.sets(every)] == [one.tobytes() for one in store.sets(every)]
    assert (len(opened), opened.memory_bytes) == (5, store.memory_bytes)


def test_an_empty_store_writes_nothing_and_a_cut_file_is_told(tmp_path):
    TokenStore("int8").save(tmp_path)
    assert not (tmp_path / FILE).exists()
    filled("int8").save(tmp_path)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:40])
    with pytest.raises(ValueError, match="damaged or cut short"):
        TokenStore("int8").open(tmp_path)
