"""Lipschitz factors: how smooth a target is in a representation, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from theatrum.checks import check_vectors
from theatrum.extras import require

HEADS = ("ridge", "knn", "mlp")


@dataclass(frozen=True)
class LipschitzFactors:
    """How far the target jumps from rows to their neighbours; smaller and less spread is smoother.

    Parameters
    ----------
    values : ndarray of float64, shape (m,)
        Factor of each distinct row, in standard deviations of y by root mean square lengths of the representation.
    mean, sd : float
        Of the values.
    shuffled_mean : float
        Mean over all assignments of the same y to the rows: what a representation without information gives.
    ratio : float
        ``mean / shuffled_mean``: 1 is useless, small is smooth. Needs no second representation to compare with.
    """

    values: NDArray[np.float64]
    mean: float
    sd: float
    shuffled_mean: float
    ratio: float

    def plot(self) -> Any:
        """Draw the distribution of the factors, with its mean and the mean under shuffled y.

        Returns
        -------
        matplotlib.figure.Figure
            6 x 4 inches. The largest 1% of the factors are drawn in the last bar.
        """
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        end = max(float(np.quantile(self.values, 0.99)), 1.05 * self.mean, 1.05 * self.shuffled_mean)
        end = end or 1.0  # all factors are 0: a target that does not change between neighbours
        axes.hist(np.minimum(self.values, end), bins=40, range=(0, end), color="#0b3954")
        axes.axvline(self.mean, color="#bf1a2f", label=f"mean {self.mean:.2f}")
        axes.axvline(self.shuffled_mean, color="#f4a261", linestyle="--", label=f"shuffled {self.shuffled_mean:.2f}")
        axes.set_xlabel("Lipschitz factor (sd of y per unit of distance)")
        axes.set_ylabel("rows")
        axes.set_title(f"{self.ratio:.2f} of the mean without information")
        axes.legend(frameon=False)
        return figure


@dataclass(frozen=True)
class RepresentationComparison:
    """Which representation of the same things is smoother, and what three heads make of each.

    Parameters
    ----------
    factors : dict of str to LipschitzFactors
        By representation, in the order given.
    z : dict of str to float
        Against the first one: above 0 where this one is smoother; 0 for the first.
    kendall_tau : dict of str to dict of str to ndarray of float64, shape (cv,)
        Representation -> head -> Kendall's tau on each left-out part.
    """

    factors: dict[str, LipschitzFactors]
    z: dict[str, float]
    kendall_tau: dict[str, dict[str, NDArray[np.float64]]]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a representation (name, ratio, z, and mean tau of each head), for a DataFrame."""
        return [
            {
                "representation": name,
                "ratio": found.ratio,
                "z": self.z[name],
                **{head: float(taus.mean()) for head, taus in self.kendall_tau[name].items()},
            }
            for name, found in self.factors.items()
        ]

    def __str__(self) -> str:
        """Write the rows as a table in plain text."""
        rows = self.rows()
        width = max(len("representation"), *(len(row["representation"]) for row in rows))
        numbers = [key for key in rows[0] if key != "representation"]
        lines = [f"{'representation':<{width}}" + "".join(f"{key:>8}" for key in numbers)]
        lines += [f"{row['representation']:<{width}}" + "".join(f"{row[key]:8.2f}" for key in numbers) for row in rows]
        return "\n".join(lines)


