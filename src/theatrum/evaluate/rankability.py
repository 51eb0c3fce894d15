"""Rankability: whether one direction of an embedding space sorts items by an attribute, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from theatrum.checks import check_vectors, unit_rows
from theatrum.extras import require

Matrix: TypeAlias = NDArray[np.float64]
ALPHAS = np.logspace(3, -3, 13)  # times the mean squared singular value; the largest first, so that it wins ties
_OUTER = 0.01  # share of the rows at either end that extremes are drawn from: the very last one may be an outlier
_EXTREMES, _SHOTS = (1, 30), (10, 100)
_DIRECTIONS = 1000
_WIDTH, _DEPTHS = 128, (1, 2, 3)  # of the nonlinear probe: hidden units, and hidden layers to choose among
_EPOCHS, _PATIENCE, _BATCH = 60, 20, 128


def spearman_columns(S: Any, y: Any) -> Matrix:
    """Rank correlation of every column of S (n, m) with y (n,); ties share their mean rank, a constant column has 0.

    Examples
    --------
    >>> spearman_columns([[1, 9, 5], [2, 4, 5], [7, 1, 5]], [0.1, 0.2, 0.3]).round(6).tolist()
    [1.0, -1.0, 0.0]
    """
    middle = (len(y) + 1) / 2  # the mean of n ranks, whatever the ties
    ranks, wanted = rankdata(S, axis=0) - middle, rankdata(y) - middle
    scale = np.sqrt(np.einsum("ij,ij->j", ranks, ranks) * (wanted @ wanted))
    rho = np.zeros(len(scale))
    np.divide(wanted @ ranks, scale, out=rho, where=scale > 0)
    return np.clip(rho, -1.0, 1.0)


class RidgeAxis(NamedTuple):
    """What `ridge_axis` found."""

    axis: Matrix  # (d,), not of length 1: X @ axis differs from the fitted values by a constant
    held_out: Matrix  # (n,) position of every row on the axis that the other rows would give
    alpha: float


def ridge_axis(X: Matrix, y: Matrix, alpha: float | Literal["auto"] = "auto") -> RidgeAxis:
    """Fit ridge regression with an intercept; "auto" takes the alpha of the least leave-one-out squared error.

    All alphas and all left-out rows come from one singular value decomposition: row i is missed by ``r_i / (1 - h_i)``
    with its residual r and leverage h. The grid is 10^-3 to 10^3 times the mean squared singular value of the centred
    rows, which grows with their number, so few rows are shrunk as much as many.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> axis = ridge_axis(X, X @ [2.0, 0.0, -1.0]).axis
    >>> bool(np.allclose(axis, [2, 0, -1], atol=0.01))
    True
    """
    n = len(X)
    centre, mean = X.mean(axis=0), y.mean()
    U, s, Vt = np.linalg.svd(X - centre, full_matrices=False)
    along = s * (U.T @ (y - mean))
    alphas = np.array([alpha]) if alpha != "auto" else ALPHAS * (np.mean(s**2) or 1.0)
    shrunk = 1 / (s[:, None] ** 2 + alphas)  # (min(n, d), m)
    residuals = (y - mean)[:, None] - (U * s) @ (along[:, None] * shrunk)
    leverage = (U * s) ** 2 @ shrunk + 1 / n
    missed = residuals / np.maximum(1 - leverage, 1e-12)
    best = int(np.argmin(np.mean(missed**2, axis=0)))
    axis = Vt.T @ (along * shrunk[:, best])
    return RidgeAxis(axis, y - missed[:, best] - mean + centre @ axis, float(alphas[best]))


def extreme_rows(y: Matrix, k: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw k rows among the highest and k among the lowest: the outer 1%, or the outer k where that is fewer.

    Raises
    ------
    ValueError
        The two ends share a value.

    Examples
    --------
    >>> high, low = extreme_rows(np.arange(400.0), 2, np.random.default_rng(0))
    >>> sorted(high.tolist()) >= [396, 396], sorted(low.tolist()) <= [3, 3]
    (True, True)
    """
    pool = max(k, int(_OUTER * len(y)))
    order = np.lexsort((rng.random(len(y)), y))  # ties in any order
    low, high = order[:pool], order[-pool:]
    if 2 * pool > len(y) or y[low].max() >= y[high].min():
        raise ValueError(
            f"y: the {pool} lowest and the {pool} highest of {len(y)} rows share the value "
            f"{y[low].max():g}, so they are no extremes; ask for fewer of them, or fit all rows"
        )
    return rng.choice(high, k, replace=False), rng.choice(low, k, replace=False)


