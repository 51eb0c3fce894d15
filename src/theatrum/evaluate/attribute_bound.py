"""The least worst-case error that any zero-shot rule on class attributes can promise, and the rule that promises it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from theatrum.evaluate.attribute_cuts import (
    MOST_ENUMERATED,
    Matrix,
    best_next,
    largest_left_side,
    solve_growing,
    solve_primal,
    without_attributes,
    worst_case,
)
from theatrum.evaluate.attribute_rates import MOST_PRIMAL, check_class_weights, check_options, check_rates
from theatrum.extras import require

_SMALL = 2_000  # unknowns up to which the plain programme is quicker than cuts
_CERTIFY = 30.0  # seconds to prove, beyond 15 classes, that a rule is one


@dataclass(frozen=True, eq=False)
class AttributeBound:
    """A bracket of the least worst-case error, with the rule and the worst case that prove it.

    Parameters
    ----------
    error_lower, error_upper : float
        Nature has a joint law with these rates under which no rule errs less often than ``error_lower``; the rule here
        errs at most ``error_upper`` under every such law. Expected errors under ``class_weights``.
    exact : bool
        Whether the two agree within the tolerance.
    weights : ndarray of float64, shape (k, m)
        Of the rule, see `minimax_probabilities`; 0 for attributes that it does not look at.
    offsets : ndarray of float64, shape (k,)
        Of the rule.
    class_weights : ndarray of float64, shape (k,)
        How frequent the classes are taken to be.
    attributes_used : ndarray of int, shape (u,)
        Columns of the rates that the bound is about: all, or those chosen, in the order of choice.
    rates : ndarray of float64, shape (k, u)
        Their rates.
    patterns : ndarray of uint8, shape (s, u)
        Attributes that items have in the worst case.
    joint : ndarray of float64, shape (k, s)
        Probability of class and pattern in the worst case.
    curve : ndarray of float64, shape (u,) or None
        The bound with 1, 2, ... chosen attributes; None where all were used.
    n_cuts : int
        Cuts in the last programme; 0 where all patterns were written down.
    seconds : float
        Wall-clock time.
    """

    error_lower: float
    error_upper: float
    exact: bool
    weights: Matrix = field(repr=False)
    offsets: Matrix = field(repr=False)
    class_weights: Matrix = field(repr=False)
    attributes_used: NDArray[np.intp] = field(repr=False)
    rates: Matrix = field(repr=False)
    patterns: NDArray[np.uint8] = field(repr=False)
    joint: Matrix = field(repr=False)
    curve: Matrix | None = field(repr=False)
    n_cuts: int = field(repr=False)
    seconds: float = field(repr=False)

    def plot(self, what: Literal["pairs", "curve"] = "pairs", *, class_names: Sequence[str] | None = None) -> Any:
        """Draw the bounds of all pairs of classes, or the bound against the number of chosen attributes.

        Parameters
        ----------
        what : {"pairs", "curve"}, default="pairs"
            The curve is there where the bound was asked for with ``max_attributes``.
        class_names : sequence of str, optional
            For the axes; numbers by default.

        Returns
        -------
        matplotlib.figure.Figure
            Needs the extra ``plot``.

        Raises
        ------
        ValueError
            Another picture, a curve that was not asked for, or names that are not one a class.
        """
        if what not in ("pairs", "curve"):
            raise ValueError(f"what must be 'pairs' or 'curve', got {what!r}")
        if what == "curve" and self.curve is None:
            raise ValueError("there is no curve: all attributes were used; ask for the bound with max_attributes")
        k = len(self.rates)
        names = [str(name) for name in class_names] if class_names is not None else [str(c) for c in range(k)]
        if len(names) != k:
            raise ValueError(f"class_names: {len(names)} names for {k} classes; one name a class is needed")
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        if self.curve is not None and what == "curve":
            axes.plot(np.arange(1, len(self.curve) + 1), self.curve, color="#0b3954", marker="o", markersize=4)
            axes.set(xlabel="attributes chosen", ylabel="least worst-case error", ylim=(0, None))
            return figure
        image = axes.imshow(pairwise_attribute_bound(self.rates), cmap="cividis", vmin=0, vmax=0.5)
        axes.set_xticks(range(k), names, rotation=90, fontsize=7)
        axes.set_yticks(range(k), names, fontsize=7)
        figure.colorbar(image, label="least worst-case error of the pair")
        return figure


def attribute_zero_shot_bound(
    A: Any,
    class_weights: Any = None,
    *,
    method: Literal["auto", "primal", "cuts"] = "auto",
    max_attributes: int | None = None,
    tol: float = 1e-6,
    time_limit: float = 60.0,
) -> AttributeBound:
    """Bound what any rule on these attributes can promise for classes without examples, before anything is labelled.

    Pick it to learn whether a bad zero-shot score is the fault of the method or of the class descriptions, which
    classes will be confused, and when further attributes stop helping. It is a worst case over all joint laws of the
    attributes with the given rates: a real problem may be far easier, so a large bound does not say that a method
    must fail, only that nothing in the attribute table says that it will not. Rates of 0 and 1 only (a rounded table)
    make the bound 0 for classes that differ at all, and say nothing.

    Unknown is the law of the m attributes in each class, of which only the rates are given. The bound is::

        E* = min over rules  max over laws with these rates  P(error)

    With the rates of imperfect detectors in place of A (how often each fires on each class), the bound covers the
    whole pipeline, as far as those rates are right; the paper treats perfect detectors.

    Parameters
    ----------
    A : array-like of float, shape (k, m)
        P(attribute | class) in [0, 1] for the k >= 2 classes to tell apart.
    class_weights : array-like of float, shape (k,), optional
        How frequent each class is, sum 1; equal by default, as in the paper.
    method : {"auto", "primal", "cuts"}, default="auto"
        One linear programme over all 2^m patterns (at most 15 attributes), or cuts (any number). They agree.
    max_attributes : int, optional
        Use only so many attributes, chosen by `greedy_attributes`; all by default.
    tol : float, default=1e-6
        How near the two sides of the bracket must come.
    time_limit : float, default=60.0
        Seconds after which no more cuts are sought. The bracket is valid, wider, and takes some more seconds.

    Returns
    -------
    AttributeBound
        Bracket, rule and worst case.

    Raises
    ------
    ValueError
        Rates that are outside [0, 1], NaN, or for fewer than two classes; weights that are none; bad options.

    Notes
    -----
    The cuts (a dual route, not the paper's) make it exact for all 85 attributes of ten classes in seconds on one core.
    Up to 15 classes broken cuts are found by enumeration; beyond, by local search, and the rule is then proved by
    branch and bound. Looking at single attributes only, nature can split its masses by most of them at no cost.

    References
    ----------
    Mazzetto, Menghini, Yuan, Upfal and Bach, "Tight Lower Bounds on Worst-Case Guarantees for Zero-Shot Learning with
    Attributes", NeurIPS 2022, arXiv 2205.13068. Atlas 072.

    Examples
    --------
    >>> stripes_and_hooves = [[0.9, 1.0], [0.1, 1.0], [0.8, 0.1]]  # zebra, horse, tiger
    >>> bound = attribute_zero_shot_bound(stripes_and_hooves)
    >>> round(bound.error_lower, 4), round(bound.error_upper, 4), bound.exact
    (0.1, 0.1, True)
    """
    start = time.monotonic()
    rates = check_rates(A)
    pi = check_class_weights(class_weights, len(rates))
    m = rates.shape[1]
    check_options(method, max_attributes, m, tol, time_limit)
    used, curve = np.arange(m), None
    if max_attributes is not None and max_attributes < m:
        used, curve = greedy_attributes(rates, max_attributes, class_weights=pi, tol=tol)
    chosen = rates[:, used]
    if method == "auto":
        method = "primal" if len(rates) << min(len(used), MOST_PRIMAL) <= _SMALL else "cuts"
    if method == "primal":
        patterns, joint, rule = solve_primal(chosen, pi)
        n_cuts = 0
    else:
        found = solve_growing(chosen, pi, tol, start + time_limit)
        patterns, joint = worst_case(found)
        rule, n_cuts = found.rule, found.n_cuts
    # The programmes are right up to rounding; dividing by the largest left side makes the rule one beyond doubt.
    rule = rule / max(largest_left_side(rule, _CERTIFY), np.finfo(np.float64).tiny)
    lower = 1.0 - float(joint.max(axis=0).sum())
    upper = 1.0 - float((pi * (chosen * rule[:, :-1]).sum(axis=1)).sum() + pi @ rule[:, -1])
    weights = np.zeros((len(rates), m))
    weights[:, used] = rule[:, :-1]
    return AttributeBound(
        error_lower=max(lower, 0.0),
        error_upper=upper,
        exact=abs(upper - lower) <= 2 * tol,
        weights=weights,
        offsets=rule[:, -1],
        class_weights=pi,
        attributes_used=used,
        rates=chosen,
        patterns=patterns,
        joint=joint,
        curve=curve,
        n_cuts=n_cuts,
        seconds=time.monotonic() - start,
    )


def minimax_probabilities(V: Any, weights: Matrix, offsets: Matrix) -> Matrix:
    """Probabilities (n, k) with which the rule answers each class: ``max(0, w . v + b)``, what is left shared equally.

    Parameters
    ----------
    V : array-like of 0 and 1, shape (n, m)
        Attributes of items.
    weights : ndarray of float64, shape (k, m)
        Of a bound.
    offsets : ndarray of float64, shape (k,)
        Of a bound.

    Examples
    --------
    >>> minimax_probabilities([[1], [0]], np.array([[1.0], [-1.0]]), np.array([-0.25, 0.75])).tolist()
    [[0.875, 0.125], [0.125, 0.875]]
    """
    taken = np.maximum(np.asarray(V) @ weights.T + offsets, 0.0)
    left = np.maximum(1.0 - taken.sum(axis=1, keepdims=True), 0.0)
    return taken + left / len(weights)


def pairwise_attribute_bound(A: Any) -> Matrix:
    """Bound each pair of classes by itself, equally frequent: ``(1 - max_j |A_cj - A_dj|) / 2``.

    It predicts which classes a method on these attributes will confuse, at no cost for any number of classes. The best
    that a rule can do for two classes is to look at the one attribute that differs most.

    Parameters
    ----------
    A : array-like of float, shape (k, m)
        P(attribute | class) in [0, 1].

    Returns
    -------
    ndarray of float64, shape (k, k)
        Least worst-case error of each pair, 0 to 0.5; 0.5 on the diagonal.

    Raises
    ------
    ValueError
        As in `attribute_zero_shot_bound`.

    References
    ----------
    Mazzetto et al., NeurIPS 2022, arXiv 2205.13068. Atlas 072.

    Examples
    --------
    >>> pairwise_attribute_bound([[0.9, 0.5], [0.1, 0.5], [0.1, 1.0]]).round(2).tolist()
    [[0.5, 0.1, 0.1], [0.1, 0.5, 0.25], [0.1, 0.25, 0.5]]
    """
    rates = check_rates(A)
    return np.stack([(1.0 - np.abs(rates - row).max(axis=1)) / 2 for row in rates])


def greedy_attributes(
    A: Any, n: int, *, class_weights: Any = None, tol: float = 1e-6
) -> tuple[NDArray[np.intp], Matrix]:
    """Choose attributes one after the other, each the one that lowers the bound most.

    Pick it to decide which attribute to annotate next, and when to stop. Where no attribute lowers the bound by
    itself, the one that nature finds hardest to hide comes next, as it may help together with later ones.

    Parameters
    ----------
    A : array-like of float, shape (k, m)
        P(attribute | class) in [0, 1]; at most 15 classes.
    n : int
        Attributes to choose, at most m.
    class_weights : array-like of float, shape (k,), optional
        How frequent each class is, sum 1; equal by default.
    tol : float, default=1e-6
        To which each bound is found.

    Returns
    -------
    indices : ndarray of int, shape (n,)
        Columns, in the order of choice.
    curve : ndarray of float64, shape (n,)
        The bound with the first 1, 2, ..., n of them.

    Raises
    ------
    ValueError
        As in `attribute_zero_shot_bound`, n that is not between 1 and m, or more than 15 classes.

    References
    ----------
    Mazzetto et al., NeurIPS 2022, arXiv 2205.13068. Atlas 072.

    Examples
    --------
    >>> indices, curve = greedy_attributes([[0.5, 0.9, 0.9], [0.5, 0.1, 0.9], [0.6, 0.1, 0.2]], 2)
    >>> indices.tolist(), curve.round(4).tolist()
    ([1, 2], [0.4, 0.2])
    """
    rates = check_rates(A)
    k, m = rates.shape
    pi = check_class_weights(class_weights, k)
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= m:
        raise ValueError(f"n must be a whole number between 1 and the {m} attributes there are, got {n!r}")
    if k > MOST_ENUMERATED:
        raise ValueError(
            f"attributes are chosen for at most {MOST_ENUMERATED} classes, got {k}; choose for the classes that "
            "pairwise_attribute_bound calls the most confused"
        )
    chosen: list[int] = []
    curve: list[float] = []
    found = without_attributes(pi, tol, np.inf)
    for _ in range(n):
        column, found = best_next(found, rates, pi, chosen, tol)
        chosen.append(column)
        # A larger number can only be rounding: a rule may always leave an attribute out.
        curve.append(min([1.0 - float(found.masses.sum()), *curve[-1:]]))
    return np.array(chosen), np.array(curve)


def worst_case_sample(
    bound: AttributeBound, n: int, random_state: int | np.random.Generator | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Draw items from the worst case: no method that sees only the attributes errs less often than the bound on them.

    A hard test set for attribute-based methods, with exactly the class rates that they were told.

    Parameters
    ----------
    bound : AttributeBound
        From `attribute_zero_shot_bound`.
    n : int
        Items.
    random_state : int, Generator or None, default=None
        Seed.

    Returns
    -------
    V : ndarray of uint8, shape (n, u)
        Attributes, in the order of ``bound.attributes_used``.
    y : ndarray of int, shape (n,)
        Classes.

    Raises
    ------
    ValueError
        n is no whole number of at least 1.

    Examples
    --------
    >>> V, y = worst_case_sample(attribute_zero_shot_bound([[0.9], [0.2]]), 2000, random_state=0)
    >>> float(abs(V[y == 0].mean() - 0.9).round(1)), V.dtype.name
    (0.0, 'uint8')
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}")
    rng = np.random.default_rng(random_state)
    mass = np.cumsum(bound.joint.ravel())
    cells = np.searchsorted(mass, rng.random(n) * mass[-1], side="right")
    y, pattern = np.divmod(cells, bound.joint.shape[1])
    return bound.patterns[pattern], y
