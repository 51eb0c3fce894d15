"""Linkage scaling: one estimator from metric scaling and IsoMap to UMAP and single linkage embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from theatrum.checks import Constraint, Options, Range, check_parameters
from theatrum.extras import require
from theatrum.refine.linkage_distances import (
    Linkage,
    chaining_index,
    extend_path,
    extend_single_linkage,
    fuzzy_memberships,
    linkage_distance,
    single_linkage_distance,
    spanning_chain,
)
from theatrum.refine.pairwise_distances import NEGATIVE, Distances, check_distances, distances_between, refuse
from theatrum.refine.pairwise_losses import classical_start, eigenmaps, place_by_stress, smacof, umap_layout
from theatrum.refine.refinement_report import RefinementReport

Loss: TypeAlias = Literal["stress", "spectral", "cross_entropy"]
_DENSE = 10_000  # rows up to which all pairs are held; above, as many landmarks
_BLOCK = 1 << 22  # distances of new rows held at a time
_JITTER = 0.01  # of the start: rows that start together, such as twins of an ultrametric, do not push each other apart
_SAME = 1e-7  # share of the median distance below which a new row is a training row
_COLOURS, _MARKERS = ("#0b3954", "#bf1a2f", "#f4a261", "#2a9d8f"), ("o", "^", "s", "D", "v")


class LinkageScaling(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Embeds by distances after a linkage of your choice; a scikit-learn transformer.

    Two choices make a method: ``linkage`` says what becomes of the distances, ``loss`` how they are embedded. Maximal
    with stress is metric multidimensional scaling, geodesic with stress IsoMap, fuzzy with cross-entropy UMAP, fuzzy
    with spectral LUMAP, and **single with stress is single linkage scaling**: pick it for chains (mutation histories,
    edited documents, visits) that metric scaling smears in two dimensions. It is a poor choice for noisy groups with
    bridges between them: look at ``chaining_index_``. For many dimensions or rows take ``pca`` or ``tldr``.

    Parameters
    ----------
    n_components : int, default=2
        Dimensions of the embedding.
    linkage : {"single", "maximal", "path", "geodesic", "fuzzy"}, default="single"
        See `linkage_distance`. Fuzzy strengths are 0 for most pairs and do not go with stress.
    p : float, default=4.0
        Of the path metric, 1 to 64; time grows with the cube of the rows.
    radius : float or None, default=None
        Longest step of the geodesic graph; without it the graph is that of the nearest neighbours.
    n_neighbors : int, default=15
        Of geodesic and fuzzy neighbourhoods, and strongest pairs of a row that cross-entropy looks at.
    connect : {"mst"} or None, default=None
        Whether a geodesic graph in pieces is joined by its minimum spanning tree, or refused.
    loss : {"stress", "spectral", "cross_entropy"}, default="stress"
        SMACOF; Laplacian eigenmaps; UMAP's layout (needs the extra ``umap``).
    metric : {"euclidean", "cosine", "cityblock", "hamming", "precomputed"}, default="euclidean"
        Of the distances; "precomputed" takes (n, n), and (q, n) to transform.
    n_init : int, default=1
        Starts of SMACOF, of which the best counts: the classical one, then random ones.
    max_iter : int, default=300
        Iterations of SMACOF at most.
    random_state : int, RandomState or None, default=0
        Starts, and landmarks above 10,000 rows.

    Attributes
    ----------
    embedding_ : ndarray of float, shape (n, m)
        Places of the rows; in units of the distances for "stress".
    dissimilarity_ : ndarray of float32, shape (l, l)
        ``d_H`` of the landmarks: all rows, up to 10,000. The method needs O(l^2) memory.
    landmarks_ : ndarray of int64, shape (l,)
        Rows that were embedded together; the others were placed one by one, as `transform` does.
    stress_ : float or None
        ``sum over pairs (|a_i - a_j| - d_H)^2``; None for another loss.
    n_iter_ : int
        Iterations of SMACOF; 1 for another loss.
    chaining_index_ : float
        See `chaining_index`.

    References
    ----------
    Shiebler, "Functorial manifold learning", ACT 2021, EPTCS 372. Atlas 117.

    Examples
    --------
    >>> X = np.array([[0.0], [1], [2], [3], [10], [11], [12]])
    >>> scaling = LinkageScaling(1).fit(X)
    >>> scaling.dissimilarity_[0].tolist()
    [0.0, 1.0, 1.0, 1.0, 7.0, 7.0, 7.0]
    >>> bool(scaling.transform([[2.5]])[0, 0] * scaling.embedding_[0, 0] > 0)
    True
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_components": [Range(int, 1)],
        "linkage": [Options(("single", "maximal", "path", "geodesic", "fuzzy"))],
        "p": [Range(float, 1, 64)],
        "radius": [Range(float, 0, open_low=True), None],
        "n_neighbors": [Range(int, 1)],
        "connect": [Options(("mst",)), None],
        "loss": [Options(("stress", "spectral", "cross_entropy"))],
        "metric": [Options(("euclidean", "cosine", "cityblock", "hamming", "precomputed"))],
        "n_init": [Range(int, 1)],
        "max_iter": [Range(int, 1)],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        linkage: Linkage = "single",
        p: float = 4.0,
        radius: float | None = None,
        n_neighbors: int = 15,
        connect: Literal["mst"] | None = None,
        loss: Loss = "stress",
        metric: str = "euclidean",
        n_init: int = 1,
        max_iter: int = 300,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.linkage = linkage
        self.p = p
        self.radius = radius
        self.n_neighbors = n_neighbors
        self.connect = connect
        self.loss = loss
        self.metric = metric
        self.n_init = n_init
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> LinkageScaling:
        """Embed X.

        Parameters
        ----------
        X : array-like of shape (n, d), or (n, n) if precomputed
            Rows or distances; at least two.
        y : ignored
            There for scikit-learn.

        Returns
        -------
        LinkageScaling
            Itself.

        Raises
        ------
        ValueError
            A matrix that holds no distances, a geodesic graph in pieces, fuzzy with stress, or NaN.
        ImportError
            The loss "cross_entropy" without umap-learn.
        """
        check_parameters(self, self.constraints)
        if self.linkage == "fuzzy" and self.loss == "stress":
            raise ValueError(
                "LinkageScaling: fuzzy neighbourhoods leave most pairs infinitely far, which no stress can meet; "
                "use loss='spectral' or 'cross_entropy'"
            )
        rows = validate_data(self, X, dtype=["float64", "float32"], ensure_min_samples=2)
        rng = check_random_state(self.random_state)
        n = len(rows)
        self.landmarks_ = np.sort(rng.permutation(n)[:_DENSE]) if n > _DENSE else np.arange(n)
        D = self._distances(rows)
        order, steps, _ = spanning_chain(D)
        heights = single_linkage_distance(D)
        self.chaining_index_ = chaining_index(D, heights)
        self.scale_ = float(np.median(squareform(D, checks=False))) or 1.0
        self.order_, self.steps_ = order, steps
        self.dissimilarity_ = heights if self.linkage == "single" else self._linked(D)
        if self.metric != "precomputed":
            self.rows_ = rows[self.landmarks_]
        embedding, self.stress_, self.n_iter_ = self._embed(rng)
        self.embedding_ = embedding.astype(rows.dtype)
        if n > _DENSE:
            everything = np.empty((n, self.n_components), dtype=rows.dtype)
            others = np.setdiff1d(np.arange(n), self.landmarks_)
            everything[self.landmarks_] = self.embedding_
            everything[others] = self._place(rows[others], self.embedding_)
            self.embedding_ = everything
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Embed X and return its places (n, m)."""
        return self.fit(X).embedding_

    def transform(self, X: Any) -> Any:
        """Place further rows among the fitted ones, which stay where they are.

        Each row gets its d_H to the landmarks as if it had come alone. With "stress" it then takes the place of least
        stress; otherwise the mean of the landmarks by strength, which minimises the spectral loss of this row. A row
        that equals a landmark gets its place.

        Parameters
        ----------
        X : array-like of shape (q, d), or (q, n) if precomputed
            Rows, or distances to all rows of ``fit``.

        Returns
        -------
        ndarray of float, shape (q, m)
            Places.

        Raises
        ------
        ValueError
            Another width than in ``fit``, NaN, or a row that no geodesic step reaches.
        """
        check_is_fitted(self, "embedding_")
        rows = validate_data(self, X, dtype=["float64", "float32"], reset=False)
        return self._place(rows, self.embedding_[self.landmarks_]).astype(rows.dtype)

    def refinement_report(self, X: Any) -> RefinementReport:
        """Tell where d_H of X lies between single linkage and the distances; fits both ends.

        Parameters
        ----------
        X : array-like
            What ``fit`` got.

        Returns
        -------
        RefinementReport
            Print it for words.
        """
        check_is_fitted(self, "embedding_")
        rows = validate_data(self, X, dtype=["float64", "float32"], reset=False)
        if len(rows) != len(self.embedding_):
            raise ValueError(f"X: {len(rows)} rows, but {len(self.embedding_)} were fitted; give the same rows")
        D = self._distances(rows)
        heights = single_linkage_distance(D)
        u, d_H, d = (squareform(one, checks=False) for one in (heights, self.dissimilarity_, D))
        slack = 1e-6 * float(d.max())
        rng = check_random_state(self.random_state)
        ends = [self._scaled(one, rng)[1] for one in (heights, D)]
        return RefinementReport(
            float((u <= d_H + slack).mean()), float((d_H <= d + slack).mean()),
            float(np.sqrt(ends[0])), float(np.sqrt(ends[1])), self.chaining_index_,
        )  # fmt: skip

    def plot(self, labels: Any = None) -> Any:
        """Draw the first two dimensions of the embedding.

        Parameters
        ----------
        labels : array-like of shape (n,), optional
            A colour and a marker for each value.

        Returns
        -------
        matplotlib.figure.Figure
            6 by 4 inches.

        Raises
        ------
        ValueError
            One dimension only, or another number of labels than of rows.
        """
        check_is_fitted(self, "embedding_")
        n, m = self.embedding_.shape
        if m < 2:
            raise ValueError("plot needs two dimensions: LinkageScaling(n_components=2)")
        given = np.zeros(n) if labels is None else np.asarray(labels)
        if given.shape != (n,):
            raise ValueError(f"labels: {len(given)} labels for {n} rows; one label a row is needed")
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        values = np.unique(given)
        for place, value in enumerate(values):
            style = {"c": _COLOURS[place % 4], "marker": _MARKERS[place // 4 % 5]}
            axes.scatter(*self.embedding_[given == value, :2].T, s=12, linewidths=0, label=str(value), **style)
        if 1 < len(values) <= 20:
            axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        unit = "units of the distances" if self.loss == "stress" else "no unit"
        axes.set_xlabel(f"dimension 1 ({unit})")
        axes.set_ylabel(f"dimension 2 ({unit})")
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_title(f"{self.linkage} linkage, {self.loss.replace('_', '-')}", fontsize=10)
        return figure

    def __sklearn_tags__(self) -> Any:
        """Say that precomputed distances are pairs and not negative."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = tags.input_tags.positive_only = self.metric == "precomputed"
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def _distances(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        if self.metric == "precomputed":
            D = check_distances(rows)[np.ix_(self.landmarks_, self.landmarks_)].astype(np.float32)
            D = np.maximum(D, D.T)  # rounding may have left it a little asymmetric
        else:
            chosen = rows[self.landmarks_]
            D = distances_between(chosen, chosen, self.metric)
        np.fill_diagonal(D, 0)
        return D

    def _linked(self, D: NDArray[np.float32]) -> Distances:
        linked = linkage_distance(
            D, self.linkage, p=self.p, radius=self.radius, n_neighbors=self.n_neighbors, connect=self.connect
        )
        if self.linkage == "geodesic" and not np.isfinite(linked).all():
            pieces = connected_components(csr_array(np.isfinite(linked)), directed=False)[0]
            raise ValueError(
                f"LinkageScaling: the geodesic graph is in {pieces} pieces; raise radius or n_neighbors, or join them "
                "by connect='mst'"
            )
        return linked

    def _embed(self, rng: np.random.RandomState) -> tuple[NDArray[np.floating], float | None, int]:
        if self.loss == "stress":
            return self._scaled(self.dissimilarity_, rng)
        graph = self._strengths(self.dissimilarity_)
        np.fill_diagonal(graph, 0)
        if self.loss == "spectral":
            return eigenmaps(csr_array(graph) if self.linkage == "fuzzy" else graph, self.n_components, rng), None, 1
        if self.linkage != "fuzzy":
            weakest = np.sort(graph, axis=1)[:, -min(self.n_neighbors, len(graph))]
            graph = np.where(graph >= np.minimum(weakest[:, None], weakest), graph, 0)
        return umap_layout(csr_array(graph), self.n_components, rng), None, 1

    def _scaled(self, D: Distances, rng: np.random.RandomState) -> tuple[NDArray[np.floating], float, int]:
        """Embed by stress, from the best of the starts."""
        start = classical_start(D, self.n_components, rng)
        spread = float(start.std())
        starts = [start + (_JITTER * spread * rng.normal(size=start.shape))]
        starts += [spread * rng.normal(size=start.shape) for _ in range(self.n_init - 1)]
        return min((smacof(D, one, max_iter=self.max_iter) for one in starts), key=lambda found: found[1])

    def _strengths(self, d_H: Distances) -> NDArray[np.float64]:
        """``exp(-d_H)``, distances as shares of their median: large ones would all be 0. Fuzzy ones have no unit."""
        return np.exp(-d_H.astype(np.float64) / (1.0 if self.linkage == "fuzzy" else self.scale_))

    def _place(self, rows: NDArray[np.floating], embedding: NDArray[np.floating]) -> NDArray[np.floating]:
        """Place rows (q, d) among the landmarks, in blocks."""
        step = max(_BLOCK // len(embedding), 1)
        blocks = [rows[first : first + step] for first in range(0, len(rows), step)]
        return np.concatenate([self._place_block(block, embedding) for block in blocks])

    def _place_block(self, rows: NDArray[np.floating], embedding: NDArray[np.floating]) -> NDArray[np.floating]:
        if self.metric == "precomputed":
            D_new = rows[:, self.landmarks_].astype(np.float32)
            refuse(D_new, D_new < 0, NEGATIVE)
        else:
            D_new = distances_between(rows, self.rows_, self.metric)
        nearest = D_new.argmin(axis=1)
        d_H = self._extended(D_new)
        if self.loss == "stress":
            places = place_by_stress(d_H, embedding, embedding[nearest])
        else:
            # As shares of the strongest: far from all landmarks, every strength would be 0.
            strengths = self._strengths(d_H - d_H.min(axis=1, keepdims=True))
            places = strengths @ embedding / strengths.sum(axis=1, keepdims=True)
        twins = D_new[np.arange(len(rows)), nearest] <= _SAME * self.scale_
        places[twins] = embedding[nearest[twins]]
        return places

    def _extended(self, D_new: NDArray[np.float32]) -> Distances:
        """Distances d_H (q, l) of new rows to the landmarks."""
        if self.linkage == "single":
            return extend_single_linkage(self.order_, self.steps_, D_new)
        if self.linkage == "path":
            return extend_path(self.dissimilarity_, D_new, self.p)
        if self.linkage == "fuzzy":
            with np.errstate(divide="ignore"):
                return -np.log(fuzzy_memberships(D_new, self.n_neighbors - 1))
        if self.linkage == "geodesic":
            return extend_path(self.dissimilarity_, self._steps_into_graph(D_new), 1.0)
        return D_new

    def _steps_into_graph(self, D_new: NDArray[np.float32]) -> NDArray[np.float32]:
        nearest = np.sort(D_new, axis=1)
        if self.radius is None:
            longest = nearest[:, min(self.n_neighbors, D_new.shape[1]) - 1]
        else:
            longest = np.full(len(D_new), self.radius, dtype=np.float32)
            lost = np.flatnonzero(nearest[:, 0] > self.radius)
            if lost.size and self.connect is None:
                raise ValueError(
                    f"X: row {lost[0]} is {nearest[lost[0], 0]:g} away from the nearest fitted row, and radius is "
                    f"{self.radius:g}; raise radius, or join such rows by connect='mst'"
                )
            longest = np.maximum(longest, nearest[:, 0])
        return np.where(D_new <= longest[:, None], D_new, np.float32(np.inf))
