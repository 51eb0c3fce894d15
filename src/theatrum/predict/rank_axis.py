"""Rank axes: one direction that sorts vectors by a property that nobody indexed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin
from sklearn.isotonic import IsotonicRegression
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted, validate_data

from theatrum.checks import Constraint, Options, Range, check_ids, check_parameters, check_texts, check_vectors
from theatrum.contracts import Encoder, Ids, Index, Scores
from theatrum.evaluate.rankability import (
    Matrix,
    check_attribute,
    extreme_rows,
    extremes_axis,
    ridge_axis,
    spearman_columns,
    train_probe,
)
from theatrum.extras import require

_FLOATS = ("float64", "float32")
_PAIRS = 10  # drawn a row by method="pairs"


def pairs_axis(differences: Matrix, alpha: float | Literal["auto"] = "auto") -> Matrix:
    """Minimise ``sum log(1 + exp(-D w)) + alpha |w|^2 / 2`` over w: every row of D is (above minus below).

    There is no bias, as it would be the same above and below. "auto" is a quarter of the mean squared singular value
    of D: at w = 0 the penalty then curves the loss as much as the pairs do.

    Examples
    --------
    >>> w = pairs_axis(np.array([[1.0, 0.3], [2.0, -0.3], [0.5, 0.0]]))
    >>> bool(w[0] > 10 * abs(w[1]))
    True
    """
    penalty = float(np.sum(differences**2)) / min(differences.shape) / 4 if alpha == "auto" else alpha

    def loss(w: Matrix) -> tuple[float, Matrix]:
        margins = differences @ w
        value = np.logaddexp(0, -margins).sum() + penalty / 2 * (w @ w)
        return float(value), penalty * w - differences.T @ expit(-margins)

    return minimize(loss, np.zeros(differences.shape[1]), jac=True, method="L-BFGS-B").x


def unit_axis(w: Matrix, what: str) -> Matrix:
    """Scale an axis to length 1, or say that there is none."""
    length = float(np.linalg.norm(w))
    if not length > 1e-12:
        raise ValueError(f"{what} give no direction: the axis is zero; give rows that differ")
    return w / length


class RankAxis(ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin, BaseEstimator):
    """Sorts vectors along one direction: older, longer, more crowded; a scikit-learn regressor and transformer.

    Use it to sort a collection by a property that no column holds, from a few hundred values, some ordered pairs, a
    few examples of either end, or two phrases. The axis is a vector, so every index can be sorted by it as it is. It
    finds what lies along a line: ask `theatrum.evaluate.rankability.rankability_report` whether the property does.
    Not for exact values: for those, use a regressor that may bend.

    Parameters
    ----------
    method : {"ridge", "extremes", "pairs", "sgd"}, default="ridge"
        How ``fit`` finds the axis: ridge regression in closed form; mean of some high rows minus mean of some low
        rows; logistic regression on the differences of rows, ten drawn pairs a row; a linear unit trained by Adam as
        in the paper (needs torch and at least 10 rows).
    n_extremes : int, default=1
        High rows and low rows that "extremes" draws from the outer 1% at either end.
    normalize : bool, default=True
        Make unit rows of all vectors first, as the paper does; the position of a row is then its cosine with the axis.
    alpha : float or "auto", default="auto"
        Penalty of "ridge" and "pairs". "auto" is found by leave-one-out for "ridge" and is the curvature of the loss
        for "pairs".
    target : {"value", "rank"}, default="value"
        Fit the attribute itself or its mid-ranks: better for skewed attributes ("ridge" and "sgd").
    random_state : int, RandomState or None, default=None
        For the draws of "extremes" and "pairs" and the training of "sgd".

    Attributes
    ----------
    axis_ : ndarray of float64, shape (d,)
        Unit vector; larger positions mean more of the attribute.
    thresholds_, values_ : ndarray of float64, shape (t,)
        Positions and the attribute there: the rising curve of ``predict`` (only after ``fit``).
    n_features_in_ : int
        Width d.

    See Also
    --------
    theatrum.evaluate.rankability.rankability_report : how far such an axis can be trusted.

    References
    ----------
    Sonthalia, Uselis and Oh, "On the rankability of visual embeddings", 2025, arXiv 2507.03683. Atlas 031.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 5))
    >>> y = X @ [3.0, 0, 0, 0, 4] / np.linalg.norm(X, axis=1)
    >>> RankAxis().fit(X, y).axis_.round(2)[[0, 4]].tolist()
    [0.6, 0.8]
    >>> round(RankAxis.from_extremes(X[y > 3], X[y < -3]).score(X, y), 1)
    1.0
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "method": [Options(("ridge", "extremes", "pairs", "sgd"))],
        "n_extremes": [Range(int, 1)],
        "normalize": [bool],
        "alpha": [Range(float, 0, open_low=True), Options(("auto",))],
        "target": [Options(("value", "rank"))],
        "random_state": [Range(int, 0), np.random.RandomState, None],
    }

    def __init__(
        self,
        method: Literal["ridge", "extremes", "pairs", "sgd"] = "ridge",
        *,
        n_extremes: int = 1,
        normalize: bool = True,
        alpha: float | Literal["auto"] = "auto",
        target: Literal["value", "rank"] = "value",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.n_extremes = n_extremes
        self.normalize = normalize
        self.alpha = alpha
        self.target = target
        self.random_state = random_state

    # Finding the axis.

    def fit(self, X: Any, y: Any) -> RankAxis:
        """Learn the axis from rows with values.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Vectors.
        y : array-like of shape (n,)
            Attribute, larger is more; at least two different values.

        Returns
        -------
        RankAxis
            Itself.

        Raises
        ------
        ValueError
            A constant attribute, NaN, rows that do not vary, ends that share a value ("extremes"), or too few rows.
        """
        check_parameters(self, self.constraints)
        rows, values = validate_data(self, X, y, dtype=_FLOATS, y_numeric=True, ensure_min_samples=2)
        rows, values = self._rows(rows), check_attribute(values, len(rows), "y")
        if np.ptp(rows, axis=0).max() <= 1e-12 * np.abs(rows).max():
            raise ValueError("X: all rows are alike, so they give no direction; give rows that differ")
        wanted = rankdata(values) if self.target == "rank" else values
        axis, positions = self._axis_of(rows, wanted)
        self.axis_: Matrix = unit_axis(axis, "the rows of X")
        curve = IsotonicRegression().fit(positions / np.linalg.norm(axis), values)
        self.thresholds_: Matrix = np.asarray(curve.X_thresholds_)
        self.values_: Matrix = np.asarray(curve.y_thresholds_)
        return self

    def _axis_of(self, rows: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        """Axis of any length, and the position of every row on it."""
        if self.method == "ridge":
            # A wide axis follows its own training rows too well; calibration takes the positions of left-out rows.
            found = ridge_axis(rows, y, self.alpha)
            return found.axis, found.held_out
        rng = np.random.default_rng(self._seed())
        if self.method == "extremes":
            high, low = extreme_rows(y, self.n_extremes, rng)
            axis = extremes_axis(rows[high], rows[low])
        elif self.method == "pairs":
            first, second = rng.integers(len(y), size=(2, _PAIRS * len(y)))
            side = np.sign(y[first] - y[second])[:, None]
            axis = pairs_axis((side * (rows[first] - rows[second]))[side[:, 0] != 0], self.alpha)
        else:
            if len(y) < 10:
                raise ValueError(f"X: method='sgd' needs at least 10 rows, got {len(y)}; use method='ridge'")
            probe = train_probe(rows, y, (), self._seed())
            axis = probe.network[0].weight.detach().numpy()[0].astype(np.float64)
        return axis, rows @ axis

    def _seed(self) -> int:
        state = self.random_state
        if isinstance(state, np.random.RandomState):
            return int(state.randint(2**31))
        return int(np.random.default_rng(state).integers(2**31))

    def fit_pairs(self, X: Any, pairs: ArrayLike) -> RankAxis:
        """Learn the axis from order alone, whatever ``method`` says.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Vectors.
        pairs : array-like of int, shape (m, 2)
            Rows of X: the first of a pair has more of the attribute than the second.

        Raises
        ------
        ValueError
            A row that does not exist, a row paired with itself, or pairs that cancel out.
        """
        check_parameters(self, self.constraints)
        rows = self._rows(validate_data(self, X, dtype=_FLOATS))
        chosen = np.asarray(pairs)
        if chosen.ndim != 2 or chosen.shape[1] != 2 or not len(chosen) or chosen.dtype.kind not in "iu":
            raise ValueError(f"pairs: expected whole numbers (m, 2), above and below, got shape {chosen.shape}")
        bad = np.flatnonzero((chosen < 0).any(axis=1) | (chosen >= len(rows)).any(axis=1))
        if bad.size:
            raise ValueError(f"pairs: pair {bad[0]} is {chosen[bad[0]].tolist()}; X has rows 0 to {len(rows) - 1}")
        same = np.flatnonzero(chosen[:, 0] == chosen[:, 1])
        if same.size:
            raise ValueError(f"pairs: pair {same[0]} names row {chosen[same[0], 0]} twice; name two rows")
        return self._take(pairs_axis(rows[chosen[:, 0]] - rows[chosen[:, 1]], self.alpha), "the pairs")

    @classmethod
    def from_extremes(cls, high: Any, low: Any, *, normalize: bool = True) -> RankAxis:
        """Make a fitted axis from examples of both ends; it points to the high ones.

        Parameters
        ----------
        high, low : array-like of shapes (a, d) and (b, d)
            Vectors with much and with little of the attribute; one each is enough.
        normalize : bool, default=True
            As in the class.

        Raises
        ------
        ValueError
            Bad vectors, different widths, or means that are the same.
        """
        axis = cls(normalize=normalize)
        ends = check_vectors(high, name="high"), check_vectors(low, name="low")
        if ends[0].shape[1] != ends[1].shape[1]:
            raise ValueError(f"high and low: {ends[0].shape[1]} and {ends[1].shape[1]} columns; one encoder is needed")
        return axis._take(extremes_axis(axis._rows(ends[0]), axis._rows(ends[1])), "high and low")

    @classmethod
    def from_text(
        cls,
        encoder: Encoder,
        high: str | Sequence[str],
        low: str | Sequence[str] | None = None,
        *,
        validation: tuple[Any, Any] | None = None,
    ) -> RankAxis:
        """Make a fitted axis from phrases, for vectors of an encoder that reads text.

        Parameters
        ----------
        encoder : Encoder
            The text encoder that the vectors share a space with.
        high, low : str or sequence of str
            Phrases for much and for little, such as "an old person" and "a young person", in pairs. Without ``low``
            the high phrases themselves are the axis.
        validation : (X, y), optional
            Vectors and values to choose the best pair by; otherwise the mean over the pairs is taken.

        Raises
        ------
        ValueError
            Not as many low as high phrases, no phrases, phrases that the encoder does not tell apart.
        """
        above = check_texts([high] if isinstance(high, str) else high, name="high")
        below = check_texts([low] if isinstance(low, str) else low or [], name="low")
        if not above or (below and len(above) != len(below)):
            raise ValueError(f"high and low: {len(above)} and {len(below)} phrases; give pairs, or high phrases alone")
        vectors = normalize(check_vectors(encoder.encode([*above, *below]), name="encoded phrases").astype(np.float64))
        axes = vectors[: len(above)] - (vectors[len(above) :] if below else 0.0)
        if validation is None:
            return cls()._take(axes.mean(axis=0), "the phrases")
        tried = [cls()._take(axis, f"phrases {row}") for row, axis in enumerate(axes)]
        return max(tried, key=lambda one: one.score(*validation))

    def _take(self, axis: Matrix, what: str) -> RankAxis:
        self.axis_ = unit_axis(axis, what)
        self.n_features_in_ = len(self.axis_)
        for name in ("thresholds_", "values_"):
            self.__dict__.pop(name, None)  # of an earlier fit
        return self

    # Using it.

    def _rows(self, X: NDArray[np.floating]) -> Matrix:
        if self.normalize and X.shape[1] == 1:
            raise ValueError("X: n_features = 1: unit rows of one column rank nothing; use normalize=False")
        rows = normalize(X) if self.normalize else X
        return rows.astype(np.float64, copy=False)

    def _positions(self, X: Any) -> Matrix:
        check_is_fitted(self, "axis_")
        return self._rows(validate_data(self, X, dtype=_FLOATS, reset=False)) @ self.axis_

    def transform(self, X: Any) -> Any:
        """Position of every row (n, d) on the axis, (n, 1): its cosine with the axis unless ``normalize`` is off."""
        return self._positions(X)[:, None]

    @property
    def _n_features_out(self) -> int:
        return 1

    def predict(self, X: Any) -> Matrix:
        """Attribute of every row (n, d), (n,), by a rising curve over the positions; positions where no y was given."""
        positions = self._positions(X)
        return np.interp(positions, self.thresholds_, self.values_) if hasattr(self, "values_") else positions

    def score(self, X: Any, y: Any, sample_weight: None = None) -> float:
        """Spearman correlation of positions and attribute: between -1 and 1, 0 is chance."""
        positions = self._positions(X)
        return float(spearman_columns(positions[:, None], check_attribute(y, len(positions), "y"))[0])

    def sort_index(self, index: Index, k: int, ids: Sequence[str] | None = None) -> tuple[Ids, Scores]:
        """Best k ids of an index along the axis, highest first: a search with the axis as the query.

        Parameters
        ----------
        index : Index
            Anything with ``search(Q, k) -> (ids, scores)`` by cosine, or by inner product of unit rows.
        k : int
            How many.
        ids : sequence of str, optional
            Sort only these, such as the hits of another search. The index is then read to its end.

        Returns
        -------
        ids, scores
            Shapes (k,); a shorter list ends in id "" with score -inf.
        """
        check_is_fitted(self, "axis_")
        query = self.axis_.astype(np.float32)[None, :]
        if ids is None:
            found, scores = index.search(query, k)
            return found[0], scores[0]
        wanted = check_ids(ids, len(ids))
        found, scores = index.search(query, len(index))
        kept = np.flatnonzero(np.isin(found[0].astype(str), wanted))[:k]
        names, values = np.full(k, "", dtype=object), np.full(k, -np.inf, dtype=np.float32)
        names[: len(kept)], values[: len(kept)] = found[0][kept], scores[0][kept]
        return names, values

    def plot(self, X: Any, y: Any = None) -> Any:
        """Draw rows (n, d) by position, against the attribute if it is given; returns a matplotlib Figure."""
        positions = self._positions(X)
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.set_xlabel("position along the axis" + (" (cosine)" if self.normalize else " (units of the vectors)"))
        if y is None:
            axes.hist(positions, bins="auto", color="#0b3954")
            axes.set_ylabel("rows")
            return figure
        values = check_attribute(y, len(positions), "y")
        axes.scatter(positions, values, s=8, alpha=0.5, color="#0b3954", linewidths=0, label="rows")
        if hasattr(self, "values_"):
            axes.plot(self.thresholds_, self.values_, color="#bf1a2f", linewidth=2, label="predicted")
            axes.legend()
        axes.set_ylabel("attribute (its own units)")
        axes.set_title(f"Spearman correlation {spearman_columns(positions[:, None], values)[0]:.2f}")
        return figure
