"""What can be reached: linear programs against closed forms, covers, the next class, bad input."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from theatrum.predict.label_locus import (
    LabelLocus,
    graph_distances,
    is_locus_cover,
    locus,
    next_class,
    reachable,
)


def random_tree(n, seed, weighted=False):
    rng = np.random.default_rng(seed)
    tree = nx.from_prufer_sequence(rng.integers(0, n, size=n - 2).tolist())
    if weighted:
        for _, _, told in tree.edges(data=True):
            told["weight"] = float(rng.uniform(0.5, 3))
    return tree, rng


def all_pairs(graph):
    nodes = list(graph.nodes)
    paths = dict(nx.all_pairs_dijkstra_path_length(graph))
    return np.array([[paths[a][b] for b in nodes] for a in nodes])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_linear_programs_find_the_subtree_of_a_tree(seed, weighted):
    tree, rng = random_tree(30, seed, weighted)
    nodes = list(tree.nodes)
    observed = [nodes[i] for i in rng.choice(30, size=4, replace=False)]
    paths = {node for a in observed for b in observed for node in nx.shortest_path(tree, a, b, weight="weight")}
    closed = np.array([node in paths for node in nodes])
    assert (locus(tree, observed) == closed).all()
    assert (locus(all_pairs(tree), [nodes.index(node) for node in observed]) == closed).all()


def test_every_reachable_label_is_the_mean_of_some_weights():
    """Sampled weights reach only what the programs call reachable, and nearly all of it."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(25, 2))
    D = np.linalg.norm(points[:, None] - points[None], axis=2)
    rows = np.arange(5)
    found = reachable(D, rows)
    sampled = np.zeros(25, dtype=bool)
    sampled[np.unique((rng.dirichlet(np.full(5, 0.5), size=200_000) @ D[rows] ** 2).argmin(axis=1))] = True
    assert (found >= sampled).all() and 5 < sampled.sum() < 25
    assert found.sum() <= sampled.sum() + 1


@pytest.mark.parametrize("seed", range(3))
def test_labels_in_the_plane_are_reachable_inside_the_triangle_of_the_observed(seed):
    rng = np.random.default_rng(seed)
    corners = np.array([[0.0, 0.0], [4.0, 0.5], [1.0, 3.0]])
    inner = rng.dirichlet(np.ones(3), size=25) @ corners
    outer = corners[[0, 1, 2]] + 5 * (corners - corners.mean(axis=0))
    points = np.vstack([corners, inner, outer])
    D = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert locus(D, [0, 1, 2]).tolist() == [True] * 28 + [False] * 3


def test_known_labels_are_kept_and_change_nothing():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(20, 3))
    D = np.linalg.norm(points[:, None] - points[None], axis=2)
    few, more = reachable(D, np.arange(4)), reachable(D, np.arange(6))
    assert (few <= more).all()
    assert (reachable(D, np.arange(6), few) == more).all()


def test_spaces_with_a_closed_form():
    scale = np.abs(np.subtract.outer(np.arange(9), np.arange(9)))
    assert locus(scale, [2, 6]).tolist() == [False] * 2 + [True] * 5 + [False] * 2
    assert locus(1 - np.eye(5), [1, 3]).tolist() == [False, True, False, True, False]
    # A square grid with city-block distances: opposite corners reach the whole square.
    grid = nx.grid_2d_graph(4, 4)
    assert not locus(grid, [(0, 0), (0, 3)])[-1]
    assert is_locus_cover(grid, [(0, 0), (0, 3), (3, 0), (3, 3)])
    assert locus(grid, [(0, 0), (0, 2), (2, 0), (2, 2)]).sum() == 9


@pytest.mark.parametrize("seed", range(10))
def test_a_tree_is_covered_exactly_by_its_leaves(seed):
    tree, rng = random_tree(20, seed)
    leaves = [node for node, degree in tree.degree if degree == 1]
    assert is_locus_cover(tree, leaves)
    assert not is_locus_cover(tree, leaves[1:] + [node for node in tree if tree.degree[node] > 1])
    start = list(tree)[int(rng.integers(20))]
    chosen = next_class(tree, [start], n=99)
    assert set(chosen) | {start} == set(leaves) | {start}


