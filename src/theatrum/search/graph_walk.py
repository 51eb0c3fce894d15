"""Walking a graph of neighbours under a filter, from the links that FAISS's HNSW built without knowing the filter.

Two ways through the lowest layer, both best-first:

- *through survivors*: only rows that pass are visited. A neighbour that does not pass is replaced by its own
  neighbours that do (two hops, as in ACORN-1), so that the walk stays connected when few rows pass.
- *through all rows*: the usual walk, in which rows that do not pass lead on but are not kept.

A walk holds the best rows that it has seen, and follows the links of the best one that it has not followed yet, until
it has followed them all. A walk that has compared more rows than its budget is given up; the caller then compares with
every survivor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import get_num_threads, njit, prange
from numpy.typing import NDArray

from theatrum.contracts import Scores
from theatrum.search.column_kinds import Mask
from theatrum.search.compiled_twice import for_one_and_all

Positions = NDArray[np.int64]

REACH = 1.25  # times the hits asked for should pass among the rows that a walk through all rows holds
_ENOUGH = 0.6  # of them must, or what passes lies elsewhere


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
    wanted: int,
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
    wanted : int
        Hits that are asked for. Through all rows the walk looks so far that somewhat more should pass; it is given up
        where, among the best rows that it holds, clearly fewer do.
    keep : int
        Rows to return, at least as many.
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
        Vectors compared; negative where the walk was given up, whose rows may not be the best.
    """
    walk_all = _walk_together if len(weights) > 1 else _walk_alone  # other threads take longer to wake than to walk
    n = len(codes)
    share = max(np.count_nonzero(mask) / n, 1 / n)
    held = max(ef, keep if through_survivors else math.ceil(REACH * wanted / share))
    keys, compared = walk_all(
        codes, weights, step, links.neighbors, links.offsets, links.layers, links.entry, links.top, mask, starts,
        min(held, n), keep, math.ceil(_ENOUGH * wanted), squared, through_survivors, budget,
        min(get_num_threads(), len(weights)),
    )  # fmt: skip
    return np.where(keys == _NOTHING, -1, _places(keys)), np.where(keys == _NOTHING, -np.inf, _values(keys)), compared


def scored_again(
    codes: NDArray[Any],
    weights: NDArray[np.float32],
    step: NDArray[np.float32],
    found: Positions,
    k: int,
    squared: bool,
) -> tuple[Positions, Scores]:
    """Best k of some rows (q, n) by finer codes; -1 is none, equal scores in rising order."""
    values = _scores_of(codes, weights, step, found, squared)
    order = np.lexsort((found, -values), axis=1)[:, :k]
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)


# A row and its score are one whole number, so that to order rows is to order numbers: the bits of the score as a number
# that orders alike, then the row, counted down, so that of two equals the first row comes first.
_NOTHING = np.iinfo(np.int64).min
_LAST = 0x7FFFFFFF


@njit(cache=True, inline="always")
def _key(value, row):  # type: ignore[no-untyped-def]  # numba finds the types  # noqa: ANN001, ANN202
    bits = np.int64(np.float32(value).view(np.int32))
    if bits < 0:
        bits ^= _LAST
    return (bits << 32) | (_LAST - np.int64(row))


def _places(keys: NDArray[np.int64]) -> Positions:
    return _LAST - (keys & 0xFFFFFFFF)


def _values(keys: NDArray[np.int64]) -> Scores:
    bits = keys >> 32
    return np.where(bits < 0, bits ^ _LAST, bits).astype(np.int32).view(np.float32)


