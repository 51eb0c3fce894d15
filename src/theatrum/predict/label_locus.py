"""Which labels a weighted mean of observed labels can reach, and which label to observe next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, dijkstra

from theatrum.extras import require

Metric: TypeAlias = ArrayLike | Any  # distances (C, C), or a networkx.Graph
_SHARES = tuple(np.linspace(0.05, 0.95, 19))  # mixtures of two labels that are tried before a linear program
_RIVALS = 16  # rivals that join a linear program at a time
_SLACK = 1e-7  # of squared distances whose largest is 1: what the solver calls zero


@dataclass(frozen=True)
class _Labels:
    """A label space: a tree as its edges, anything else as distances."""

    names: list[Any]
    tree: csr_matrix | None
    distances: NDArray[np.float64] | None

    def locus(self, rows: NDArray[np.intp], known: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        if self.tree is not None:
            return spanned_subtree(self.tree, rows)
        assert self.distances is not None
        return reachable(self.distances, rows, known)


def check_distances(D: ArrayLike, *, square: bool = False) -> NDArray[np.float64]:
    """Return distances as a float64 matrix.

    Raises
    ------
    ValueError
        No matrix, NaN, or negative ones; with ``square`` also a diagonal that is not 0, or asymmetry above 1e-6 of
        the largest distance.

    Examples
    --------
    >>> check_distances([[0, 1], [2, 0]], square=True)
    Traceback (most recent call last):
    ...
    ValueError: distances must be symmetric; label 0 to label 1 is 1, the way back is 2
    """
    matrix = np.asarray(D, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape or (square and matrix.shape[0] != matrix.shape[1]):
        raise ValueError(f"distances: a {'square ' if square else ''}matrix is needed, got shape {matrix.shape}")
    bad = np.argwhere(~(np.isfinite(matrix) & (matrix >= 0)))
    if bad.size:
        row, column = bad[0]
        raise ValueError(f"distances are at least 0 and finite; row {row}, column {column} is {matrix[row, column]:g}")
    if square:
        off = np.flatnonzero(np.diag(matrix))
        if off.size:
            raise ValueError(f"distances must be 0 on the diagonal; label {off[0]} has {matrix[off[0], off[0]]:g}")
        apart = np.argwhere(np.abs(matrix - matrix.T) > 1e-6 * max(float(matrix.max()), 1.0))
        if apart.size:
            row, column = apart[0]
            raise ValueError(
                f"distances must be symmetric; label {row} to label {column} is {matrix[row, column]:g}, the way back "
                f"is {matrix[column, row]:g}"
            )
    return matrix


def graph_distances(graph: Any, observed: Sequence[Any], *, block_size: int = 256) -> NDArray[np.float32]:
    """Shortest paths from observed labels to all: what `frechet_predict` needs of a graph, without all pairs.

    Parameters
    ----------
    graph : networkx.Graph
        Connected; nodes are labels, ``weight`` is an edge's length, 1 by default.
    observed : sequence of nodes
        K of them.
    block_size : int, default=256
        Paths are searched from so many labels at a time.

    Returns
    -------
    ndarray of float32, shape (K, C)
        Columns in the order of the graph's nodes.

    Examples
    --------
    >>> import networkx as nx
    >>> graph_distances(nx.path_graph(4), [1]).tolist()
    [[1.0, 0.0, 1.0, 2.0]]
    """
    names, lengths = _edges(graph)
    rows = _positions(observed, names)
    found = np.empty((len(rows), len(names)), dtype=np.float32)
    for start in range(0, len(rows), block_size):
        found[start : start + block_size] = dijkstra(lengths, directed=False, indices=rows[start : start + block_size])
    return found


def locus(metric: Metric, observed: Sequence[Any] | NDArray[Any]) -> NDArray[np.bool_]:
    """Say which labels are the mean of some weights on the observed ones.

    Exact. In a tree these are all labels on paths between observed ones; anywhere else one linear program a label
    decides, which is for up to about 2,000 labels.

    Parameters
    ----------
    metric : array-like of shape (C, C), or networkx.Graph
        Distances between labels, or a connected graph whose nodes are labels (every node is one; for a tree of which
        only some nodes are labels, give the distances).
    observed : sequence
        Positions or a mask (C,) for distances, nodes for a graph.

    Returns
    -------
    ndarray of bool, shape (C,)
        In the order of the matrix, or of the graph's nodes.

    Raises
    ------
    ValueError
        Distances that are none, a graph in parts (two labels are named), no observed label, or an unknown one.

    References
    ----------
    Roberts et al., "Geometry-aware adaptation for pretrained models", NeurIPS 2023. Atlas 032.

    Examples
    --------
    >>> import networkx as nx
    >>> locus(nx.path_graph(5), [1, 3]).tolist()
    [False, True, True, True, False]
    >>> locus(1 - np.eye(3), [0, 1]).tolist()
    [True, True, False]
    """
    space = _labels(metric)
    return space.locus(_positions(observed, space.names))


def is_locus_cover(metric: Metric, observed: Sequence[Any] | NDArray[Any]) -> bool:
    """Say whether every label can be reached; in a tree, whether all leaves are observed. Parameters as in `locus`.

    Examples
    --------
    >>> import networkx as nx
    >>> is_locus_cover(nx.star_graph(3), [1, 2, 3]), is_locus_cover(nx.star_graph(3), [0, 1, 2])
    (True, False)
    """
    return bool(locus(metric, observed).all())


def next_class(metric: Metric, observed: Sequence[Any] | NDArray[Any], n: int = 1) -> list[Any]:
    """Say which labels to collect examples of next: always the one farthest from what can be reached.

    In a tree no other choice reaches more labels. Anywhere else it is a heuristic. With a large ``n`` the answer makes
    the observed labels a cover.

    Parameters
    ----------
    metric, observed
        As in `locus`.
    n : int, default=1
        How many at most; fewer come back where all labels can be reached before.

    Returns
    -------
    list
        Positions for distances, nodes for a graph, in the order of choice.

    Examples
    --------
    >>> import networkx as nx
    >>> next_class(nx.path_graph(7), [2], n=5)
    [6, 0]
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}")
    space = _labels(metric)
    rows = _positions(observed, space.names)
    inside = space.locus(rows)
    chosen: list[int] = []
    while len(chosen) < n and not inside.all():
        if space.tree is not None:
            away, back, _ = dijkstra(
                space.tree, indices=np.flatnonzero(inside), min_only=True, return_predecessors=True, directed=False
            )
        else:
            assert space.distances is not None
            away = space.distances[inside].min(axis=0)
        # A label at distance 0 may still be out of reach: what is inside must not be chosen again.
        best = int(np.where(inside, -1.0, away).argmax())
        chosen.append(best)
        rows = np.append(rows, best)
        if space.tree is not None:
            while not inside[best]:
                inside[best] = True
                best = int(back[best])
        else:
            inside = space.locus(rows, inside)
    return [space.names[row] for row in chosen]


