"""Walking a graph of neighbours under a filter, from the links that FAISS's HNSW built without knowing the filter.

Two ways through the lowest layer, both best-first:

- *through survivors*: only rows that pass are visited. A neighbour that does not pass is replaced by its own
  neighbours that do (two hops, as in ACORN-1), so that the walk stays connected when few rows pass. It ends when the
  best row that waits is worse than the ``ef`` best rows found.
- *through all rows*: the usual walk, in which rows that do not pass lead on but are not kept. It ends when the best row
  that waits is worse than the ``ef`` best rows of all, as without a filter, and worse than the rows kept.

A walk that has compared more rows than its budget is given up; the caller then compares with every survivor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from theatrum.contracts import Scores
from theatrum.search.column_kinds import Mask

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class GraphLinks:
    """The links of an HNSW graph, as views of FAISS's arrays; valid until the index changes.

    Parameters
    ----------
    neighbors : ndarray of int32
        Neighbours of all nodes and layers, one after another, -1 where there are fewer.
    offsets : ndarray of uint64, shape (n + 1,)
        Where each node begins.
    layers : ndarray of int32
        Where each layer begins within a node.
    entry, top : int
        The node that a search starts from, and its layer.
    """

    neighbors: NDArray[np.int32]
    offsets: NDArray[np.uint64]
    layers: NDArray[np.int32]
    entry: int
    top: int


def graph_links(index: Any) -> GraphLinks:
    """View the links of a FAISS HNSW index."""
    import faiss

    graph = index.hnsw
    return GraphLinks(
        faiss.rev_swig_ptr(graph.neighbors.data(), graph.neighbors.size()),
        faiss.rev_swig_ptr(graph.offsets.data(), graph.offsets.size()),
        faiss.vector_to_array(graph.cum_nneighbor_per_level),
        int(graph.entry_point),
        int(graph.max_level),
    )


def walk(
    codes: NDArray[Any],
    weights: NDArray[np.float32],
    step: NDArray[np.float32],
    links: GraphLinks,
    mask: Mask,
    starts: Positions,
    *,
    ef: int,
    keep: int,
    squared: bool,
    through_survivors: bool,
    budget: int,
) -> tuple[Positions, Scores, NDArray[np.int64]]:
    """Find about the best rows that pass, for every query.

    Parameters
    ----------
    codes : ndarray, shape (n, d)
        Vectors or codes; see `theatrum.search.exact_scan`, also for ``weights`` (q, d) and ``step`` (d,).
    links : GraphLinks
        The graph.
    mask : ndarray of bool, shape (n,)
        Whether a row passes.
    starts : ndarray of int64
        Rows that pass, from which the walk starts too: the graph around the query may hold none.
    ef : int
        How far the walk looks; more finds more and takes longer.
    keep : int
        Rows to return; at most ``ef`` through survivors.
    squared : bool
        Score by minus the squared distance.
    through_survivors : bool
        Which of the two ways.
    budget : int
        Comparisons a query after which its walk is given up.

    Returns
    -------
    positions : ndarray of int64, shape (q, keep)
        Best first; -1 where there are no more.
    scores : ndarray of float32, shape (q, keep)
        Without what is constant for a query.
    comparisons : ndarray of int64, shape (q,)
        Vectors compared; negative where the walk was given up.
    """
    walk_all = _walk_together if len(weights) > 1 else _walk_alone  # other threads take longer to wake than to walk
    places, values, compared = walk_all(
        codes, weights, step, links.neighbors, links.offsets, links.layers, links.entry, links.top, mask, starts, ef,
        max(keep, ef) if through_survivors else keep, squared, through_survivors, budget,
    )  # fmt: skip
    return places[:, :keep], values[:, :keep], compared


@njit(cache=True, inline="always", fastmath={"reassoc", "contract", "nsz", "arcp"})
def _score(codes, row, weights, step, squared):  # type: ignore[no-untyped-def]  # numba finds the types  # noqa: ANN001, ANN202
    total = np.float32(0)
    if squared:
        for j in range(codes.shape[1]):
            away = weights[j] - step[j] * np.float32(codes[row, j])
            total -= away * away
    else:
        for j in range(codes.shape[1]):
            total += weights[j] * np.float32(codes[row, j])
    return total


@njit(cache=True, inline="always", fastmath={"reassoc", "contract", "nsz", "arcp"})
def _score_four(codes, rows, at, weights, step, squared):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Four rows at once, so that four of them are on their way from memory at any time."""
    first, second, third, fourth = codes[rows[at]], codes[rows[at + 1]], codes[rows[at + 2]], codes[rows[at + 3]]
    a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    if squared:
        for j in range(codes.shape[1]):
            weight, width = weights[j], step[j]
            away = weight - width * np.float32(first[j])
            a -= away * away
            away = weight - width * np.float32(second[j])
            b -= away * away
            away = weight - width * np.float32(third[j])
            c -= away * away
            away = weight - width * np.float32(fourth[j])
            d -= away * away
    else:
        for j in range(codes.shape[1]):
            weight = weights[j]
            a += weight * np.float32(first[j])
            b += weight * np.float32(second[j])
            c += weight * np.float32(third[j])
            d += weight * np.float32(fourth[j])
    return a, b, c, d


