"""The linear programme behind the attribute bound, solved by cuts: few of its exponentially many rows ever matter.

A cut is a subset S of classes with a pattern v of attributes. Between them stand two programmes with the same value,
the least Bayes accuracy that nature can force on classes with given attribute rates:

    nature    min  sum_(S,v) mass(S,v)             such that  sum over cuts with c in S of mass * (v, 1) = pi_c (A_c, 1)
    the rule  max  sum_c pi_c (w_c . A_c + b_c)    such that  sum_(c in S) (w_c . v + b_c) <= 1  for every cut (S, v)

Nature may use some cuts only, which makes its value too large; a rule that breaks a cut is divided by how much it
breaks it, which makes its value too small. So every stop gives a bracket.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import block_array, csr_array, eye_array, kron, vstack

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_ENUMERATED = 15  # classes whose 2^k - 1 subsets are all looked at
_PER_ROUND = 80  # cuts added at most at each of two points; more make the programme slower than they make it better
_RESTARTS = 50  # starts of the local search at random, and as many from nature's own subsets
_NO_MASS, _HIDDEN = 1e-10, 0.1  # no mass; share of the tolerance up to which a misplaced mass is rounding
_ROUNDING = 1e-8  # sums below are 0 to HiGHS
_FIRST = 60.0  # seconds that the first, small programme may take whatever the deadline, since a bracket is promised


@dataclass(frozen=True)
class Solution:
    """Where the search for cuts ended.

    Parameters
    ----------
    subsets : ndarray of bool, shape (s, k)
        Classes of the cuts that nature uses.
    patterns : ndarray of bool, shape (s, m)
        Attributes of these cuts.
    masses : ndarray of float64, shape (s,)
        How much nature uses them; their sum is at least the least Bayes accuracy.
    rule : ndarray of float64, shape (k, m + 1)
        Weights and offset of each class, within all known cuts; the best rule that was met.
    value : float
        What the rule reaches; at most the least Bayes accuracy where all cuts were looked at.
    n_cuts : int
        Cuts in the last programme.
    """

    subsets: Flags
    patterns: Flags
    masses: Matrix
    rule: Matrix
    value: float
    n_cuts: int


class CutPool:
    """Cuts without repetition, and the programme that they make.

    Parameters
    ----------
    rates : ndarray of float64, shape (k, m)
        P(attribute | class).
    class_weights : ndarray of float64, shape (k,)
        Sum 1.
    """

    def __init__(self, rates: Matrix, class_weights: Matrix) -> None:
        k, m = rates.shape
        self.target: Matrix = class_weights[:, None] * np.hstack([rates, np.ones((k, 1))])
        self.subsets, self.patterns = np.empty((0, k), bool), np.empty((0, m), bool)
        self._rows = csr_array((0, k * (m + 1)))
        self._known: set[bytes] = set()
        # One class at a time, all its attributes driven by one uniform number: so there is always a solution.
        levels = np.sort(np.hstack([rates, np.ones((k, 1))]), axis=1)
        self.add(
            np.repeat(np.eye(k, dtype=bool), m + 1, axis=0),
            (rates[:, None] >= levels[:, :, None]).reshape(k * (m + 1), m),
        )

    def add(self, subsets: Flags, patterns: Flags) -> int:
        """Add cuts, and return how many of them are new."""
        # A cut as its bits; a dict keeps the first row of those that are alike.
        keys = [bits.tobytes() for bits in np.packbits(np.hstack([subsets, patterns]), axis=1)][::-1]
        first = {key: len(keys) - 1 - row for row, key in enumerate(keys) if key not in self._known}
        fresh = sorted(first.values())
        self._known.update(first)
        S, V = subsets[fresh], patterns[fresh]
        rows = S[:, :, None] & np.hstack([V, np.ones((len(V), 1), bool)])[:, None]
        self._rows = vstack(
            [self._rows, csr_array(rows.reshape(len(V), self.target.size).astype(np.float64))], format="csr"
        )
        self.subsets, self.patterns = np.vstack([self.subsets, S]), np.vstack([self.patterns, V])
        return len(fresh)

    def solve(self, seconds: float) -> tuple[Matrix, Matrix] | None:
        """Nature's masses and the rule (k, m + 1) for the present cuts; None where time ran out."""
        found = linprog(
            np.ones(len(self.subsets)),
            A_eq=self._rows.T,
            b_eq=self.target.ravel(),
            method="highs-ds",
            options={"time_limit": max(seconds, 0.1)},
        )
        return None if found.x is None else (found.x, found.eqlin.marginals.reshape(self.target.shape))