@njit(cache=True, inline="always")
def _insert(keys, n, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Put a key into a falling list that holds n, whose last falls out; returns how many it holds, and the place."""
    size = len(keys)
    if n == size:
        if key <= keys[size - 1]:
            return n, size
        n -= 1
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] > key:
            low = middle + 1
        else:
            high = middle
    for at in range(n, low, -1):
        keys[at] = keys[at - 1]
    keys[low] = key
    return n + 1, low


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


@njit(cache=True, inline="always")
def _neighbours(  # type: ignore[no-untyped-def]  # noqa: ANN202
    node, neighbors, offsets, links, mask, survivors_only, seen, stamp, fresh  # noqa: ANN001
):  # fmt: skip
    """Collect rows that a node leads to and that were not seen yet; returns how many."""
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
    return found


@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"})
def _walk_one(  # type: ignore[no-untyped-def]  # noqa: ANN202, C901  # calls inside would cost more than branches
    codes, weights, step, squared, neighbors, offsets, layers, entry, top, mask, starts, survivors_only, budget,  # noqa: ANN001
    needed, seen, followed, stamp, fresh, scores, held, kept,  # noqa: ANN001
):  # fmt: skip
    """Fill the falling list of one query; returns the comparisons, negative when given up."""
    node, score, compared = _descend(codes, weights, step, squared, neighbors, offsets, layers, entry, top)
    n_held, n_kept, cursor, links = 0, 0, 0, layers[1]
    seen[node] = stamp
    if mask[node] or not survivors_only:
        n_held, _ = _insert(held, n_held, _key(score, node))
    if mask[node] and not survivors_only:
        n_kept, _ = _insert(kept, n_kept, _key(score, node))
    for row in starts:
        if seen[row] != stamp:
            seen[row] = stamp
            compared += 1
            key = _key(_score(codes, row, weights, step, squared), row)
            n_held, _ = _insert(held, n_held, key)
            if not survivors_only:
                n_kept, _ = _insert(kept, n_kept, key)
    # The way down may end at a row that does not pass; its neighbours are followed all the same.
    following = True
    while following:
        followed[node] = stamp
        found = _neighbours(node, neighbors, offsets, links, mask, survivors_only, seen, stamp, fresh)
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
            key = _key(scores[at], fresh[at])
            if not survivors_only and mask[fresh[at]]:
                n_kept, _ = _insert(kept, n_kept, key)
            n_held, place = _insert(held, n_held, key)
            cursor = min(cursor, place)
        compared += found
        if compared > budget:
            return -compared
        following = False
        while cursor < n_held:
            node = _LAST - (held[cursor] & 0xFFFFFFFF)
            if followed[node] != stamp:
                following = True
                break
            cursor += 1
    if survivors_only:
        n_kept = min(n_held, len(kept))
        kept[:n_kept] = held[:n_kept]
    elif n_held == len(held) and kept[needed - 1] < held[n_held - 1]:
        return -compared
    return compared


def _walk_all(  # type: ignore[no-untyped-def]  # noqa: ANN202
    codes, weights, step, neighbors, offsets, layers, entry, top, mask, starts, ef, keep, needed, squared,  # noqa: ANN001
    survivors_only, budget, parts,  # noqa: ANN001
):  # fmt: skip
    queries, n = len(weights), len(codes)
    kept = np.full((queries, keep), _NOTHING, dtype=np.int64)
    compared = np.zeros(queries, dtype=np.int64)
    for part in prange(parts):
        # Whether a row was seen is said by the number of the walk, so that it need not be wiped after each.
        seen, followed, number = np.zeros(n, dtype=np.uint8), np.zeros(n, dtype=np.uint8), 0
        fresh, scores = np.empty(2 * layers[1], dtype=np.int64), np.empty(2 * layers[1], dtype=np.float32)
        held = np.empty(ef, dtype=np.int64)
        for query in range(part * queries // parts, (part + 1) * queries // parts):
            number += 1
            if number == 256:
                seen[:], followed[:], number = 0, 0, 1
            compared[query] = _walk_one(
                codes, weights[query], step, squared, neighbors, offsets, layers, entry, top, mask, starts,
                survivors_only, budget, needed, seen, followed, np.uint8(number), fresh, scores, held, kept[query],
            )  # fmt: skip
    return kept, compared


_walk_alone, _walk_together = for_one_and_all(_walk_all)


@njit(cache=True, parallel=True)
def _scores_of(codes, weights, step, found, squared):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    values = np.full(found.shape, -np.inf, dtype=np.float32)
    for query in prange(len(found)):
        rows, at = found[query], 0
        while at + 4 <= len(rows) and rows[at + 3] >= 0:  # nothing comes after the first that is none
            values[query, at], values[query, at + 1], values[query, at + 2], values[query, at + 3] = _score_four(
                codes, rows, at, weights[query], step, squared
            )
            at += 4
        while at < len(rows) and rows[at] >= 0:
            values[query, at] = _score(codes, rows[at], weights[query], step, squared)
            at += 1
    return values
