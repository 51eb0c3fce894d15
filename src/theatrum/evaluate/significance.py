"""Is the difference between two systems real? Tests and intervals on scores paired by query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Alternative: TypeAlias = Literal["two-sided", "greater", "less"]

_BLOCK = 1 << 21  # numbers drawn at a time; keeps memory flat for any number of queries


@dataclass(frozen=True)
class BootstrapDifference:
    """A difference between two systems with its 95% interval.

    Parameters
    ----------
    difference : float
        First minus second, on the data as they are.
    low, high : float
        The 2.5% and 97.5% points of the resampled differences.
    resamples : ndarray of float64, shape (n_resamples,)
        The resampled differences themselves.
    """

    difference: float
    low: float
    high: float
    resamples: NDArray[np.float64] = field(repr=False, compare=False)

    @classmethod
    def of(cls, difference: float, resamples: NDArray[np.float64]) -> BootstrapDifference:
        """Take the percentiles of resampled differences."""
        low, high = np.quantile(resamples, [0.025, 0.975])
        return cls(float(difference), float(low), float(high), resamples)


@dataclass(frozen=True)
class Comparison:
    """One system against the best of its field.

    Parameters
    ----------
    name : str
        The system.
    mean : float
        Its mean score.
    difference : float
        Its mean minus the best one's; 0 for the best itself.
    p_value : float
        Of the paired randomisation test against the best; 1 for the best itself.
    p_adjusted : float
        The same after Holm's correction for the number of comparisons.
    tied : bool
        Whether the test cannot tell it from the best (adjusted p at or above alpha).
    """

    name: str
    mean: float
    difference: float
    p_value: float
    p_adjusted: float
    tied: bool


def paired_randomization_test(
    a: Any,
    b: Any,
    *,
    n_permutations: int = 10_000,
    random_state: int = 0,
    alternative: Alternative = "two-sided",
) -> float:
    """Test whether two systems differ in mean score over the same queries.

    If they do not, the sign of each query's difference is a coin flip. All sign patterns are tried when there are no
    more of them than ``n_permutations`` (queries with equal scores have no sign and are left aside), and then p is
    exact; otherwise random ones are, and ``p = (1 + as extreme) / (1 + n_permutations)``. Pick it over a t-test for
    metrics such as nDCG, whose differences are far from normal.

    Parameters
    ----------
    a, b : array-like of float, shape (q,)
        Scores of the two systems; entry i of both is the same query.
    n_permutations : int, default=10000
        Random sign patterns; the smallest p possible is about one over it.
    random_state : int, default=0
        Seed.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        "greater" asks whether the mean of ``a`` is above that of ``b``.

    Returns
    -------
    float
        The p-value, above 0 and at most 1; 1 if all scores are equal.

    Raises
    ------
    ValueError
        Scores that are empty, not finite or not paired; no permutations; an unknown alternative.

    References
    ----------
    Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
    evaluation", CIKM 2007.

    Examples
    --------
    >>> paired_randomization_test([0.9, 0.8, 0.7, 0.9], [0.1, 0.2, 0.3, 0.1])
    0.125
    >>> paired_randomization_test([0.9, 0.8, 0.7, 0.9], [0.1, 0.2, 0.3, 0.1], alternative="greater")
    0.0625
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise ValueError(f"alternative must be 'two-sided', 'greater' or 'less', got {alternative!r}")
    _check_count(n_permutations, "n_permutations")
    first, second = check_paired(a=a, b=b)
    differences = first - second
    differences = differences[differences != 0]
    m = len(differences)
    if m == 0:
        return 1.0
    exact = m < 63 and 1 << m <= n_permutations
    n = 1 << m if exact else n_permutations
    total = differences.sum()
    if alternative == "less":
        differences, total = -differences, -total
    # Equal sums must count as equal although rounding differs: the bound on the error of a sum of m terms.
    slack = 4 * m * np.finfo(np.float64).eps * np.abs(differences).sum()
    extreme = 0
    for flips in _sign_flips(m, n, exact, np.random.default_rng(random_state)):
        sums = total - 2.0 * (flips.astype(np.float64) @ differences)
        if alternative == "two-sided":
            extreme += int(np.count_nonzero(np.abs(sums) >= abs(total) - slack))
        else:
            extreme += int(np.count_nonzero(sums >= total - slack))
    return extreme / n if exact else (1 + extreme) / (1 + n)