def spanned_subtree(tree: csr_matrix, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Nodes of the smallest subtree that holds the given nodes, (C,)."""
    order, parent = breadth_first_order(tree, rows[0], directed=False)
    inside = np.zeros(tree.shape[0], dtype=bool)
    inside[rows] = True
    # Rooted in an observed node, a node is on a path between two exactly if one lies below it.
    for node in order[:0:-1]:
        if inside[node]:
            inside[parent[node]] = True
    return inside


def reachable(
    D: NDArray[np.float64], rows: NDArray[np.intp], known: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Labels that minimise the expected squared distance under some weights on the labels ``rows``, (C,).

    ``known`` are labels that are reachable for sure. Quick proofs come first: a mixture of two observed labels, or
    another label that is nearer to all of them; the rest are decided by linear programs.
    """
    largest = float(D.max()) or 1.0
    squared = (D[rows] / largest) ** 2
    found = np.zeros(len(D), dtype=bool) if known is None else known.copy()
    found[rows] = True
    for i in range(len(rows) - 1):
        for share in _SHARES:
            mixed = share * squared[i] + (1 - share) * squared[i + 1 :]
            found |= (mixed <= mixed.min(axis=1, keepdims=True) + 1e-12).any(axis=0)
    for label in np.flatnonzero(~found).tolist():
        if not found[label]:
            found |= _attained(squared, label)
    return found


def _attained(squared: NDArray[np.float64], label: int) -> NDArray[np.bool_]:
    """Try to make one label the mean; says which labels are, under the best weights that were found for it, (C,).

    ``min_w max_u w' (d(label)^2 - d(u)^2)`` is 0 exactly if the label can be reached. Few of the rivals u matter: the
    program is solved for some, and those that win under its weights are added.
    """
    excess = squared[:, label, None] - squared
    k = len(excess)
    rivals = np.array([], dtype=np.intp)
    weights = np.full(k, 1 / k)
    # Another label that is nearer to every observed one ends it at once.
    bound = 1.0 if (excess > _SLACK).all(axis=0).any() else 0.0
    while bound <= _SLACK and (weights @ excess).max() > _SLACK:
        more = np.union1d(rivals, np.argsort(-(weights @ excess), kind="stable")[:_RIVALS])
        if len(more) == len(rivals):
            break  # only the solver's tolerance is left between them
        rivals = more
        solved = linprog(
            np.r_[np.zeros(k), 1.0],
            A_ub=np.hstack([excess[:, rivals].T, -np.ones((len(rivals), 1))]),
            b_ub=np.zeros(len(rivals)),
            A_eq=np.r_[np.ones(k), 0.0][None],
            b_eq=[1.0],
            bounds=(0, None),
            method="highs",
        )
        weights, bound = solved.x[:-1], float(solved.fun)
    expected = weights @ squared
    winners = expected <= expected.min() + 1e-12
    winners[label] |= bound <= _SLACK
    return winners


def _labels(metric: Metric) -> _Labels:
    if not hasattr(metric, "edges"):
        D = check_distances(metric, square=True)
        return _Labels(list(range(len(D))), None, D)
    names, lengths = _edges(metric)
    if lengths.nnz == 2 * (len(names) - 1):  # connected, with one edge fewer than nodes
        return _Labels(names, lengths, None)
    return _Labels(names, None, dijkstra(lengths, directed=False))


def _edges(graph: Any) -> tuple[list[Any], csr_matrix]:
    import networkx as nx

    names = list(graph.nodes)
    if not names:
        raise ValueError("the graph has no nodes; its nodes are the labels")
    plain = nx.Graph(graph)
    plain.remove_edges_from(list(nx.selfloop_edges(plain)))
    lengths = csr_matrix(nx.to_scipy_sparse_array(plain, nodelist=names, weight="weight", dtype=np.float64))
    if lengths.nnz and not lengths.data.min() > 0:
        raise ValueError("the graph has an edge whose length is not above 0; labels at distance 0 are one label")
    n_parts, part = connected_components(lengths, directed=False)
    if n_parts > 1:
        other = names[int(np.flatnonzero(part != part[0])[0])]
        raise ValueError(f"there is no path from {names[0]!r} to {other!r}; join the parts of the graph")
    return names, lengths


def _positions(observed: Sequence[Any] | NDArray[Any], names: list[Any]) -> NDArray[np.intp]:
    if isinstance(observed, np.ndarray) and observed.dtype == bool:
        if observed.shape != (len(names),):
            raise ValueError(f"observed: a mask needs {len(names)} truth values, got shape {observed.shape}")
        rows = np.flatnonzero(observed)
    else:
        given = observed.tolist() if isinstance(observed, np.ndarray) else list(observed)
        place = {name: row for row, name in enumerate(names)}
        unknown = [name for name in given if name not in place]
        if unknown:
            raise ValueError(f"observed: {unknown[0]!r} is no label")
        rows = np.array([place[name] for name in given], dtype=np.intp)
    if not len(rows):
        raise ValueError("observed: at least one observed label is needed")
    return rows


@dataclass(frozen=True)
class LabelLocus:
    """A label space and what can be reached in it: the numbers that say whether the mean is worth using.

    Parameters
    ----------
    names : tuple of str
        Labels, C of them.
    observed, reachable : ndarray of bool, shape (C,)
        Which have examples, and which can be answered at all.
    distances : ndarray of float64, shape (C, C)
        Between labels.
    """

    names: tuple[str, ...]
    observed: NDArray[np.bool_]
    reachable: NDArray[np.bool_]
    distances: NDArray[np.float64]

    @property
    def share(self) -> float:
        """Share of labels that can be reached."""
        return float(self.reachable.mean())

    @property
    def diameter(self) -> float:
        """Largest distance between two labels."""
        return float(self.distances.max())

    def plot(self) -> Any:
        """Draw the labels on a plane that keeps distances as well as one can; a matplotlib Figure."""
        # Classical scaling: the two largest axes of the doubly centred squared distances.
        centre = np.eye(len(self.names)) - 1 / len(self.names)
        values, axes_of = np.linalg.eigh(-0.5 * centre @ self.distances**2 @ centre)
        spot = (axes_of * np.sqrt(np.maximum(values, 0)))[:, :-3:-1]
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        for chosen, label, colour, marker in (
            (~self.reachable, "out of reach", "#bf1a2f", "x"),
            (self.reachable & ~self.observed, "reachable", "#f4a261", "o"),
            (self.observed, "observed", "#0b3954", "s"),
        ):
            if chosen.any():
                axes.scatter(*spot[chosen].T, c=colour, marker=marker, s=24, label=f"{label} ({chosen.sum()})")
        axes.set(
            xlabel="first axis (label distance)",
            ylabel="second axis (label distance)",
            title=f"{self.reachable.sum()} of {len(self.names)} labels can be answered",
        )
        axes.legend(frameon=False)
        return figure
