"""What all zero-shot classifiers share: labels against semantics, candidates, scikit-learn's manners, folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from theatrum.contracts import ClassSemantics
from theatrum.persistence import read_fitted, write_fitted
from theatrum.predict.semantics import read_semantics, seen_mask, write_semantics

Candidates: TypeAlias = Literal["all", "seen", "unseen"] | Sequence[Any]
Rows: TypeAlias = NDArray[np.floating]
_FLOATS = ("float64", "float32")
_SEMANTICS = "semantics"


def class_codes(y: NDArray[Any], semantics: ClassSemantics) -> NDArray[np.intp]:
    """Positions of labels in ``semantics.names``; labels are names, or such positions already.

    Raises
    ------
    ValueError
        A label that the semantics do not know (with its row), or labels of mixed types.

    Examples
    --------
    >>> class_codes(np.array(["b", "a"]), ClassSemantics(("a", "b"))).tolist()
    [1, 0]
    """
    if np.issubdtype(y.dtype, np.integer):
        bad = np.flatnonzero((y < 0) | (y >= len(semantics.names)))
        if bad.size:
            raise ValueError(f"y: row {bad[0]} is {y[bad[0]]}; class codes are 0 to {len(semantics.names) - 1}")
        return y.astype(np.intp)
    place = {name: code for code, name in enumerate(semantics.names)}
    codes = np.array([place.get(label, -1) for label in y.tolist()], dtype=np.intp)
    bad = np.flatnonzero(codes < 0)
    if bad.size:
        raise ValueError(
            f"y: row {bad[0]} is {y.tolist()[bad[0]]!r}, a class with no semantics; add it to the semantics or drop "
            "its rows"
        )
    return codes


def one_hot_semantics(labels: NDArray[Any]) -> ClassSemantics:
    """Semantics that say nothing but which class is which: plain classification."""
    names = tuple(str(label) for label in labels)
    return ClassSemantics(names, vectors=np.eye(len(names), dtype=np.float32), seen=np.ones(len(names), dtype=bool))


def check_labels(y: Any) -> NDArray[Any]:
    """Return labels as an array of one type.

    Raises
    ------
    ValueError
        Labels of mixed types, or missing ones.

    Examples
    --------
    >>> check_labels(["a", 1])
    Traceback (most recent call last):
    ...
    ValueError: y: labels of mixed types, row 0 is str and row 1 is int; make them all texts or all whole numbers
    """
    # A list goes through as it is: NumPy would make texts of the numbers in a mixed one without a word.
    labels = y if isinstance(y, list | tuple) else np.asarray(y)
    if isinstance(labels, np.ndarray) and labels.dtype != object:
        return labels
    kinds = [type(label) for label in labels]
    for row, kind in enumerate(kinds):
        if issubclass(kind, str) != issubclass(kinds[0], str):
            raise ValueError(
                f"y: labels of mixed types, row 0 is {kinds[0].__name__} and row {row} is {kind.__name__}; make them "
                "all texts or all whole numbers"
            )
    return np.asarray(labels)


class ZeroShotClassifier(ClassifierMixin, BaseEstimator):
    """Base of the zero-shot classifiers: a subclass writes ``fit`` and ``class_scores``.

    Attributes
    ----------
    semantics_ : ClassSemantics
        Of every class, with ``seen``.
    classes_ : ndarray, shape (C,)
        Names, in the order of the semantics; the labels themselves where no semantics were given.
    """

    semantics_: ClassSemantics
    classes_: NDArray[Any]

    def class_scores(self, X: Any) -> Rows:
        """Score every class for every row, (n, C); larger is better."""
        raise NotImplementedError

    def add_classes(self, semantics: ClassSemantics) -> Any:
        """Make unseen classes known after fitting, without refitting; those already there are an error."""
        raise NotImplementedError

    def _start(self, X: Any, y: Any, semantics: ClassSemantics | None) -> tuple[Rows, NDArray[np.intp]]:
        """Check rows and labels, set ``semantics_`` and ``classes_``; returns rows and class codes."""
        labels = check_labels(y) if y is not None else None
        rows, labels = validate_data(self, X, labels, dtype=_FLOATS)
        check_classification_targets(labels)
        if semantics is None:
            self.classes_, codes = np.unique(labels, return_inverse=True)
            self.semantics_ = one_hot_semantics(self.classes_)
        else:
            codes = class_codes(labels, semantics)
            self.semantics_ = told = semantics if semantics.seen is not None else _seen_in(codes, semantics)
            _check_seen(codes, told)
            self.classes_ = np.array(told.names)
        if len(np.unique(codes)) < 2:
            only = self.classes_.tolist()[codes[0]]
            raise ValueError(f"y: one class only, {only!r}; examples of two classes are needed")
        return rows, codes

    def _rows(self, X: Any) -> Rows:
        """Check rows to predict for."""
        check_is_fitted(self)
        checked: Rows = validate_data(self, X, dtype=_FLOATS, reset=False)
        return checked

    def _add(self, more: ClassSemantics) -> None:
        """Join the semantics of further, unseen classes to those that are there."""
        self.semantics_ = joined(self.semantics_, more)
        self.classes_ = np.array(self.semantics_.names)

    def decision_function(self, X: Any) -> Rows:
        """Give `class_scores`; where there are two classes, scikit-learn's single column (second minus first)."""
        scores = self.class_scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: Any, candidates: Candidates = "all") -> NDArray[Any]:
        """Give the best candidate class of every row.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.
        candidates : {"all", "seen", "unseen"} or sequence of names, default="all"
            Classes to choose from: all (generalised zero-shot), those without examples (classical), or a list.

        Returns
        -------
        ndarray, shape (n,)
            Of ``classes_``; the first of equal ones.
        """
        scores = self.class_scores(X)
        allowed = candidate_codes(candidates, self.semantics_, self.classes_)
        return self.classes_[allowed[scores[:, allowed].argmax(axis=1)]]

    def save_state(self, folder: Path) -> None:
        """Write semantics and fitted attributes; nothing where nothing was fitted (a base that others clone)."""
        if not hasattr(self, "semantics_"):
            return
        (folder / _SEMANTICS).mkdir()
        write_semantics(self.semantics_, folder / _SEMANTICS)
        write_fitted(self, folder, leave=("semantics_", *self._saved_apart()))

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote."""
        if not (folder / _SEMANTICS).is_dir():
            return
        self.semantics_ = read_semantics(folder / _SEMANTICS)
        read_fitted(self, folder)

    def _saved_apart(self) -> Sequence[str]:
        """Fitted attributes that a subclass writes by itself."""
        return ()


def candidate_codes(candidates: Candidates, semantics: ClassSemantics, classes: NDArray[Any]) -> NDArray[np.intp]:
    """Positions of the classes to choose from.

    Raises
    ------
    ValueError
        No class is left, or a name that is no class.

    Examples
    --------
    >>> animals = ClassSemantics(("horse", "zebra"), seen=np.array([True, False]))
    >>> candidate_codes("unseen", animals, np.array(animals.names)).tolist()
    [1]
    """
    if isinstance(candidates, str):
        if candidates not in ("all", "seen", "unseen"):
            raise ValueError(f"candidates must be 'all', 'seen', 'unseen' or a list of names, got {candidates!r}")
        seen = seen_mask(semantics)
        chosen = np.flatnonzero({"all": np.ones_like(seen), "seen": seen, "unseen": ~seen}[candidates])
        if not chosen.size:
            raise ValueError(f"candidates: there is no {candidates} class")
        return chosen
    place = {label: code for code, label in enumerate(classes.tolist())}
    unknown = [label for label in candidates if label not in place]
    if unknown or not len(candidates):
        raise ValueError(f"candidates: {unknown[0]!r} is no class" if unknown else "candidates: the list is empty")
    return np.array([place[label] for label in candidates], dtype=np.intp)


def joined(known: ClassSemantics, more: ClassSemantics) -> ClassSemantics:
    """Semantics of known classes and of further ones, which are unseen.

    Raises
    ------
    ValueError
        A class that is known already, or rows of another width.

    Examples
    --------
    >>> one = ClassSemantics(("a",), vectors=[[1.0, 0.0]], seen=np.array([True]))
    >>> joined(one, ClassSemantics(("b",), vectors=[[0.0, 1.0]])).seen.tolist()
    [True, False]
    """
    again = set(known.names) & set(more.names)
    if again:
        raise ValueError(f"class {sorted(again)[0]!r} is known already; add only new classes")
    stacked: dict[str, Any] = {}
    for field in ("vectors", "attributes"):
        first, second = getattr(known, field), getattr(more, field)
        if (first is None) != (second is None):
            raise ValueError(f"{field}: the known classes and the new ones must both have them, or neither")
        if first is not None:
            if first.shape[1] != second.shape[1]:
                raise ValueError(f"{field}: {second.shape[1]} columns for new classes, {first.shape[1]} for known ones")
            stacked[field] = np.vstack([first, second])
    if known.distances is not None:
        raise ValueError("distances between new and known classes are not known; fit again with all of them")
    seen = np.concatenate([seen_mask(known), np.zeros(len(more.names), dtype=bool)])
    return ClassSemantics(known.names + more.names, attribute_names=known.attribute_names, seen=seen, **stacked)


def _seen_in(codes: NDArray[np.intp], semantics: ClassSemantics) -> ClassSemantics:
    seen = np.zeros(len(semantics.names), dtype=bool)
    seen[codes] = True
    return semantics.with_seen(seen)


def _check_seen(codes: NDArray[np.intp], semantics: ClassSemantics) -> None:
    seen = seen_mask(semantics)
    wrong = np.flatnonzero(~seen[codes])
    if wrong.size:
        raise ValueError(
            f"y: row {wrong[0]} is {semantics.names[codes[wrong[0]]]!r}, which the semantics call unseen; drop the "
            "rows of unseen classes, or call the class seen"
        )
    absent = np.setdiff1d(np.flatnonzero(seen), codes)
    if absent.size:
        raise ValueError(
            f"the semantics call {semantics.names[absent[0]]!r} seen, but y has no row of it; call it unseen, or leave "
            "`seen` out and it is told from y"
        )