def holm(p_values: Any) -> NDArray[np.float64]:
    """Adjust p-values for their number, so that the chance of any false finding stays below the level asked for.

    Parameters
    ----------
    p_values : array-like of float, shape (m,)
        One a comparison.

    Returns
    -------
    ndarray of float64, shape (m,)
        Adjusted p-values in the same order; compare them with the level as they are.

    Raises
    ------
    ValueError
        None given, or one outside 0 to 1.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or p.size == 0:
        raise ValueError(f"p_values: expected a list of at least one p-value, got shape {p.shape}")
    bad = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if bad.size:
        raise ValueError(f"p_values: row {bad[0]} is {p[bad[0]]}; p-values lie between 0 and 1")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def compare_with_best(
    scores: Mapping[str, Any], *, n_permutations: int = 10_000, random_state: int = 0, alpha: float = 0.05
) -> list[Comparison]:
    """Test every system of a field against the one with the highest mean, and say which are tied with it.

    The best is found on the same scores that it is tested on, which flatters it; to report a winner, choose it on one
    half of the queries and compare on the other.

    Parameters
    ----------
    scores : mapping of str to array-like of float, shape (q,)
        Scores a query of each system, all over the same queries in the same order.
    n_permutations, random_state
        As in ``paired_randomization_test``.
    alpha : float, default=0.05
        Level of the test, between 0 and 1.

    Returns
    -------
    list of Comparison
        Best mean first; equal means in the order given.

    Raises
    ------
    ValueError
        No systems, or scores that are empty, not finite or of different lengths.

    Examples
    --------
    >>> field = {"b": [0.1, 0.2, 0.1, 0.3, 0.1, 0.2], "a": [0.9, 0.8, 0.9, 0.8, 0.9, 0.8]}
    >>> [(one.name, round(one.difference, 3), one.p_adjusted, one.tied) for one in compare_with_best(field)]
    [('a', 0.0, 1.0, True), ('b', -0.683, 0.03125, False)]
    """
    if not scores:
        raise ValueError("scores: no systems; at least one is needed")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    rows = dict(zip(scores, check_paired(**scores), strict=True))
    best, *others = sorted(rows, key=lambda name: -rows[name].mean())
    top = rows[best]
    comparisons = [Comparison(best, float(top.mean()), 0.0, 1.0, 1.0, True)]
    if not others:
        return comparisons
    p_values = [
        paired_randomization_test(rows[name], top, n_permutations=n_permutations, random_state=random_state)
        for name in others
    ]
    for name, p_value, p_adjusted in zip(others, p_values, holm(p_values).tolist(), strict=True):
        mean = float(rows[name].mean())
        comparisons.append(
            Comparison(name, mean, mean - float(top.mean()), p_value, p_adjusted, bool(p_adjusted >= alpha))
        )
    return comparisons


def paired_bootstrap(a: Any, b: Any, *, n_resamples: int = 1000, random_state: int = 0) -> BootstrapDifference:
    """Put a 95% interval around the mean difference of two systems, by drawing queries with replacement.

    Pick it to say how large a difference is; pick ``paired_randomization_test`` to say whether there is one.

    Parameters
    ----------
    a, b : array-like of float, shape (q,)
        Scores of the two systems; entry i of both is the same query.
    n_resamples : int, default=1000
        Number of resamples.
    random_state : int, default=0
        Seed.

    Returns
    -------
    BootstrapDifference
        Mean of a minus mean of b, the interval (percentiles), and the resampled differences.

    Raises
    ------
    ValueError
        Scores that are empty, not finite or not paired, or no resamples.

    Examples
    --------
    >>> found = paired_bootstrap([0.5, 0.7, 0.6, 0.9], [0.4, 0.5, 0.5, 0.7])
    >>> round(found.difference, 3), found.low > 0
    (0.15, True)
    """
    _check_count(n_resamples, "n_resamples")
    first, second = check_paired(a=a, b=b)
    differences = first - second
    q = len(differences)
    rng = np.random.default_rng(random_state)
    means = np.empty(n_resamples)
    for start, stop in blocks(n_resamples, q):
        means[start:stop] = differences[rng.integers(q, size=(stop - start, q))].mean(axis=1)
    return BootstrapDifference.of(float(differences.mean()), means)


def check_paired(**scores: Any) -> list[NDArray[np.float64]]:
    """Return rows of scores as float64 arrays of one length, or say which is wrong.

    Examples
    --------
    >>> check_paired(a=[1, 2], b=[1, 2, 3])
    Traceback (most recent call last):
    ...
    ValueError: b: 3 scores, but a has 2; scores must be over the same queries in the same order
    """
    checked: list[NDArray[np.float64]] = []
    for name, values in scores.items():
        row = np.asarray(values, dtype=np.float64)
        if row.ndim != 1 or row.size == 0:
            raise ValueError(f"{name}: expected at least one score, in one dimension, got shape {row.shape}")
        bad = np.flatnonzero(~np.isfinite(row))
        if bad.size:
            raise ValueError(f"{name}: row {bad[0]} is NaN or infinity; leave this query out of every system")
        if checked and len(row) != len(checked[0]):
            raise ValueError(
                f"{name}: {len(row)} scores, but {next(iter(scores))} has {len(checked[0])}; "
                "scores must be over the same queries in the same order"
            )
        checked.append(row)
    return checked


def blocks(n: int, width: int) -> Sequence[tuple[int, int]]:
    """Cut n rows of a given width into (start, stop) pieces that fit in memory."""
    step = max(_BLOCK // width, 1)
    return [(start, min(start + step, n)) for start in range(0, n, step)]


def _sign_flips(m: int, n: int, exact: bool, rng: np.random.Generator) -> Iterator[NDArray[Any]]:
    """Blocks (rows, m) of 0 and 1, 1 where a sign is flipped: all patterns, or n random ones."""
    for start, stop in blocks(n, m):
        if exact:
            yield (np.arange(start, stop)[:, None] >> np.arange(m)) & 1
        else:
            bits = rng.integers(256, size=(stop - start, -(-m // 8)), dtype=np.uint8)  # eight flips a byte
            yield np.unpackbits(bits, axis=1, count=m)


def _check_count(value: int, name: str) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
