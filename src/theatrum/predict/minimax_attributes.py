"""The zero-shot rule on class attributes whose worst case is the best possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from theatrum.checks import Constraint, Range, check_parameters
from theatrum.contracts import ClassSemantics
from theatrum.evaluate.attribute_bound import (
    AttributeBound,
    attribute_zero_shot_bound,
    minimax_probabilities,
)
from theatrum.evaluate.attribute_rates import check_rates
from theatrum.predict.zero_shot_predictor import check_labels

Rates = NDArray[np.float64]


def class_rates(present: NDArray[np.bool_], codes: NDArray[np.intp], k: int) -> Rates:
    """Share of the rows of each class that have each attribute, (k, m).

    Examples
    --------
    >>> class_rates(np.array([[True, False], [True, True], [False, True]]), np.array([0, 0, 1]), 2).tolist()
    [[1.0, 0.5], [0.0, 1.0]]
    """
    counts = np.zeros((k, present.shape[1]))
    np.add.at(counts, codes, present)
    return counts / np.bincount(codes, minlength=k)[:, None]


class MinimaxAttributeClassifier(ClassifierMixin, BaseEstimator):
    """Names the classes of items by their binary attributes, with the least worst-case error (scikit-learn).

    Pick it where the attributes of classes are known (a table, or detectors with known rates), there are no examples,
    and a promise counts: its error is at most ``error_upper_`` whatever the attributes of a class have to do with each
    other. Where they are nearly independent given the class, the product of their likelihoods is the better rule, and
    where there are examples, any classifier is. The promise is kept by `draw`, which answers at random as
    ``predict_proba`` says; ``predict`` answers with the likeliest class and has no promise.

    Parameters
    ----------
    attributes : array-like of float, shape (k, m), optional
        P(attribute | class) in [0, 1]. With them (or with semantics) ``fit`` needs no examples; without them it
        takes the shares that it finds in examples, which also is how rates of detectors are found on seen classes.
    class_names : sequence of str, optional
        Of the rows of ``attributes``; 0 to k - 1 by default.
    class_weights : array-like of float, shape (k,), optional
        How frequent each class will be, sum 1; equal by default, and not taken from examples.
    threshold : float, default=0.5
        An attribute is present where its column is above.
    time_limit : float, default=60.0
        Seconds for `attribute_zero_shot_bound`.

    Attributes
    ----------
    classes_ : ndarray, shape (k,)
        Names, or the labels of the examples.
    rates_ : ndarray of float64, shape (k, m)
        That the rule was made for.
    weights_ : ndarray of float64, shape (k, m)
        Of the rule.
    offsets_ : ndarray of float64, shape (k,)
        Of the rule.
    error_lower_, error_upper_ : float
        Bracket of the least worst-case error.

    References
    ----------
    Mazzetto, Menghini, Yuan, Upfal and Bach, "Tight Lower Bounds on Worst-Case Guarantees for Zero-Shot Learning with
    Attributes", NeurIPS 2022, arXiv 2205.13068. Atlas 072.

    Examples
    --------
    >>> rates = [[0.9, 1.0], [0.1, 1.0], [0.8, 0.1]]  # stripes, hooves
    >>> rule = MinimaxAttributeClassifier(rates, ["zebra", "horse", "tiger"]).fit()
    >>> rule.predict([[1, 1], [0, 1], [1, 0]]).tolist(), round(rule.error_upper_, 4)
    (['zebra', 'horse', 'tiger'], 0.1)
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "threshold": [Range(float)],
        "time_limit": [Range(float, 0, open_low=True)],
    }

    def __init__(
        self,
        attributes: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        *,
        class_weights: ArrayLike | None = None,
        threshold: float = 0.5,
        time_limit: float = 60.0,
    ) -> None:
        self.attributes = attributes
        self.class_names = class_names
        self.class_weights = class_weights
        self.threshold = threshold
        self.time_limit = time_limit

    @classmethod
    def from_bound(cls, bound: AttributeBound, class_names: Sequence[str] | None = None) -> MinimaxAttributeClassifier:
        """Take the rule of a bound that is there already; it reads the columns in ``bound.attributes_used``, as rows.

        Parameters
        ----------
        bound : AttributeBound
            From `attribute_zero_shot_bound`.
        class_names : sequence of str, optional
            0 to k - 1 by default.
        """
        rule = cls(bound.rates, class_names, class_weights=bound.class_weights)
        rule.classes_ = _names(class_names, len(bound.rates))
        rule._keep(bound)
        return rule

    def fit(self, X: Any = None, y: Any = None, semantics: ClassSemantics | None = None) -> MinimaxAttributeClassifier:
        """Make the rule for rates that are given, or for those of examples.

        Parameters
        ----------
        X : array-like of shape (n, m), optional
            Attributes of examples; not looked at where rates are given.
        y : array-like of shape (n,), optional
            Their classes, two at least.
        semantics : ClassSemantics, optional
            The classes to tell apart, with ``attributes``; ``semantics.subset(~seen)`` are the unseen ones alone.

        Returns
        -------
        MinimaxAttributeClassifier
            Itself.

        Raises
        ------
        ValueError
            No rates and no examples, rates twice, semantics without attributes, rates outside [0, 1], one class only,
            labels of mixed types, or NaN.
        """
        check_parameters(self, self.constraints)
        if semantics is not None or self.attributes is not None:
            rates, self.classes_ = self._given(semantics)
        else:
            rates, self.classes_ = self._observed(X, y)
        self._keep(attribute_zero_shot_bound(rates, self.class_weights, time_limit=self.time_limit))
        return self

    def predict_proba(self, X: Any) -> Rates:
        """Give the probabilities (n, k) with which the rule answers each class; they are no posterior."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=("float64", "float32"), reset=False)
        return minimax_probabilities(rows > self.threshold, self.weights_, self.offsets_)

    def class_scores(self, X: Any) -> Rates:
        """Give ``predict_proba``, under the name that zero-shot predictors have for it."""
        return self.predict_proba(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Give the likeliest answer of every row; the first of equal ones."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def draw(self, X: Any, random_state: int | np.random.Generator | None = None) -> NDArray[Any]:
        """Answer every row at random as the rule says: the answer whose expected error is promised.

        Parameters
        ----------
        X : array-like of shape (n, m)
            Attributes of items.
        random_state : int, Generator or None, default=None
            Seed.
        """
        shares = np.cumsum(self.predict_proba(X), axis=1)
        at = np.random.default_rng(random_state).random((len(shares), 1)) * shares[:, -1:]
        return self.classes_[(at >= shares).sum(axis=1)]

    def _given(self, semantics: ClassSemantics | None) -> tuple[Rates, NDArray[Any]]:
        if semantics is None:
            rates = check_rates(self.attributes)
            return rates, _names(self.class_names, len(rates))
        if self.attributes is not None:
            raise ValueError("rates are given twice, as attributes and as semantics; leave one of them out")
        if semantics.attributes is None:
            raise ValueError("these class semantics hold no attributes; build them with from_attributes")
        return check_rates(semantics.attributes), np.array(semantics.names)

    def _observed(self, X: Any, y: Any) -> tuple[Rates, NDArray[Any]]:
        if X is None:
            raise ValueError("nothing to fit: give attributes, semantics with attributes, or examples X and y")
        labels = check_labels(y) if y is not None else None
        rows, labels = validate_data(self, X, labels, dtype=("float64", "float32"))
        check_classification_targets(labels)
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y: one class only, {classes[0]!r}; examples of two classes are needed")
        return class_rates(rows > self.threshold, codes, len(classes)), classes

    def _keep(self, bound: AttributeBound) -> None:
        self.n_features_in_ = bound.rates.shape[1]
        self.rates_ = bound.rates
        self.weights_, self.offsets_ = bound.weights[:, bound.attributes_used], bound.offsets
        self.error_lower_, self.error_upper_ = bound.error_lower, bound.error_upper

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # A rule for the worst case on thresholded columns is not made to be accurate on Gaussian blobs.
        tags.classifier_tags.poor_score = True
        return tags


def _names(class_names: Sequence[str] | None, k: int) -> NDArray[Any]:
    """Class names as an array, numbers where none are given."""
    if class_names is None:
        return np.arange(k)
    names = check_labels(list(class_names))
    if names.shape != (k,):
        raise ValueError(f"class_names: {len(names)} names for {k} rows of attributes; one name a class is needed")
    if len(np.unique(names)) < k:
        raise ValueError("class_names must be unique; one of them is there more than once")
    return names