@lru_cache(maxsize=4)
def _all_subsets(k: int) -> Matrix:
    return ((np.arange(1, 2**k)[:, None] >> np.arange(k)) & 1).astype(np.float64)


def left_sides(subsets: NDArray[np.floating], rule: Matrix) -> tuple[Matrix, Flags]:
    """Left sides (s,) of the worst cut of each subset of classes (s, k), and its pattern (s, m).

    For a subset the worst pattern has exactly those attributes whose weights, added over its classes, are positive.

    Examples
    --------
    >>> sums, patterns = left_sides(np.array([[1.0, 1.0]]), np.array([[0.5, -1.0, 0.2], [0.5, 0.5, 0.2]]))
    >>> sums.round(6).tolist(), patterns.astype(int).tolist()
    ([1.4], [[1, 0]])
    """
    added = subsets @ rule
    return np.maximum(added[:, :-1], 0).sum(axis=1) + added[:, -1], added[:, :-1] > 0


def searched_subsets(rule: Matrix, starts: Flags) -> Matrix:
    """Subsets of classes with large left sides, by single flips from each start until none helps."""
    S = np.unique(starts, axis=0)
    k = len(rule)
    value = left_sides(S.astype(np.float64), rule)[0]
    active = np.arange(len(S))
    while active.size:
        flipped = S[active][:, None] ^ np.eye(k, dtype=bool)
        tried = left_sides(flipped.reshape(-1, k).astype(np.float64), rule)[0].reshape(-1, k)
        best = tried.argmax(axis=1)
        gain = tried[np.arange(len(active)), best]
        better = gain > value[active] + 1e-12
        active, best = active[better], best[better]
        S[active, best] ^= True
        value[active] = gain[better]
    S = np.unique(S, axis=0)
    return S[S.any(axis=1)].astype(np.float64)


def largest_left_side(rule: Matrix, seconds: float) -> float:
    """An upper bound on every left side of a rule: exact by enumeration, beyond 15 classes by branch and bound.

    Parameters
    ----------
    rule : ndarray of float64, shape (k, m + 1)
        Weights and offsets.
    seconds : float
        For branch and bound; the bound is valid, if not the least, when they are over.
    """
    k, m = len(rule), rule.shape[1] - 1
    if k <= MOST_ENUMERATED:
        return float(left_sides(_all_subsets(k), rule)[0].max())
    # Variables: v (m), which classes count (k), and their parts (k), part <= w . v + b where counted and 0 elsewhere.
    W, b = rule[:, :-1], rule[:, -1]
    high = np.maximum(np.maximum(W, 0).sum(axis=1) + b, 0)
    low = np.minimum(np.minimum(W, 0).sum(axis=1) + b, 0)
    counted, zero = np.eye(k), np.zeros((k, m))
    rows = np.block([[-W, -low[:, None] * counted, counted], [zero, -high[:, None] * counted, counted]])
    found = milp(
        np.concatenate([np.zeros(m + k), -np.ones(k)]),
        integrality=np.concatenate([np.zeros(m), np.ones(k), np.zeros(k)]),
        bounds=Bounds(np.zeros(m + 2 * k), np.concatenate([np.ones(m + k), high])),
        constraints=LinearConstraint(csr_array(rows), -np.inf, np.concatenate([b - low, np.zeros(k)])),
        options={"time_limit": max(seconds, 1.0), "mip_rel_gap": 1e-7},
    )
    bound = getattr(found, "mip_dual_bound", None)
    return float(high.sum() if bound is None else min(-bound, high.sum()))


class _Separation:
    """Finds broken cuts: all subsets of classes where they can be listed, a local search where not."""

    def __init__(self, k: int, tol: float) -> None:
        self.listed = _all_subsets(k) if k <= MOST_ENUMERATED else None
        self.broken = 1 + tol / 10
        self._rng = np.random.default_rng(0)  # the same search each time: a bound is a number, not a sample

    def __call__(self, rule: Matrix, used: Flags) -> tuple[float, Flags, Flags]:
        """Largest left side found, and the most broken cuts."""
        S = self.listed
        if S is None:
            S = searched_subsets(rule, np.vstack([used[:_RESTARTS], self._rng.random((_RESTARTS, len(rule))) < 0.5]))
        sums, patterns = left_sides(S, rule)
        top = np.argsort(-sums, kind="stable")[:_PER_ROUND]
        worst, top = float(sums[top[0]]), top[sums[top] > self.broken]
        return worst, S[top] > 0, patterns[top]