@njit(cache=True)
def _push(values, places, n, value, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Put a pair into a heap of n whose largest value is first."""
    at = n
    while at > 0 and values[(at - 1) >> 1] < value:
        values[at], places[at] = values[(at - 1) >> 1], places[(at - 1) >> 1]
        at = (at - 1) >> 1
    values[at], places[at] = value, place


@njit(cache=True)
def _pop(values, places, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Take the first pair out of a heap of n."""
    value, place = values[n - 1], places[n - 1]
    at, child = 0, 1
    while child < n - 1:
        if child + 1 < n - 1 and values[child + 1] > values[child]:
            child += 1
        if values[child] <= value:
            break
        values[at], places[at] = values[child], places[child]
        at, child = child, 2 * child + 1
    values[at], places[at] = value, place


@njit(cache=True)
def _keep(values, places, n, value, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Put a pair into a falling list that holds n; the last falls out when it is full. Returns how many it holds."""
    size = len(values)
    if n == size:
        if value <= values[size - 1]:
            return n
        n -= 1
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if values[middle] >= value:
            low = middle + 1
        else:
            high = middle
    for at in range(n, low, -1):
        values[at], places[at] = values[at - 1], places[at - 1]
    values[low], places[low] = value, place
    return n + 1


@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"})
def _descend(codes, weights, step, squared, neighbors, offsets, layers, entry, top):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Go greedily down to layer 1, filter or not; returns the node, its score, and the comparisons."""
    node, score, compared = entry, _score(codes, entry, weights, step, squared), 1
    for layer in range(top, 0, -1):
        better = True
        while better:
            better = False
            start = np.int64(offsets[node])
            for at in range(start + layers[layer], start + layers[layer + 1]):
                other = neighbors[at]
                if other < 0:
                    break
                compared += 1
                value = _score(codes, other, weights, step, squared)
                if value > score:
                    node, score, better = np.int64(other), value, True
    return node, score, compared


@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"})
def _walk_one(  # type: ignore[no-untyped-def]  # noqa: ANN202, C901  # calls inside would cost more than branches
    codes, weights, step, squared, neighbors, offsets, layers, entry, top, mask, starts, survivors_only, budget,  # noqa: ANN001
    seen, stamp, open_values, open_places, fresh, scores, best_of_all, unused, values, places,  # noqa: ANN001
):  # fmt: skip
    """Fill the falling list of one query; returns the comparisons, negative when given up."""
    node, score, compared = _descend(codes, weights, step, squared, neighbors, offsets, layers, entry, top)
    # Through survivors only, what is kept and the best of all are the same.
    ef, size, kept, known, waiting = len(best_of_all), len(values), 0, 0, 1
    open_values[0], open_places[0] = score, node
    seen[node] = stamp
    if mask[node]:
        kept = _keep(values, places, kept, score, node)
    for row in starts:
        if seen[row] != stamp:
            seen[row] = stamp
            compared += 1
            value = _score(codes, row, weights, step, squared)
            kept = _keep(values, places, kept, value, row)
            _push(open_values, open_places, waiting, value, row)
            waiting += 1
    links = layers[1]
    while waiting:
        best, node = open_values[0], open_places[0]
        exhausted = survivors_only or (known == ef and best < best_of_all[ef - 1])
        if exhausted and kept == size and best < values[size - 1]:
            break
        _pop(open_values, open_places, waiting)
        waiting -= 1
        found = 0
        start = np.int64(offsets[node])
        for at in range(start, start + links):
            other = neighbors[at]
            if other < 0:
                break
            if seen[other] == stamp:
                continue
            seen[other] = stamp
            if mask[other] or not survivors_only:
                fresh[found] = other
                found += 1
            elif found < links:
                inner = np.int64(offsets[other])
                for far in range(inner, inner + links):
                    next_one = neighbors[far]
                    if next_one < 0 or found >= links:
                        break
                    if mask[next_one] and seen[next_one] != stamp:
                        seen[next_one] = stamp
                        fresh[found] = next_one
                        found += 1
        at = 0
        while at + 4 <= found:
            scores[at], scores[at + 1], scores[at + 2], scores[at + 3] = _score_four(
                codes, fresh, at, weights, step, squared
            )
            at += 4
        while at < found:
            scores[at] = _score(codes, fresh[at], weights, step, squared)
            at += 1
        for at in range(found):
            row, value = fresh[at], scores[at]
            leads_on = kept < size or value > values[size - 1]
            if not survivors_only and (known < ef or value > best_of_all[ef - 1]):
                known = _keep(best_of_all, unused, known, value, row)
                leads_on = True
            if leads_on:
                if mask[row]:
                    kept = _keep(values, places, kept, value, row)
                _push(open_values, open_places, waiting, value, row)
                waiting += 1
        compared += found
        if compared > budget:
            return -compared
    return compared


def _walk_all(  # type: ignore[no-untyped-def]  # noqa: ANN202
    codes, weights, step, neighbors, offsets, layers, entry, top, mask, starts, ef, keep, squared,  # noqa: ANN001
    survivors_only, budget,  # noqa: ANN001
):  # fmt: skip
    queries, n = len(weights), len(codes)
    values = np.full((queries, keep), -np.inf, dtype=np.float32)
    places = np.full((queries, keep), -1, dtype=np.int64)
    compared = np.zeros(queries, dtype=np.int64)
    together = max(1, min(16, queries))  # queries that share their scratch; one after another
    for group in prange((queries + together - 1) // together):
        seen = np.zeros(n, dtype=np.uint8)
        room = min(n, budget + 4 * layers[1] + len(starts)) + 1
        open_values, open_places = np.empty(room, dtype=np.float32), np.empty(room, dtype=np.int64)
        fresh, scores = np.empty(2 * layers[1], dtype=np.int64), np.empty(2 * layers[1], dtype=np.float32)
        best_of_all, unused = np.empty(ef, dtype=np.float32), np.empty(ef, dtype=np.int64)
        for at in range(together):
            query = group * together + at
            if query < queries:
                compared[query] = _walk_one(
                    codes, weights[query], step, squared, neighbors, offsets, layers, entry, top, mask, starts,
                    survivors_only, budget, seen, np.uint8(at + 1), open_values, open_places, fresh, scores,
                    best_of_all, unused, values[query], places[query],
                )  # fmt: skip
    return places, values, compared


_walk_alone = njit(cache=True)(_walk_all)
_walk_together = njit(cache=True, parallel=True)(_walk_all)
