"""Class semantics: what they refuse, how they are built, split, joined and kept."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from theatrum.contracts import ClassSemantics, Encoder
from theatrum.predict.semantics import (
    class_split,
    from_attributes,
    from_graph,
    from_names,
    pseudo_unseen,
    read_semantics,
    write_semantics,
)

rng = np.random.default_rng(0)


class Letters:
    """An encoder that counts letters."""

    dim = 26

    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        rows = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in items], dtype="f")
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

    def fingerprint(self):
        return "letters"


def test_names_become_vectors():
    assert isinstance(Letters(), Encoder)
    plain = from_names(["book_flight", "bank"], Letters())
    assert np.allclose(plain.vectors, Letters().encode(["book flight", "bank"]))
    several = from_names(["cat"], Letters(), template=["a {}", "the {}"])
    mean = Letters().encode(["a cat", "the cat"]).mean(axis=0)
    assert np.allclose(several.vectors[0], mean / np.linalg.norm(mean))
    described = from_names(["x", "y"], Letters(), descriptions=["a dog", ["a cow", "an ox"]], seen=["y"])
    assert np.allclose(described.vectors[0], Letters().encode(["a dog"])[0])
    assert described.seen.tolist() == [False, True]


def test_a_signature_is_unit_rows_of_vectors_before_attributes():
    both = ClassSemantics(("a", "b"), vectors=[[3, 4], [0, 2]], attributes=[[1], [0.5]])
    assert np.allclose(both.signature(), [[0.6, 0.8], [0, 1]])
    assert np.allclose(from_attributes([[0.5, 0.5], [1, 0]], ["a", "b"]).signature()[0], np.sqrt(0.5))


def test_distances():
    vectors = rng.normal(size=(5, 3))
    some = ClassSemantics(tuple("abcde"), vectors=vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    slow = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    assert np.allclose(some.distance_matrix("euclidean"), slow, atol=1e-6)
    assert np.allclose(some.distance_matrix("cosine"), slow**2 / 2, atol=1e-6)
    with pytest.raises(ValueError, match="hold no distances"):
        some.distance_matrix()


def test_graph_distances_are_shortest_paths():
    graph = nx.random_labeled_tree(12, seed=1)
    nx.set_edge_attributes(graph, {edge: 1 + i % 3 for i, edge in enumerate(graph.edges)}, "weight")
    found = from_graph(graph)
    slow = dict(nx.all_pairs_dijkstra_path_length(graph))
    assert all(
        found.distances[i, j] == slow[int(a)][int(b)]
        for i, a in enumerate(found.names)
        for j, b in enumerate(found.names)
    )
    some = from_graph(nx.relabel_nodes(graph, str), ["3", "7"], seen=["7"])
    assert some.distances[0, 1] == slow[3][7]
    assert some.seen.tolist() == [False, True]


GOOD = {"names": ("a", "b"), "vectors": np.eye(2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("a", "a")}, "'a' is there more than once"),
        ({"names": ("a", "")}, "non-empty texts"),
        ({"names": (), "vectors": None}, "at least one"),
        ({"vectors": np.eye(3)}, "one row for each of the 2 classes"),
        ({"vectors": [[1, 2], [np.nan, 1]]}, "class 'b' holds NaN"),
        ({"attributes": [[0, 50], [1, 0]]}, "divided by 100"),
        ({"attributes": [[0, 1], [1, 0]], "attribute_names": ("x",)}, "1 attribute names need as many columns"),
        ({"distances": [[0, 1], [2, 0]]}, "'a' to 'b' differs"),
        ({"distances": [[0, -1], [-1, 0]]}, "at least 0"),
        ({"distances": [[1, 1], [1, 0]]}, "0 on the diagonal"),
        ({"distances": [[0], [0]]}, "2 x 2 matrix"),
        ({"seen": np.array([1, 0])}, "2 truth values are needed"),
    ],
)
def test_bad_semantics(change, message):
    with pytest.raises(ValueError, match=message):
        ClassSemantics(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ClassSemantics(("a",)).signature(), "neither vectors nor attributes"),
        (lambda: ClassSemantics(("a", "b"), vectors=[[1, 0], [0, 0]]).signature(), "class 'b' has a zero vector"),
        (lambda: ClassSemantics(("a",)).with_seen(["b"]), "'b' is no class"),
        (lambda: from_names(["a", "b"], Letters(), descriptions=["x"]), "descriptions: 1 for 2 classes"),
        (lambda: from_names(["a"], Letters(), template="the"), "every template needs {}"),
        (lambda: from_names(["123"], Letters()), "class '123' has a zero vector"),
        (lambda: from_names("abc", Letters()), "got one text"),
        (lambda: from_graph(nx.Graph([(0, 1), (2, 3)])), "no path from '0' to '2'"),
        (lambda: from_graph(nx.path_graph(3), ["x"]), "'x' is no node"),
        (lambda: from_graph(nx.Graph([("a", "b", {"weight": -1})])), "negative length"),
        (lambda: class_split(5, 5), "n_unseen must be between 1 and 4"),
        (lambda: pseudo_unseen(ClassSemantics(("a", "b"), seen=np.ones(2, bool)), np.array([0, 1])), "at least 3 seen"),
        (lambda: pseudo_unseen(ClassSemantics(("a", "b")), np.array([0, 1])), "do not say which classes are seen"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_splits_are_spread_over_groups_and_repeat():
    groups = np.repeat(np.arange(10), 15)
    seen = class_split(150, 40, groups=groups, random_state=3)
    assert np.bincount(groups[~seen]).tolist() == [4] * 10
    assert (seen == class_split(150, 40, groups=groups, random_state=3)).all()
    assert (~class_split(9, 2, random_state=0)).sum() == 2


def test_pseudo_unseen_never_shows_an_unseen_class():
    seen = np.array([True, False, True, True, True, False])
    semantics = ClassSemantics(tuple("abcdef"), vectors=np.eye(6), seen=seen)
    codes = np.repeat([0, 2, 3, 4], 5)
    for seed in range(5):
        fit_rows, held_rows, inner = pseudo_unseen(semantics, codes, share=0.5, random_state=seed)
        assert set(inner.names) == set("acde")
        held = {semantics.names[code] for code in codes[held_rows]}
        assert held == {name for name, kept in zip(inner.names, inner.seen, strict=True) if not kept}
        assert len(held) == 2
        assert sorted([*fit_rows, *held_rows]) == list(range(20))


def test_kept_as_a_folder(tmp_path):
    full = ClassSemantics(
        ("ä", "b"), vectors=np.eye(2), attributes=[[0.5], [1]], attribute_names=("x",), distances=[[0, 2], [2, 0]],
        seen=np.array([True, False]),
    )  # fmt: skip
    write_semantics(full, tmp_path)
    again = read_semantics(tmp_path)
    assert again.names == full.names
    assert again.attribute_names == ("x",)
    for field in ("vectors", "attributes", "distances", "seen"):
        assert (getattr(again, field) == getattr(full, field)).all()
    (tmp_path / "config.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match="does not hold class semantics"):
        read_semantics(tmp_path)


def test_subset_cuts_everything_alike():
    full = ClassSemantics(tuple("abc"), vectors=np.eye(3), distances=1 - np.eye(3), seen=np.array([True, True, False]))
    part = full.subset(np.array([2, 0]))
    assert part.names == ("c", "a")
    assert part.vectors[0].tolist() == [0, 0, 1]
    assert part.distances.shape == (2, 2)
    assert part.seen.tolist() == [False, True]
    assert full.subset(np.array([True, False, True])).names == ("a", "c")
