"""Search under filters: the cheapest way for how many rows pass, and never fewer hits than there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from theatrum.checks import Constraint, Options
from theatrum.compress import Int8Quantizer
from theatrum.contracts import Quantizer, Scores, Vectors
from theatrum.search import faiss_engine as engine
from theatrum.search.exact_scan import StoredRows, best_rows, scan_weights
from theatrum.search.faiss_engine import Metric, Positions
from theatrum.search.fine_copy import Precision
from theatrum.search.graph_walk import REACH, GraphLinks, graph_links, scored_again, walk
from theatrum.search.hnsw import HNSWIndex
from theatrum.search.search_plan import SearchPlan, Survivors

Way = Literal["auto", "exact", "graph", "post"]

# What a comparison costs in a walk, where every row lies elsewhere in memory, against one in a scan, which reads a row
# once for all queries that are asked together (measured at 384 dimensions on two cores).
_WALK_COST, _WALK_COST_OF_MANY = 1.0, 6.0
_MANY = 8  # queries
_TWO_HOPS = 2.0  # a walk through survivors compares up to so many times as often as one without a filter
_GROWTH = 0.8  # comparisons grow with ef to this power
_FARTHER = 6  # times as far, where too few of the rows near a query pass
_SPARE = 10  # rows beyond k, at least, that a walk by codes finds for scoring by the vectors
_STARTS = 32  # survivors from which a walk starts, besides its way down the layers
_SAMPLE = 64  # queries on which comparisons are counted


def expected_comparisons(unfiltered: float, ef: int, k: int, share: float) -> dict[str, float]:
    """Vectors that each walk compares with a query.

    Parameters
    ----------
    unfiltered : float
        Comparisons of a walk without a filter.
    ef : int
        How far it looks.
    k : int
        Hits wanted.
    share : float
        Part of the rows that passes.

    Returns
    -------
    dict of str to float
        For ``"graph"`` (through survivors) and ``"post"`` (through all, until enough have passed).

    Examples
    --------
    >>> expected_comparisons(2000.0, 64, 10, 0.5)
    {'graph': 4000.0, 'post': 2000.0}
    >>> round(expected_comparisons(2000.0, 64, 10, 0.05)["post"])
    5949
    """
    reach = REACH * k / share / ef
    return {"graph": unfiltered * _TWO_HOPS, "post": unfiltered * max(1.0, reach) ** _GROWTH}


class FilteredIndex(HNSWIndex):
    """Finds neighbours under any filter, fast and right at every selectivity; keeps the Index contract.

    For collections that are searched under filters of all kinds. It knows how many rows a filter lets through, and
    compares with all of them when they are few, walks a graph of neighbours on them only when they are some, or walks
    the whole graph and drops what does not pass when they are many; ``search(..., explain=True)`` says which and why.
    A walk that runs dry, or that would cost more than comparing with every survivor, ends in doing that, so a ranking
    is never cut short. Walks read int8 codes, kept in memory beside the vectors, and score the best by the vectors.
    Filters need not be known when the index is built. Below some ten thousand rows `FlatIndex` does as well and takes
    no time to build.

    Parameters
    ----------
    plan : {"auto", "exact", "graph", "post"}, default="auto"
        The way to take whenever there is a filter; may be set between searches.
    m : int, default=32
        Links a vector (twice that in the lowest layer).
    ef : int, default=64
        How far a walk looks; more finds more and takes longer.
    ef_construction : int, default=200
        The same while building.
    metric : {"cosine", "ip", "l2"}, default="cosine"
        How vectors are compared.
    rescore : {"int8", "float32"} or None, default=None
        Precision of a copy on disk from which the best candidates are scored again.
    oversample : int, default=8
        Candidates a hit for scoring again.

    References
    ----------
    Iff, Bruegger, Chrapek, Besta and Hoefler, "Benchmarking Filtered Approximate Nearest Neighbor Search Algorithms on
    Transformer-based Embedding Vectors", 2025, arXiv 2507.21989 (atlas 027). Patel et al., "ACORN", SIGMOD 2024, for
    the walk through two hops.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(5000, 16)).astype(np.float32)
    >>> index = FilteredIndex(m=8).fit(X)
    >>> index.add([str(i) for i in range(5000)], X, {"year": [1950 + i % 50 for i in range(5000)]})
    >>> ids, scores, plan = index.search(X[7:8], k=1, where="year = 1957", explain=True)
    >>> ids.tolist(), plan.way, plan.survivors
    ([['7']], 'exact', 100)
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        **HNSWIndex.constraints,
        "plan": [Options(("auto", "exact", "graph", "post"))],
    }

    def __init__(
        self,
        *,
        plan: Way = "auto",
        m: int = 32,
        ef: int = 64,
        ef_construction: int = 200,
        metric: Metric = "cosine",
        rescore: Precision | None = None,
        oversample: int = 8,
    ) -> None:
        super().__init__(
            m=m, ef=ef, ef_construction=ef_construction, metric=metric, rescore=rescore, oversample=oversample
        )
        self.plan = plan

    def fit(self, X: Vectors, quantizer: Quantizer | None = None) -> FilteredIndex:
        """Prepare the empty index from a sample X (n, d).

        Raises
        ------
        ValueError
            A quantizer other than `Int8Quantizer`: its codes cannot be compared one by one.
        """
        if engine.kind_of(quantizer) not in ("full", "scalar"):
            raise ValueError(
                f"filtered keeps float32 or int8, not the codes of {type(quantizer).__name__}; "
                "use hnsw or flat for them"
            )
        super().fit(X, quantizer)
        return self

    @property
    def memory_bytes(self) -> int:
        """Bytes in memory that grow with the collection: vectors or codes, links, and the codes that walks read."""
        codes = self._rows.total * self._dim if self._quantizer is None else 0
        return super().memory_bytes + codes

    def _structure_changed(self) -> None:
        super()._structure_changed()
        for name in ("_links", "_rough", "_unfiltered"):
            self.__dict__.pop(name, None)

    @cached_property
    def _links(self) -> GraphLinks:
        return graph_links(self._index)

    @cached_property
    def _rough(self) -> StoredRows:
        """What walks read: one byte a number, a quarter of the memory traffic, whatever the precision of the rows."""
        if self._quantizer is not None:
            return self._precise
        X = self._precise.codes
        quantizer = Int8Quantizer().fit(X)
        return StoredRows(quantizer.encode(X), *quantizer.lattice())

    @property
    def _precise(self) -> StoredRows:
        assert self._stored is not None  # fit takes no other codes
        return self._stored

    @cached_property
    def _unfiltered(self) -> dict[int, float]:
        """Comparisons of a walk without a filter by ef, counted on rows of the index when first asked for."""
        return {}

    def _comparisons(self, ef: int) -> float:
        if ef not in self._unfiltered:
            n = self._rows.total
            rows = np.linspace(0, n - 1, min(_SAMPLE, n)).astype(np.int64)
            everything = Survivors(np.ones(n, dtype=bool))
            self._unfiltered[ef] = float(
                self._walk(self._precise.decoded(rows), 1, ef, everything, "post", n)[2].mean()
            )
        return self._unfiltered[ef]

    def _planned(self, Q: Vectors, k: int, survivors: Survivors) -> tuple[Positions, Scores, SearchPlan]:
        n, p = self._rows.total, len(survivors)
        again = self._fine is not None
        kept = min(k * self.oversample if again else k, p)
        ef = max(self.ef, kept)
        way, reason = self._choose(kept, ef, survivors, len(Q))
        if way == "exact":
            found, values = self._compare(Q, survivors, kept)
            compared = float(p)
        else:
            budget = n if self.plan != "auto" else max(p, 4 * ef)
            found, values, each = self._walk(Q, kept, ef, survivors, way, budget)
            short = (each < 0) | (found[:, kept - 1] < 0)
            if way == "post" and short.any():  # what passes lies away from these queries: look farther
                farther = int(_FARTHER * max(ef, kept * n / p))
                found[short], values[short], more = self._walk(Q[short], kept, farther, survivors, way, budget)
                each[short] = np.where(more < 0, more - np.abs(each[short]), more + np.abs(each[short]))
                short[short] = (more < 0) | (found[short, kept - 1] < 0)
            if short.any():
                found[short], values[short] = self._compare(Q[short], survivors, kept)
                reason += f"; {short.sum()} of {len(Q)} walks were given up for comparing with every survivor"
            compared = float(np.abs(each).mean() + p * short.mean())
        found, values = self._score_again(Q, found, k) if again else (found, values)
        if way == "post" and survivors.everything:
            way = "index"
        return found, values, SearchPlan(way, p, n, reason, compared)

    def _choose(self, k: int, ef: int, survivors: Survivors, queries: int) -> tuple[str, str]:
        """Name the cheapest way and the reason, costs in comparisons of a scan."""
        p, each = len(survivors), _walk_cost(queries)
        if self.plan != "auto" and not survivors.everything:
            return self.plan, "as asked for"
        if p <= ef * each:
            return "exact", f"comparing with {p} rows is cheaper than any walk"
        walks = expected_comparisons(self._comparisons(ef), ef, k, p / self._rows.total)
        costs = {"exact": float(p)} | {way: count * each for way, count in walks.items()}
        way = min(costs, key=lambda one: costs[one])
        said = ", ".join(f"{one} {cost:.0f}" for one, cost in sorted(costs.items(), key=lambda item: item[1]))
        return way, f"expected costs in comparisons of a scan: {said}"

    def _compare(self, Q: Vectors, survivors: Survivors, k: int) -> tuple[Positions, Scores]:
        """Compare with every survivor, by the codes."""
        rows = None if survivors.everything else survivors.rows
        return best_rows(self._precise, Q, k, squared=self.metric == "l2", rows=rows)

    def _walk(
        self, Q: Vectors, k: int, ef: int, survivors: Survivors, way: str, budget: int
    ) -> tuple[Positions, Scores, Positions]:
        rough, squared = self._rough, self.metric == "l2"
        weights, step, constants = scan_weights(rough, Q, squared)
        # Spread over the survivors rather than drawn: the same search then takes the same way.
        spread = np.linspace(0, len(survivors) - 1, min(_STARTS, len(survivors)) if way == "graph" else 0)
        starts = survivors.rows[spread.astype(np.int64)]
        finer = self._quantizer is None
        keep = min(k + max(k, _SPARE), len(survivors)) if finer else k
        found, values, compared = walk(
            rough.codes, weights, step, self._links, survivors.mask, starts,
            ef=max(ef, keep), wanted=k, keep=keep, squared=squared, through_survivors=way == "graph", budget=budget,
        )  # fmt: skip
        if not finer:
            return found, values + constants, compared
        weights, step, _ = scan_weights(self._precise, Q, squared)
        return *scored_again(self._precise.codes, weights, step, found, k, squared), compared


def _walk_cost(queries: int) -> float:
    return _WALK_COST_OF_MANY if queries >= _MANY else _WALK_COST