def normalised(X: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standardise coordinates, drop constant ones, divide by the root of their number: rows of mean square length 1.

    Examples
    --------
    >>> Z = normalised(np.array([[1.0, 5.0, 0.0], [3.0, 5.0, 8.0], [2.0, 5.0, 1.0]]))
    >>> Z.shape, round(float((Z**2).sum(axis=1).mean()), 6)
    ((3, 2), 1.0)
    """
    varies = np.ptp(X, axis=0) > 0
    rows = X[:, varies].astype(np.float64)
    return (rows - rows.mean(axis=0)) / (rows.std(axis=0) * np.sqrt(rows.shape[1]))


def merged(X: NDArray[np.float32], y: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Keep each distinct row once, in order of first appearance, with its mean y.

    Examples
    --------
    >>> X, y = merged(np.float32([[1, 0], [0, 0], [1, 0]]), np.array([2.0, 5.0, 4.0]))
    >>> X.tolist(), y.tolist()
    ([[1.0, 0.0], [0.0, 0.0]], [3.0, 5.0])
    """
    _, first, place = np.unique(X, axis=0, return_index=True, return_inverse=True)
    means = np.bincount(place.ravel(), weights=y) / np.bincount(place.ravel())
    order = np.argsort(first)
    return X[first[order]], means[order]


def mean_absolute_difference(y: NDArray[np.float64]) -> float:
    """Mean ``|y_i - y_j|`` over all pairs of different rows, by sorting.

    Examples
    --------
    >>> mean_absolute_difference(np.array([3.0, 0.0, 1.0]))
    2.0
    """
    n = len(y)
    # In sorted order the value of rank r is the larger one r times and the smaller one n - 1 - r times.
    return float(2 * (np.sort(y) @ (2 * np.arange(n) - n + 1)) / (n * (n - 1)))


def lipschitz_z(reference: LipschitzFactors, other: LipschitzFactors) -> float:
    """How much smoother ``other`` is than ``reference``: difference of means by the root of the summed variances.

    Examples
    --------
    >>> rough = lipschitz_factors([[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 0.0, 1.0])
    >>> smooth = lipschitz_factors([[0.0], [2.0], [1.0], [3.0]], [0.0, 1.0, 0.0, 1.0])
    >>> lipschitz_z(rough, smooth) > 0 > lipschitz_z(smooth, rough)
    True
    """
    difference, spread = reference.mean - other.mean, float(np.hypot(reference.sd, other.sd))
    return difference / spread if spread else float(np.sign(difference) * np.inf) if difference else 0.0


def lipschitz_factors(X: Any, y: ArrayLike, n_neighbors: int = 1) -> LipschitzFactors:
    """Measure how smooth a target is in a representation: a diagnosis before any training.

    For choosing between text embeddings and tables (or between encoders) for regression. With the representation phi
    normalised so that its mean squared length is 1 whatever its width, y standardised, and s the nearest neighbour::

        L_t = |y_t - y_s(t)| / ||phi_t - phi_s(t)||

    To compare representations take the ratio. The mean itself, and `lipschitz_z` with it, also falls when distances to
    neighbours are all alike, as in wide representations: in claim 081 differences of the ratio ranked the gaps in
    performance of 24 pairs, Z only those within one number of dimensions. Sparse rows (TF-IDF) mislead both.

    Equal rows are merged first (mean y): between them the factor is not defined. Neighbours are exact, so the cost is
    n^2 d: seconds for 10,000 rows of 384 numbers.

    Parameters
    ----------
    X : array-like of float, shape (n, d)
        Representation.
    y : array-like of float, shape (n,)
        Target.
    n_neighbors : int, default=1
        With more than one neighbour, each factor is the mean over them.

    Returns
    -------
    LipschitzFactors
        Factors of the m distinct rows, and their mean if y said nothing (exact, without drawing anything).

    Raises
    ------
    ValueError
        Bad vectors, a y of other length, not finite or constant, or fewer than ``n_neighbors + 1`` distinct rows.

    References
    ----------
    Tang, Yang and Song, "Understanding LLM Embeddings for Regression", TMLR 2025, arXiv 2411.14708 (atlas 081).

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> smooth, noise = lipschitz_factors(X, X @ [1.0, 2.0]), lipschitz_factors(X, np.sin(1e4 * X[:, 0]))
    >>> round(smooth.ratio, 1), round(noise.ratio, 1)
    (0.0, 1.0)
    """
    rows = check_vectors(X, min_rows=2)
    rows, target = merged(rows, _target(y, len(rows)))
    m = len(rows)
    if isinstance(n_neighbors, bool) or not isinstance(n_neighbors, (int, np.integer)) or not 1 <= n_neighbors < m:
        raise ValueError(
            f"n_neighbors must be a whole number from 1 to {m - 1} ({m} distinct rows), got {n_neighbors!r}"
        )
    if np.ptp(target) == 0:
        raise ValueError(f"y: all values are {target[0]:g}; a constant target is smooth in every representation")
    Z = normalised(rows)
    target = (target - target.mean()) / target.std()
    distances, found = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(Z).kneighbors()
    # The differences themselves: squares and products lose the digits of near neighbours.
    for column in range(n_neighbors):
        distances[:, column] = np.linalg.norm(Z - Z[found[:, column]], axis=1)
    values = (np.abs(target[:, None] - target[found]) / distances).mean(axis=1)
    shuffled = mean_absolute_difference(target) * float((1 / distances).mean())
    mean = float(values.mean())
    return LipschitzFactors(values, mean, float(values.std()), shuffled, mean / shuffled)


def compare_representations(
    representations: Mapping[str, Any], y: ArrayLike, *, cv: int = 5, random_state: int = 0
) -> RepresentationComparison:
    """Compare representations of the same things for one target: smoothness, and Kendall's tau of three heads.

    Parameters
    ----------
    representations : mapping of str to array-like of float, shape (n, d)
        Name -> rows of the same things in the same order; widths may differ. The first is the reference.
    y : array-like of float, shape (n,)
        Target.
    cv : int, default=5
        Parts: each is left out once.
    random_state : int, default=0
        Draws the parts and the network's first weights.

    Returns
    -------
    RepresentationComparison
        ``print`` shows it as a table.

    Raises
    ------
    ValueError
        No representation, one of another length, or what `lipschitz_factors` refuses (the name is given).

    References
    ----------
    Tang, Yang and Song, TMLR 2025, arXiv 2411.14708 (atlas 081).

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> noise = np.random.default_rng(1).normal(size=(100, 3))
    >>> found = compare_representations({"noise": noise, "columns": X}, X @ [1.0, 1.0, 1.0])
    >>> found.z["columns"] > 0, found.factors["columns"].ratio < found.factors["noise"].ratio
    (True, True)
    """
    if not representations:
        raise ValueError("representations: at least one is needed, as {name: array}")
    matrices = {name: check_vectors(X, name=name, min_rows=2) for name, X in representations.items()}
    lengths = {name: len(X) for name, X in matrices.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"representations: they differ in rows, {lengths}; give the same things in the same order")
    n = next(iter(lengths.values()))
    if isinstance(cv, bool) or not isinstance(cv, (int, np.integer)) or not 2 <= cv <= n // 2:
        raise ValueError(f"cv must be a whole number from 2 to {n // 2} for {n} rows, got {cv!r}")
    target = _target(y, n)
    factors = {}
    for name, X in matrices.items():
        try:
            factors[name] = lipschitz_factors(X, target)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    reference = next(iter(factors.values()))
    parts = list(KFold(cv, shuffle=True, random_state=random_state).split(target))
    return RepresentationComparison(
        factors,
        {name: lipschitz_z(reference, found) for name, found in factors.items()},
        {
            name: {
                head: np.array([_tau(head, X, target, train, test, random_state) for train, test in parts])
                for head in HEADS
            }
            for name, X in matrices.items()
        },
    )


def _tau(
    head: str,
    X: NDArray[np.float32],
    y: NDArray[np.float64],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    random_state: int,
) -> float:
    """Kendall's tau on the test rows of a head fitted to the others; 0 where all predictions are the same."""
    models = {
        "ridge": RidgeCV(alphas=np.logspace(-2, 6, 17)),
        "knn": KNeighborsRegressor(min(5, len(train))),
        "mlp": MLPRegressor(
            hidden_layer_sizes=(256, 256),
            learning_rate_init=1e-3,
            early_stopping=len(train) >= 20,
            max_iter=300,
            random_state=random_state,
        ),
    }
    # Scales and target are those of the training rows: the test rows must not tell theirs.
    model = TransformedTargetRegressor(make_pipeline(StandardScaler(), models[head]), transformer=StandardScaler())
    predicted = model.fit(X[train].astype(np.float64), y[train]).predict(X[test].astype(np.float64))
    return float(np.nan_to_num(kendalltau(y[test], predicted).statistic))


def _target(y: ArrayLike, n: int) -> NDArray[np.float64]:
    try:
        target = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y: expected numbers: {error}") from None
    if target.shape != (n,):
        raise ValueError(f"y: expected {n} numbers, one a row of X, got shape {target.shape}")
    bad = np.flatnonzero(~np.isfinite(target))
    if bad.size:
        raise ValueError(f"y: row {bad[0]} is {target[bad[0]]}; remove the row or give it a value")
    return target