def extremes_axis(high: Matrix, low: Matrix) -> Matrix:
    """Mean of the high rows (a, d) minus mean of the low rows (b, d): points from low to high."""
    return high.mean(axis=0) - low.mean(axis=0)


def random_level(X: Matrix, y: Matrix, rng: np.random.Generator) -> float:
    """95th percentile of the absolute rank correlation of 1,000 random directions: what chance reaches."""
    rho = spearman_columns(X @ rng.normal(size=(X.shape[1], _DIRECTIONS)), y)
    return float(np.quantile(np.abs(rho), 0.95))


class Probe(NamedTuple):
    """A trained network, the map of its inputs, and how well it ranked the rows held out."""

    network: Any
    centre: Matrix
    scale: float
    validation: float
    best_epoch: int

    def scores(self, X: Matrix) -> Matrix:
        """Output for every row of X (n, d), in standardised units of the attribute."""
        import torch

        with torch.no_grad():
            found = self.network(torch.from_numpy(((X - self.centre) / self.scale).astype(np.float32)))
        return found[:, 0].numpy().astype(np.float64)


def train_probe(X: Matrix, y: Matrix, hidden: Sequence[int], seed: int, *, n_epochs: int | None = None) -> Probe:
    """Train a network on the squared error of the standardised attribute, as the paper trains its probes.

    Adam with a cosine schedule, gradients clipped at length 1, 60 epochs. A fifth of the rows is held out, and the
    weights of the epoch that ranks it best are kept. With ``n_epochs`` nothing is held out and training stops after
    so many epochs of the same schedule. Without hidden layers it is a linear unit.
    """
    import torch

    from theatrum.nn.mlp import mlp, seeded, train

    order = np.random.default_rng(seed).permutation(len(X))
    held = order[:0] if n_epochs else order[: len(X) // 5]
    rows = order[len(held) :]
    # One scale for all columns keeps directions what they are; entries of unit rows alone are too small to learn fast.
    centre, scale = X[rows].mean(axis=0), float(X[rows].std(axis=0).mean()) or 1.0
    inputs, targets = (
        torch.from_numpy(values.astype(np.float32))
        for values in ((X - centre) / scale, (y - y[rows].mean()) / (y[rows].std() or 1.0))
    )
    with seeded(seed):
        network = mlp([X.shape[1], *hidden, 1])
        adam = torch.optim.Adam(network.parameters(), lr=1e-3 if hidden else 1e-2)

        def clipped(*_: Any) -> None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)

        def loss_of(batch: Any) -> Any:
            return torch.nn.functional.mse_loss(network(inputs[rows[batch]])[:, 0], targets[rows[batch]])

        adam.register_step_pre_hook(clipped)

        done = train(
            network,
            loss_of,
            len(rows),
            optimizer=adam,
            batch_size=_BATCH,
            max_epochs=n_epochs or _EPOCHS,
            validate=None if n_epochs else lambda: float(spearman_columns(network(inputs[held]).numpy(), y[held])[0]),
            patience=_PATIENCE,
            scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(adam, _EPOCHS),
        )
    best = float(done.scores[done.best_epoch - 1]) if done.scores.size else -1.0
    return Probe(network, centre, scale, best, done.best_epoch)


def nonlinear_probe(X: Matrix, y: Matrix, seed: int) -> Probe:
    """Train networks of two to four layers, and the one that ranks held-out rows best once more on all rows."""
    tried = {depth: train_probe(X, y, [_WIDTH] * depth, seed) for depth in _DEPTHS}
    depth = max(tried, key=lambda depth: tried[depth].validation)
    return train_probe(X, y, [_WIDTH] * depth, seed, n_epochs=tried[depth].best_epoch)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval over resampled test rows (NaN where it is not defined)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resamples: Matrix) -> Estimate:
        """Take the percentiles of the resamples that are numbers."""
        finite = resamples[np.isfinite(resamples)]
        low, high = np.quantile(finite, [0.025, 0.975]) if finite.size and np.isfinite(value) else (np.nan, np.nan)
        return cls(float(value), float(low), float(high))


