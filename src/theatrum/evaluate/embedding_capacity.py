"""Embedding capacity: how many documents d dimensions can serve when every combination of them may be an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import unit_rows
from theatrum.contracts import Encoder
from theatrum.data import Collection, make_limit
from theatrum.evaluate.free_embedding import free_embedding_fit
from theatrum.evaluate.judgements import judge
from theatrum.evaluate.ranking import recall_at

_BELOW, _ABOVE = 4, 5  # how far around the first answer the search looks again


@dataclass(frozen=True)
class CapacityCurve:
    """Largest number of documents of which all k-subsets were learnt, by dimension.

    Parameters
    ----------
    dims : tuple of int
        Dimensions measured, rising.
    n_solved : tuple of int
        Largest solvable number of documents at each.
    n_failed : tuple of int
        Smallest number that was tried and not solved at each; solvability has gaps, so that it can be the smaller one.
    cubic_coef : tuple of float
        Coefficients of 1, d, d^2, d^3 of the least-squares fit; the last ones are 0 below four dimensions measured.
    r2 : float
        Share of the variance of ``n_solved`` that the fit explains.
    """

    dims: tuple[int, ...]
    n_solved: tuple[int, ...]
    n_failed: tuple[int, ...]
    cubic_coef: tuple[float, ...]
    r2: float

    def predict(self, d: float) -> float:
        """Documents that d dimensions serve by the fit; beyond the dimensions measured a guess, growing as d cubed.

        Never below d + 1, which a simplex serves.

        Examples
        --------
        >>> curve = CapacityCurve((4, 5), (9, 13), (10, 14), (-7.0, 4.0, 0.0, 0.0), 1.0)
        >>> curve.predict(6), curve.predict(1)
        (17.0, 2.0)
        """
        fitted = float(np.polynomial.polynomial.polyval(d, self.cubic_coef))
        return max(fitted, d + 1.0)


def fit_capacity(dims: Sequence[int], n_solved: Sequence[int], n_failed: Sequence[int]) -> CapacityCurve:
    """Fit the cubic through measured capacities; of lower degree for fewer than four dimensions.

    Examples
    --------
    >>> curve = fit_capacity((4, 5, 6), (10, 14, 18), (11, 15, 19))
    >>> round(curve.predict(8), 6), round(curve.r2, 6)
    (26.0, 1.0)
    """
    x, y = np.asarray(dims, dtype=np.float64), np.asarray(n_solved, dtype=np.float64)
    degree = min(3, len(x) - 1)
    coefficients = np.zeros(4)
    coefficients[: degree + 1] = np.polynomial.Polynomial.fit(x, y, degree).convert().coef if degree else y[:1]
    residual = y - np.polynomial.polynomial.polyval(x, coefficients)
    spread = float(((y - y.mean()) ** 2).sum())
    return CapacityCurve(
        dims=tuple(map(int, dims)),
        n_solved=tuple(map(int, n_solved)),
        n_failed=tuple(map(int, n_failed)),
        cubic_coef=tuple(map(float, coefficients)),
        r2=1.0 - float((residual**2).sum()) / spread if spread else 1.0,
    )


# critical_corpus_size(max_steps=20_000, restarts=1), torch 2.13, CPU, 20 minutes.
DEFAULT_CURVE = fit_capacity(
    (3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24),
    (4, 9, 14, 19, 25, 29, 34, 38, 50, 63, 79, 119, 171),
    (5, 10, 15, 20, 26, 30, 33, 39, 51, 64, 80, 115, 168),
)
# The paper's own fit, of 4 to 45 dimensions. Where both were measured, the two differ by a few documents; at 384
# dimensions, far outside of both, ours says 2.6 times as many.
PUBLISHED_CUBIC = (-10.5322, 4.0309, 0.0520, 0.0037)


def largest_solvable(solves: Callable[[int], bool], start: int, k: int) -> tuple[int, int]:
    """Search for the largest n that is solvable: gallop up, halve the gap, then try every n near the answer.

    The last step is there because solvability has gaps. Every n is tried once at most.

    Parameters
    ----------
    solves : callable
        Whether so many documents can be served; false somewhere.
    start : int
        Where to gallop from.
    k : int
        Documents of an answer; k documents are always served.

    Returns
    -------
    n_solved, n_failed : int
        The largest solvable n and the smallest other one that were tried.

    Examples
    --------
    >>> largest_solvable(lambda n: n <= 20 or n == 23, start=5, k=2)
    (23, 21)
    """
    tried: dict[int, bool] = {}

    def check(n: int) -> bool:
        if n not in tried:
            tried[n] = solves(n)
        return tried[n]

    low, high, step = k, start, 1
    while check(high):
        low, high, step = high, high + step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if check(middle) else (low, middle)
    for n in range(max(k + 1, low - _BELOW), low + _ABOVE + 1):
        check(n)
    solvable = [n for n, solved in tried.items() if solved]
    return max(solvable, default=k), min(n for n, solved in tried.items() if not solved)


def critical_corpus_size(
    dims: Sequence[int],
    *,
    k: int = 2,
    start: int | None = None,
    margin: float | None = None,
    max_steps: int = 100_000,
    patience: int = 1_000,
    restarts: int = 3,
    random_state: int = 0,
) -> CapacityCurve:
    """Find how many documents each dimension can serve if every k of them may be the answer to some query.

    Pick it to see the ceiling of a dimension before choosing one. It measures what gradient descent on the answers
    themselves reaches, not what exists: in ``2 k`` dimensions a solution exists for any number of documents
    (`trigonometric_embedding`), by a margin too small to find or to store. Real encoders stay far below both; see
    `capacity_report`.

    Parameters
    ----------
    dims : sequence of int
        Dimensions to measure, rising. 3 to 10 take about two minutes on one core; the time grows like d^5.
    k : int, default=2
        Documents of an answer.
    start : int or None, default=None
        Number of documents to gallop from; None takes the d + 1 that a simplex solves.
    margin : float or None, default=None
        Score difference that counts as solved; None asks for any above 0.
    max_steps, patience : int, default=100_000, 1_000
        As in `free_embedding_fit`.
    restarts : int, default=3
        Random starts of every number; it fails when none of them solves it.
    random_state : int, default=0
        Seed.

    Returns
    -------
    CapacityCurve
        Solved and failed numbers of each dimension, and the cubic through the solved ones.

    Raises
    ------
    ValueError
        No dimension, dimensions that do not rise, k below 1, or a start that is not above k.
    ImportError
        torch is missing.

    References
    ----------
    Weller, Boratko, Naim and Lee, "On the Theoretical Limitations of Embedding-Based Retrieval", 2025,
    arXiv 2508.21038. Atlas 006.

    Examples
    --------
    Three dimensions serve four documents, because a convex solid of n corners has at most 3 n - 6 edges:

    >>> curve = critical_corpus_size([2, 3], max_steps=1000)
    >>> curve.n_solved
    (3, 4)
    """
    if not dims or list(dims) != sorted(set(dims)) or dims[0] < 1:
        raise ValueError(f"dims must be whole numbers of at least 1, rising, got {list(dims)}")
    if k < 1 or (start is not None and start <= k):
        raise ValueError(f"start must be above k, and k at least 1; got start={start}, k={k}")

    def solves(n: int, dim: int) -> bool:
        return free_embedding_fit(
            (n, k),
            dim,
            max_steps=max_steps,
            patience=patience,
            margin=margin,
            restarts=restarts,
            random_state=random_state,
        ).solved

    found = [largest_solvable(partial(solves, dim=dim), start or max(k, dim) + 1, k) for dim in dims]
    return fit_capacity(dims, [solved for solved, _ in found], [failed for _, failed in found])


def n_at_margin(
    dim: int,
    margin: float,
    *,
    k: int = 2,
    max_steps: int = 20_000,
    patience: int = 1_000,
    restarts: int = 3,
    random_state: int = 0,
) -> int:
    """Find how many documents a dimension serves when every answer must lead by a margin.

    The number to look at before compressing vectors: rounding to float16 or int8 costs the answers that lead by less
    than its error.

    Parameters
    ----------
    dim : int
        Dimensions.
    margin : float
        Least score of a relevant document minus that of any other one, between 0 and 2; unit rows on both sides.
    k, max_steps, patience, restarts, random_state
        As in `critical_corpus_size`.

    Returns
    -------
    int
        Largest number of documents solved; k where no larger number was.

    Examples
    --------
    >>> n_at_margin(3, 0.5, max_steps=1000)
    4
    """
    curve = critical_corpus_size(
        [dim],
        k=k,
        margin=margin,
        max_steps=max_steps,
        patience=patience,
        restarts=restarts,
        random_state=random_state,
    )
    return curve.n_solved[0]


def mean_recalls(scores: NDArray[np.float32], limit: Collection, depths: Sequence[int]) -> dict[str, float]:
    """Mean recall over a judged collection, from the score of every query against every document.

    Parameters
    ----------
    scores : ndarray of float, shape (q, n)
        In the order of the collection's queries and documents; larger is better.
    limit : Collection
        With judgements.
    depths : sequence of int
        Ranks that count.

    Returns
    -------
    dict of str to float
        ``"recall@2"`` and so on.

    Examples
    --------
    >>> limit = make_limit(3, n_queries=1, k=1)
    >>> wanted = [[float(document.id in limit.qrels["query-0"]) for document in limit.documents]]
    >>> mean_recalls(np.array(wanted), limit, [1, 2])
    {'recall@1': 1.0, 'recall@2': 1.0}
    """
    ids = np.array([document.id for document in limit.documents], dtype=object)
    ranked = ids[np.argsort(-scores, axis=1, kind="stable")[:, : max(depths)]]
    judged = judge(ranked, list(limit.queries), limit.qrels)
    return {f"recall@{depth}": float(recall_at(judged, depth).mean()) for depth in depths}


def capacity_report(
    encoder: Encoder, *, limit: Collection | None = None, dims: Sequence[int] | None = None
) -> dict[int, dict[str, float]]:
    """Measure an encoder on LIMIT by dimension, beside what free embeddings of that dimension can hold.

    Pick it to see how far your encoder is from its ceiling. It is no general quality benchmark: an encoder that loses
    here may be the best one for questions about topics. Fewer dimensions are the first ones, which is fair only to
    encoders trained for it (Matryoshka).

    Parameters
    ----------
    encoder : Encoder
        Encodes texts into unit rows.
    limit : Collection or None, default=None
        The test; None makes the small one (46 people, 1,000 queries).
    dims : sequence of int or None, default=None
        How many dimensions to keep; None halves from all of them down to 32.

    Returns
    -------
    dict of int to dict of str to float
        Dimension -> ``"recall@2"``, ``"recall@10"``, ``"recall@20"``, and ``"ceiling"``: documents of which free
        embeddings hold every pair, by `DEFAULT_CURVE` (beyond the dimensions that it was measured at an extrapolation).

    Raises
    ------
    ValueError
        A dimension below 1 or above the encoder's.

    References
    ----------
    Weller et al. 2025, arXiv 2508.21038. Atlas 006.

    Examples
    --------
    >>> from theatrum.data import make_limit
    >>> class Letters:  # counts letters
    ...     dim = 26
    ...     def encode(self, items, *, role="document", batch_size=64, show_progress=False):
    ...         return np.array([[t.lower().count(chr(97 + i)) for i in range(26)] for t in items], dtype=np.float32)
    ...     def fingerprint(self):
    ...         return "letters"
    >>> report = capacity_report(Letters(), limit=make_limit(10, n_queries=45), dims=[26])
    >>> sorted(report[26])
    ['ceiling', 'recall@10', 'recall@2', 'recall@20']
    """
    if limit is None:
        limit = make_limit(46)
    documents = encoder.encode([document.content for document in limit.documents], role="document")
    queries = encoder.encode(list(limit.queries.values()), role="query")
    d = documents.shape[1]
    halves = {d, *(d >> power for power in range(d.bit_length()) if d >> power >= 32)}
    kept = sorted(halves if dims is None else dims)
    wrong = [m for m in kept if not 1 <= m <= d]
    if wrong:
        raise ValueError(f"dims: the encoder has {d} dimensions, cannot keep {wrong[0]}")
    return {
        m: {
            **mean_recalls(unit_rows(queries[:, :m]) @ unit_rows(documents[:, :m]).T, limit, (2, 10, 20)),
            "ceiling": DEFAULT_CURVE.predict(m),
        }
        for m in kept
    }
