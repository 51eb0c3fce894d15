"""ZLaP: class names reach texts through the neighbour graph of unlabelled texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array, identity
from scipy.sparse.linalg import splu
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from theatrum.checks import Constraint, Options, Range, check_parameters, unit_rows
from theatrum.contracts import ClassSemantics
from theatrum.extras import require
from theatrum.predict.semantic_ridge import class_means
from theatrum.predict.zero_shot_predictor import (
    Rows,
    ZeroShotClassifier,
    check_labels,
    class_codes,
    one_hot_semantics,
)
from theatrum.refine.neighbors import knn, nearest

_TOLERANCE, _MAX_ITERATIONS = 1e-6, 200
_COLUMNS = 64  # classes solved at a time
_DRAWN = 400  # items of a plot
_FLOATS = ("float64", "float32")


def edge_weights(cosines: NDArray[np.float32], power: float, bounds: tuple[float, float] | None) -> NDArray[np.float32]:
    """Cosines into weights: negative ones are 0, scaled to ``bounds`` where there are any, then raised to a power.

    Examples
    --------
    >>> edge_weights(np.float32([-0.5, 0.5, 1.0]), 2.0, None).tolist()
    [0.0, 0.25, 1.0]
    """
    low, high = bounds or (0.0, 1.0)
    scaled = (cosines - low) / max(high - low, 1e-12)
    return np.asarray(np.maximum(scaled, 0) ** power, dtype=np.float32)


def propagation_graph(
    n: int,
    items: tuple[NDArray[np.int32], NDArray[np.float32]],
    classes: tuple[NDArray[np.int32], NDArray[np.float32]],
    n_classes: int,
) -> csr_matrix:
    """Symmetric weights between n items and then the classes; there are no edges between classes.

    Parameters
    ----------
    n, n_classes : int
        Nodes of each kind.
    items, classes : tuple of ndarray, shapes (n, k)
        Neighbours of each item among items and among classes, with their weights.

    Returns
    -------
    csr_matrix of float64, shape (n + n_classes, n + n_classes)
        ``A + A'``.
    """
    rows = np.concatenate([np.repeat(np.arange(n), found.shape[1]) for found, _ in (items, classes)])
    columns = np.concatenate([items[0].ravel(), classes[0].ravel() + n])
    weights = np.concatenate([items[1].ravel(), classes[1].ravel()]).astype(np.float64)
    kept = weights > 0
    size = n + n_classes
    directed = csr_matrix((weights[kept], (rows[kept], columns[kept])), shape=(size, size))
    return csr_matrix(directed + directed.T)


def propagation_matrix(weights: csr_matrix, alpha: float) -> csr_matrix:
    """``L = I - alpha D^-1/2 W D^-1/2``: symmetric and positive definite for 0 < alpha < 1."""
    degrees = np.asarray(weights.sum(axis=1)).ravel()
    scale = diags_array(1 / np.sqrt(np.where(degrees == 0, 1, degrees)))
    return csr_matrix(identity(weights.shape[0]) - alpha * (scale @ weights @ scale))


def conjugate_gradient(A: csr_matrix, B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve ``A X = B`` for all columns of B at once; A is symmetric and positive definite.

    Examples
    --------
    >>> conjugate_gradient(csr_matrix([[2.0, 0.0], [0.0, 4.0]]), np.array([[2.0], [2.0]])).ravel().round(6).tolist()
    [1.0, 0.5]
    """
    X = np.zeros_like(B)
    R = B.copy()
    P = R.copy()
    squares = (R * R).sum(axis=0)
    goal = _TOLERANCE**2 * np.maximum(squares, np.finfo(np.float64).tiny)
    for _ in range(_MAX_ITERATIONS):
        if (squares <= goal).all():
            break
        AP = A @ P
        curvature = (P * AP).sum(axis=0)
        # A column that has converged exactly has no direction left.
        step = np.divide(squares, curvature, out=np.zeros_like(squares), where=curvature > 0)
        X += step * P
        R -= step * AP
        fresh = (R * R).sum(axis=0)
        P = R + np.divide(fresh, squares, out=np.zeros_like(fresh), where=squares > 0) * P
        squares = fresh
    return X