@dataclass(frozen=True)
class RankabilityReport:
    """How well directions sort test rows by an attribute; every correlation is Spearman's.

    Parameters
    ----------
    linear : Estimate
        The axis of ridge regression on all training rows: the rankability.
    nonlinear : Estimate
        A network of two to four layers: what the vectors hold at all.
    untrained : Estimate or None
        The ridge axis on the reference vectors (untrained encoder, raw input): what comes for free.
    chance : float
        95th percentile of the absolute correlation of random directions.
    extremes : mapping of int to Estimate
        Extremes a side -> mean over draws of axes from so many high and low rows.
    few_shot : mapping of int to Estimate
        Labelled rows -> mean over draws of ridge axes on so many random rows.
    few_shot_ratio : Estimate
        Two extremes over linear; NaN where linear is not above 0.
    headroom : Estimate or None
        ``(linear - untrained) / (nonlinear - untrained)``; NaN where the network finds no more than comes for free.
    kendall : float
        Kendall's tau-b of the linear axis, which ties in the attribute do not flatter.
    draws : mapping of str to ndarray of float64
        Name -> correlation of each draw, for ``"extremes=1"``, ``"few_shot=10"`` and so on.
    """

    linear: Estimate
    nonlinear: Estimate
    untrained: Estimate | None
    chance: float
    extremes: Mapping[int, Estimate]
    few_shot: Mapping[int, Estimate]
    few_shot_ratio: Estimate
    headroom: Estimate | None
    kendall: float
    draws: Mapping[str, Matrix] = field(repr=False)

    def plot(self) -> Any:
        """Draw every axis as a bar with its interval, and chance as a line; returns a matplotlib Figure."""
        bars = [("network", self.nonlinear, "#0b3954"), ("all rows, linear", self.linear, "#0b3954")]
        bars += [(f"{n} rows, linear", one, "#2a9d8f") for n, one in sorted(self.few_shot.items(), reverse=True)]
        bars += [(f"{k} + {k} extremes", one, "#f4a261") for k, one in sorted(self.extremes.items(), reverse=True)]
        if self.untrained is not None:
            bars.append(("reference vectors", self.untrained, "#bf1a2f"))
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        names, values, colours = zip(*reversed(bars), strict=True)
        centres = np.array([one.value for one in values])
        axes.barh(names, centres, color=colours)
        axes.hlines(names, [one.low for one in values], [one.high for one in values], color="black", linewidth=1.5)
        axes.axvline(self.chance, color="black", linestyle=":", label="95% of random directions")
        axes.set_xlabel("Spearman correlation on test rows (lines: 95% interval)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        return figure


def rankability_report(
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    X_untrained: tuple[Any, Any] | None = None,
    n_seeds: int = 10,
    *,
    n_resamples: int = 1000,
    random_state: int = 0,
) -> RankabilityReport:
    """Measure whether one direction of an embedding sorts items by an attribute, with all that it must be held against.

    Use it before trusting a sorted list: a high linear correlation says little when untrained vectors reach it too.
    All vectors are made unit rows first. It asks only for ranks, so it does not say how far predictions are off.

    Parameters
    ----------
    X_train, X_test : array-like of shape (n, d) and (m, d)
        Vectors; at least 10 training rows and 2 test rows.
    y_train, y_test : array-like of shape (n,) and (m,)
        Attribute, larger is more.
    X_untrained : pair of array-like of shapes (n, e) and (m, e), optional
        Reference vectors of the same training and test items: an untrained encoder of the same shape, raw input.
    n_seeds : int, default=10
        Draws of extremes (1 and 30 a side, from the outer 1%) and of few labelled rows (10 and 100); numbers that
        the training rows are too few for are left out.
    n_resamples : int, default=1000
        Resamples of the test rows for the intervals.
    random_state : int, default=0
        Seed.

    Returns
    -------
    RankabilityReport
        Correlations with 95% intervals, chance, ratios; ``plot()`` draws them.

    Raises
    ------
    ValueError
        Bad vectors, an attribute that is constant, not finite or of another length, too few rows, no draws.

    References
    ----------
    Sonthalia, Uselis and Oh, "On the rankability of visual embeddings", 2025, arXiv 2507.03683. Atlas 031.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 8))
    >>> y = X[:, 0] / np.linalg.norm(X, axis=1)
    >>> report = rankability_report(X[:200], y[:200], X[200:], y[200:], n_seeds=3, n_resamples=50)
    >>> report.linear.value > 0.99, report.chance < 0.9, sorted(report.extremes)
    (True, True, [1, 30])
    """
    for name, value in (("n_seeds", n_seeds), ("n_resamples", n_resamples)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    train, test = _pair(X_train, X_test, "X")
    y, truth = check_attribute(y_train, len(train), "y_train"), check_attribute(y_test, len(test), "y_test")
    rng = np.random.default_rng(random_state)
    columns = {"linear": test @ ridge_axis(train, y).axis}
    columns["nonlinear"] = nonlinear_probe(train, y, int(rng.integers(2**31))).scores(test)
    if X_untrained is not None:
        free, free_test = _pair(*X_untrained, "X_untrained")
        if (len(free), len(free_test)) != (len(train), len(test)):
            raise ValueError(
                f"X_untrained: {len(free)} and {len(free_test)} rows, but X has {len(train)} and {len(test)}; "
                "the same items are needed in the same order"
            )
        columns["untrained"] = free_test @ ridge_axis(free, y).axis
    pools = [k for k in _EXTREMES if k == _EXTREMES[0] or 2 * k <= len(y)]
    shots = [n for n in _SHOTS if n < len(y)]
    for k in pools:
        ends = [extreme_rows(y, k, rng) for _ in range(n_seeds)]
        axes = [extremes_axis(train[high], train[low]) for high, low in ends]
        columns[f"extremes={k}"] = test @ np.transpose(axes)
    for n in shots:
        drawn = [rng.choice(len(y), n, replace=False) for _ in range(n_seeds)]
        columns[f"few_shot={n}"] = test @ np.transpose([ridge_axis(train[rows], y[rows]).axis for rows in drawn])
    rho, resampled = _correlations(columns, truth, n_resamples, rng)
    found = {name: Estimate.of(rho[name].mean(), resampled[name]) for name in columns}
    return RankabilityReport(
        linear=found["linear"],
        nonlinear=found["nonlinear"],
        untrained=found.get("untrained"),
        chance=random_level(test, truth, rng),
        extremes={k: found[f"extremes={k}"] for k in pools},
        few_shot={n: found[f"few_shot={n}"] for n in shots},
        few_shot_ratio=_quotient(rho, resampled, "extremes=1", "linear", None),
        headroom=_quotient(rho, resampled, "linear", "nonlinear", "untrained") if "untrained" in found else None,
        kendall=float(kendalltau(columns["linear"], truth).statistic),
        draws={name: rho[name] for name in columns if "=" in name},
    )


def check_attribute(y: Any, n: int, name: str) -> Matrix:
    """Return an attribute as float64 (n,), or say why it ranks nothing."""
    try:
        values = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a number a row: {error}") from None
    if values.shape != (n,):
        raise ValueError(f"{name}: expected {n} numbers, one a row of X, got shape {values.shape}")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(f"{name}: row {bad[0]} is {values[bad[0]]}; remove the row or repair it before this step")
    if np.ptp(values) == 0:
        raise ValueError(f"{name}: all values are {values[0]:g}, so they rank nothing; at least two are needed")
    return values


def _pair(first: Any, second: Any, name: str) -> tuple[Matrix, Matrix]:
    train = check_vectors(first, name=f"{name}_train", min_rows=10)
    test = check_vectors(second, name=f"{name}_test", dim=train.shape[1], min_rows=2)
    return unit_rows(train).astype(np.float64), unit_rows(test).astype(np.float64)


def _correlations(
    columns: Mapping[str, Matrix], y: Matrix, n_resamples: int, rng: np.random.Generator
) -> tuple[dict[str, Matrix], dict[str, Matrix]]:
    """Correlation with y of every column of (n,) or (n, m), and the mean over the m in every resample of rows."""
    S = np.column_stack(list(columns.values()))
    ends = np.cumsum([1 if values.ndim == 1 else values.shape[1] for values in columns.values()])
    drawn = (rng.integers(len(y), size=len(y)) for _ in range(n_resamples))
    resampled = np.array([spearman_columns(S[rows], y[rows]) for rows in drawn])
    rho = dict(zip(columns, np.split(spearman_columns(S, y), ends[:-1]), strict=True))
    parts = np.split(resampled, ends[:-1], axis=1)
    return rho, {name: part.mean(axis=1) for name, part in zip(columns, parts, strict=True)}


def _quotient(
    rho: Mapping[str, Matrix], resampled: Mapping[str, Matrix], above: str, below: str, base: str | None
) -> Estimate:
    """(above - base) / (below - base), NaN where the lower difference is not above 0."""

    def of(top: Any, bottom: Any, floor: Any) -> Matrix:
        return np.where(bottom > floor, (top - floor) / np.where(bottom > floor, bottom - floor, 1), np.nan)

    value = of(rho[above].mean(), rho[below].mean(), rho[base].mean() if base else 0.0)
    return Estimate.of(float(value), of(resampled[above], resampled[below], resampled[base] if base else 0.0))