def solve_by_cuts(pool: CutPool, rule: Matrix, tol: float, deadline: float, *, enough: float = -np.inf) -> Solution:
    """Add broken cuts until nature and the rule agree.

    Parameters
    ----------
    pool : CutPool
        Where to begin; it grows.
    rule : ndarray of float64, shape (k, m + 1)
        A rule that breaks no cut at all.
    tol : float
        Agreement asked for.
    deadline : float
        Of ``time.monotonic``; the first programme is solved in any case.
    enough : float, optional
        Stop as soon as the least Bayes accuracy is known to be at most this.
    """
    separate = _Separation(len(rule), tol)
    value = float((pool.target * rule).sum())
    masses, used = np.empty(0), np.empty(0, int)
    while True:
        solved = pool.solve(deadline - time.monotonic() if masses.size else _FIRST)
        if solved is None:
            break
        masses, corner = solved
        used = np.argsort(-masses)[: np.count_nonzero(masses > _NO_MASS)]
        # A corner of the programme of few cuts jumps about; halfway to the best rule so far, the cuts are deeper.
        for point in ((corner + rule) / 2, corner):
            worst, *cuts = separate(point, pool.subsets[used])
            reached = float((pool.target * point).sum()) / worst if worst > _ROUNDING else -np.inf
            if reached > value:
                rule, value = point / worst, reached
            if point is not corner:
                added = pool.add(*cuts)
        done = masses.sum() - value <= tol or masses.sum() <= enough or time.monotonic() > deadline
        if done or not (added or pool.add(*cuts)):
            break
    return Solution(pool.subsets[used], pool.patterns[used], masses[used], rule, value, len(pool.subsets))


def split_masses(found: Solution, wanted: Matrix) -> tuple[Matrix, float]:
    """Give one more attribute to nature's masses, each a share of it, so that every class has it at its rate.

    Where that is possible, the attribute changes nothing: nature forces the same error with it as without it.

    Parameters
    ----------
    found : Solution
        Nature's masses without the attribute.
    wanted : ndarray of float64, shape (k,)
        Rate of the attribute times weight of each class.

    Returns
    -------
    shares : ndarray of float64, shape (s,)
        Share of each mass with the attribute, between 0 and 1.
    missing : float
        Mass that is in the wrong place, added over the classes; 0 where the attribute changes nothing.
    """
    k, s = len(wanted), len(found.masses)
    parts = csr_array(np.hstack([found.subsets.T * found.masses, np.eye(k), -np.eye(k)]))
    cost = np.concatenate([np.zeros(s), np.ones(2 * k)])
    upper = np.concatenate([np.ones(s), np.full(2 * k, np.inf)])
    solved = linprog(
        cost, A_eq=parts, b_eq=wanted, bounds=np.column_stack([np.zeros(s + 2 * k), upper]), method="highs-ds"
    )
    return np.clip(solved.x[:s], 0, 1), float(solved.fun)


def spread_patterns(found: Solution, shares: Matrix) -> tuple[NDArray[np.intp], Flags, Matrix]:
    """Write shares (s, a) of further attributes as patterns.

    Each mass is cut where one uniform number passes one of its shares; at most a + 1 pieces each.

    Returns
    -------
    rows : ndarray of int, shape (p,)
        The mass that each piece is of.
    patterns : ndarray of bool, shape (p, a)
        Its further attributes.
    masses : ndarray of float64, shape (p,)
        Its size.
    """
    edges = np.sort(np.hstack([shares, np.ones((len(shares), 1))]), axis=1)
    sizes = np.diff(edges, axis=1, prepend=0.0) * found.masses[:, None]
    rows, columns = np.nonzero(sizes > 0)
    return rows, shares[rows] >= edges[rows, columns, None], sizes[rows, columns]


def with_attribute(found: Solution, rates: Matrix, class_weights: Matrix) -> tuple[CutPool, Matrix]:
    """Begin with one more attribute, the last column: nature's cuts with and without it, a rule blind to it."""
    pool = CutPool(rates, class_weights)
    for present in (False, True):
        pool.add(found.subsets, np.hstack([found.patterns, np.full((len(found.patterns), 1), present)]))
    return pool, np.insert(found.rule, -1, 0.0, axis=1)


def without_attributes(class_weights: Matrix, tol: float, deadline: float) -> Solution:
    """Nature and the rule where nothing is seen of an item: the most frequent class is the answer."""
    rule = np.zeros((len(class_weights), 1))
    rule[class_weights.argmax()] = 1.0
    return solve_by_cuts(CutPool(np.empty((len(class_weights), 0)), class_weights), rule, tol, deadline)


