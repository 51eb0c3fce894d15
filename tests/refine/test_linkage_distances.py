"""The functor stage: every linkage against a slow version, the bracket between single and maximal, bad input."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist, pdist, squareform

from theatrum.refine.linkage_distances import (
    chaining_index,
    extend_path,
    extend_single_linkage,
    fuzzy_distance,
    fuzzy_memberships,
    geodesic_distance,
    linkage_distance,
    path_distance,
    single_linkage_distance,
    spanning_chain,
)
from theatrum.refine.pairwise_distances import check_distances, distances_between

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 3))
D = squareform(pdist(X))
SMALL = D[:6, :6]


def over_paths(D, cost):
    """Every simple path between every pair, by hand."""
    n = len(D)
    best = np.zeros((n, n))
    for i in range(n):
        for j in set(range(n)) - {i}:
            between = [k for k in range(n) if k not in (i, j)]
            best[i, j] = min(
                cost([D[a, b] for a, b in zip((i, *middle), (*middle, j), strict=True)])
                for length in range(n - 1)
                for middle in permutations(between, length)
            )
    return best


def test_single_linkage_is_the_best_widest_step():
    assert np.array_equal(single_linkage_distance(SMALL), over_paths(SMALL, max))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_linkage_is_the_cophenetic_distance(dtype):
    u = single_linkage_distance(D.astype(dtype))
    assert u.dtype == dtype
    assert np.array_equal(u, squareform(cophenet(linkage(squareform(D.astype(dtype)), "single"))).astype(dtype))


def test_single_linkage_is_an_ultrametric_and_does_not_move_more_than_the_distances():
    u = single_linkage_distance(D)
    assert (u[:, :, None] <= np.maximum(u[:, None, :], u[None, :, :]).transpose(0, 2, 1) + 1e-12).all()
    noise = rng.uniform(-0.05, 0.05, D.shape)
    noisy = np.abs(D + noise + noise.T)
    np.fill_diagonal(noisy, 0)
    assert np.abs(single_linkage_distance(noisy) - u).max() <= np.abs(noisy - D).max()


def test_ties_and_equal_rows():
    grid = squareform(pdist(np.repeat(np.arange(4.0), 2)[:, None]))
    u = single_linkage_distance(grid)
    assert np.array_equal(np.unique(u), [0, 1]) and u[0, 1] == 0
    assert path_distance(grid, 2.0)[0, 6] == pytest.approx(np.sqrt(3))
    assert geodesic_distance(grid, radius=1.0)[0, 7] == 3
    assert np.array_equal(linkage_distance([[0]]), [[0.0]])


@pytest.mark.parametrize("p", [1.0, 2.5, 8.0])
def test_path_metric_is_the_best_sum_of_powers(p):
    slow = over_paths(SMALL, lambda steps: sum(step**p for step in steps) ** (1 / p))
    assert np.allclose(path_distance(SMALL, p), slow)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bracket(dtype):
    distances = D.astype(dtype)
    u, slack = single_linkage_distance(distances), 1e-6
    before = distances
    for p in (1.0, 2.0, 4.0, 64.0):
        now = path_distance(distances, p)
        assert (u <= now + slack).all() and (now <= before + slack).all()
        before = now
    assert np.allclose(path_distance(D, 1.0), D)
    assert np.abs(before - u).max() < 0.1 * D.max()


def test_geodesics_of_a_radius_against_loops():
    graph = np.where(D <= 0.9, D, np.inf)
    for k in range(len(D)):
        graph = np.minimum(graph, graph[:, k, None] + graph[None, k])
    assert np.allclose(geodesic_distance(D, radius=0.9), graph)


def test_geodesics_of_neighbours():
    graph = np.full(D.shape, np.inf)
    for i in range(len(D)):
        for j in np.argsort(D[i])[:4]:
            graph[i, j] = graph[j, i] = D[i, j]
    for k in range(len(D)):
        graph = np.minimum(graph, graph[:, k, None] + graph[None, k])
    assert np.allclose(geodesic_distance(D, n_neighbors=3), graph)


def test_tree_edges_join_the_pieces():
    assert np.isinf(geodesic_distance(D, radius=0.05)).any()
    joined = geodesic_distance(D, radius=0.05, connect="mst")
    assert np.isfinite(joined).all()
    tree = minimum_spanning_tree(D).toarray()
    edges = tree > 0
    assert np.allclose(joined[edges], tree[edges])


def test_chain_is_the_spanning_tree():
    order, steps, parents = spanning_chain(D)
    assert sorted(order) == list(range(len(D)))
    assert np.allclose(steps[1:], D[order[1:], parents[1:]])
    assert np.isclose(steps.sum(), minimum_spanning_tree(D).sum())


def test_fuzzy_neighbourhoods_are_those_of_umap():
    umap = pytest.importorskip("umap.umap_")
    graph = umap.fuzzy_simplicial_set(X, 10, np.random.RandomState(0), "euclidean")[0].toarray()
    ours = np.exp(-fuzzy_distance(D, 10))
    np.fill_diagonal(ours, 0)
    assert np.abs(ours - graph).max() < 1e-4


def test_fuzzy_memberships_sum_up():
    s = fuzzy_memberships(np.where(np.eye(120, dtype=bool), np.inf, D), 9)
    assert np.allclose(s.sum(axis=1), np.log2(10))
    assert ((s > 0).sum(axis=1) == 9).all() and np.allclose(s.max(axis=1), 1)
    assert np.isfinite(fuzzy_memberships(np.zeros((3, 5)), 4)).all()  # equal rows only


def test_new_rows_get_the_distances_that_they_have_with_the_others():
    new = rng.normal(size=(7, 3))
    D_new = cdist(new, X)
    order, steps, _ = spanning_chain(D)
    d_p = path_distance(D, 3.0)
    for i, row in enumerate(D_new):
        together = np.block([[D, row[:, None]], [row[None], np.zeros((1, 1))]])
        # The new row may also shorten the way between old ones, but never its own.
        assert np.allclose(extend_single_linkage(order, steps, D_new)[i], single_linkage_distance(together)[-1, :-1])
        assert np.allclose(extend_path(d_p, D_new, 3.0)[i], path_distance(together, 3.0)[-1, :-1])
    only = np.where(D_new <= np.sort(D_new, axis=1)[:, 2:3], D_new, np.inf)
    G = geodesic_distance(D, radius=1.5)
    assert np.allclose(extend_path(G, only, 1.0), np.min(only[:, :, None] + G[None], axis=1))


def test_linkage_distance_dispatches():
    assert np.array_equal(linkage_distance(D), single_linkage_distance(D))
    assert np.array_equal(linkage_distance(D, "maximal"), D)
    assert np.array_equal(linkage_distance(D, "path", p=3.0), path_distance(D, 3.0))
    assert np.array_equal(
        linkage_distance(D, "geodesic", n_neighbors=4, connect="mst"),
        geodesic_distance(D, n_neighbors=4, connect="mst"),
    )
    assert np.array_equal(linkage_distance(D, "fuzzy", n_neighbors=4), fuzzy_distance(D, 4))


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "cityblock", "hamming"])
def test_distances_in_blocks(metric, monkeypatch):
    rows = rng.integers(0, 3, size=(50, 6)).astype(float) + 1
    whole = distances_between(rows, rows[:9], metric)
    monkeypatch.setattr("theatrum.refine.pairwise_distances._BLOCK", 40)
    assert whole.dtype == np.float32 and (whole >= 0).all()
    assert np.array_equal(distances_between(rows, rows[:9], metric), whole)
    assert np.allclose(whole, cdist(rows, rows[:9], metric), atol=1e-6)


def test_chaining_index_tells_a_bridge():
    groups = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + np.array([12, 0])])
    bridge = np.column_stack([np.linspace(0, 12, 40), np.zeros(40)])
    index = [
        chaining_index(distances, single_linkage_distance(distances))
        for distances in (squareform(pdist(rows)) for rows in (groups, np.concatenate([groups, bridge])))
    ]
    assert index[0] > 0.4 and index[1] < 0.2
    assert chaining_index(np.zeros((3, 3)), np.zeros((3, 3))) == 1


def changed(i, j, value):
    wrong = D.copy()
    wrong[i, j] = value
    return wrong


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_distances(X), r"expected a square matrix \(n, n\), got shape \(120, 3\)"),
        (lambda: check_distances(np.zeros((0, 0))), "expected a square matrix"),
        (lambda: check_distances(changed(2, 5, np.nan)), "from 2 to 5 it is nan, which is not finite"),
        (lambda: check_distances(changed(2, 5, -1)), "from 2 to 5 it is -1, which is negative"),
        (lambda: check_distances(changed(2, 5, 9)), "from 2 to 5 it is 9, but .* back; give a symmetric matrix"),
        (lambda: check_distances(np.ones((3, 3))), "row 0 is 1 away from itself; the diagonal must be 0"),
        (lambda: single_linkage_distance(X), "expected a square matrix"),
        (lambda: path_distance(D, 0.5), "p must be between 1 and 64, got 0.5"),
        (lambda: path_distance(D, np.inf), "take single linkage"),
        (lambda: distances_between(X * (np.arange(120) != 7)[:, None], X, "cosine"), "row 7 is zero"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
