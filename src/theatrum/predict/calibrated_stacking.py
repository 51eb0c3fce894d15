"""Calibrated stacking: one number between seen and unseen classes, found without an unseen example."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import check_random_state

from theatrum.checks import Constraint, Options, Range, check_parameters
from theatrum.contracts import ClassSemantics
from theatrum.evaluate.generalized_zero_shot import SeenUnseenCurve, harmonic_mean, seen_unseen_curve
from theatrum.persistence import open_part, save_part
from theatrum.predict.novelty_gates import Gate, gaussian_novelty, loop_novelty
from theatrum.predict.semantic_ridge import SemanticRidge, class_means
from theatrum.predict.semantics import seen_mask
from theatrum.predict.zero_shot_predictor import Rows, ZeroShotClassifier, check_labels, class_codes

_HELD_OUT = 0.2  # share of the rows of each pseudo-seen class that is kept for validation
_FEWEST = 4  # seen classes below which nothing can be held out


def margins(scores: Rows, seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Best seen score minus best unseen score of each row: the gamma at which its answer changes sides.

    Examples
    --------
    >>> margins(np.array([[0.9, 0.5, 0.25]]), np.array([True, False, False])).tolist()
    [0.4]
    """
    return np.asarray(scores[:, seen].max(axis=1) - scores[:, ~seen].max(axis=1), dtype=np.float64)


