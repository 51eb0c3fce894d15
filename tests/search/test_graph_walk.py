"""The walk against FAISS's own on the same graph, and under filters against a comparison with everything."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.search import faiss_engine as engine
from theatrum.search.exact_scan import StoredRows, best_rows
from theatrum.search.graph_walk import graph_links, walk

N, D, K = 4000, 16, 10
rng = np.random.default_rng(0)
X = rng.normal(size=(N, D)).astype(np.float32)
Q = rng.normal(size=(50, D)).astype(np.float32)
STEP = np.ones(D, dtype=np.float32)


@pytest.fixture(scope="module", params=["ip", "l2"])
def graph(request):
    index = engine.graph_index(D, request.param, None, links=16, effort=80)
    engine.add(index, X, None)
    return index, request.param == "l2"


def walked(graph, mask, *, ef=64, wanted=K, keep=K, survivors, budget=N, queries=Q):
    index, squared = graph
    starts = np.flatnonzero(mask)[:: max(1, int(mask.sum()) // 16)]
    return walk(
        X, queries, STEP, graph_links(index), mask, starts, ef=ef, wanted=keep, keep=keep, squared=squared,
        through_survivors=survivors, budget=budget,
    )  # fmt: skip


def test_without_a_filter_it_finds_what_faiss_finds(graph):
    index, squared = graph
    nothing = np.zeros(0, dtype=np.int64)
    found, values, _ = walk(
        X, Q, STEP, graph_links(index), np.ones(N, dtype=bool), nothing, ef=64, wanted=K, keep=K, squared=squared,
        through_survivors=False, budget=N,
    )  # fmt: skip
    parameters = engine.faiss().SearchParametersHNSW(efSearch=64)
    theirs, expected = index.search(Q, K, params=parameters)
    assert (found == expected).mean() > 0.98
    np.testing.assert_allclose(
        np.abs(values[found == expected]), np.abs(theirs[found == expected]), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("survivors", [True, False])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.03])
def test_under_a_filter_it_finds_nearly_all_and_nothing_else(graph, survivors, share):
    mask = rng.random(N) < share
    found, values, compared = walked(graph, mask, survivors=survivors, ef=max(100, round(20 / share)))
    truth, _ = best_rows(StoredRows(X), Q, K, squared=graph[1], rows=np.flatnonzero(mask))
    assert mask[found[found >= 0]].all()
    assert np.mean([len(set(a) & set(b)) / K for a, b in zip(found, truth, strict=True)]) > 0.95
    assert (np.diff(values, axis=1)[np.isfinite(values[:, 1:])] <= 0).all() and (compared > 0).mean() > 0.9
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in found)


def test_a_walk_that_costs_too_much_is_given_up(graph):
    _, _, compared = walked(graph, np.ones(N, dtype=bool), survivors=False, budget=50)
    assert (compared < 0).all()


def test_one_query_walks_as_many_do(graph):
    mask = rng.random(N) < 0.3
    together = walked(graph, mask, survivors=True)
    alone = [walked(graph, mask, survivors=True, queries=Q[row : row + 1]) for row in range(5)]
    np.testing.assert_array_equal(together[0][:5], np.vstack([found for found, _, _ in alone]))


def test_a_survivor_that_nobody_links_to_is_found_from_the_starts(graph):
    mask = np.zeros(N, dtype=bool)
    mask[[5, 77]] = True
    found, _, _ = walked(graph, mask, survivors=True, keep=3)
    assert {tuple(sorted(row)) for row in found.tolist()} == {(-1, 5, 77)}
