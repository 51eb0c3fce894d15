"""Answers by the mean in a metric between labels: labels never seen, and milder mistakes, without training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import check_random_state

from theatrum.checks import Constraint, Options, Range, check_parameters
from theatrum.contracts import ClassSemantics
from theatrum.predict.label_locus import LabelLocus, check_distances, reachable
from theatrum.predict.seen_probabilities import (
    Probabilities,
    SeenProbabilityClassifier,
    check_probabilities,
    codes_among,
    tempered,
)
from theatrum.predict.semantics import pseudo_unseen, seen_mask
from theatrum.predict.zero_shot_predictor import Candidates, Rows, candidate_codes, check_labels

_TEMPERATURES = (1.0, 0.25, 0.5, 2.0, 4.0, 8.0)  # the paper's first: it wins ties
_FOLDS = 3  # draws of held-out rows and classes that "auto" averages over
_BLOCK = 2048  # labels that are compared at a time


def frechet_predict(
    P: ArrayLike, D: ArrayLike, *, observed: ArrayLike | None = None, block_size: int = _BLOCK
) -> NDArray[np.intp]:
    """Give the label of least expected squared distance: ``argmin_v sum_l p_l d(l, v)^2``.

    With the discrete metric it is the argmax. The function form, for probabilities from anywhere.

    Parameters
    ----------
    P : array-like of shape (n, K)
        Probabilities of the observed labels; rows are normalised.
    D : array-like of shape (K, C)
        Distances from each observed label to every label. They must not be scaled or shifted label by label.
    observed : array-like of shape (C,), optional
        Truth values: which labels are observed. They win ties, and so does the smaller position.
    block_size : int, default=2048
        Labels at a time: memory is (n + K) times that.

    Returns
    -------
    ndarray of int, shape (n,)
        Columns of D.

    Raises
    ------
    ValueError
        Numbers of columns of P and rows of D differ, negative distances or probabilities, NaN.

    Examples
    --------
    >>> hours = np.abs(np.subtract.outer([0, 4], range(5)))
    >>> frechet_predict([[0.9, 0.1], [0.5, 0.5]], hours).tolist()
    [0, 2]
    """
    distances = check_distances(D)
    rows = check_probabilities(P, len(distances))
    mask = np.zeros(distances.shape[1], dtype=bool) if observed is None else np.asarray(observed)
    if mask.dtype != bool or mask.shape != (distances.shape[1],):
        raise ValueError(f"observed: {distances.shape[1]} truth values are needed, got {mask.dtype} {mask.shape}")
    return _nearest(rows, lambda columns: distances[:, columns] ** 2, mask, block_size)


def _nearest(
    P: Probabilities,
    squared: Callable[[NDArray[np.intp]], NDArray[np.float64]],
    observed: NDArray[np.bool_],
    block_size: int,
) -> NDArray[np.intp]:
    """Stream over blocks of labels; ``squared`` gives the squared distances (K, m) to some of them."""

    def least(columns: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.intp], float]:
        value, code, largest = np.full(len(P), np.inf), np.zeros(len(P), dtype=np.intp), 0.0
        for start in range(0, len(columns), block_size):
            block = columns[start : start + block_size]
            to = squared(block)
            largest = max(largest, float(to.max()))
            expected = P @ to
            best = expected.argmin(axis=1)
            lower = expected[np.arange(len(P)), best]
            nearer = lower < value
            value[nearer], code[nearer] = lower[nearer], block[best[nearer]]
        return value, code, largest

    value, code, largest = least(np.arange(len(observed)))
    if not observed.any() or observed.all():
        return code
    seen_value, seen_code, _ = least(np.flatnonzero(observed))
    # Sums of the same terms in another order differ in their last digits.
    return np.where(seen_value <= value + 1e-12 * largest, seen_code, code)


@dataclass(frozen=True)
class _Trial:
    """Rows to choose a temperature by: probabilities of ``known`` classes, true classes, how much each row counts."""

    P: Probabilities
    known: NDArray[np.intp]
    truth: NDArray[np.intp]
    weights: NDArray[np.float64] | None = None


class FrechetMeanClassifier(SeenProbabilityClassifier):
    """Answers with the label of least expected squared distance in place of the most probable one (Loki).

    With a metric between labels (a scale, a tree, a graph, vectors of names) any trained classifier can answer with
    labels it never saw, and its mistakes become nearer ones. For ordinal and hierarchical labels, and for very many.
    Useless with a metric that means nothing, and no different from the argmax where the classifier is always sure:
    look at `entropy`, and tune the temperature.

    Parameters
    ----------
    estimator : classifier, optional
        With ``predict_proba``; logistic regression by default. Its copy is fitted.
    metric : {"given", "euclidean"}, default="given"
        The distances of the semantics (from a graph: ``from_graph``), or those between their unit vectors.
    temperature : float or "auto", default=1.0
        Divides the classifier's logits: below 1 for one that is not sure enough. "auto" takes the best of six by
        squared label distance on held-out rows of seen classes; where there are unseen classes, a quarter of the seen
        ones play them in turn, and the two kinds count as if all classes were equally frequent. With ``prefit=True``
        the rows given to ``fit`` are used as they are: the estimator must not have been fitted on them.
    prefit : bool, default=False
        Use the estimator as it is; its classes (names, or positions in the semantics) are the seen ones.
    probability_scale : float, default=1.0
        Expected squared distance that makes a label e times less probable in ``predict_proba``.
    block_size : int, default=2048
        Labels that ``predict`` compares at a time.
    random_state : int, RandomState or None, default=0
        Draws the rows that "auto" holds out.

    Attributes
    ----------
    temperature_ : float
        Temperature used.
    metric_ : str
        Metric used; without semantics all classes are equally far from each other, and this is the estimator alone.

    Notes
    -----
    Between unit vectors, the expected squared distance is 2 minus twice the inner product with the mean of the seen
    vectors: ``metric="euclidean"`` ranks as ``ConvexCombinationClassifier(n_top=None)`` does.

    References
    ----------
    Roberts et al., "Geometry-aware adaptation for pretrained models", NeurIPS 2023. Atlas 032.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(60, 1)) + np.repeat([0, 4], 30)[:, None]
    >>> warmth = ClassSemantics(tuple("abcde"), distances=np.abs(np.subtract.outer(range(5), range(5))))
    >>> model = FrechetMeanClassifier().fit(X, np.repeat(["a", "e"], 30), warmth)
    >>> model.predict([[-2.0], [2.0], [9.0]]).tolist()
    ['a', 'c', 'e']
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "metric": [Options(("given", "euclidean"))],
        "temperature": [Range(float, 0, open_low=True), Options(("auto",))],
        "prefit": [bool],
        "probability_scale": [Range(float, 0, open_low=True)],
        "block_size": [Range(int, 1)],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        metric: Literal["given", "euclidean"] = "given",
        temperature: float | Literal["auto"] = 1.0,
        prefit: bool = False,
        probability_scale: float = 1.0,
        block_size: int = _BLOCK,
        random_state: Any = 0,
    ) -> None:
        self.estimator = estimator
        self.metric = metric
        self.temperature = temperature
        self.prefit = prefit
        self.probability_scale = probability_scale
        self.block_size = block_size
        self.random_state = random_state

    def fit(self, X: Any = None, y: Any = None, semantics: ClassSemantics | None = None) -> FrechetMeanClassifier:
        """Fit the classifier of the seen classes, or take the fitted one.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features. With ``prefit=True`` they only tune ``temperature="auto"``.
        y : array-like of shape (n,)
            Names of seen classes, or their positions in ``semantics.names``.
        semantics : ClassSemantics, optional
            Of all classes, with distances, or vectors for ``metric="euclidean"``.

        Raises
        ------
        ValueError
            No ``predict_proba``, semantics without that metric, labels that the semantics do not know or call unseen,
            a class of the estimator without semantics, one class only, NaN.
        """
        check_parameters(self, self.constraints)
        self.metric_ = "euclidean" if semantics is None else self.metric
        if semantics is not None and self.metric_ == "given" and semantics.distances is None:
            raise ValueError(
                "these class semantics hold no distances; use metric='euclidean', or describe the classes by "
                "from_graph or by distances"
            )
        fitted_on = self._take_estimator(X, y, semantics)
        if self.metric_ == "euclidean":
            self.semantics_.signature()  # refuses a class without a vector, by name
        self.temperature_ = self._tuned(X, y, fitted_on) if self.temperature == "auto" else float(self.temperature)
        return self

    def _tuned(self, X: Any, y: Any, fitted_on: tuple[Rows, NDArray[np.intp]] | None) -> float:
        if fitted_on is not None:
            trials = self._held_out(*fitted_on)
        elif X is None or y is None:
            raise ValueError("temperature='auto' with prefit=True needs rows X, y that the estimator was not fitted on")
        else:
            trials = iter([_Trial(self._probabilities(X), np.flatnonzero(self._seen), self._seen_codes(y))])
        place = np.cumsum(self._seen) - 1
        to = self._squared(np.arange(len(place)))
        risks = np.zeros(len(_TEMPERATURES))
        for trial in trials:
            if len(trial.P) != len(trial.truth):
                raise ValueError(f"X has {len(trial.P)} rows and y has {len(trial.truth)} labels; one a row is needed")
            from_known, truth = to[place[trial.known]], place[trial.truth]
            for i, temperature in enumerate(_TEMPERATURES):
                answer = (tempered(trial.P, temperature) @ from_known).argmin(axis=1)
                risks[i] += np.average(to[truth, answer], weights=trial.weights)
        return _TEMPERATURES[int(risks.argmin())]

    @property
    def _seen(self) -> NDArray[np.bool_]:
        return seen_mask(self.semantics_)

    def _seen_codes(self, y: Any) -> NDArray[np.intp]:
        labels = check_labels(y)
        codes = codes_among(labels, self.classes_)
        wrong = np.flatnonzero(~np.isin(codes, np.flatnonzero(self._seen)))
        if wrong.size:
            raise ValueError(
                f"y: row {wrong[0]} is {labels.tolist()[wrong[0]]!r}, a class that the estimator does not know"
            )
        return codes

    def _held_out(self, rows: Rows, codes: NDArray[np.intp]) -> Iterator[_Trial]:
        """Play the rows to come: rows of seen classes, and of classes that the estimator was not told of.

        Rows of seen classes alone would always prefer sharp probabilities: their truth is always among the observed.
        """
        known, counts = np.unique(codes, return_counts=True)
        if counts.min() < 2:
            lonely = self.semantics_.names[known[counts.argmin()]]
            raise ValueError(
                f"temperature='auto' holds rows out, and class {lonely!r} has one row only; add a row, or give a "
                "temperature"
            )
        rng = check_random_state(self.random_state)
        folds = StratifiedKFold(min(_FOLDS, int(counts.min())), shuffle=True, random_state=rng)
        unseen_share = float(np.mean(~self._seen))
        if unseen_share == 0 or len(known) < 4:
            for fit_rows, held in folds.split(rows, codes):
                yield _Trial(self._held_probabilities(rows, codes, fit_rows, held), known, codes[held])
            return
        for _ in range(_FOLDS):
            kept, foreign, _ = pseudo_unseen(self.semantics_, codes, random_state=rng)
            fit_rows, own = (kept[part] for part in next(folds.split(rows[kept], codes[kept])))
            # The two kinds count as they would if all classes, seen and unseen, had as many rows.
            weights = np.r_[
                np.full(len(own), (1 - unseen_share) / len(own)), np.full(len(foreign), unseen_share / len(foreign))
            ]
            held = np.r_[own, foreign]
            P = self._held_probabilities(rows, codes, fit_rows, held)
            yield _Trial(P, np.unique(codes[kept]), codes[held], weights)

    def _squared(self, columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Squared distances from the seen classes to some classes, (K, m)."""
        seen = np.flatnonzero(self._seen)
        if self.metric_ == "given":
            assert self.semantics_.distances is not None
            given: NDArray[np.float64] = self.semantics_.distances[np.ix_(seen, columns)].astype(np.float64)
            return given**2
        vectors = self.semantics_.signature().astype(np.float64)
        return np.maximum(2 - 2 * vectors[seen] @ vectors[columns].T, 0)

    def _weights(self, X: Any) -> Probabilities:
        return tempered(self._probabilities(X), self.temperature_)

    def class_scores(self, X: Any) -> Rows:
        """Minus the expected squared distance to every class, (n, C)."""
        return -(self._weights(X) @ self._squared(np.arange(len(self.classes_))))

    def predict(self, X: Any, candidates: Candidates = "all") -> NDArray[Any]:
        """Give the candidate class of least expected squared distance, a seen one among equal ones.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.
        candidates : {"all", "seen", "unseen"} or sequence of names, default="all"
            Classes to choose from.

        Returns
        -------
        ndarray, shape (n,)
            Of ``classes_``.
        """
        P = self._weights(X)
        allowed = candidate_codes(candidates, self.semantics_, self.classes_)
        seen = self._seen[allowed]
        return self.classes_[allowed[_nearest(P, lambda at: self._squared(allowed[at]), seen, self.block_size)]]

    def predict_proba(self, X: Any) -> Rows:
        """Softmax of the scores, (n, C): a heuristic for ranking and display, not a calibrated probability."""
        return softmax(self.class_scores(X) / self.probability_scale, axis=1)

    def entropy(self, X: Any) -> NDArray[np.float64]:
        """Entropy of the seen classes' probabilities, in nats, (n,); near 0 the answer is the argmax."""
        P = self._weights(X)
        return -np.sum(P * np.log(np.where(P > 0, P, 1)), axis=1)

    def locus(self) -> LabelLocus:
        """Say which classes can be answered at all (up to about 2,000 classes), with distances and a plot."""
        seen = self._seen
        D = self.semantics_.distance_matrix("given" if self.metric_ == "given" else "euclidean")
        return LabelLocus(self.semantics_.names, seen, reachable(D, np.flatnonzero(seen)), D)

    def add_classes(self, semantics: ClassSemantics) -> FrechetMeanClassifier:
        """Make unseen classes known, where the metric is that of vectors; with given distances, fit again."""
        if self.metric_ == "given":
            raise ValueError("distances between new and known classes are not known; fit again with all of them")
        semantics.signature()
        self._add(semantics)
        return self
