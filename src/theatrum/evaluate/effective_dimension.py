"""Effective dimension: over how many directions vectors spread, and how many of them retrieval needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_ids, check_vectors, unit_rows
from theatrum.contracts import Vectors
from theatrum.evaluate.judgements import prepare_judgements
from theatrum.evaluate.ranking import ndcg_at

_BLOCK = 16_384  # rows turned into float64 at a time
_QUERIES = 256  # queries compared with all vectors at a time


@dataclass(frozen=True)
class SpectrumReport:
    """How evenly vectors fill their space; all but ``mean_cosine`` from the eigenvalues l of their covariance.

    Parameters
    ----------
    effective_rank : float
        ``exp`` of the entropy of the shares of variance, between 1 and d.
    participation_ratio : float
        ``(sum l)^2 / sum l^2``, between 1 and d; large eigenvalues weigh more than in the effective rank.
    first_share : float
        Share of the variance along the first direction.
    dims90, dims95, dims99 : int
        Directions that hold so many percent of the variance.
    mean_cosine : float
        Mean cosine of two different rows; 0 for a space without a preferred direction.
    """

    effective_rank: float
    participation_ratio: float
    first_share: float
    dims90: int
    dims95: int
    dims99: int
    mean_cosine: float


def effective_rank(eigenvalues: Any) -> float:
    """Effective rank of a spectrum: ``exp(-sum_j p_j log p_j)`` with ``p_j = l_j / sum l``.

    Examples
    --------
    >>> round(effective_rank([2.0, 2.0, 2.0, 0.0]), 6)
    3.0
    """
    values = _positive(eigenvalues)
    share = values / values.sum()
    return float(np.exp(-(share @ np.log(share))))


def participation_ratio(eigenvalues: Any) -> float:
    """Participation ratio of a spectrum: ``(sum l)^2 / sum l^2``.

    Examples
    --------
    >>> participation_ratio([2.0, 2.0, 2.0, 0.0])
    3.0
    """
    values = _positive(eigenvalues)
    return float(values.sum() ** 2 / (values @ values))


def dims_for_share(eigenvalues: Any, share: float) -> int:
    """Fewest directions whose variances sum to a share of the whole.

    Examples
    --------
    >>> dims_for_share([6.0, 3.0, 1.0], 0.9), dims_for_share([6.0, 3.0, 1.0], 0.91)
    (2, 3)
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share!r}")
    values = np.sort(_positive(eigenvalues))[::-1]
    held = np.cumsum(values) / values.sum()
    # A sum that should be the share itself may round to just below it.
    return min(int(np.count_nonzero(held < share - 1e-9)) + 1, len(values))


def spectrum_report(X: Any) -> SpectrumReport:
    """Say over how many directions vectors spread; for comparing encoders on the same items.

    Compare on the same texts only: the spread grows with the variety of the texts, and n rows can show at most n - 1
    directions. For the symmetry of word tables, with weights, see `isotropy`.

    Parameters
    ----------
    X : array-like of float, shape (n, d)
        Vectors, n >= 2.

    Returns
    -------
    SpectrumReport
        Effective rank, participation ratio, shares, and the mean cosine over all pairs (no sampling).

    Raises
    ------
    ValueError
        Bad vectors, one row only, or rows that are all the same.

    References
    ----------
    Attimonelli, De Bellis, Pomo, Jannach, Di Sciascio and Di Noia, "Do We Really Need Specialization? Evaluating
    Generalist Text Embeddings for Zero-Shot Recommendation and Search", 2025, arXiv 2507.05006 (atlas 028).
    Roy and Vetterli, "The effective rank: A measure of effective dimensionality", EUSIPCO 2007.

    Examples
    --------
    >>> report = spectrum_report([[1, 0], [-1, 0], [0, 1], [0, -1]])
    >>> round(report.effective_rank, 6), report.first_share, report.dims90, round(report.mean_cosine, 6)
    (2.0, 0.5, 2, -0.333333)
    """
    vectors = check_vectors(X, min_rows=2)
    eigenvalues, _, _ = principal_directions(vectors)
    return SpectrumReport(
        effective_rank=effective_rank(eigenvalues),
        participation_ratio=participation_ratio(eigenvalues),
        first_share=float(eigenvalues[0] / eigenvalues.sum()),
        dims90=dims_for_share(eigenvalues, 0.9),
        dims95=dims_for_share(eigenvalues, 0.95),
        dims99=dims_for_share(eigenvalues, 0.99),
        mean_cosine=_mean_cosine(vectors),
    )


