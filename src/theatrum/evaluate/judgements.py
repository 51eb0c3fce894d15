"""Rankings and relevance judgements: ids are looked up once and become gains, which is all that metrics need."""

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
    >>> from theatrum.evaluate import ndcg_at
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
    >>> from theatrum.evaluate import recall_at
    >>> judged = judge([["a", "b", "c"], ["d", "", ""]], ["q1", "q2"], {"q1": {"a": 2, "c": 1}, "q2": {"e": 1}})
    >>> judged.gains.tolist()
    [[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    >>> recall_at(judged, 2).tolist()
    [0.5, 0.0]
    """
    return prepare_judgements(query_ids, qrels).judge(ranked_ids)


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
