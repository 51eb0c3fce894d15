"""Class semantics from names, attributes or a graph; splits into seen and unseen classes; kept as a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from theatrum.checks import check_texts, unit_rows
from theatrum.contracts import ClassSemantics, Encoder
from theatrum.persistence import ARRAYS, load_arrays, read_config, save_arrays, write_config

_ARRAYS = ("vectors", "attributes", "distances", "seen")


def from_names(
    names: Sequence[str],
    encoder: Encoder,
    *,
    template: str | Sequence[str] = "{}",
    descriptions: Sequence[str | Sequence[str]] | None = None,
    seen: Sequence[str] | None = None,
) -> ClassSemantics:
    """Describe classes by the vectors of their names, or of longer descriptions.

    Parameters
    ----------
    names : sequence of str
        Classes; underscores are read as spaces.
    encoder : Encoder
        Of texts.
    template : str or sequence of str, default="{}"
        Text with ``{}`` where the name goes; the vectors of several are averaged and made unit rows again.
    descriptions : sequence of str or of sequences of str, optional
        Takes the place of the name, one or several a class.
    seen : sequence of str, optional
        Classes with examples.

    Returns
    -------
    ClassSemantics
        With ``vectors``.

    Raises
    ------
    ValueError
        Numbers of names and descriptions differ, a template without ``{}``, or a text without any known word.

    Examples
    --------
    >>> from theatrum.text import LatentSemanticEncoder
    >>> encoder = LatentSemanticEncoder(2).fit(["red apple", "green apple", "red car", "fast car"])
    >>> from_names(["red_apple", "fast_car"], encoder).vectors.shape
    (2, 2)
    """
    classes = check_texts(names, name="names")
    templates = [template] if isinstance(template, str) else list(template)
    if not templates or any("{}" not in text for text in templates):
        raise ValueError("template: every template needs {} where the class name goes")
    if descriptions is not None and len(descriptions) != len(classes):
        raise ValueError(f"descriptions: {len(descriptions)} for {len(classes)} classes; one (or a list) each")
    texts: list[str] = []
    owners: list[int] = []
    for row, name in enumerate(classes):
        said: str | Sequence[str] = name.replace("_", " ") if descriptions is None else descriptions[row]
        for phrase in [said] if isinstance(said, str) else said:
            texts += [text.replace("{}", phrase) for text in templates]
            owners += [row] * len(templates)
    encoded = encoder.encode(check_texts(texts, name="descriptions"))
    vectors = np.zeros((len(classes), encoded.shape[1]), dtype=np.float32)
    np.add.at(vectors, owners, encoded)
    semantics = ClassSemantics(tuple(classes), vectors=unit_rows(vectors))
    semantics.signature()  # refuses a class without a vector, by name
    return semantics if seen is None else semantics.with_seen(seen)


def from_attributes(
    attributes: ArrayLike,
    names: Sequence[str],
    *,
    attribute_names: Sequence[str] = (),
    seen: Sequence[str] | None = None,
) -> ClassSemantics:
    """Describe classes by attributes.

    Parameters
    ----------
    attributes : array-like of shape (C, a)
        Probability of each attribute, in [0, 1].
    names : sequence of str
        Classes.
    attribute_names : sequence of str, default=()
        One a column.
    seen : sequence of str, optional
        Classes with examples.

    Examples
    --------
    >>> from_attributes([[1, 0], [1, 1]], ["horse", "zebra"], attribute_names=["hooves", "stripes"]).names
    ('horse', 'zebra')
    """
    semantics = ClassSemantics(
        tuple(names), attributes=np.asarray(attributes, dtype=np.float32), attribute_names=tuple(attribute_names)
    )
    return semantics if seen is None else semantics.with_seen(seen)


def from_graph(graph: Any, names: Sequence[str] | None = None, *, seen: Sequence[str] | None = None) -> ClassSemantics:
    """Describe classes by their distances in a graph: the shortest path between their nodes.

    Parameters
    ----------
    graph : networkx.Graph
        Nodes are class names (further nodes may lie between); an edge's ``weight`` is its length, 1 by default.
        Directions are ignored.
    names : sequence of str, optional
        Nodes that are classes; all by default.
    seen : sequence of str, optional
        Classes with examples.

    Raises
    ------
    ValueError
        A class that is no node, two classes without a path, or a negative length.

    Examples
    --------
    >>> import networkx as nx
    >>> from_graph(nx.path_graph(["cold", "cool", "warm", "hot"])).distances[0].tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    import networkx as nx
    from scipy.sparse.csgraph import dijkstra

    nodes = list(graph.nodes)
    place = {node: row for row, node in enumerate(nodes)}
    classes = [str(node) for node in nodes] if names is None else list(names)
    rows = [place.get(name, -1) for name in (nodes if names is None else classes)]
    if -1 in rows:
        raise ValueError(f"names: {classes[rows.index(-1)]!r} is no node of the graph")
    lengths = nx.to_scipy_sparse_array(graph.to_undirected(), nodelist=nodes, weight="weight", format="csr")
    if lengths.nnz and lengths.data.min() < 0:
        raise ValueError("the graph has an edge of negative length; distances are at least 0")
    distances = dijkstra(lengths, directed=False, indices=rows)[:, rows]
    apart = np.argwhere(~np.isfinite(distances))
    if apart.size:
        first, second = (classes[i] for i in apart[0])
        raise ValueError(f"there is no path from {first!r} to {second!r}; join the parts of the graph")
    semantics = ClassSemantics(tuple(classes), distances=distances)
    return semantics if seen is None else semantics.with_seen(seen)


