"""Metrics of rankings as array operations, with the conventions of trec_eval.

Ids are looked up once (``judge``); every metric afterwards is a few array operations on the gains and returns one
float64 a query. The conventions: the gain of a document is its grade (linear), a rank is discounted by
``log2(rank + 1)``, the ideal ranking is made of all judged documents of the query, unjudged documents and grades of
zero or below gain nothing, and "relevant" means a grade above zero. Two differences in use, not in numbers: a ranking
is taken in the order given (trec_eval sorts by score again and breaks ties by id), and a query without any relevant
document gets 0 from every metric but is left out of the means of ``ranking_report`` (see ``Judged.has_relevant``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.evaluate.judgements import Judged


@dataclass(frozen=True)
class RankingReport:
    """The usual means of one system, over the queries that have a relevant document.

    Parameters
    ----------
    ndcg_at_10, recall_at_100, mrr_at_10, map_at_100 : float
        Means, between 0 and 1.
    n_queries : int
        Number of queries that the means are over.
    """

    ndcg_at_10: float
    recall_at_100: float
    mrr_at_10: float
    map_at_100: float
    n_queries: int


def dcg(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Discounted cumulative gain of each row of gains (q, k): sum over ranks of ``gain / log2(rank + 1)``.

    Examples
    --------
    >>> dcg(np.array([[3.0, 0.0, 2.0]])).tolist()
    [4.0]
    """
    total: NDArray[np.float64] = gains @ (1.0 / np.log2(np.arange(2, gains.shape[1] + 2)))
    return total


def ndcg_at(judged: Judged, k: int) -> NDArray[np.float64]:
    """Discounted gain of the first k ranks over that of the ideal ranking; the one to pick for graded judgements.

    Parameters
    ----------
    judged : Judged
        Rankings with their gains. One that is shorter than ``k`` ended early: the missing ranks gain nothing.
    k : int
        Ranks that count, at least 1.

    Returns
    -------
    ndarray of float64, shape (q,)
        Between 0 and 1; trec_eval's ``ndcg_cut_k``.

    References
    ----------
    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002.

    Examples
    --------
    >>> from theatrum.evaluate import judge
    >>> judged = judge([["x", "a"], ["a", "b"]], ["q1", "q2"], {"q1": {"a": 1}, "q2": {"a": 3, "b": 1}})
    >>> ndcg_at(judged, 10).round(4).tolist()
    [0.6309, 1.0]
    """
    return _ratio(dcg(_first(judged, k)), dcg(_ideal_first(judged, k)))


def recall_at(judged: Judged, k: int) -> NDArray[np.float64]:
    """Share of a query's relevant documents that are among the first k; for the candidates of a later stage.

    Parameters
    ----------
    judged : Judged
        Rankings with their gains.
    k : int
        Ranks that count, at least 1.

    Returns
    -------
    ndarray of float64, shape (q,)
        Between 0 and 1; trec_eval's ``recall_k``.

    Examples
    --------
    >>> from theatrum.evaluate import judge
    >>> recall_at(judge([["a", "x", "b"]], ["q"], {"q": {"a": 1, "b": 1, "c": 1, "d": 1}}), 3).tolist()
    [0.5]
    """
    return _ratio(_hits(judged, k).sum(axis=1, dtype=np.float64), judged.n_relevant)


def precision_at(judged: Judged, k: int) -> NDArray[np.float64]:
    """Share of the first k ranks that are relevant; ranks that a short ranking lacks count as misses.

    Parameters
    ----------
    judged : Judged
        Rankings with their gains.
    k : int
        Ranks that count, at least 1.

    Returns
    -------
    ndarray of float64, shape (q,)
        Between 0 and 1; trec_eval's ``P_k``.

    Examples
    --------
    >>> from theatrum.evaluate import judge
    >>> precision_at(judge([["a", "x", "b", "y"]], ["q"], {"q": {"a": 1, "b": 1}}), 4).tolist()
    [0.5]
    """
    precision: NDArray[np.float64] = _hits(judged, k).sum(axis=1, dtype=np.float64) / k
    return precision


def reciprocal_rank_at(judged: Judged, k: int) -> NDArray[np.float64]:
    """One over the rank of the first relevant document among the first k, else 0; for questions with one answer.

    Parameters
    ----------
    judged : Judged
        Rankings with their gains.
    k : int
        Ranks that count, at least 1.

    Returns
    -------
    ndarray of float64, shape (q,)
        Between 0 and 1; trec_eval's ``recip_rank`` when ``k`` is the whole depth.

    Examples
    --------
    >>> from theatrum.evaluate import judge
    >>> reciprocal_rank_at(judge([["x", "a"], ["x", "y"]], ["q1", "q2"], {"q1": {"a": 1}}), 10).tolist()
    [0.5, 0.0]
    """
    hits = _hits(judged, k)
    return np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)


