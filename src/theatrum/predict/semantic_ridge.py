"""Closed-form linear maps between features and class semantics: the common baseline of zero-shot classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from theatrum.checks import Constraint, Options, Range, check_parameters
from theatrum.contracts import ClassSemantics
from theatrum.predict.semantics import pseudo_unseen, seen_mask
from theatrum.predict.zero_shot_predictor import Rows, ZeroShotClassifier

_ALPHAS = tuple(10.0**power for power in range(-4, 3))
_FOLDS = 3  # draws of held-out classes that "auto" averages over


def ridge_map(A: Rows, B: Rows, alpha: float, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Solve ``min_W |A W - B|^2 + alpha m |W|^2``, m the mean eigenvalue of ``A'A``; (p, q).

    With the penalty relative to ``m``, one grid of ``alpha`` fits data of any scale and number of rows.

    Parameters
    ----------
    A, B : ndarray of float, shape (n, p), (n, q)
        From, and to.
    alpha : float
        Above 0.
    weights : ndarray of float64, shape (n,), optional
        How often each row counts.

    Examples
    --------
    >>> ridge_map(np.eye(2), np.array([[1.0], [3.0]]), 1.0).ravel().tolist()
    [0.5, 1.5]
    """
    weighted = A if weights is None else A * weights[:, None]
    gram = (weighted.T @ A).astype(np.float64)
    size = float(np.trace(gram)) / len(gram) or 1.0
    right = (weighted.T @ B).astype(np.float64)
    return np.asarray(np.linalg.solve(gram + alpha * size * np.eye(len(gram)), right), dtype=np.float64)