def test_the_next_class_of_a_tree_adds_the_most():
    for seed in range(10):
        tree, _ = random_tree(25, seed)
        nodes = list(tree)
        best = next_class(tree, nodes[:2])[0]
        gains = [locus(tree, [*nodes[:2], node]).sum() for node in nodes]
        assert locus(tree, [*nodes[:2], best]).sum() == max(gains)


def test_graphs_and_their_distances_agree_on_the_next_class():
    tree, _ = random_tree(15, 3, weighted=True)
    nodes = list(tree)
    by_graph = next_class(tree, nodes[:1], n=20)
    by_distance = next_class(all_pairs(tree), [0], n=20)
    assert by_graph == [nodes[row] for row in by_distance]
    ring = nx.cycle_graph(8)
    assert next_class(ring, [0]) == next_class(all_pairs(ring), np.arange(8) == 0) == [4]
    assert next_class(nx.path_graph(3), [0, 2]) == []


def test_graph_distances_are_shortest_paths():
    graph = nx.gnm_random_graph(40, 80, seed=0)
    graph = graph.subgraph(max(nx.connected_components(graph), key=len))
    nodes = list(graph)
    found = graph_distances(graph, nodes[:7], block_size=3)
    assert found.dtype == np.float32
    assert np.array_equal(found, all_pairs(graph)[:7])


def test_a_large_tree_takes_no_distances_between_all():
    tree = nx.from_prufer_sequence(np.random.default_rng(0).integers(0, 20_000, size=19_998).tolist())
    assert locus(tree, [0, 1, 2]).sum() >= 3


def test_the_report_counts_and_draws():
    D = np.abs(np.subtract.outer(np.arange(6), np.arange(6))).astype(float)
    observed = np.isin(np.arange(6), [1, 3])
    told = LabelLocus(tuple("abcdef"), observed, locus(D, observed), D)
    assert (told.share, told.diameter) == (0.5, 5.0)
    axes = told.plot().axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "out of reach (3)",
        "reachable (1)",
        "observed (2)",
    ]
    # A line is drawn as a line: distances along the first axis are those of the labels.
    spots = np.sort(np.vstack([dots.get_offsets() for dots in axes.collections])[:, 0])
    assert np.allclose(np.diff(spots), 1) and "label distance" in axes.get_xlabel()


APART = nx.Graph([("a", "b"), ("c", "d")])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: locus([[0, 1], [1, 0]], []), "at least one observed label"),
        (lambda: locus([[0, 1], [1, 0]], [5]), "5 is no label"),
        (lambda: locus(nx.path_graph(3), ["x"]), "'x' is no label"),
        (lambda: locus([[0, 1], [1, 0]], np.array([True])), "a mask needs 2 truth values"),
        (lambda: locus([[0, -1], [-1, 0]], [0]), "row 0, column 1 is -1"),
        (lambda: locus([[0, np.nan], [1, 0]], [0]), "at least 0 and finite"),
        (lambda: locus([[1, 1], [1, 0]], [0]), "0 on the diagonal; label 0 has 1"),
        (lambda: locus([[0, 1], [2, 0]], [0]), "must be symmetric; label 0 to label 1 is 1, the way back is 2"),
        (lambda: locus([[0, 1]], [0]), "a square matrix is needed, got shape \\(1, 2\\)"),
        (lambda: locus(APART, ["a"]), "no path from 'a' to 'c'; join the parts"),
        (lambda: locus(nx.Graph(), []), "the graph has no nodes"),
        (lambda: locus(nx.Graph([(0, 1, {"weight": 0.0})]), [0]), "length is not above 0"),
        (lambda: graph_distances(APART, ["a"]), "no path from"),
        (lambda: next_class(nx.path_graph(3), [0], n=0), "n must be a whole number of at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
