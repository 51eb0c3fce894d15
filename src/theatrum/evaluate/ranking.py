"""Metrics of rankings as array operations, with the conventions of trec_eval.

Ids are looked up once (``judge``); every metric afterwards is a few array operations on the gains and returns one
float64 a query. The conventions: the gain of a document is its grade (linear), a rank is discounted by
``log2(rank + 1)``, the ideal ranking is made of all judged documents of the query, unjudged documents and grades of
zero or below gain nothing, and "relevant" means a grade above zero. Two differences in use, not in numbers: a ranking
is taken in the order given (trec_eval sorts by score again and breaks ties by id), and a query without any relevant
document gets 0 from every metric but is left out of the means of ``ranking_report`` (see ``Judged.has_relevant``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Judged:
    """Rankings of one system with every id replaced by its gain; what the metrics work on.

    Parameters
    ----------
    query_ids : tuple of str
        One a row.
    gains : ndarray of float64, shape (q, depth)
        Grade of the document at each rank; 0 where it is not relevant, not judged, or the ranking had ended.
    n_relevant : ndarray of int64, shape (q,)
        Number of relevant documents of each query, found or not.
    ideal_gains : ndarray of float64, shape (sum of n_relevant,)
        Grades of the relevant documents, query after query, best first within a query.
    """

    query_ids: tuple[str, ...]
    gains: NDArray[np.float64]
    n_relevant: NDArray[np.int64]
    ideal_gains: NDArray[np.float64]

    @property
    def has_relevant(self) -> NDArray[np.bool_]:
        """Mask (q,) of the queries that can be answered at all; take means over these."""
        mask: NDArray[np.bool_] = self.n_relevant > 0
        return mask


@dataclass(frozen=True)
class Judgements:
    """Relevance judgements made ready for judging many systems on the same queries.

    Made by ``prepare_judgements``; pick ``judge`` when there is only one system.

    Parameters
    ----------
    query_ids : tuple of str
        The queries, in the order of the rows of every ranking to judge.
    relevant : tuple of dict
        For each query, its relevant documents and their grades.
    n_relevant, ideal_gains : ndarray
        As in ``Judged``.
    """

    query_ids: tuple[str, ...]
    relevant: tuple[dict[str, float], ...]
    n_relevant: NDArray[np.int64]
    ideal_gains: NDArray[np.float64]

    def judge(self, ranked_ids: Any) -> Judged:
        """Replace the ids of one system's rankings by gains.

        Parameters
        ----------
        ranked_ids : array-like of str, shape (q, depth)
            Document ids, best first; ``""`` where a ranking ended early.

        Returns
        -------
        Judged
            Ready for the metrics.

        Raises
        ------
        ValueError
            Wrong shape, ids that are not strings, or a document twice in one ranking (with the query).
        """
        ranked = _check_ranked(ranked_ids, len(self.query_ids))
        depth = ranked.shape[1]
        columns = range(depth)
        rows: list[int] = []
        ranks: list[int] = []
        found: list[float] = []
        # The one pass in Python: a dictionary a ranking finds repeated ids and the ranks of the relevant ones.
        for row, (ranking, relevant) in enumerate(zip(ranked.tolist(), self.relevant, strict=True)):
            rank_of = dict(zip(ranking, columns, strict=True))
            if len(rank_of) != depth:
                _refuse_repeats(ranking, self.query_ids[row])
            for document in relevant.keys() & rank_of.keys():
                rows.append(row)
                ranks.append(rank_of[document])
                found.append(relevant[document])
        gains = np.zeros(ranked.shape)
        gains[rows, ranks] = found
        return Judged(self.query_ids, gains, self.n_relevant, self.ideal_gains)


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


def prepare_judgements(query_ids: Sequence[str], qrels: Mapping[str, Mapping[str, int]]) -> Judgements:
    """Read the judgements once, to judge many systems on the same queries.

    Parameters
    ----------
    query_ids : sequence of str
        The queries, unique, in the order of the rows of the rankings.
    qrels : mapping of str to mapping of str to int
        Query id -> document id -> grade; above 0 is relevant. A query that is missing has no relevant document.

    Returns
    -------
    Judgements
        With a method ``judge(ranked_ids)``.

    Raises
    ------
    ValueError
        No query, a query twice, a grade that is not a finite number, or an empty document id.

    Examples
    --------
    >>> judgements = prepare_judgements(["q1", "q2"], {"q1": {"a": 1}, "q2": {"b": 2, "c": 1}})
    >>> ndcg_at(judgements.judge([["a", "x"], ["c", "b"]]), 10).round(3).tolist()
    [1.0, 0.86]
    """
    queries = tuple(query_ids)
    if not queries:
        raise ValueError("query_ids: no queries; at least one is needed")
    if len(set(queries)) != len(queries):
        row = next(row for row, query in enumerate(queries) if query in queries[:row])
        raise ValueError(f"query_ids: {queries[row]!r} (row {row}) is there already; query ids must be unique")
    relevant = tuple(_relevant(query, qrels.get(query, {})) for query in queries)
    ideal = [gain for grades in relevant for gain in sorted(grades.values(), reverse=True)]
    return Judgements(
        query_ids=queries,
        relevant=relevant,
        n_relevant=np.array([len(grades) for grades in relevant], dtype=np.int64),
        ideal_gains=np.array(ideal, dtype=np.float64),
    )


def judge(ranked_ids: Any, query_ids: Sequence[str], qrels: Mapping[str, Mapping[str, int]]) -> Judged:
    """Replace the ids of rankings by their gains, ready for the metrics.

    Pick ``prepare_judgements`` instead when several systems answer the same queries: it reads the judgements once.

    Parameters
    ----------
    ranked_ids : array-like of str, shape (q, depth)
        Document ids, best first; ``""`` where a ranking ended early.
    query_ids : sequence of str
        The query of each row, unique.
    qrels : mapping of str to mapping of str to int
        Query id -> document id -> grade; above 0 is relevant.

    Returns
    -------
    Judged
        Gains (q, depth), and for each query how many documents are relevant and with which grades.

    Raises
    ------
    ValueError
        Wrong shape, ids that are not strings, a repeated query, a document twice in one ranking, or a bad grade.

    Examples
    --------
    >>> judged = judge([["a", "b", "c"], ["d", "", ""]], ["q1", "q2"], {"q1": {"a": 2, "c": 1}, "q2": {"e": 1}})
    >>> judged.gains.tolist()
    [[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    >>> recall_at(judged, 2).tolist()
    [0.5, 0.0]
    """
    return prepare_judgements(query_ids, qrels).judge(ranked_ids)


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


def _relevant(query: str, grades: Mapping[str, int]) -> dict[str, float]:
    relevant = {}
    for document, grade in grades.items():
        if not isinstance(grade, (int, float, np.integer, np.floating)) or not math.isfinite(grade):
            raise ValueError(
                f"qrels: query {query!r}, document {document!r}: the grade must be a finite number, got {grade!r}"
            )
        if not document:
            raise ValueError(f"qrels: query {query!r} judges a document with an empty id; '' means 'no document'")
        if grade > 0:
            relevant[document] = float(grade)
    return relevant


def _check_ranked(ranked_ids: Any, n_queries: int) -> NDArray[Any]:
    try:
        ranked = np.asarray(ranked_ids) if isinstance(ranked_ids, np.ndarray) else np.array(ranked_ids, dtype=object)
    except ValueError as error:
        raise ValueError(f"ranked_ids: rows differ in length; pad short rankings with '': {error}") from None
    if ranked.ndim != 2 or ranked.shape[1] == 0:
        raise ValueError(
            f"ranked_ids: expected a matrix of ids (q, depth), got shape {ranked.shape}; pad short rankings with ''"
        )
    if len(ranked) != n_queries:
        raise ValueError(f"ranked_ids: {len(ranked)} rankings for {n_queries} queries; one row a query is needed")
    # Numbers would never equal the string ids of the judgements, and every metric would silently be 0.
    strange = [row for row in range(n_queries) if not isinstance(ranked[row, 0], str)]
    if strange:
        raise ValueError(
            f"ranked_ids: row {strange[0]} holds {ranked[strange[0], 0]!r}, not a string; ids are strings in qrels too"
        )
    return ranked


def _refuse_repeats(ranking: Sequence[str], query: str) -> None:
    """Raise if a document is in the ranking twice; repeated padding is fine."""
    seen: set[str] = set()
    for rank, document in enumerate(ranking, start=1):
        if document and document in seen:
            raise ValueError(
                f"ranked_ids: query {query!r} has document {document!r} a second time at rank {rank}; "
                "keep only its best rank"
            )
        seen.add(document)
