"""Every way under every filter: what passes, how much is found, and which way is chosen."""

from __future__ import annotations

import numpy as np
import pytest

import theatrum
from theatrum.checks import unit_rows
from theatrum.compress import BinaryQuantizer, Int8Quantizer
from theatrum.search import FilteredIndex, HNSWIndex
from theatrum.search.filtered_index import expected_comparisons

N, D, K = 12_000, 24, 10
rng = np.random.default_rng(0)
basis = rng.normal(size=(8, D))
X = (rng.normal(size=(N, 8)) @ basis + 0.2 * rng.normal(size=(N, D))).astype(np.float32)
Q = (rng.normal(size=(40, 8)) @ basis).astype(np.float32)
IDS = [f"d{row}" for row in range(N)]
RANK = rng.permutation(N)
NEAR = np.argsort(np.argsort(-(X @ Q.mean(axis=0))))  # small where a row lies towards the queries


def made(quantizer=None, **options):
    fitted = quantizer().fit(X) if quantizer else None
    index = FilteredIndex(m=16, ef_construction=80, **options).fit(X, fitted)
    index.add(IDS, X, {"rank": RANK, "near": NEAR, "kind": [f"k{row % 7}" for row in range(N)]})
    return index


@pytest.fixture(scope="module")
def index():
    return made()


def recall(index, where, passing):
    ids, _, plan = index.search(Q, K, where, explain=True)
    units = X / np.linalg.norm(X, axis=1, keepdims=True)
    rows = np.flatnonzero(passing)
    truth = rows[np.argsort(-(Q @ units[rows].T), axis=1)[:, :K]]
    found = [{int(name[1:]) for name in row if name} for row in ids]
    assert all(passing[list(one)].all() and len(one) == min(K, len(rows)) for one in found)
    return np.mean([len(one & set(row)) / len(row) for one, row in zip(found, truth, strict=True)]), plan


@pytest.mark.parametrize("way", ["auto", "exact", "graph", "post"])
@pytest.mark.parametrize("share", [0.9, 0.3, 0.05, 0.002])
def test_recall_under_ranges(index, way, share):
    index.plan = way
    try:
        found, plan = recall(index, f"rank < {int(share * N)}", int(share * N) > RANK)
    finally:
        index.plan = "auto"
    assert found >= (0.999 if plan.way == "exact" else 0.93)
    assert plan.way == way or way == "auto"
    assert plan.survivors == int(share * N)


@pytest.mark.parametrize("share", [0.5, 0.2, 0.05])
@pytest.mark.parametrize("far", [True, False])
def test_recall_where_what_passes_lies_far_from_the_queries_or_near(index, share, far):
    bound = int((1 - share) * N) if far else int(share * N)
    where, passing = (f"near >= {bound}", bound <= NEAR) if far else (f"near < {bound}", bound > NEAR)
    assert recall(index, where, passing)[0] >= 0.95


def test_the_plan_follows_the_selectivity(index):
    plans = {share: index.search(Q, K, f"rank < {int(share * N)}", explain=True)[2] for share in (1, 0.999, 0.001)}
    assert [plans[share].way for share in (1, 0.999, 0.001)] == ["index", "post", "exact"]
    assert "cheaper" in plans[0.001].reason and "costs" in plans[0.999].reason
    index._unfiltered.clear()
    index._unfiltered[64] = 100.0  # as if the collection were so large that walks are far cheaper
    assert index.search(Q, K, "rank < 11000", explain=True)[2].way == "post"
    index._unfiltered.clear()


def test_expected_comparisons_grow_as_fewer_pass():
    costs = [expected_comparisons(1000.0, 64, 10, share)["post"] for share in (1.0, 0.3, 0.1, 0.01)]
    assert costs == sorted(costs) and costs[0] == 1000.0


def test_filters_are_combined_and_deleted_rows_stay_out():
    index = made(Int8Quantizer, rescore="float32")
    passing = (RANK < 6000) & (np.arange(N) % 7 == 3)
    found, _ = recall(index, "rank < 6000 and kind = 'k3'", passing)
    assert found >= 0.99
    index.delete([IDS[row] for row in np.flatnonzero(passing)])
    assert set(index.search(Q, K, "rank < 6000 and kind = 'k3'")[0].ravel()) == {""}
    assert recall(index, "rank < 6000", (RANK < 6000) & ~passing)[0] >= 0.95


def test_walks_read_codes_and_score_by_the_vectors():
    rows = unit_rows(np.random.default_rng(5).normal(size=(3000, 16)).astype(np.float32))
    made = FilteredIndex(m=8, plan="post").fit(rows)
    made.add([str(row) for row in range(2000)], rows[:2000], {"even": [row % 2 == 0 for row in range(2000)]})
    assert made.memory_bytes == HNSWIndex.memory_bytes.fget(made) + 2000 * 16
    made.add([str(row) for row in range(2000, 3000)], rows[2000:], {"even": [row % 2 == 0 for row in range(1000)]})
    ids, scores, plan = made.search(rows[2500:2510], 3, "even = true", explain=True)
    assert plan.way == "post"
    np.testing.assert_allclose(scores[::2, 0], 1, atol=1e-6)  # as the vectors say, not as the codes do
    assert ids[::2, 0].tolist() == [str(row) for row in range(2500, 2510, 2)]


def test_other_codes_are_refused():
    with pytest.raises(ValueError, match="filtered keeps float32 or int8, not the codes of BinaryQuantizer"):
        made(BinaryQuantizer)
    with pytest.raises(ValueError, match="plan must be one of 'auto', 'exact', 'graph', 'post', got 'best'"):
        made(plan="best")


def test_saved_and_opened_it_finds_the_same(tmp_path, index):
    theatrum.save(index, tmp_path / "index")
    again = theatrum.open(tmp_path / "index")
    for way in ("exact", "graph", "post"):
        index.plan = again.plan = way
        for ours, theirs in zip(index.search(Q, K, "rank < 4000"), again.search(Q, K, "rank < 4000"), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    index.plan = "auto"


def test_it_stands_in_a_pipeline():
    texts = [f"plates of kind {row} and load {row % 5} buckle under {row % 11}" for row in range(60)]
    built = theatrum.pipeline("lsa(dim=4) | int8 | filtered(m=8)")
    built.fit([str(row) for row in range(60)], texts, {"year": list(range(60))})
    ids, _ = built.search(["plates of kind 7"], 5, "10 <= year < 13")
    assert set(ids[0]) <= {"10", "11", "12", ""} and len(set(ids[0])) >= 3
