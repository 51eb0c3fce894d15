"""Ideal words: vectors of combined concepts, split into one vector for every value of every factor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from string import Formatter
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from theatrum.checks import Constraint, Range, check_parameters
from theatrum.contracts import Encoder
from theatrum.evaluate.compositionality import (
    additive_model,
    average_cells,
    factorize,
    label_table,
    listed,
    plain_value,
    says_confounded,
)

Matrix: TypeAlias = NDArray[np.float64]
Value: TypeAlias = str | int
_FLOATS = ("float64", "float32")
_NOTHING = 1e-9  # share of the largest length below which one is rounding


def unit(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scale rows to length 1 in their own precision; zero rows stay zero."""
    norms = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64))[:, None]  # a small float32 squared would be 0
    norms[norms == 0] = 1
    return (X / norms).astype(X.dtype, copy=False)


class IdealWords(TransformerMixin, BaseEstimator):
    """Splits vectors of combined concepts into one vector per factor value; a scikit-learn transformer.

    Learns from vectors labelled by attribute and object, topic and style, or any other factors. Then it composes
    combinations that nobody wrote, takes a factor out of vectors, and moves them along it ("the same, but blue"). It
    works as far as the encoder adds its factors up: look at `compositionality_score` first. Not for factors that
    change each other's meaning, and not where one factor's values occur with one value of another only.

    Parameters
    ----------
    factors : list of lists or None, default=None
        The values of each factor, in the order of the rows of `factor_vectors_`; those of the labels, sorted, by
        default.
    weights : list of lists of float or None, default=None
        How much each value counts, above 0, any scale; in the order of the values. Equal by default.
    normalize : bool, default=True
        Whether vectors are scaled to length 1 before the fit, and composed or changed ones after. Say False for an
        encoder whose lengths mean something.
    ridge : float, default=0.0
        Shrinks the vectors of values towards 0, by ``1 / (1 + ridge)`` for a whole grid. Above 0, values that the
        labels cannot tell apart are accepted.

    Attributes
    ----------
    origin_ : ndarray of float64, shape (d,)
        What all combinations share.
    ideal_words_ : ndarray of float64, shape (sum of n_i, d)
        Vectors of all values, factor after factor; their weighted mean is 0 for each factor.
    factor_vectors_ : list of ndarray of float64, (n_i, d) each
        The same, a factor each.
    values_ : list of lists
        The values of each factor.

    References
    ----------
    Trager, Perera, Zancato, Achille, Bhatia and Soatto, "Linear spaces of meanings: Compositional structures in
    vision-language models", ICCV 2023. Atlas 086.

    Examples
    --------
    >>> colour, shape = {"red": [1.0, 0, 0], "blue": [-1, 0, 0]}, {"cube": [0, 2.0, 1], "ball": [0, -2, 1]}
    >>> seen = [("red", "cube"), ("red", "ball"), ("blue", "cube")]
    >>> words = IdealWords(normalize=False).fit([np.add(colour[c], shape[s]) for c, s in seen], seen)
    >>> words.compose([("blue", "ball")]).round(6).tolist()
    [[-1.0, -2.0, 1.0]]
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "factors": [Sequence, None],
        "weights": [Sequence, None],
        "normalize": [bool],
        "ridge": [Range(float, 0)],
    }

    def __init__(
        self,
        factors: Sequence[Sequence[Value]] | None = None,
        *,
        weights: Sequence[ArrayLike] | None = None,
        normalize: bool = True,
        ridge: float = 0.0,
    ) -> None:
        self.factors = factors
        self.weights = weights
        self.normalize = normalize
        self.ridge = ridge

    def fit(self, X: Any, y: Any = None) -> IdealWords:
        """Learn the vectors of all values.

        Parameters
        ----------
        X : array-like of float, shape (n, d)
            Vectors; those with the same labels are averaged.
        y : array-like of str or int, shape (n, k) or (n,)
            The value of each factor. Not every combination must occur.

        Returns
        -------
        IdealWords
            Itself.

        Raises
        ------
        ValueError
            No labels, bad labels, factors or weights, values that cannot be told apart, zero rows, or NaN.
        """
        check_parameters(self, self.constraints)
        rows = validate_data(self, X, dtype=_FLOATS, ensure_min_samples=2)
        if y is None:
            raise ValueError("IdealWords requires y to be passed, but the target y is None; give the factors' labels")
        codes, values = factorize(y, len(rows), None if self.factors is None else _checked_factors(self.factors))
        if self.normalize:
            zero = np.flatnonzero(~rows.any(axis=1))
            if zero.size:
                raise ValueError(f"X: row {zero[0]} is zero and has no direction; leave it out or say normalize=False")
            rows = unit(rows)
        cells, means = average_cells(rows, codes)
        model = additive_model(cells, _checked_weights(self.weights, values), self.ridge)
        if model.confounded.any() and self.ridge == 0:
            raise ValueError(f"labels: {says_confounded(model.confounded, values)}, or say ridge > 0")
        solution = model.solve(means)
        self.values_ = values
        self.origin_: Matrix = solution[0]
        self.ideal_words_: Matrix = solution[1:]
        return self

    def fit_text(
        self, encoder: Encoder, factors: Sequence[Sequence[Value]], template: str | Sequence[str] = "a {0} {1}"
    ) -> IdealWords:
        """Learn from phrases of all combinations; templates have the places {0}, {1}, ..., several are averaged.

        Raises
        ------
        ValueError
            A template that leaves a factor out.
        """
        cells = list(product(*_checked_factors(factors)))
        templates = [template] if isinstance(template, str) else list(template)
        for one in templates:
            found = {place for _, place, _, _ in Formatter().parse(one) if place is not None}
            if found != {str(factor) for factor in range(len(factors))}:
                raise ValueError(
                    f"template: {one!r} must have the places {{0}} to {{{len(factors) - 1}}}, and no other"
                )
        phrases = [one.format(*cell) for one in templates for cell in cells]
        return self.fit(encoder.encode(phrases), cells * len(templates))

    @property
    def factor_vectors_(self) -> list[Matrix]:
        """Vectors of the values, (n_i, d) a factor."""
        check_is_fitted(self, "ideal_words_")
        return np.split(self.ideal_words_, np.cumsum([len(values) for values in self.values_])[:-1])

    def transform(self, X: Any) -> Any:
        """Cosines of X (n, d) with ``u_0 + u_{z_i}`` of every value: (n, sum of n_i), factor after factor."""
        check_is_fitted(self, "ideal_words_")
        rows = validate_data(self, X, dtype=_FLOATS, reset=False)
        return unit(rows) @ unit(self.origin_ + self.ideal_words_).T.astype(rows.dtype)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns of ``transform``, such as "factor0_red"."""
        check_is_fitted(self, "ideal_words_")
        _check_feature_names_in(self, input_features, generate_names=False)
        names = [f"factor{i}_{value}" for i, values in enumerate(self.values_) for value in values]
        return np.array(names, dtype=object)

    def compose(self, values: Any) -> NDArray[np.float32]:
        """Make vectors of combinations; None leaves a factor at its mean.

        Parameters
        ----------
        values : sequence of tuples, (m, k)
            Combinations, such as ``[("red", "cube"), ("red", None)]``.

        Returns
        -------
        ndarray of float32, shape (m, d)
            ``u_0 + sum_i u_{z_i}``; unit rows if ``normalize``.
        """
        vectors = self.factor_vectors_
        table = label_table(values, len(values), name="values")
        if table.shape[1] != len(vectors):
            raise ValueError(f"values: combinations have {table.shape[1]} value(s), the factors are {len(vectors)}")
        composed = np.tile(self.origin_, (len(table), 1))
        for factor, column in enumerate(table.T):
            rows = [row for row, value in enumerate(column) if value is not None]
            composed[rows] += vectors[factor][self._places(factor, column[rows])]
        return (unit(composed) if self.normalize else composed).astype(np.float32)

    def remove(self, X: Any, factor: int) -> Any:
        """Take a factor out of X (n, d): the part in the span of its values' vectors is gone; the type stays.

        Do the same to whatever X is compared with.
        """
        rows = self._rows(X)
        _, lengths, axes = np.linalg.svd(self.factor_vectors_[self._factor(factor)], full_matrices=False)
        axes = axes[lengths > _NOTHING * (lengths[0] + np.linalg.norm(self.origin_))].astype(rows.dtype)
        if len(axes) == rows.shape[1]:
            raise ValueError(f"factor {factor} spans all {len(axes)} dimensions; nothing would be left of X")
        return self._scaled(rows - rows @ axes.T @ axes)

    def shift(self, X: Any, factor: int, from_: Value, to: Value) -> Any:
        """Move X (n, d) from one value of a factor to another: ``x + u_to - u_from``; the type stays."""
        rows = self._rows(X)
        vectors = self.factor_vectors_[self._factor(factor)]
        start, end = self._places(factor, [from_, to])
        step = vectors[end] - vectors[start]
        return self._scaled((unit(rows) if self.normalize else rows) + step.astype(rows.dtype))

    def _rows(self, X: Any) -> NDArray[np.floating]:
        check_is_fitted(self, "ideal_words_")
        return validate_data(self, X, dtype=_FLOATS, reset=False)

    def _scaled(self, rows: NDArray[np.floating]) -> NDArray[np.floating]:
        return unit(rows) if self.normalize else rows

    def _factor(self, factor: int) -> int:
        if not Range(int, 0, len(self.values_) - 1).allows(factor):
            raise ValueError(f"factor: there are the factors 0 to {len(self.values_) - 1}, got {factor!r}")
        return factor

    def _places(self, factor: int, values: Iterable[Value]) -> list[int]:
        place = {value: j for j, value in enumerate(self.values_[factor])}
        unknown = [value for value in values if value not in place]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no value of factor {factor}; it has {listed(list(place))}")
        return [place[value] for value in values]

    def __sklearn_tags__(self) -> Any:
        """Labels are needed; several factors may be given."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.two_d_labels = True
        return tags


def _checked_factors(factors: Sequence[Sequence[Value]]) -> list[list[Value]]:
    checked = []
    for i, values in enumerate(factors):
        if isinstance(values, str) or not isinstance(values, Sequence) or len(set(values)) < len(values):
            raise ValueError(f"factors: factor {i} must be a list of different values, got {values!r}")
        checked.append([plain_value(value, j, i) for j, value in enumerate(values)])
    return checked


def _checked_weights(weights: Sequence[ArrayLike] | None, values: Sequence[Sequence[Value]]) -> list[Matrix]:
    if weights is None:
        return [np.full(len(known), 1 / len(known)) for known in values]
    if len(weights) != len(values):
        raise ValueError(f"weights: {len(weights)} lists of weights for {len(values)} factors; one a factor is needed")
    checked = []
    for i, (given, known) in enumerate(zip(weights, values, strict=True)):
        alpha = np.asarray(given, dtype=np.float64)
        if alpha.shape != (len(known),) or not (np.isfinite(alpha) & (alpha > 0)).all():
            raise ValueError(f"weights: factor {i} needs {len(known)} finite numbers above 0, got {given!r}")
        checked.append(alpha / alpha.sum())
    return checked
