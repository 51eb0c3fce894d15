"""Zero-shot classes from any classifier's probabilities: a convex combination of class vectors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.utils import check_random_state

from theatrum.checks import Constraint, Options, Range, check_k, check_parameters
from theatrum.contracts import ClassSemantics, Vectors
from theatrum.extras import require
from theatrum.predict.seen_probabilities import Probabilities, SeenProbabilityClassifier, check_probabilities, tempered
from theatrum.predict.semantic_ridge import cosines
from theatrum.predict.semantics import pseudo_unseen, seen_mask
from theatrum.predict.zero_shot_predictor import Candidates, Rows, candidate_codes

_TOPS = (1, 2, 5, 10, 20, 50, None)
_TEMPERATURES = (1.0, 0.5, 2.0, 4.0, 8.0)  # the paper's first: it wins ties
_FOLDS = 3  # draws of held-out classes that "auto" averages over


def top_weights(P: Probabilities, n_top: int | None) -> csr_matrix:
    """Keep the ``n_top`` largest probabilities of every row, divided by their sum.

    Parameters
    ----------
    P : ndarray of float64, shape (n, K)
        Rows that sum to 1.
    n_top : int or None
        All with None.

    Returns
    -------
    csr_matrix, shape (n, K)
        Rows sum to 1.

    Examples
    --------
    >>> top_weights(np.array([[0.6, 0.1, 0.3]]), 2).toarray().round(2).tolist()
    [[0.67, 0.0, 0.33]]
    """
    n, n_classes = P.shape
    kept = n_classes if n_top is None else min(n_top, n_classes)
    if kept == n_classes:
        return csr_matrix(P)
    columns = np.argpartition(P, n_classes - kept, axis=1)[:, n_classes - kept :]
    weights = np.take_along_axis(P, columns, axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    return csr_matrix((weights.ravel(), columns.ravel(), np.arange(n + 1) * kept), shape=P.shape)


def class_vectors(semantics: ClassSemantics, center: bool) -> NDArray[np.float64]:
    """Unit class vectors (C, s); with ``center``, the mean of the seen ones is taken out first.

    Raises
    ------
    ValueError
        A class whose vector is zero, before or after centring.

    Examples
    --------
    >>> three = ClassSemantics(("a", "b", "c"), vectors=[[1, 0], [0, 1], [1, 1]], seen=np.array([True, True, False]))
    >>> class_vectors(three, False)[2].round(2).tolist()
    [0.71, 0.71]
    """
    vectors = semantics.signature().astype(np.float64)
    if not center:
        return vectors
    vectors -= vectors[seen_mask(semantics)].mean(axis=0)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    zero = np.flatnonzero(norms < 1e-6)
    if zero.size:
        raise ValueError(
            f"class {semantics.names[zero[0]]!r} has the mean vector of the seen classes, so nothing is left of it "
            "after centring; use center=False"
        )
    return vectors / norms


def from_probabilities(
    P: ArrayLike,
    semantics: ClassSemantics,
    candidates: Candidates = "unseen",
    *,
    n_top: int | None = 10,
    temperature: float = 1.0,
    center: bool = False,
) -> NDArray[np.float64]:
    """Score classes from probabilities alone: for a remote model, or one whose input is no table of numbers.

    Parameters
    ----------
    P : array-like of shape (n, K)
        Probability of each seen class, in the order that the semantics have them; rows are normalised.
    semantics : ClassSemantics
        With ``seen``, and vectors or attributes.
    candidates : {"unseen", "all", "seen"} or sequence of names, default="unseen"
        Classes to score.
    n_top, temperature, center
        As in `ConvexCombinationClassifier`, without ``"auto"``.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Cosine with each of the m candidates, in the order of the semantics (of the list, if it is one).

    Raises
    ------
    ValueError
        Columns of P are not the seen classes, negative or missing probabilities, or no such candidates.

    Examples
    --------
    >>> pets = ClassSemantics(("cat", "car", "dog"), vectors=[[1, 0], [0, 1], [0.9, 0.1]]).with_seen(["cat", "car"])
    >>> from_probabilities([[0.9, 0.1]], pets, "all").argmax(axis=1).tolist()
    [2]
    """
    if n_top is not None and (isinstance(n_top, bool) or n_top < 1):
        raise ValueError(f"n_top must be a whole number of at least 1 or None, got {n_top!r}")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature!r}")
    seen = seen_mask(semantics)
    rows = tempered(check_probabilities(P, int(seen.sum())), temperature)
    vectors = class_vectors(semantics, center)
    allowed = candidate_codes(candidates, semantics, np.array(semantics.names))
    scores: NDArray[np.float64] = np.asarray(
        cosines(top_weights(rows, n_top) @ vectors[seen], vectors[allowed]), dtype=np.float64
    )
    return scores


@dataclass(frozen=True)
class Combination:
    """Why rows were given their classes.

    Parameters
    ----------
    predicted : ndarray, shape (n,)
        Best candidate.
    classes : ndarray, shape (n, T)
        Seen classes that were combined, the most probable first.
    weights : ndarray of float64, shape (n, T)
        Their weights; rows sum to 1.
    norm : ndarray of float64, shape (n,)
        Length of the combined vector, at most 1; short where the weight is spread over classes that are not alike.
    margin : ndarray of float64, shape (n,)
        Best score minus the second best, in cosine; infinite for a single candidate.
    """

    predicted: NDArray[Any]
    classes: NDArray[Any]
    weights: NDArray[np.float64]
    norm: NDArray[np.float64]
    margin: NDArray[np.float64]

    def plot(self, row: int = 0) -> Any:
        """Draw the weights of one row as bars; a matplotlib Figure."""
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.barh([str(name) for name in self.classes[row]], self.weights[row], color="#0b3954")
        axes.invert_yaxis()
        axes.set(
            xlabel="weight (share of the probability)",
            ylabel="seen class",
            title=f"{self.predicted[row]}: length {self.norm[row]:.2f}, margin {self.margin[row]:.3f}",
        )
        return figure


class ConvexCombinationClassifier(SeenProbabilityClassifier):
    """Averages the vectors of the most probable seen classes and takes the nearest class, seen or not (ConSE).

    Turns any classifier with ``predict_proba`` and any vectors of class names into a zero-shot classifier, without
    training. It is the baseline that a new method must beat, and the only choice where nothing but probabilities is
    there (then `from_probabilities`). Where features can be learnt from, ``SemanticRidge`` is usually better.

    The combined vector lies among the seen classes, so that with all classes as candidates a seen one nearly always
    wins: use ``candidates="unseen"``, or calibrate with ``CalibratedStacking``.

    Parameters
    ----------
    estimator : classifier, optional
        With ``predict_proba``; logistic regression by default. Its copy is fitted.
    n_top : int, None or "auto", default=10
        How many seen classes are combined; all with None. More than there are is a warning.
    temperature : float or "auto", default=1.0
        Divides the classifier's logits; above 1 it helps a classifier that is too sure. Not in the paper.
    center : bool, default=False
        Take the mean of the seen classes out of all class vectors, then make them unit rows again: for encoders whose
        vectors of names share a large part. Not in the paper.
    prefit : bool, default=False
        Use the estimator as it is; its classes (names, or positions in the semantics) are the seen ones.
    random_state : int, RandomState or None, default=0
        Draws the held-out classes of "auto".

    Attributes
    ----------
    n_top_ : int or None
    temperature_ : float
        Those used. "auto" takes the best on seen classes that are held out in turn; it fits the estimator three more
        times, and needs at least four seen classes (with fewer it is 10 and 1).
    class_prototypes_ : ndarray of float64, shape (C, s)
        Unit class vectors.

    Notes
    -----
    Attributes stand in where there are no vectors. With unit class vectors, cosine, inner product and Euclidean
    distance rank alike, and with all seen classes (``n_top=None``) the ranking is that of ``FrechetMeanClassifier``
    with ``metric="euclidean"``.

    References
    ----------
    Norouzi et al., "Zero-shot learning by convex combination of semantic embeddings", ICLR 2014. Atlas 039.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> S = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]); y = np.repeat([0, 1, 2], 20)
    >>> X = S[y] + 0.1 * rng.normal(size=(60, 3))
    >>> letters = ClassSemantics(tuple("abcd"), vectors=S)
    >>> model = ConvexCombinationClassifier(n_top=2).fit(X, y, letters)
    >>> str(model.predict([[0.5, 0.5, 0.0]])[0]), model.explain([[0.5, 0.5, 0.0]]).classes.shape
    ('d', (1, 2))
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_top": [Range(int, 1), None, Options(("auto",))],
        "temperature": [Range(float, 0, open_low=True), Options(("auto",))],
        "center": [bool],
        "prefit": [bool],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_top: int | Literal["auto"] | None = 10,
        temperature: float | Literal["auto"] = 1.0,
        center: bool = False,
        prefit: bool = False,
        random_state: Any = 0,
    ) -> None:
        self.estimator = estimator
        self.n_top = n_top
        self.temperature = temperature
        self.center = center
        self.prefit = prefit
        self.random_state = random_state

    def fit(self, X: Any = None, y: Any = None, semantics: ClassSemantics | None = None) -> ConvexCombinationClassifier:
        """Fit the classifier of the seen classes, or take the fitted one.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features. With ``prefit=True`` neither X nor y is looked at.
        y : array-like of shape (n,)
            Names of seen classes, or their positions in ``semantics.names``.
        semantics : ClassSemantics, optional
            Of all classes, with vectors or attributes; without it, this is the estimator alone.

        Raises
        ------
        ValueError
            No ``predict_proba``, "auto" with ``prefit=True``, labels that the semantics do not know or call unseen,
            a class of the estimator without semantics, a zero class vector (named), one class only, NaN.
        """
        check_parameters(self, self.constraints)
        tuned = "auto" in (self.n_top, self.temperature)
        if tuned and self.prefit:
            raise ValueError(
                "'auto' fits the estimator on fewer classes, which prefit=True rules out; give n_top and temperature, "
                "or use prefit=False"
            )
        fitted_on = self._take_estimator(X, y, semantics)
        self.class_prototypes_ = class_vectors(self.semantics_, self.center)
        self.n_top_: int | None = 10 if self.n_top == "auto" else self.n_top
        self.temperature_ = 1.0 if self.temperature == "auto" else float(self.temperature)
        n_seen = int(seen_mask(self.semantics_).sum())
        if tuned and fitted_on is not None and n_seen >= 4:
            self.n_top_, self.temperature_ = self._tuned(*fitted_on)
        if self.n_top_ is not None and self.n_top_ > n_seen:
            if self.n_top != "auto":
                warnings.warn(f"n_top={self.n_top_}, but {n_seen} classes are seen; all are combined", stacklevel=2)
            self.n_top_ = n_seen
        return self

    def _tuned(self, rows: Rows, codes: NDArray[np.intp]) -> tuple[int | None, float]:
        tops = _TOPS if self.n_top == "auto" else (self.n_top,)
        temperatures = _TEMPERATURES if self.temperature == "auto" else (self.temperature,)
        grid: list[tuple[Any, Any]] = list(product(tops, temperatures))
        hits = np.zeros(len(grid))
        for P, vectors, kept, truth in self._held_out(rows, codes):
            held = np.flatnonzero(~kept)
            for i, (n_top, temperature) in enumerate(grid):
                image = top_weights(tempered(P, temperature), n_top) @ vectors[kept]
                found = held[cosines(image, vectors[held]).argmax(axis=1)]
                hits[i] += np.mean([(found == truth)[truth == code].mean() for code in held])
        n_top, temperature = grid[int(hits.argmax())]
        return n_top, float(temperature)

    def _held_out(
        self, rows: Rows, codes: NDArray[np.intp]
    ) -> Iterator[tuple[Probabilities, NDArray[np.float64], NDArray[np.bool_], NDArray[np.intp]]]:
        """Play the unseen classes with seen ones: probabilities of the others, vectors, who is kept, and the truth."""
        rng = check_random_state(self.random_state)
        place = np.cumsum(seen_mask(self.semantics_)) - 1  # codes among the seen classes alone
        for _ in range(_FOLDS):
            fit_rows, held_rows, inner = pseudo_unseen(self.semantics_, codes, random_state=rng)
            P = self._held_probabilities(rows, codes, fit_rows, held_rows)
            yield P, class_vectors(inner, self.center), seen_mask(inner), place[codes[held_rows]]

    def _weights(self, X: Any) -> csr_matrix:
        return top_weights(tempered(self._probabilities(X), self.temperature_), self.n_top_)

    def _combined(self, weights: csr_matrix) -> NDArray[np.float64]:
        return weights @ self.class_prototypes_[seen_mask(self.semantics_)]

    def semantic_embedding(self, X: Any) -> Vectors:
        """Give the combined vectors, float32 (n, s), of length at most 1: rows to search among class names with."""
        return self._combined(self._weights(X)).astype(np.float32)

    def class_scores(self, X: Any) -> Rows:
        """Cosine of the combined vector with every class, (n, C)."""
        return cosines(self._combined(self._weights(X)), self.class_prototypes_)

    def predict_top(self, X: Any, k: int, candidates: Candidates = "all") -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Give the k best candidate classes of every row and their scores, (n, k) each, best first.

        k is cut to the number of candidates.
        """
        allowed = candidate_codes(candidates, self.semantics_, self.classes_)
        scores = np.asarray(self.class_scores(X)[:, allowed], dtype=np.float64)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : check_k(k, len(allowed))]
        return self.classes_[allowed[best]], np.take_along_axis(scores, best, axis=1)

    def explain(self, X: Any, candidates: Candidates = "all") -> Combination:
        """Say which seen classes, with which weights, led to each answer, and how sure it is."""
        weights = self._weights(X)
        combined = self._combined(weights)
        allowed = candidate_codes(candidates, self.semantics_, self.classes_)
        scores = cosines(combined, self.class_prototypes_[allowed])
        best = np.sort(scores, axis=1)[:, -2:]
        dense = weights.toarray()
        order = np.argsort(-dense, axis=1, kind="stable")[:, : self.n_top_]
        return Combination(
            predicted=self.classes_[allowed[scores.argmax(axis=1)]],
            classes=self.classes_[seen_mask(self.semantics_)][order],
            weights=np.take_along_axis(dense, order, axis=1),
            norm=np.linalg.norm(combined, axis=1),
            margin=best[:, 1] - best[:, 0] if len(allowed) > 1 else np.full(len(best), np.inf),
        )

    def add_classes(self, semantics: ClassSemantics) -> ConvexCombinationClassifier:
        """Make unseen classes known; nothing is fitted again."""
        self._add(semantics)
        self.class_prototypes_ = class_vectors(self.semantics_, self.center)
        return self