def class_split(
    n_classes: int, n_unseen: int, *, groups: Sequence[Any] | None = None, random_state: Any = None
) -> NDArray[np.bool_]:
    """Draw which classes are seen.

    Parameters
    ----------
    n_classes, n_unseen : int
        All classes, and those to leave without examples.
    groups : sequence, optional
        A group of each class; unseen classes are then spread over the groups as evenly as can be.
    random_state : int, RandomState or None
        Draws.

    Returns
    -------
    ndarray of bool, shape (n_classes,)
        True for a seen class.

    Examples
    --------
    >>> class_split(6, 2, groups="aaabbb", random_state=0).reshape(2, 3).sum(axis=1).tolist()
    [2, 2]
    """
    if not 0 < n_unseen < n_classes:
        raise ValueError(f"n_unseen must be between 1 and {n_classes - 1} for {n_classes} classes, got {n_unseen}")
    order = check_random_state(random_state).permutation(n_classes)
    if groups is not None:
        # The place of each class within its group: first all firsts, then all seconds.
        counted: dict[Any, int] = {}
        rank = np.zeros(n_classes)
        for at in order:
            rank[at] = counted.get(groups[at], 0)
            counted[groups[at]] = int(rank[at]) + 1
        order = order[np.argsort(rank[order], kind="stable")]
    seen = np.ones(n_classes, dtype=bool)
    seen[order[:n_unseen]] = False
    return seen


def pseudo_unseen(
    semantics: ClassSemantics, codes: NDArray[np.intp], *, share: float = 0.25, random_state: Any = None
) -> tuple[NDArray[np.intp], NDArray[np.intp], ClassSemantics]:
    """Hold out seen classes, so that something can be tuned without touching the unseen ones.

    Parameters
    ----------
    semantics : ClassSemantics
        With ``seen``.
    codes : ndarray of int, shape (n,)
        Class of each training row, as positions in ``semantics.names``.
    share : float, default=0.25
        Of the seen classes; at least 1 class is held out and 2 are kept.
    random_state : int, RandomState or None
        Draws.

    Returns
    -------
    fit_rows, held_rows : ndarray of int
        Rows of the classes that are kept, and of those that play the unseen ones.
    inner : ClassSemantics
        Of the seen classes alone, with the held-out ones marked as unseen.

    Raises
    ------
    ValueError
        Fewer than 3 seen classes.

    Examples
    --------
    >>> animals = ClassSemantics(tuple("abcde"), vectors=np.eye(5), seen=np.array([True] * 4 + [False]))
    >>> fit_rows, held_rows, inner = pseudo_unseen(animals, np.array([0, 0, 1, 2, 3]), random_state=0)
    >>> len(fit_rows) + len(held_rows), inner.names, int(inner.seen.sum())
    (5, ('a', 'b', 'c', 'd'), 3)
    """
    seen = np.flatnonzero(seen_mask(semantics))
    if len(seen) < 3:
        raise ValueError(f"tuning on held-out classes needs at least 3 seen classes, got {len(seen)}")
    held = min(max(round(share * len(seen)), 1), len(seen) - 2)
    kept = class_split(len(seen), held, random_state=random_state)
    of_held = np.isin(codes, seen[~kept])
    inner = semantics.subset(seen).with_seen(kept)
    return np.flatnonzero(~of_held), np.flatnonzero(of_held), inner


def seen_mask(semantics: ClassSemantics) -> NDArray[np.bool_]:
    """Which classes are seen; a ValueError where that was never said."""
    if semantics.seen is None:
        raise ValueError("these class semantics do not say which classes are seen; use semantics.with_seen(names)")
    return semantics.seen


def write_semantics(semantics: ClassSemantics, folder: Path) -> None:
    """Write ``config.json`` and ``arrays.safetensors`` into an existing, empty folder."""
    given = {name: getattr(semantics, name) for name in _ARRAYS}
    arrays = {name: value for name, value in given.items() if value is not None}
    if arrays:
        save_arrays(arrays, folder / ARRAYS)
    write_config(folder, {"names": list(semantics.names), "attribute_names": list(semantics.attribute_names)})


def read_semantics(folder: Path) -> ClassSemantics:
    """Read what `write_semantics` wrote; a damaged folder is a ValueError that names the file."""
    config = read_config(folder)
    arrays = load_arrays(folder / ARRAYS) if (folder / ARRAYS).is_file() else {}
    try:
        return ClassSemantics(tuple(config["names"]), attribute_names=tuple(config["attribute_names"]), **{**arrays})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder} does not hold class semantics: {error}") from None