def class_means(X: Rows, codes: NDArray[np.intp], n_classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean row of each class (zero where it has none), and how many rows it has.

    Examples
    --------
    >>> means, counts = class_means(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1]), 2)
    >>> means.ravel().tolist(), counts.tolist()
    ([2.0, 5.0], [2.0, 1.0])
    """
    counts = np.bincount(codes, minlength=n_classes).astype(np.float64)
    sums = np.zeros((n_classes, X.shape[1]))
    np.add.at(sums, codes, X)
    return sums / np.maximum(counts, 1)[:, None], counts


def cosines(A: Rows, B: Rows) -> Rows:
    """Cosine of every row of A with every row of B, (n, C); 0 with a zero row.

    Examples
    --------
    >>> cosines(np.array([[3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.0]]
    """
    return _unit(A) @ _unit(B).T


def _unit(X: Rows) -> Rows:
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(norms == 0, 1, norms)


class SemanticRidge(ZeroShotClassifier):
    """Maps class semantics linearly into the space of the features, or back, and takes the nearest class.

    Fits in milliseconds and is hard to beat: the first thing to try when features and descriptions live in different
    spaces. Where one encoder makes both, compare with ``ClassNameCosine`` first.

    Parameters
    ----------
    direction : {"to_features", "to_semantics"}, default="to_features"
        Which is mapped: classes, or rows. Mapped classes make fewer hubs (classes that are near to everything).
    alpha : float or "auto", default="auto"
        Penalty relative to the mean eigenvalue; "auto" takes the best of seven on held-out seen classes (with fewer
        than four seen classes it is 1).
    random_state : int, RandomState or None, default=0
        Draws the held-out classes.

    Attributes
    ----------
    class_prototypes_ : ndarray of float64, shape (C, d) or (C, s)
        What a row (or its image) is compared with.
    coef_ : ndarray of float64, shape (s, d) or (d, s)
        The map.
    feature_mean_, signature_mean_ : ndarray of float64
        Subtracted before it.
    alpha_ : float
        Penalty used.

    References
    ----------
    Shigeto et al., "Ridge regression, hubness, and zero-shot learning", ECML 2015: the direction to features. The
    baseline of atlas 007, 008, 062 and 119.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> S = rng.normal(size=(6, 4)); y = np.repeat(np.arange(5), 20)
    >>> X = (S @ rng.normal(size=(4, 8)))[y] + 0.1 * rng.normal(size=(100, 8))
    >>> letters = ClassSemantics(tuple("abcdef"), vectors=S)
    >>> model = SemanticRidge().fit(X, np.array(list("abcde"))[y], letters)
    >>> str(model.predict(model.class_prototypes_[5:] + model.feature_mean_, candidates="unseen")[0])
    'f'
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "direction": [Options(("to_features", "to_semantics"))],
        "alpha": [Range(float, 0, open_low=True), Options(("auto",))],
    }

    def __init__(
        self,
        direction: Literal["to_features", "to_semantics"] = "to_features",
        *,
        alpha: float | Literal["auto"] = "auto",
        random_state: Any = 0,
    ) -> None:
        self.direction = direction
        self.alpha = alpha
        self.random_state = random_state

    def fit(self, X: Any, y: Any, semantics: ClassSemantics | None = None) -> SemanticRidge:
        """Learn the map from rows of seen classes.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,)
            Names of seen classes, or their positions in ``semantics.names``.
        semantics : ClassSemantics, optional
            Of all classes; without it, classes are described by nothing but which is which.

        Raises
        ------
        ValueError
            Labels that the semantics do not know or call unseen, seen classes without rows, one class only, NaN.
        """
        check_parameters(self, self.constraints)
        rows, codes = self._start(X, y, semantics)
        self.alpha_ = self._tuned(rows, codes) if self.alpha == "auto" else float(self.alpha)
        self._learn(rows, codes, self.alpha_)
        return self

    def _learn(self, rows: Rows, codes: NDArray[np.intp], alpha: float) -> None:
        signatures = self.semantics_.signature().astype(np.float64)
        n = len(codes)
        means, counts = class_means(rows, codes, len(signatures))
        self.feature_mean_ = counts @ means / n
        self.signature_mean_ = counts @ signatures / n
        centred = signatures - self.signature_mean_
        if self.direction == "to_features":
            # Rows of one class have one signature: the sums over rows are sums over classes, weighted by their sizes.
            self.coef_ = ridge_map(centred, means - self.feature_mean_, alpha, counts)
        else:
            self.coef_ = ridge_map(rows - self.feature_mean_, centred[codes], alpha)
        self._place()

    def _place(self) -> None:
        centred = self.semantics_.signature().astype(np.float64) - self.signature_mean_
        self.class_prototypes_ = centred @ self.coef_ if self.direction == "to_features" else centred

    def _tuned(self, rows: Rows, codes: NDArray[np.intp]) -> float:
        if seen_mask(self.semantics_).sum() < 4:
            return 1.0
        rng = check_random_state(self.random_state)
        hits = np.zeros(len(_ALPHAS))
        for _ in range(_FOLDS):
            fit_rows, held_rows, inner = pseudo_unseen(self.semantics_, codes, random_state=rng)
            place = np.cumsum(seen_mask(self.semantics_)) - 1  # codes among the seen classes alone
            truth = place[codes[held_rows]]
            trial = SemanticRidge(self.direction, alpha=1.0)
            trial.semantics_ = inner
            unseen = np.flatnonzero(~seen_mask(inner))
            for i, alpha in enumerate(_ALPHAS):
                trial._learn(rows[fit_rows], place[codes[fit_rows]], alpha)
                found = unseen[trial._scores(rows[held_rows])[:, unseen].argmax(axis=1)]
                hits[i] += np.mean([(found == truth)[truth == code].mean() for code in unseen])
        return _ALPHAS[int(hits.argmax())]

    def _scores(self, rows: Rows) -> Rows:
        centred = rows - self.feature_mean_
        return cosines(centred if self.direction == "to_features" else centred @ self.coef_, self.class_prototypes_)

    def class_scores(self, X: Any) -> Rows:
        """Cosine of each row's features (or their image) with every class, (n, C)."""
        return self._scores(self._rows(X))

    def add_classes(self, semantics: ClassSemantics) -> SemanticRidge:
        """Make unseen classes known; the map stays as it is."""
        self._add(semantics)
        self._place()
        return self