class ZeroShotLabelPropagation(ZeroShotClassifier):
    """Classifies a pile of unlabelled rows by their class vectors and by each other.

    Plain cosine uses each row alone; here class vectors reach rows through their nearest neighbours. Rows and class
    vectors must come from one encoder, and there should be tens of rows a class. It classifies the pile itself
    (``transduction_``), and later rows by one look at their neighbours. Not for a handful of rows, nor for piles in
    which one class is hundreds of times as large as another: large groups win.

    Parameters
    ----------
    n_neighbors : int, default=5
        Items and classes that each item is joined to.
    gamma : float, default=5.0
        Power of the item-class cosines, which are flatter than those between items.
    alpha : float, default=0.3
        How far labels travel, between 0 and 1; near 1 all rows get the same label.
    n_keep : int or None, default=None
        Largest entries kept of each row of the solution, the others become 0: less memory, hardly less accuracy.
    scale_similarity : bool, default=False
        Stretch the cosines of each kind of edge over [0, 1] first.
    labeled_weight : float, default=1.0
        Weight that the labelled rows of a class share, against 1 for its class vector.
    solver : {"cg", "lu"}, default="cg"
        Conjugate gradients; or a sparse factorisation, exact and only for a few thousand rows.

    Attributes
    ----------
    transduction_ : ndarray, shape (n,)
        Class of each row of the pile.
    scores_ : ndarray of float32, shape (n, C)
        Its scores.
    items_, class_vectors_ : ndarray of float32, shape (n, d), (C, d)
        Unit rows, kept for later rows.
    solution_ : ndarray of float32, shape (n + C, C)
        What a look at the neighbours adds up.
    n_isolated_ : int
        Rows of the pile without any edge (zero rows too), which were classified by plain cosine.

    References
    ----------
    Stojnic, Kalantidis and Tolias, "Label propagation for zero-shot classification with vision-language models", CVPR
    2024. Atlas 108.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> S = np.eye(3)
    >>> X = S[rng.integers(0, 3, 60)] + 0.2 * rng.normal(size=(60, 3))
    >>> fruit = ClassSemantics(("apple", "pear", "plum"), vectors=S)
    >>> ZeroShotLabelPropagation().fit(X, semantics=fruit).predict([[0.1, 0.9, 0.2]]).tolist()
    ['pear']
    """

    learns_without_labels: ClassVar[bool] = True
    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_neighbors": [Range(int, 1)],
        "gamma": [Range(float, 0, open_low=True)],
        "alpha": [Range(float, 0, 0.999, open_low=True)],
        "n_keep": [Range(int, 1), None],
        "scale_similarity": [bool],
        "labeled_weight": [Range(float, 0)],
        "solver": [Options(("cg", "lu"))],
    }

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        gamma: float = 5.0,
        alpha: float = 0.3,
        n_keep: int | None = None,
        scale_similarity: bool = False,
        labeled_weight: float = 1.0,
        solver: Literal["cg", "lu"] = "cg",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.gamma = gamma
        self.alpha = alpha
        self.n_keep = n_keep
        self.scale_similarity = scale_similarity
        self.labeled_weight = labeled_weight
        self.solver = solver

    def fit(self, X: Any, y: Any = None, semantics: ClassSemantics | None = None) -> ZeroShotLabelPropagation:
        """Build the graph of the pile and solve it.

        Parameters
        ----------
        X : array-like of shape (n, d)
            The pile.
        y : array-like of shape (n,), optional
            Labels of some rows, with None (or -1 among class codes) for the others; of all rows where no semantics
            are given, and the class vectors are then the means of the classes.
        semantics : ClassSemantics, optional
            Of all classes, with ``vectors`` as wide as X.

        Raises
        ------
        ValueError
            Neither labels nor semantics, vectors of another width, fewer than two rows, NaN, or labels that are no
            class.
        """
        check_parameters(self, self.constraints)
        rows, codes = self._read(X, y, semantics)
        self.items_ = unit_rows(rows.astype(np.float32))
        vectors = class_means(rows, codes, len(self.classes_))[0] if semantics is None else semantics.signature()
        if vectors.shape[1] != rows.shape[1]:
            raise ValueError(
                f"class vectors have {vectors.shape[1]} columns and X has {rows.shape[1]}; both must come from one "
                "encoder"
            )
        self.class_vectors_ = unit_rows(vectors.astype(np.float32))
        self._propagate(codes)
        return self

    def _read(self, X: Any, y: Any, semantics: ClassSemantics | None) -> tuple[Rows, NDArray[np.intp]]:
        """Check what was given; codes are -1 for rows without a label."""
        if semantics is None:
            if y is None:
                raise ValueError(
                    "requires y to be passed, but the target y is None: give class semantics, or labels of all rows"
                )
            rows, labels = validate_data(self, X, check_labels(y), dtype=_FLOATS, ensure_min_samples=2)
            check_classification_targets(labels)
            self.classes_, codes = np.unique(labels, return_inverse=True)
            if len(self.classes_) < 2:
                raise ValueError("y: one class only; two classes are needed")
            self.semantics_ = one_hot_semantics(self.classes_)
            return rows, codes
        rows = validate_data(self, X, dtype=_FLOATS, ensure_min_samples=2)
        codes = np.full(len(rows), -1, dtype=np.intp)
        if y is not None:
            if len(y) != len(rows):
                raise ValueError(f"y: {len(y)} labels for {len(rows)} rows; one each, None where there is none")
            given = np.flatnonzero([label is not None and label != -1 for label in y])
            if given.size:
                codes[given] = class_codes(check_labels([y[row] for row in given]), semantics)
        if semantics.seen is None:
            seen = np.zeros(len(semantics.names), dtype=bool)
            seen[codes[codes >= 0]] = True
            semantics = semantics.with_seen(seen)
        self.semantics_, self.classes_ = semantics, np.array(semantics.names)
        return rows, codes

    def _propagate(self, codes: NDArray[np.intp]) -> None:
        n, n_classes = len(self.items_), len(self.class_vectors_)
        k = min(self.n_neighbors, n - 1)
        among, item_cosines = knn(self.items_, k)
        to_classes, class_cosines = nearest(self.items_, self.class_vectors_, min(self.n_neighbors, n_classes))
        self.bounds_ = self._bounds(item_cosines), self._bounds(class_cosines)
        item_weights, class_weights = self._weights(item_cosines, class_cosines)
        W = propagation_graph(n, (among, item_weights), (to_classes, class_weights), n_classes)
        L = propagation_matrix(W, self.alpha)
        sources = np.zeros((n + n_classes, n_classes))
        sources[n:] = np.eye(n_classes)
        given = np.flatnonzero(codes >= 0)
        # A class's labelled rows share its weight: with more of them it must not outweigh other classes.
        per_class = np.bincount(codes[given], minlength=n_classes)
        sources[given, codes[given]] = self.labeled_weight / per_class[codes[given]]
        solution = np.empty((n + n_classes, n_classes), dtype=np.float32)
        factor = splu(L.tocsc()) if self.solver == "lu" else None
        for start in range(0, n_classes, _COLUMNS):
            part = sources[:, start : start + _COLUMNS]
            solution[:, start : start + _COLUMNS] = (
                conjugate_gradient(L, part) if factor is None else factor.solve(part)
            )
        alone = np.flatnonzero(np.asarray(W[:n].sum(axis=1)).ravel() == 0)
        self.n_isolated_ = len(alone)
        solution[alone] = np.maximum(self.items_[alone] @ self.class_vectors_.T, 0)
        if self.n_keep is not None and self.n_keep < n_classes:
            below = np.argpartition(-solution, self.n_keep - 1, axis=1)[:, self.n_keep :]
            np.put_along_axis(solution, below, 0, axis=1)
        self.solution_ = solution
        self.scores_ = solution[:n]
        self.transduction_ = self.classes_[self.scores_.argmax(axis=1)]

    def _bounds(self, cosines: NDArray[np.float32]) -> tuple[float, float] | None:
        return (float(cosines.min()), float(cosines.max())) if self.scale_similarity else None

    def _weights(
        self, items: NDArray[np.float32], classes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        first, second = (None if bounds is None else (bounds[0], bounds[1]) for bounds in self.bounds_)
        return edge_weights(items, 1.0, first), edge_weights(classes, self.gamma, second)

    def class_scores(self, X: Any) -> Rows:
        """Score later rows by what their neighbours among items and classes were given, (n, C).

        The graph is not changed: this is the paper's dual form, not what inserting the rows would give.
        """
        rows = unit_rows(self._rows(X).astype(np.float32))
        k, n = min(self.n_neighbors, len(self.items_) - 1), len(self.items_)
        among, item_cosines = nearest(rows, self.items_, k)
        to_classes, class_cosines = nearest(rows, self.class_vectors_, min(self.n_neighbors, len(self.class_vectors_)))
        item_weights, class_weights = self._weights(item_cosines, class_cosines)
        columns = np.hstack([among, to_classes + n])
        weights = np.hstack([item_weights, class_weights])
        starts = np.arange(len(rows) + 1) * columns.shape[1]
        look = csr_matrix((weights.ravel(), columns.ravel(), starts), shape=(len(rows), len(self.solution_)))
        scores = np.asarray(look @ self.solution_)
        alone = np.flatnonzero(~weights.any(axis=1))
        scores[alone] = rows[alone] @ self.class_vectors_.T
        return scores

    def add_classes(self, semantics: ClassSemantics) -> Any:
        """Not possible: the graph has to be built again."""
        raise NotImplementedError("classes are nodes of the graph; fit again with all of them")

    def _saved_apart(self) -> Sequence[str]:
        return ("scores_", "transduction_")

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote."""
        super().open_state(folder)
        self.scores_ = self.solution_[: len(self.items_)]
        self.transduction_ = self.classes_[self.scores_.argmax(axis=1)]

    def plot(self) -> Any:
        """Draw the neighbour graph of up to 400 items on their main axes, coloured by class; a matplotlib Figure."""
        from sklearn.decomposition import PCA

        step = max(len(self.items_) // _DRAWN, 1)
        drawn = self.items_[::step]
        axes_of = PCA(2, random_state=0).fit(drawn)
        at, names_at = axes_of.transform(drawn), axes_of.transform(self.class_vectors_)
        found = self.scores_[::step].argmax(axis=1)
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        links, _ = knn(drawn, min(self.n_neighbors, len(drawn) - 1))
        ends = at[np.stack([np.repeat(np.arange(len(drawn)), links.shape[1]), links.ravel()], axis=1)]
        lines = require("matplotlib.collections", "plot").LineCollection(ends, colors="#999999", linewidths=0.3)
        axes.add_collection(lines)
        axes.scatter(*at.T, c=found, cmap="tab20", s=8, zorder=2)
        for code in np.argsort(-np.bincount(found, minlength=len(names_at)))[:12]:
            axes.plot(*names_at[code], "*", color="black", markersize=9, zorder=3)
            axes.annotate(
                str(self.classes_[code]), names_at[code], xytext=(4, 4), textcoords="offset points", fontsize=8
            )
        axes.set(xlabel="first axis", ylabel="second axis", title="items, their neighbours, and class vectors (stars)")
        return figure