def average_precision_at(judged: Judged, k: int) -> NDArray[np.float64]:
    """Precision at the rank of each relevant document among the first k, summed, over the number of relevant ones.

    Parameters
    ----------
    judged : Judged
        Rankings with their gains.
    k : int
        Ranks that count, at least 1.

    Returns
    -------
    ndarray of float64, shape (q,)
        Between 0 and 1; trec_eval's ``map_cut_k`` (the divisor is all relevant documents, not at most k).

    Examples
    --------
    >>> from theatrum.evaluate import judge
    >>> average_precision_at(judge([["a", "x", "b"]], ["q"], {"q": {"a": 1, "b": 1}}), 100).round(4).tolist()
    [0.8333]
    """
    hits = _hits(judged, k)
    rows, ranks = np.nonzero(hits)  # few: only these ranks count
    found = hits.sum(axis=1)
    first = np.cumsum(found) - found  # where the hits of each row begin in the list of all hits
    precision = (np.arange(len(rows)) - first[rows] + 1) / (ranks + 1)
    return _ratio(np.bincount(rows, weights=precision, minlength=len(hits)), judged.n_relevant)


def hit_rate_at(judged: Judged, k: int) -> NDArray[np.float64]:
    """Give 1 where any of the first k is relevant, else 0.

    Parameters
    ----------
    judged : Judged
        Rankings with their gains.
    k : int
        Ranks that count, at least 1.

    Returns
    -------
    ndarray of float64, shape (q,)
        0 or 1; trec_eval's ``success_k``.

    Examples
    --------
    >>> from theatrum.evaluate import judge
    >>> hit_rate_at(judge([["x", "a"], ["x", "y"]], ["q1", "q2"], {"q1": {"a": 1}}), 2).tolist()
    [1.0, 0.0]
    """
    return np.where(_hits(judged, k).any(axis=1), 1.0, 0.0)


def ranking_report(judged: Judged) -> RankingReport:
    """Average the usual metrics over the queries that have a relevant document.

    Parameters
    ----------
    judged : Judged
        Rankings with their gains, best 100 deep.

    Returns
    -------
    RankingReport
        nDCG@10, Recall@100, MRR@10, MAP@100 and the number of queries.

    Raises
    ------
    ValueError
        No query has a relevant document: there is nothing to average.

    Examples
    --------
    >>> from theatrum.evaluate import judge
    >>> ranking_report(judge([["a", "x"], ["y", "b"]], ["q1", "q2"], {"q1": {"a": 1}, "q2": {"b": 1}}))
    RankingReport(ndcg_at_10=0.815..., recall_at_100=1.0, mrr_at_10=0.75, map_at_100=0.75, n_queries=2)
    """
    counted = judged.has_relevant
    if not counted.any():
        raise ValueError("qrels: no query has a relevant document (grade above 0); check that the query ids match")
    return RankingReport(
        ndcg_at_10=float(ndcg_at(judged, 10)[counted].mean()),
        recall_at_100=float(recall_at(judged, 100)[counted].mean()),
        mrr_at_10=float(reciprocal_rank_at(judged, 10)[counted].mean()),
        map_at_100=float(average_precision_at(judged, 100)[counted].mean()),
        n_queries=int(counted.sum()),
    )


def _first(judged: Judged, k: int) -> NDArray[np.float64]:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return judged.gains[:, :k]


def _hits(judged: Judged, k: int) -> NDArray[np.bool_]:
    hits: NDArray[np.bool_] = _first(judged, k) > 0
    return hits


def _ideal_first(judged: Judged, k: int) -> NDArray[np.float64]:
    """Gains of the first k ranks (q, at most k) of the ideal ranking of each query."""
    n_relevant = judged.n_relevant
    begins = np.cumsum(n_relevant) - n_relevant
    ranks = np.arange(min(k, n_relevant.max()))
    there = ranks < n_relevant[:, None]
    ideal = np.zeros(there.shape)
    ideal[there] = judged.ideal_gains[(begins[:, None] + ranks)[there]]
    return ideal


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    """Divide, with 0 where there is nothing to find."""
    ratio = np.zeros(len(above))
    np.divide(above, below, out=ratio, where=below > 0)
    return ratio