def pooled_curve(curves: Sequence[SeenUnseenCurve]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Harmonic mean of the curves' mean accuracies at every gamma where any of them changes.

    Returns
    -------
    gammas, harmonic : ndarray of float64, shape (g,)
        Ascending.
    """
    gammas = np.unique(np.concatenate([curve.gamma[1:] for curve in curves]))
    points = np.array([[curve.at(gamma) for gamma in gammas] for curve in curves]).mean(axis=0)
    return gammas, np.array([harmonic_mean(u, s) for u, s in points])


class CalibratedStacking(ZeroShotClassifier):
    """Wraps any zero-shot classifier so that classes without examples get their share of the answers.

    Old and new classes come mixed, and a zero-shot classifier then almost never answers with a new one. Here an amount
    is subtracted from the scores of seen classes. It is found on seen classes that play unseen ones, so no unseen
    example is touched. Needs at least four seen classes; not for answers among unseen classes only, where it changes
    nothing.

    Parameters
    ----------
    base : zero-shot classifier, default=None
        What is wrapped; ``SemanticRidge`` by default. Calibrate logits or cosines rather than probabilities, whose
        differences are squashed.
    gamma : float or "auto", default="auto"
        The amount, on the scale of the base's scores.
    grid : mapping of str to sequence, optional
        Parameters of the base to choose from by the area under the seen-unseen curve, on the same folds.
    class_folds : int, default=5
        Parts into which the seen classes are cut; each plays the unseen ones once.
    gamma_transfer : {"absolute", "quantile"}, default="absolute"
        How the amount found in validation is carried over: as it is, or as a quantile of the margins of held-out rows,
        which allows for another number of classes.
    random_state : int, RandomState or None, default=0
        Draws folds and held-out rows.

    Attributes
    ----------
    base_ : object
        Fitted on all rows.
    gamma_ : float
        Amount taken off.
    best_parameters_ : dict
        Chosen from ``grid``.
    validation_gammas_, validation_harmonic_ : ndarray of float64
        The pooled validation curve that gamma was read from; empty where it was given.

    References
    ----------
    Chao et al., "An empirical study and analysis of generalized zero-shot learning for object recognition in the wild",
    ECCV 2016. Atlas 119.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> S = rng.normal(size=(12, 4)); y = np.repeat(np.arange(9), 20)
    >>> X = (S @ rng.normal(size=(4, 8)))[y] + rng.normal(size=(180, 8))
    >>> letters = ClassSemantics(tuple("abcdefghijkl"), vectors=S)
    >>> model = CalibratedStacking().fit(X, y, letters)
    >>> model.gamma_ > 0
    True
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "gamma": [Range(float), Options(("auto",))],
        "grid": [Mapping, None],
        "class_folds": [Range(int, 2)],
        "gamma_transfer": [Options(("absolute", "quantile"))],
    }

    def __init__(
        self,
        base: Any = None,
        *,
        gamma: float | Literal["auto"] = "auto",
        grid: Mapping[str, Sequence[Any]] | None = None,
        class_folds: int = 5,
        gamma_transfer: Literal["absolute", "quantile"] = "absolute",
        random_state: Any = 0,
    ) -> None:
        self.base = base
        self.gamma = gamma
        self.grid = grid
        self.class_folds = class_folds
        self.gamma_transfer = gamma_transfer
        self.random_state = random_state

    def fit(self, X: Any, y: Any, semantics: ClassSemantics | None = None) -> CalibratedStacking:
        """Find gamma on held-out seen classes, then fit the base on all rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows of seen classes.
        y : array-like of shape (n,)
            Their names.
        semantics : ClassSemantics, optional
            Of all classes; without unseen ones gamma is 0.

        Raises
        ------
        ValueError
            Fewer than four seen classes with ``gamma="auto"``, and whatever the base finds wrong.
        """
        check_parameters(self, self.constraints)
        rows, codes = self._start(X, y, semantics)
        base = SemanticRidge() if self.base is None else self.base
        self.best_parameters_: dict[str, Any] = {}
        self.validation_gammas_ = self.validation_harmonic_ = np.empty(0)
        if self.gamma != "auto":
            self.gamma_ = float(self.gamma)
        elif seen_mask(self.semantics_).all():
            self.gamma_ = 0.0
        else:
            base = self._calibrate(base, rows, codes)
        given = None if semantics is None else self.semantics_
        labels = self.classes_[codes] if semantics is None else np.asarray(self.semantics_.names)[codes]
        self.base_ = clone(base).fit(rows, labels, given)
        return self

    def _calibrate(self, base: Any, rows: Rows, codes: NDArray[np.intp]) -> Any:
        """Set gamma (and choose the base's parameters) by class-wise cross-validation."""
        rng = check_random_state(self.random_state)
        folds = self._folds(codes, rng)
        best: tuple[float, Any, list[SeenUnseenCurve], list[NDArray[np.float64]]] | None = None
        for settings in ParameterGrid(dict(self.grid)) if self.grid else [{}]:
            trial = clone(base).set_params(**settings)
            judged = [self._judged(trial, rows, codes, *fold) for fold in folds]
            area = float(np.mean([curve.ausuc for curve, _ in judged]))
            if best is None or area > best[0]:
                self.best_parameters_ = dict(settings)
                best = area, trial, [curve for curve, _ in judged], [margin for _, margin in judged]
        assert best is not None
        _, chosen, curves, seen_margins = best
        self.validation_gammas_, self.validation_harmonic_ = pooled_curve(curves)
        self.gamma_ = float(self.validation_gammas_[self.validation_harmonic_.argmax()])
        if self.gamma_transfer == "quantile":
            share = float((np.concatenate(seen_margins) <= self.gamma_).mean())
            held = _held_rows(codes, rng)
            names = np.asarray(self.semantics_.names)
            model = clone(chosen).fit(rows[~held], names[codes[~held]], self.semantics_)
            own = margins(model.class_scores(rows[held]), seen_mask(self.semantics_))
            self.gamma_ = float(np.quantile(own, share))
        return chosen

    def _folds(
        self, codes: NDArray[np.intp], rng: np.random.RandomState
    ) -> list[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
        """Pairs: classes that play the unseen ones, and rows of the others that are held out."""
        seen = np.flatnonzero(seen_mask(self.semantics_))
        if len(seen) < _FEWEST:
            raise ValueError(
                f"gamma='auto' holds out seen classes and needs at least {_FEWEST} of them, got {len(seen)}; give gamma"
            )
        parts = np.array_split(rng.permutation(seen), min(self.class_folds, len(seen) // 2))
        return [(part, _held_rows(codes, rng)) for part in parts]

    def _judged(
        self, base: Any, rows: Rows, codes: NDArray[np.intp], away: NDArray[np.intp], held: NDArray[np.bool_]
    ) -> tuple[SeenUnseenCurve, NDArray[np.float64]]:
        """Fit without a fold's classes; its curve, and the margins of held-out rows of classes that stayed."""
        names = np.asarray(self.semantics_.names)
        inner = self.semantics_.with_seen(seen_mask(self.semantics_) & ~np.isin(np.arange(len(names)), away))
        inner = inner.subset(seen_mask(self.semantics_))
        gone = np.isin(codes, away)
        model = clone(base).fit(rows[~gone & ~held], names[codes[~gone & ~held]], inner)
        tested = gone | held
        scores = model.class_scores(rows[tested])
        _warn_of_scales(scores, seen_mask(inner), type(base).__name__)
        truth = class_codes(names[codes[tested]], inner)
        curve = seen_unseen_curve(scores, truth, seen_mask(inner), missing="ignore")
        return curve, margins(scores[~gone[tested]], seen_mask(inner))

    def class_scores(self, X: Any) -> Rows:
        """Scores of the base, those of seen classes less gamma, (n, C)."""
        self._rows(X)
        return self.base_.class_scores(X) - self.gamma_ * seen_mask(self.semantics_)

    def add_classes(self, semantics: ClassSemantics) -> CalibratedStacking:
        """Make unseen classes known to the base; gamma stays."""
        self.base_.add_classes(semantics)
        self._add(semantics)
        return self

    def save_state(self, folder: Any) -> None:
        """Write the fitted base beside the rest."""
        super().save_state(folder)
        if hasattr(self, "base_"):
            (folder / "base").mkdir()
            save_part(self.base_, folder / "base")

    def open_state(self, folder: Any) -> None:
        """Read back what `save_state` wrote."""
        super().open_state(folder)
        if (folder / "base").is_dir():
            self.base_ = open_part(folder / "base")

    def _saved_apart(self) -> Sequence[str]:
        return ("base_",)


def _held_rows(codes: NDArray[np.intp], rng: np.random.RandomState) -> NDArray[np.bool_]:
    """A share of the rows of each class; classes of one row keep it."""
    held = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        rows = rng.permutation(np.flatnonzero(codes == code))
        held[rows[: min(max(round(_HELD_OUT * len(rows)), 1), len(rows) - 1)]] = True
    return held


def _warn_of_scales(scores: Rows, seen: NDArray[np.bool_], name: str) -> None:
    low, high = scores[:, seen], scores[:, ~seen]
    if low.min() > high.max() or high.min() > low.max():
        warnings.warn(
            f"{name}: the scores of seen and of unseen classes do not overlap; they seem to be on different scales",
            stacklevel=4,
        )


@dataclass(frozen=True)
class GeneralizedReport:
    """A model on mixed test rows: the curve of stacking, and of novelty gates in its place.

    Parameters
    ----------
    stacking : SeenUnseenCurve
        Of the model's scores.
    gates : dict of str to SeenUnseenCurve
        Name of a gate -> its curve with the same class scores.
    """

    stacking: SeenUnseenCurve
    gates: dict[str, SeenUnseenCurve]

    def plot(self) -> Any:
        """Draw all curves; a matplotlib Figure."""
        figure = self.stacking.plot("calibrated stacking")
        axes = figure.axes[0]
        for (name, curve), colour in zip(self.gates.items(), ("#2a9d8f", "#bf1a2f", "#f4a261"), strict=False):
            axes.plot(
                curve.unseen_accuracy, curve.seen_accuracy, "--", color=colour, label=f"{name} ({curve.ausuc:.3f})"
            )
        axes.legend(frameon=False)
        return figure


def generalized_report(
    model: Any,
    X_test: ArrayLike,
    y_test: ArrayLike,
    *,
    X_train: ArrayLike | None = None,
    y_train: ArrayLike | None = None,
    gates: Sequence[Gate | Callable[[Rows], ArrayLike]] = (),
) -> GeneralizedReport:
    """Follow a fitted zero-shot classifier over the whole trade-off between seen and unseen classes.

    Parameters
    ----------
    model : zero-shot classifier
        Fitted; its test rows must not have been trained on.
    X_test, y_test : array-like, shape (m, d), (m,)
        Rows of seen and unseen classes, and their names.
    X_train, y_train : array-like, optional
        What the gates learn from.
    gates : sequence of {"gaussian", "loop"} or callable, default=()
        Novelty detectors to compare with; a callable gives one novelty a row of X_test.

    Raises
    ------
    ValueError
        A class without a test row, labels outside the semantics, or a gate without training rows.
    """
    semantics = model.semantics_
    codes = class_codes(check_labels(y_test), semantics)
    rows = np.asarray(X_test, dtype=np.float64)
    scores, seen = model.class_scores(X_test), seen_mask(semantics)
    curves = {}
    for gate in gates:
        if callable(gate):
            name, novelty = getattr(gate, "__name__", "gate"), np.asarray(gate(rows))
        else:
            if X_train is None or y_train is None:
                raise ValueError(f"the gate {gate!r} learns from training rows: give X_train and y_train")
            known, train = np.asarray(X_train, dtype=np.float64), class_codes(check_labels(y_train), semantics)
            name = gate
            novelty = gaussian_novelty(known, train, rows) if gate == "gaussian" else loop_novelty(known, rows)
        curves[name] = seen_unseen_curve(scores, codes, seen, novelty=novelty, names=semantics.names)
    return GeneralizedReport(seen_unseen_curve(scores, codes, seen, names=semantics.names), curves)


def ideal_semantics(semantics: ClassSemantics, X: ArrayLike, y: ArrayLike) -> ClassSemantics:
    """Describe classes by the mean of their own features: how good descriptions could get at best.

    Uses rows of unseen classes, so it is an analysis and no method.

    Parameters
    ----------
    semantics : ClassSemantics
        Names, and which are seen.
    X, y : array-like, shape (n, d), (n,)
        Rows of every class, and their names.

    Raises
    ------
    ValueError
        A class without a row.

    Examples
    --------
    >>> two = ClassSemantics(("a", "b"), seen=np.array([True, False]))
    >>> ideal_semantics(two, [[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]], ["a", "a", "b"]).vectors.tolist()
    [[2.0, 0.0], [0.0, 1.0]]
    """
    rows = np.asarray(X, dtype=np.float64)
    means, counts = class_means(rows, class_codes(check_labels(y), semantics), len(semantics.names))
    if not counts.all():
        raise ValueError(f"class {semantics.names[int(np.flatnonzero(counts == 0)[0])]!r} has no row")
    return replace(semantics, vectors=means.astype(np.float32), attributes=None, attribute_names=())
