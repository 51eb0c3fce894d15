"""What predictors share that answer from the probabilities which another classifier gives to seen classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from theatrum import registry
from theatrum.contracts import ClassSemantics
from theatrum.persistence import (
    open_part,
    parameters,
    read_config,
    read_fitted,
    save_part,
    write_config,
    write_fitted,
)
from theatrum.predict.semantics import seen_mask
from theatrum.predict.zero_shot_predictor import Rows, ZeroShotClassifier, one_hot_semantics

Probabilities = NDArray[np.float64]
_ESTIMATOR, _PART = "estimator", "part"


def check_probabilities(P: ArrayLike, n_classes: int) -> Probabilities:
    """Return probabilities as float64 rows that sum to 1; those of one-vs-rest classifiers are normalised.

    Parameters
    ----------
    P : array-like of shape (n, K)
        At least 0.
    n_classes : int
        What K must be.

    Raises
    ------
    ValueError
        Another shape, negative numbers, NaN, or a row of zeros (with the row).

    Examples
    --------
    >>> check_probabilities([[0.3, 0.3]], 2).tolist()
    [[0.5, 0.5]]
    """
    rows = np.asarray(P, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != n_classes:
        raise ValueError(
            f"probabilities: one column for each of the {n_classes} seen classes is needed, got shape {rows.shape}"
        )
    bad = np.flatnonzero(~(np.isfinite(rows) & (rows >= 0)).all(axis=1))
    if bad.size:
        raise ValueError(
            f"probabilities: row {bad[0]} holds NaN, infinity or a negative number; give probabilities, not scores"
        )
    total = rows.sum(axis=1, keepdims=True)
    empty = np.flatnonzero(total == 0)
    if empty.size:
        raise ValueError(f"probabilities: row {empty[0]} is all zeros; every row needs a class with some probability")
    return rows / total


def tempered(P: Probabilities, temperature: float) -> Probabilities:
    """Probabilities after their logits are divided by a temperature: ``P ** (1 / t)``, normalised.

    Parameters
    ----------
    P : ndarray of float64, shape (n, K)
        Rows that sum to 1.
    temperature : float
        Above 0; larger spreads the probabilities, smaller sharpens them.

    Examples
    --------
    >>> tempered(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    if temperature == 1:
        return P
    # Divided by the row's largest first: a small temperature cannot take a whole row to zero.
    powers = (P / P.max(axis=1, keepdims=True)) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


class SeenProbabilityClassifier(ZeroShotClassifier):
    """Base of predictors around a probabilistic classifier of the seen classes.

    A subclass has the parameters ``estimator`` and ``prefit``, calls `_take_estimator` in ``fit``, and turns
    `_probabilities` into ``class_scores``.

    Attributes
    ----------
    estimator_ : classifier
        Gives the probabilities.
    column_order_ : ndarray of int, shape (K,)
        Its columns in the order of the semantics.
    """

    self_saved_parameters: ClassVar[tuple[str, ...]] = (_ESTIMATOR,)
    estimator: Any
    prefit: bool
    estimator_: Any
    column_order_: NDArray[np.intp]

    def _unfitted(self) -> Any:
        """Give the estimator to fit: a copy of the given one, or logistic regression."""
        return clone(self._probabilistic())

    def _probabilistic(self) -> Any:
        given = LogisticRegression(max_iter=1000) if self.estimator is None else self.estimator
        if not hasattr(given, "predict_proba"):
            raise ValueError(
                f"{type(self).__name__}: {type(given).__name__} has no predict_proba; wrap it in "
                "sklearn.calibration.CalibratedClassifierCV"
            )
        return given

    def _take_estimator(self, X: Any, y: Any, semantics: ClassSemantics | None) -> tuple[Rows, NDArray[np.intp]] | None:
        """Fit the estimator, or take the fitted one as it is; returns rows and codes where the estimator was fitted."""
        if self.prefit:
            self._take_fitted(semantics)
            return None
        self._probabilistic()
        if X is None:
            raise ValueError(f"{type(self).__name__}: X and y are needed; only prefit=True does without")
        rows, codes = self._start(X, y, semantics)
        self.estimator_ = self._unfitted().fit(rows, self.classes_[codes])
        self._order_columns()
        return rows, codes

    def _take_fitted(self, semantics: ClassSemantics | None) -> None:
        if self.estimator is None:
            raise ValueError(f"{type(self).__name__}: prefit=True needs the fitted estimator")
        self.estimator_ = self._probabilistic()
        if not hasattr(self.estimator_, "classes_"):
            check_is_fitted(self.estimator_)
            raise ValueError(f"{type(self.estimator_).__name__} has no classes_; set it to the classes of its columns")
        labels = np.asarray(self.estimator_.classes_)
        if len(labels) < 2:
            raise ValueError(f"the estimator knows one class only, {labels.tolist()[0]!r}; two are needed")
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        if semantics is None:
            self.classes_, self.semantics_ = labels, one_hot_semantics(labels)
        else:
            codes = codes_among(labels, np.array(semantics.names))
            if (codes < 0).any():
                raise ValueError(
                    f"the estimator knows the class {labels.tolist()[codes.argmin()]!r}, which has no semantics; add "
                    "it to the semantics"
                )
            known = np.isin(np.arange(len(semantics.names)), codes)
            if semantics.seen is not None and (semantics.seen != known).any():
                name = semantics.names[np.flatnonzero(semantics.seen != known)[0]]
                raise ValueError(
                    f"the semantics and the fitted estimator disagree whether class {name!r} is seen; leave `seen` "
                    "out and it is told from the estimator"
                )
            self.semantics_ = semantics.with_seen(known)
            self.classes_ = np.array(semantics.names)
        self._order_columns()

    def _order_columns(self) -> None:
        self.column_order_ = np.argsort(codes_among(np.asarray(self.estimator_.classes_), self.classes_))

    def _held_probabilities(
        self, rows: Rows, codes: NDArray[np.intp], fit_rows: NDArray[np.intp], held_rows: NDArray[np.intp]
    ) -> Probabilities:
        """Probabilities of held rows by a copy fitted on other rows: one column a class of these, in their order."""
        fitted = self._unfitted().fit(rows[fit_rows], self.classes_[codes[fit_rows]])
        order = np.argsort(codes_among(np.asarray(fitted.classes_), self.classes_))
        return check_probabilities(fitted.predict_proba(rows[held_rows]), len(order))[:, order]

    def _probabilities(self, X: Any) -> Probabilities:
        """Probability of every seen class, (n, K) in the order of the semantics."""
        return self._probabilities_of(self._rows(X))

    def _probabilities_of(self, rows: Rows) -> Probabilities:
        n_seen = int(seen_mask(self.semantics_).sum())
        return check_probabilities(self.estimator_.predict_proba(rows), n_seen)[:, self.column_order_]

    def save_state(self, folder: Path) -> None:
        """Write semantics, fitted attributes and the estimator.

        Raises
        ------
        ValueError
            The estimator is neither scikit-learn's ``LogisticRegression`` nor a registered part.
        """
        super().save_state(folder)
        if not hasattr(self, "estimator_"):
            return
        (folder / _ESTIMATOR).mkdir()
        _write_estimator(self.estimator_, folder / _ESTIMATOR, given=self.estimator is not None)

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote."""
        super().open_state(folder)
        if not (folder / _ESTIMATOR).is_dir():
            return
        self.estimator_, given = _read_estimator(folder / _ESTIMATOR)
        if given:
            self.estimator = self.estimator_ if self.prefit else clone(self.estimator_)

    def _saved_apart(self) -> Sequence[str]:
        return ("estimator_",)


def codes_among(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp]:
    """Positions of labels in ``classes``, -1 for unknown ones; whole numbers among names are positions already.

    Examples
    --------
    >>> codes_among(np.array(["b", "c"]), np.array(["a", "b"])).tolist()
    [1, -1]
    """
    if labels.dtype.kind in "iu" and classes.dtype.kind in "OU":
        return np.where((labels >= 0) & (labels < len(classes)), labels, -1).astype(np.intp)
    place = {label: code for code, label in enumerate(classes.tolist())}
    return np.array([place.get(label, -1) for label in labels.tolist()], dtype=np.intp)


def _write_estimator(estimator: Any, folder: Path, *, given: bool) -> None:
    """Write a fitted estimator into an existing, empty folder."""
    if type(estimator) is LogisticRegression:
        told = parameters(estimator)
        try:
            same = json.loads(json.dumps(told)) == told
        except TypeError:
            same = False
        if not same:
            raise ValueError(
                f"LogisticRegression: its parameters {told} cannot be kept as JSON; use plain numbers and texts"
            )
        write_config(folder, {"kind": "LogisticRegression", "given": given, "parameters": told})
        write_fitted(estimator, folder)
        return
    try:
        registry.name_of(estimator)
    except ValueError:
        raise ValueError(
            f"a {type(estimator).__name__} cannot be saved without pickle; fit with scikit-learn's LogisticRegression "
            "or a registered part, or save the estimator by its own means and fit again with prefit=True"
        ) from None
    (folder / _PART).mkdir()
    save_part(estimator, folder / _PART)
    write_config(folder, {"kind": _PART, "given": given})


def _read_estimator(folder: Path) -> tuple[Any, bool]:
    """Read what `_write_estimator` wrote: the estimator, and whether it was given or the default."""
    config = read_config(folder)
    given = config.get("given") is True
    if config.get("kind") == _PART:
        return open_part(folder / _PART), given
    if config.get("kind") != "LogisticRegression":
        raise ValueError(f"{folder} holds an estimator of kind {config.get('kind')!r}, which this theatrum cannot open")
    try:
        estimator = LogisticRegression(**config["parameters"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder}: the estimator cannot be made again: {error}") from None
    read_fitted(estimator, folder)
    return estimator, given
