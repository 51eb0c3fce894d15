from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from theatrum.checks import check_k
from theatrum.text import sparse_index
from theatrum.text.sparse_index import CONTENTS, SparseIndex, best_columns


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 4), min_size=7, max_size=7), max_size=5), st.integers(1, 9))
def test_best_columns_is_a_stable_sort(rows, k):
    dense = np.array(rows, dtype=np.float32).reshape(len(rows), 7)
    columns, values = best_columns(csr_matrix(dense), k)
    for row, scores in enumerate(dense):
        expected = [column for column in np.argsort(-scores, kind="stable") if scores[column] > 0][:k]
        padding = k - len(expected)
        assert columns[row].tolist() == expected + [-1] * padding
        assert values[row].tolist() == [*scores[expected].tolist(), *[-np.inf] * padding]


def _index(n=30, width=12, seed=0):
    rng = np.random.default_rng(seed)
    weights = csr_matrix(rng.integers(0, 3, (n, width)) * (rng.random((n, width)) < 0.3), dtype=np.float32)
    ids = [f"d{row}" for row in range(n)]
    return SparseIndex(
        ids, weights, {f"w{column}": column for column in range(width)}, {"even": [r % 2 == 0 for r in range(n)]}
    )


def test_blocks_change_nothing(monkeypatch):
    index = _index()
    queries = csr_matrix(np.eye(12, dtype=np.float32))
    whole = index.search(queries, 5)
    monkeypatch.setattr(sparse_index, "_BLOCK_CELLS", 70)
    parts = index.search(queries, 5)
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[1], parts[1])


def test_a_filter_acts_before_ranking():
    index = _index()
    queries = csr_matrix(np.ones((1, 12), dtype=np.float32))
    everything, scores = index.search(queries, 30)
    kept, kept_scores = index.search(queries, 30, where={"even": True})
    even = [(i, s) for i, s in zip(everything[0], scores[0], strict=True) if i and int(i[1:]) % 2 == 0]
    assert [(i, s) for i, s in zip(kept[0], kept_scores[0], strict=True) if i] == even


def test_a_filter_without_attributes_is_refused():
    index = SparseIndex(["a"], csr_matrix([[1.0]]), {"w": 0}, None)
    with pytest.raises(ValueError, match="without attributes"):
        index.search(csr_matrix([[1.0]]), 1, where={"year": 1})


def test_attributes_must_fit_the_documents():
    with pytest.raises(ValueError, match="'year' has 2 values for 1 rows"):
        SparseIndex(["a"], csr_matrix([[1.0]]), {"w": 0}, {"year": [1, 2]})


def test_save_and_open(tmp_path):
    index = _index()
    index.save(tmp_path)
    again = SparseIndex.open(tmp_path)
    queries = csr_matrix(np.ones((1, 12), dtype=np.float32))
    assert again.search(queries, 30)[0].tolist() == index.search(queries, 30)[0].tolist()
    assert (len(again), again.memory_bytes) == (30, index.memory_bytes)
    assert again.attributes.plain() == index.attributes.plain()
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors", ".arrow"}


def test_a_damaged_folder_is_told(tmp_path):
    _index().save(tmp_path)
    contents = json.loads((tmp_path / CONTENTS).read_text())
    contents["ids"] = contents["ids"][:3]
    (tmp_path / CONTENTS).write_text(json.dumps(contents))
    with pytest.raises(ValueError, match="damaged"):
        SparseIndex.open(tmp_path)


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_k_must_count(k):
    with pytest.raises(ValueError, match="k must be"):
        check_k(k, 3)
