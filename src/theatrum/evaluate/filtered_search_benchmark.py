"""Recall and speed of indexes under filters, cell by cell: no average hides a selectivity at which one fails."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_k, check_vectors, unit_rows
from theatrum.contracts import Index, Vectors


@dataclass(frozen=True)
class FilteredCell:
    """One index under one filter.

    Parameters
    ----------
    method, where : str
        Name of the index, and the filter.
    selectivity : float
        Share of the rows that pass.
    recall : float
        Mean share of the true best k among those returned.
    queries_per_second : float
        All queries in one call; the best of the rounds.
    comparisons : float
        Vectors compared with a query, NaN where the index does not tell.
    way : str
        The way taken, "" where the index does not tell.
    """

    method: str
    where: str
    selectivity: float
    recall: float
    queries_per_second: float
    comparisons: float
    way: str


def ranked_attribute(X: Vectors, centre: Vectors, correlation: float, random_state: int = 0) -> NDArray[np.float64]:
    """Make a number in [0, 1) for every row, spread evenly, so that ``value < s`` lets exactly a share s pass.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
        Vectors.
    centre : ndarray of float32, shape (d,)
        Where the queries lie.
    correlation : float
        1 gives small values to the rows nearest to the centre, -1 to the farthest, 0 to any.
    random_state : int, default=0
        Seed.

    Returns
    -------
    ndarray of float64, shape (n,)
        Rank divided by n.

    Examples
    --------
    >>> X = np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]], dtype=np.float32)
    >>> ranked_attribute(X, X[0], 1.0).round(2).tolist()
    [0.0, 0.67, 0.33]
    """
    if not -1 <= correlation <= 1:
        raise ValueError(f"correlation must lie between -1 and 1, got {correlation!r}")
    rows = unit_rows(check_vectors(X))
    near = rows @ np.asarray(centre, dtype=np.float32)
    near = (near - near.mean()) / max(float(near.std()), 1e-12)
    noise = np.random.default_rng(random_state).standard_normal(len(rows))
    order = np.argsort(-(correlation * near + np.sqrt(1 - correlation**2) * noise), kind="stable")
    ranks = np.empty(len(rows))
    ranks[order] = np.arange(len(rows)) / len(rows)
    return ranks


def true_neighbours(X: Vectors, Q: Vectors, k: int, passing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Positions (q, min(k, p)) of the best rows by cosine among those that pass, by comparing with all of them."""
    rows = np.flatnonzero(passing)
    scores = unit_rows(Q) @ unit_rows(X[rows]).T
    return rows[np.argsort(-scores, axis=1, kind="stable")[:, :k]]


def filtered_search_benchmark(
    indexes: Mapping[str, Index],
    X: Vectors,
    Q: Vectors,
    filters: Mapping[str, NDArray[np.bool_]],
    *,
    k: int = 10,
    rounds: int = 3,
) -> list[FilteredCell]:
    """Search every index under every filter, interleaved.

    Parameters
    ----------
    indexes : mapping of str to Index
        Filled with the rows of X under the ids ``"0"``, ``"1"``, ... and the attributes that the filters name; cosine.
    X : ndarray of float32, shape (n, d)
        The vectors as they were before any compression: truth is computed on them.
    Q : ndarray of float32, shape (q, d)
        Queries.
    filters : mapping of str to ndarray of bool, shape (n,)
        Filter as text -> which rows pass.
    k : int, default=10
        Hits a query.
    rounds : int, default=3
        Timings of each cell.

    Returns
    -------
    list of FilteredCell
        One an index and filter.

    Raises
    ------
    ValueError
        A filter that lets nothing pass, or a mask of another length than X.
    """
    rows, queries = check_vectors(X), check_vectors(Q, name="Q")
    k = check_k(k, len(rows))
    cells = []
    for where, passing in filters.items():
        if len(passing) != len(rows) or not passing.any():
            raise ValueError(
                f"filters: {where!r} must say of each of the {len(rows)} rows whether it passes, and some must"
            )
        truth = true_neighbours(rows, queries, k, passing)
        found: dict[str, tuple[Any, float, str]] = {}
        seconds: dict[str, list[float]] = {name: [] for name in indexes}
        for name, index in indexes.items():
            found[name] = _explained(index, queries[:1], k, where)  # what is prepared once is not timed
        for _ in range(rounds):
            for name, index in indexes.items():
                start = time.perf_counter()
                answer = _explained(index, queries, k, where)
                seconds[name].append(time.perf_counter() - start)
                found[name] = answer
        for name, (ids, comparisons, way) in found.items():
            hits = [
                len({int(one) for one in row if one} & set(best)) for row, best in zip(ids, truth.tolist(), strict=True)
            ]
            cells.append(
                FilteredCell(
                    method=name,
                    where=where,
                    selectivity=float(passing.mean()),
                    recall=float(np.mean(hits)) / truth.shape[1],
                    queries_per_second=len(queries) / min(seconds[name]),
                    comparisons=comparisons,
                    way=way,
                )
            )
    return cells


def _explained(index: Index, Q: Vectors, k: int, where: str) -> tuple[Any, float, str]:
    """Search, with the plan where the index tells it."""
    try:
        ids, _, plan = index.search(Q, k, where, explain=True)  # type: ignore[call-arg, misc]  # not in the contract
    except TypeError:
        return index.search(Q, k, where)[0], float("nan"), ""
    return ids, plan.comparisons, plan.way
