"""Checks of what an attribute bound is asked about: rates, class weights, options."""

from __future__ import annotations

from typing import Any

import numpy as np

from theatrum.checks import Range
from theatrum.evaluate.attribute_cuts import Matrix

MOST_PRIMAL = 15  # attributes of which all 2^m patterns are written down


def check_rates(A: Any) -> Matrix:
    """Return attribute rates as a float64 matrix, or say what is wrong with them.

    Examples
    --------
    >>> check_rates([[90, 10], [0, 50]])
    Traceback (most recent call last):
    ...
    ValueError: A: class 0, attribute 0 is 90; rates are probabilities in [0, 1]: divide percentages by 100
    """
    try:
        rates = np.array(A, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"A: expected a matrix of rates (classes, attributes): {error}") from None
    if rates.ndim != 2 or rates.shape[1] == 0:
        raise ValueError(f"A: expected a matrix (classes, attributes), got shape {rates.shape}")
    if len(rates) < 2:
        raise ValueError(f"A: {len(rates)} class(es); two at least are needed to confuse any")
    bad = np.argwhere(~np.isfinite(rates))
    if bad.size:
        raise ValueError(f"A: class {bad[0, 0]}, attribute {bad[0, 1]} is NaN or infinite; drop it or fill it in")
    bad = np.argwhere((rates < 0) | (rates > 1))
    if bad.size:
        value = rates[tuple(bad[0])]
        hint = "a negative number often marks a missing one" if value < 0 else "divide percentages by 100"
        raise ValueError(
            f"A: class {bad[0, 0]}, attribute {bad[0, 1]} is {value:g}; rates are probabilities in [0, 1]: {hint}"
        )
    return rates


def check_class_weights(class_weights: Any, k: int) -> Matrix:
    """Return class weights as float64 (k,), equal where none are given, or say what is wrong with them."""
    if class_weights is None:
        return np.full(k, 1.0 / k)
    pi = np.array(class_weights, dtype=np.float64)
    if pi.shape != (k,):
        raise ValueError(f"class_weights: expected {k} numbers, one a class, got shape {pi.shape}")
    bad = np.flatnonzero(~(pi >= 0))
    if bad.size:
        raise ValueError(f"class_weights: class {bad[0]} is {pi[bad[0]]:g}; weights are at least 0")
    if not abs(pi.sum() - 1.0) <= 1e-6:
        raise ValueError(f"class_weights: they add up to {pi.sum():g}, not 1; divide them by their sum")
    return pi / pi.sum()


def check_options(method: str, max_attributes: int | None, n_attributes: int, tol: float, time_limit: float) -> None:
    """Raise a ValueError for an option of the bound that makes no sense."""
    if method not in ("auto", "primal", "cuts"):
        raise ValueError(f"method must be 'auto', 'primal' or 'cuts', got {method!r}")
    for name, value in (("tol", tol), ("time_limit", time_limit)):
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value!r}")
    if max_attributes is not None and not Range(int, 1).allows(max_attributes):
        raise ValueError(f"max_attributes must be a whole number of at least 1 or None, got {max_attributes!r}")
    if method == "primal" and min(max_attributes or n_attributes, n_attributes) > MOST_PRIMAL:
        raise ValueError(
            f"method='primal' writes down 2^m patterns, for at most {MOST_PRIMAL} attributes; use method='cuts'"
        )
