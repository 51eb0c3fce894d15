"""Generalised zero-shot accuracy: per class, seen against unseen, and the whole curve between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theatrum.extras import require


def per_class_accuracy(
    y: ArrayLike,
    predicted: ArrayLike,
    classes: ArrayLike | None = None,
    *,
    missing: Literal["error", "ignore"] = "error",
) -> float:
    """Mean over classes of the share of a class's rows that were recognised.

    Parameters
    ----------
    y, predicted : array-like of shape (n,)
        True and predicted labels.
    classes : array-like, optional
        Classes to average over; those of ``y`` by default.
    missing : {"error", "ignore"}, default="error"
        What to do with a class that has no row in ``y``.

    Examples
    --------
    >>> per_class_accuracy(["a", "a", "a", "b"], ["a", "a", "b", "a"])  # (2/3 + 0) / 2
    0.3333333333333333
    """
    truth, found = np.asarray(y), np.asarray(predicted)
    wanted = np.unique(truth) if classes is None else np.asarray(classes)
    absent = wanted[~np.isin(wanted, truth)]
    if absent.size and missing == "error":
        raise ValueError(f"class {absent.tolist()[0]!r} has no row in y; leave it out, or say missing='ignore'")
    wanted = wanted[np.isin(wanted, truth)]
    if not wanted.size:
        raise ValueError("no class has a row in y")
    return float(np.mean([(found[truth == label] == label).mean() for label in wanted]))


def harmonic_mean(u: float, s: float) -> float:
    """``2 u s / (u + s)``, 0 where both are 0.

    Examples
    --------
    >>> harmonic_mean(0.5, 1.0), harmonic_mean(0.0, 0.0)
    (0.6666666666666666, 0.0)
    """
    return 2 * u * s / (u + s) if u + s > 0 else 0.0


@dataclass(frozen=True)
class SeenUnseenCurve:
    """Accuracy on unseen against seen classes, as an amount gamma is taken from the scores of seen classes.

    Parameters
    ----------
    unseen_accuracy, seen_accuracy : ndarray of float64, shape (p,)
        Per-class accuracies with all classes as candidates; the first point is (0, A_SS) with every answer a seen
        class, the last (A_UU, 0).
    gamma : ndarray of float64, shape (p,)
        Least amount at which a point is reached; minus infinity at the first.
    ausuc : float
        Area under the seen accuracy as a function of the unseen one.
    best_h : float
        Largest harmonic mean.
    best_gamma : float
        An amount in the middle of where it is reached.
    h_at_zero : float
        Harmonic mean without calibration.
    """

    unseen_accuracy: NDArray[np.float64]
    seen_accuracy: NDArray[np.float64]
    gamma: NDArray[np.float64]
    ausuc: float
    best_h: float
    best_gamma: float
    h_at_zero: float

    def at(self, gamma: float) -> tuple[float, float]:
        """Unseen and seen accuracy when ``gamma`` is taken off."""
        point = int(np.searchsorted(self.gamma, gamma, side="right")) - 1
        return float(self.unseen_accuracy[point]), float(self.seen_accuracy[point])

    def plot(self, label: str = "") -> Any:
        """Draw the curve with its best point and the one without calibration; a matplotlib Figure."""
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(self.unseen_accuracy, self.seen_accuracy, color="#0b3954", drawstyle="default", label=label or None)
        axes.fill_between(self.unseen_accuracy, self.seen_accuracy, color="#0b3954", alpha=0.1)
        u, s = self.at(0.0)
        axes.plot([u], [s], "o", color="#bf1a2f", label=f"without calibration, H = {self.h_at_zero:.2f}")
        u, s = self.at(self.best_gamma)
        axes.plot([u], [s], "D", color="#f4a261", label=f"best, H = {self.best_h:.2f}")
        axes.set(
            xlabel="accuracy on unseen classes",
            ylabel="accuracy on seen classes",
            title=f"area {self.ausuc:.3f}",
            xlim=(0, 1),
            ylim=(0, 1.02),
        )
        axes.legend(frameon=False)
        return figure


def seen_unseen_curve(
    scores: ArrayLike,
    y: ArrayLike,
    seen: ArrayLike,
    *,
    novelty: ArrayLike | None = None,
    missing: Literal["error", "ignore"] = "error",
    names: Sequence[str] | None = None,
) -> SeenUnseenCurve:
    """Follow calibrated stacking over every amount that changes an answer; exact, without a grid.

    A row answers with its best unseen class as soon as gamma is at least (best seen score - best unseen score).

    Parameters
    ----------
    scores : array-like of float, shape (n, C)
        Of every class, on one scale; larger is better.
    y : array-like of int, shape (n,)
        True classes, as columns. Rows of seen classes must not have been trained on.
    seen : array-like of bool, shape (C,)
        Which columns are seen classes.
    novelty : array-like of float, shape (n,), optional
        Decides in place of the scores who answers with an unseen class: rows with the largest novelty first, and the
        curve's ``gamma`` is minus the threshold. For comparing stacking with novelty detection.
    missing : {"error", "ignore"}, default="error"
        What to do with a class without a row.
    names : sequence of str, optional
        Of the columns, for messages.

    Raises
    ------
    ValueError
        NaN, all classes seen or none, labels outside the columns, no row of a class (named), or no rows on one side.

    Notes
    -----
    Accuracies are means over classes, not over rows. The axes are those of the paper's text: unseen across, seen up.

    References
    ----------
    Chao et al., "An empirical study and analysis of generalized zero-shot learning for object recognition in the wild",
    ECCV 2016. Atlas 119.

    Examples
    --------
    >>> curve = seen_unseen_curve([[0.9, 0.1], [0.6, 0.5]], [0, 1], [True, False])
    >>> curve.h_at_zero, curve.best_h, curve.ausuc
    (0.0, 1.0, 1.0)
    """
    values, truth, is_seen = np.asarray(scores, dtype=np.float64), np.asarray(y), np.asarray(seen, dtype=bool)
    _check(values, truth, is_seen)
    n_classes = len(is_seen)
    counts = np.bincount(truth, minlength=n_classes)
    if missing == "error" and not counts.all():
        absent = int(np.flatnonzero(counts == 0)[0])
        called = repr(names[absent]) if names is not None else f"number {absent}"
        raise ValueError(f"class {called} has no test row; add one, or say missing='ignore'")
    present = counts > 0
    if not (present & is_seen).any() or not (present & ~is_seen).any():
        raise ValueError("test rows of seen and of unseen classes are both needed")
    columns = np.arange(n_classes)
    best_seen = columns[is_seen][values[:, is_seen].argmax(axis=1)]
    best_unseen = columns[~is_seen][values[:, ~is_seen].argmax(axis=1)]
    rows = np.arange(len(truth))
    if novelty is None:
        flips_at = values[rows, best_seen] - values[rows, best_unseen]
    else:
        flips_at = -np.asarray(novelty, dtype=np.float64)
        if flips_at.shape != truth.shape or np.isnan(flips_at).any():
            raise ValueError(f"novelty: one number for each of the {len(truth)} rows is needed, without NaN")
    # What one right answer is worth in a mean over classes.
    worth_seen = np.where(is_seen[truth], 1 / (counts[truth] * (present & is_seen).sum()), 0) * (best_seen == truth)
    worth_unseen = np.where(is_seen[truth], 0, 1 / (counts[truth] * (present & ~is_seen).sum())) * (
        best_unseen == truth
    )
    gammas, group = np.unique(flips_at, return_inverse=True)
    lost = np.bincount(group, worth_seen, minlength=len(gammas)).cumsum()
    won = np.bincount(group, worth_unseen, minlength=len(gammas)).cumsum()
    a_unseen = np.concatenate([[0.0], won])
    # Counted from the far end too, so that the last point is 0 and not what rounding left.
    a_seen = np.concatenate([[lost[-1]], lost[-1] - lost])
    a_seen[-1] = 0.0
    gamma = np.concatenate([[-np.inf], gammas])
    total = a_unseen + a_seen
    h = np.divide(2 * a_unseen * a_seen, total, out=np.zeros_like(total), where=total > 0)
    best = int(h.argmax())
    after = gamma[best + 1] if best + 1 < len(gamma) else gamma[best]
    at_zero = int(np.searchsorted(gamma, 0.0, side="right")) - 1
    return SeenUnseenCurve(
        unseen_accuracy=a_unseen,
        seen_accuracy=a_seen,
        gamma=gamma,
        ausuc=float(np.trapezoid(a_seen, a_unseen)),
        best_h=float(h[best]),
        best_gamma=float((gamma[best] + after) / 2) if np.isfinite(gamma[best]) else float(after),
        h_at_zero=float(h[at_zero]),
    )


def _check(scores: NDArray[np.float64], y: NDArray[Any], seen: NDArray[np.bool_]) -> None:
    if scores.ndim != 2 or seen.shape != (scores.shape[1],) or y.shape != (len(scores),):
        raise ValueError(
            f"scores (n, C), y (n,) and seen (C,) are needed; got {scores.shape}, {y.shape} and {seen.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError(f"scores: row {int(np.flatnonzero(np.isnan(scores).any(axis=1))[0])} holds NaN")
    if seen.all() or not seen.any():
        raise ValueError(f"{'all classes are' if seen.all() else 'no class is'} seen; a curve needs both kinds")
    if not np.issubdtype(y.dtype, np.integer) or (y < 0).any() or (y >= len(seen)).any():
        raise ValueError(f"y: classes are whole numbers from 0 to {len(seen) - 1}, the columns of the scores")


@dataclass(frozen=True)
class GeneralizedAccuracy:
    """The usual figures of a generalised zero-shot test; all accuracies are means over classes.

    Parameters
    ----------
    unseen_only, seen_only : float
        With only unseen (A_UU) or only seen (A_SS) classes as candidates.
    unseen, seen, harmonic : float
        With all classes as candidates: u, s and H.
    ausuc : float
        Area under the seen-unseen curve.
    """

    unseen_only: float
    seen_only: float
    unseen: float
    seen: float
    harmonic: float
    ausuc: float


def generalized_accuracy(scores: ArrayLike, y: ArrayLike, seen: ArrayLike) -> GeneralizedAccuracy:
    """Give all figures of a generalised zero-shot test; parameters as in `seen_unseen_curve`.

    Examples
    --------
    >>> found = generalized_accuracy([[0.9, 0.1], [0.6, 0.5]], [0, 1], [True, False])
    >>> found.unseen_only, found.unseen, found.seen, found.harmonic
    (1.0, 0.0, 1.0, 0.0)
    """
    curve = seen_unseen_curve(scores, y, seen)
    u, s = curve.at(0.0)
    return GeneralizedAccuracy(
        unseen_only=float(curve.unseen_accuracy[-1]),
        seen_only=float(curve.seen_accuracy[0]),
        unseen=u,
        seen=s,
        harmonic=harmonic_mean(u, s),
        ausuc=curve.ausuc,
    )