def compression_curve(
    X: Any,
    Q: Any,
    qrels: Mapping[str, Mapping[str, int]],
    dims: Sequence[int],
    *,
    ids: Sequence[str],
    query_ids: Sequence[str],
    center: bool = False,
    depth: int = 10,
) -> dict[int, NDArray[np.float64]]:
    """Measure retrieval with the first m principal directions of the items, for several m.

    The directions are learnt from the items without any query. Items and queries are mapped alike, scaled to length 1
    and compared with everything. Choose m with `fewest_dims` on other queries than those reported.

    Parameters
    ----------
    X : array-like of float, shape (n, d)
        Item vectors.
    Q : array-like of float, shape (q, d)
        Query vectors.
    qrels : mapping of str to mapping of str to int
        Query id -> item id -> grade; above 0 is relevant.
    dims : sequence of int
        Numbers of directions to keep, 1 to d.
    ids, query_ids : sequence of str
        Ids of the rows of X and of Q.
    center : bool, default=False
        Whether the items' mean is subtracted from items and queries first. Without it, m = d is the plain cosine.
    depth : int, default=10
        Ranks that count.

    Returns
    -------
    dict of int to ndarray of float64, shape (q,)
        m -> nDCG@depth of each query (0 where it has no relevant item), in the order of ``dims``.

    Raises
    ------
    ValueError
        Bad vectors or ids, an m outside 1 to d, no queries.

    References
    ----------
    Attimonelli et al., arXiv 2507.05006 (atlas 028).

    Examples
    --------
    >>> X = [[3, 0.1], [2, -0.1], [-3, 0.1], [-2, -0.1]]
    >>> curve = compression_curve(X, [[1, -5]], {"q": {"b": 1}}, [1, 2], ids=list("abcd"), query_ids=["q"])
    >>> {m: values.round(3).tolist() for m, values in curve.items()}
    {1: [0.631], 2: [1.0]}
    """
    items = check_vectors(X, name="X", min_rows=2)
    queries = check_vectors(Q, name="Q", dim=items.shape[1])
    names = np.array(check_ids(ids, len(items)), dtype=object)
    if len(query_ids) != len(queries):
        raise ValueError(f"query_ids: {len(query_ids)} ids for {len(queries)} rows of Q; one id a row is needed")
    for m in dims:
        if isinstance(m, bool) or not isinstance(m, (int, np.integer)) or not 1 <= m <= items.shape[1]:
            raise ValueError(f"dims: {m!r} is not between 1 and the {items.shape[1]} dimensions of X")
    judgements = prepare_judgements(query_ids, qrels)
    _, axes, mean = principal_directions(items)
    origin = mean if center else np.zeros_like(mean)
    turned, asked = ((rows - origin).astype(np.float32) @ axes.astype(np.float32) for rows in (items, queries))
    found = {}
    for m in dims:
        order = _ranked(unit_rows(turned[:, :m]), unit_rows(asked[:, :m]), min(depth, len(items)))
        found[int(m)] = ndcg_at(judgements.judge(names[order]), depth)
    return found


def fewest_dims(curve: Mapping[int, Any]) -> int:
    """Choose the fewest dimensions whose mean is within one standard error of the best mean.

    Parameters
    ----------
    curve : mapping of int to array-like of float, shape (q,)
        Dimensions -> score of each question, larger is better, as `compression_curve` returns it; at least two
        questions.

    Returns
    -------
    int
        One of the keys. The standard error is that of the best.

    Raises
    ------
    ValueError
        Nothing to choose from, or fewer than two questions.

    Examples
    --------
    >>> fewest_dims({8: [0.1, 0.3], 32: [0.4, 0.6], 384: [0.5, 0.7]})
    32
    """
    scores = {m: np.asarray(values, dtype=np.float64) for m, values in curve.items()}
    if not scores or any(values.ndim != 1 or len(values) < 2 for values in scores.values()):
        raise ValueError("curve: needs at least one number of dimensions, and scores of at least two questions each")
    best = max(scores.values(), key=np.mean)
    least = best.mean() - best.std(ddof=1) / np.sqrt(len(best))
    return min(m for m, values in scores.items() if values.mean() >= least)


def principal_directions(X: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues (d,) and eigenvectors (d, d, a column each) of the covariance, largest first, and the mean (d,).

    Raises
    ------
    ValueError
        All rows are the same: there is no direction to find.
    """
    n, d = X.shape
    mean = X.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((d, d))
    for start in range(0, n, _BLOCK):
        centred = X[start : start + _BLOCK] - mean
        covariance += centred.T @ centred
    values, axes = np.linalg.eigh(covariance / n)
    # What counts as none is measured against the rows' own size: that is what rounds.
    if values[-1] <= 1e-12 * float(mean @ mean):
        raise ValueError("X: all rows are the same; they spread in no direction")
    return np.clip(values[::-1], 0.0, None), axes[:, ::-1], mean


def _positive(eigenvalues: Any) -> NDArray[np.float64]:
    values = np.asarray(eigenvalues, dtype=np.float64)
    kept = values[values > 0]
    if not kept.size or not np.isfinite(values).all():
        raise ValueError("eigenvalues: all must be finite, and at least one above 0")
    return kept


def _mean_cosine(X: Vectors) -> float:
    """Mean over all pairs of different rows: (|sum u|^2 - sum |u|^2) / (n (n - 1))."""
    units = unit_rows(X)
    total = units.sum(axis=0, dtype=np.float64)
    own = float(np.einsum("ij,ij->", units, units, dtype=np.float64))
    return float((total @ total - own) / (len(X) * (len(X) - 1)))


def _ranked(X: Vectors, Q: Vectors, depth: int) -> NDArray[np.int64]:
    """Best rows of X for each row of Q; equal scores in the order of the rows."""
    blocks = [Q[start : start + _QUERIES] @ X.T for start in range(0, len(Q), _QUERIES)]
    return np.vstack([np.argsort(-scores, axis=1, kind="stable")[:, :depth] for scores in blocks])