def solve_growing(rates: Matrix, class_weights: Matrix, tol: float, deadline: float) -> Solution:
    """Solve for all attributes by solving for those that nature cannot hide.

    Beginning with none, the attribute that nature's present masses can least be split by is taken in, until they can
    be split by all that are left. Weights of these are 0, and the best rule looks at a few dozen attributes at most.

    Parameters
    ----------
    rates : ndarray of float64, shape (k, m)
        P(attribute | class).
    class_weights : ndarray of float64, shape (k,)
        Sum 1.
    tol : float
        Agreement asked for.
    deadline : float
        Of ``time.monotonic``; after it, attributes still come in until masses stand for all, each by one programme.

    Returns
    -------
    Solution
        For all m attributes.
    """
    k, m = rates.shape
    chosen: list[int] = []
    found = without_attributes(class_weights, tol, deadline)
    while True:
        rest = [j for j in range(m) if j not in chosen]
        splits = [split_masses(found, class_weights * rates[:, j]) for j in rest]
        missing = np.array([lacking for _, lacking in splits])
        if not rest or missing.max() <= tol * _HIDDEN:
            break
        chosen.append(rest[missing.argmax()])
        pool, rule = with_attribute(found, rates[:, chosen], class_weights)
        found = solve_by_cuts(pool, rule, tol, deadline)
    shares = np.column_stack([share for share, _ in splits]) if rest else np.empty((len(found.masses), 0))
    rows, further, masses = spread_patterns(found, shares)
    patterns = np.empty((len(rows), m), dtype=bool)
    patterns[:, chosen], patterns[:, rest] = found.patterns[rows], further
    rule = np.zeros((k, m + 1))
    rule[:, [*chosen, m]] = found.rule
    return Solution(found.subsets[rows], patterns, masses, rule, found.value, found.n_cuts)


def best_next(found: Solution, rates: Matrix, pi: Matrix, chosen: list[int], tol: float) -> tuple[int, Solution]:
    """Find the attribute that lowers the bound most when it joins those chosen, and the solution with it."""
    tried: list[tuple[float, float, int]] = []
    for column in np.setdiff1d(np.arange(rates.shape[1]), chosen).tolist():
        missing = split_masses(found, pi * rates[:, column])[1]
        accuracy = float(found.masses.sum())
        if missing > tol * _HIDDEN:
            # Nature with its old cuts only cannot do its best: the accuracy with this attribute is at most this.
            solved = with_attribute(found, rates[:, [*chosen, column]], pi)[0].solve(np.inf)
            accuracy = float(solved[0].sum()) if solved is not None else 1.0
        tried.append((-accuracy, -missing, column))
    best: tuple[float, int, Solution] | None = None
    for negative, _, column in sorted(tried):
        if best is not None and -negative <= best[0] + tol:
            break
        pool, rule = with_attribute(found, rates[:, [*chosen, column]], pi)
        enough = -np.inf if best is None else best[0] + tol
        solution = solve_by_cuts(pool, rule, tol, np.inf, enough=enough)
        if best is None or solution.masses.sum() > enough:
            best = float(solution.masses.sum()), column, solution
    assert best is not None
    return best[1], best[2]


def worst_case(found: Solution) -> tuple[NDArray[np.uint8], Matrix]:
    """Nature's patterns (s, m) without repetition, and the joint probability (k, s) of class and pattern."""
    patterns, place = np.unique(found.patterns.astype(np.uint8), axis=0, return_inverse=True)
    joint = np.zeros((len(patterns), found.subsets.shape[1]))
    np.add.at(joint, place.ravel(), found.subsets * found.masses[:, None])
    return patterns, np.ascontiguousarray(joint.T)


def solve_primal(rates: Matrix, class_weights: Matrix) -> tuple[NDArray[np.uint8], Matrix, Matrix]:
    """Solve the paper's programme over all 2^m patterns: worst-case patterns, their joint law, and the rule (k, m + 1).

    Unknown are the joint probability of class and pattern and, for each pattern, the largest of these; the sum of the
    largest is made as small as the rates allow.
    """
    k, m = rates.shape
    n = 2**m
    V = (np.arange(n)[:, None] >> np.arange(m)) & 1
    moments, each = csr_array(np.vstack([V.T, np.ones(n)])), eye_array(k)
    found = linprog(
        np.concatenate([np.zeros(k * n), np.ones(n)]),
        A_ub=block_array([[eye_array(k * n), -kron(np.ones((k, 1)), eye_array(n))]], format="csr"),
        b_ub=np.zeros(k * n),
        A_eq=block_array([[kron(each, moments), csr_array((k * (m + 1), n))]], format="csr"),
        b_eq=(class_weights[:, None] * np.hstack([rates, np.ones((k, 1))])).ravel(),
        method="highs-ds",
    )
    joint = np.maximum(found.x[: k * n].reshape(k, n), 0.0)
    kept = joint.any(axis=0)
    return V[kept].astype(np.uint8), joint[:, kept], found.eqlin.marginals.reshape(k, m + 1)
