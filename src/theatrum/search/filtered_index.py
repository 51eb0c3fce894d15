"""Search under filters: the cheapest way for how many rows pass, and never fewer hits than there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from theatrum.checks import Constraint, Options
from theatrum.contracts import Quantizer, Scores, Vectors
from theatrum.search import faiss_engine as engine
from theatrum.search.exact_scan import best_rows, scan_weights
from theatrum.search.faiss_engine import Metric, Positions
from theatrum.search.fine_copy import Precision
from theatrum.search.graph_walk import GraphLinks, graph_links, walk
from theatrum.search.hnsw import HNSWIndex
from theatrum.search.search_plan import SearchPlan, Survivors

Way = Literal["auto", "exact", "graph", "post"]

# What a comparison costs in a walk, where every vector lies elsewhere in memory, against one in a scan (measured at 384
# dimensions on two cores).
_WALK_COST = 7.0
_TWO_HOPS = 2.0  # a walk through survivors compares up to so many times as often as one without a filter
_GROWTH = 0.8  # comparisons grow with ef to this power
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
        Hits wanted; twice as many are kept.
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
    8664
    """
    return {"graph": unfiltered * _TWO_HOPS, "post": unfiltered * max(1.0, 2 * k / share / ef) ** _GROWTH}


class FilteredIndex(HNSWIndex):
    """Finds neighbours under any filter, fast and right at every selectivity; keeps the Index contract.

    For collections that are searched under filters of all kinds. It knows how many rows a filter lets through, and
    compares with all of them when they are few, walks a graph of neighbours on them only when they are some, or walks
    the whole graph and drops what does not pass when they are many; ``search(..., explain=True)`` says which and why.
    A walk that runs dry, or that would cost more than comparing with every survivor, ends in doing that, so a ranking
    is never cut short. Filters need not be known when the index is built. Below some ten thousand rows `FlatIndex`
    does as well and takes no time to build.

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

    def _structure_changed(self) -> None:
        self.__dict__.pop("_links", None)
        self.__dict__.pop("_unfiltered", None)

    @cached_property
    def _links(self) -> GraphLinks:
        return graph_links(self._index)

    @cached_property
    def _unfiltered(self) -> dict[int, float]:
        """Comparisons of a walk without a filter by ef, counted on rows of the index when first asked for."""
        return {}

    def _comparisons(self, ef: int) -> float:
        if ef not in self._unfiltered:
            n = self._rows.total
            rows = np.linspace(0, n - 1, min(_SAMPLE, n)).astype(np.int64)
            queries = engine.stored(self._index, rows, self._quantizer)
            everything = Survivors(np.ones(n, dtype=bool))
            self._unfiltered[ef] = float(self._walk(queries, 1, ef, everything, "post", n)[2].mean())
        return self._unfiltered[ef]

    def _planned(self, Q: Vectors, k: int, survivors: Survivors) -> tuple[Positions, Scores, SearchPlan]:
        if survivors.everything:
            return super()._planned(Q, k, survivors)
        n, p = self._rows.total, len(survivors)
        again = self._fine is not None
        kept = min(k * self.oversample if again else k, p)
        ef = max(self.ef, kept)
        way, reason = self._choose(kept, ef, survivors)
        if way == "exact":
            found, values = self._compare(Q, survivors, kept)
            compared = float(p)
        else:
            budget = n if self.plan != "auto" else max(int(p / _WALK_COST), 4 * ef)
            found, values, each = self._walk(Q, kept, ef, survivors, way, budget)
            short = (each < 0) | (found[:, kept - 1] < 0)
            if short.any():
                found[short], values[short] = self._compare(Q[short], survivors, kept)
                reason += f"; {short.sum()} of {len(Q)} walks were given up for comparing with every survivor"
            compared = float(np.abs(each).mean() + p * short.mean())
        found, values = self._score_again(Q, found, k) if again else (found, values)
        return found, values, SearchPlan(way, p, n, reason, compared)

    def _choose(self, k: int, ef: int, survivors: Survivors) -> tuple[str, str]:
        """Name the cheapest way and the reason, costs in comparisons of a scan."""
        p = len(survivors)
        if self.plan != "auto":
            return self.plan, "as asked for"
        if p <= ef * _WALK_COST:
            return "exact", f"comparing with {p} rows is cheaper than any walk"
        walks = expected_comparisons(self._comparisons(ef), ef, k, p / self._rows.total)
        costs = {"exact": float(p)} | {way: count * _WALK_COST for way, count in walks.items()}
        way = min(costs, key=lambda one: costs[one])
        said = ", ".join(f"{one} {cost:.0f}" for one, cost in sorted(costs.items(), key=lambda item: item[1]))
        return way, f"expected costs in comparisons of a scan: {said}"

    def _compare(self, Q: Vectors, survivors: Survivors, k: int) -> tuple[Positions, Scores]:
        """Compare with every survivor, by the codes."""
        stored = engine.stored_rows(self._index, self._quantizer)
        assert stored is not None  # fit takes no other codes
        return best_rows(stored, Q, k, squared=self.metric == "l2", rows=survivors.rows)

    def _walk(
        self, Q: Vectors, k: int, ef: int, survivors: Survivors, way: str, budget: int
    ) -> tuple[Positions, Scores, Positions]:
        stored = engine.stored_rows(self._index, self._quantizer)
        assert stored is not None
        squared = self.metric == "l2"
        weights, step, constants = scan_weights(stored, Q, squared)
        # Spread over the survivors rather than drawn: the same search then takes the same way.
        starts = survivors.rows[np.linspace(0, len(survivors) - 1, min(_STARTS, len(survivors))).astype(np.int64)]
        through_survivors = way == "graph"
        found, values, compared = walk(
            stored.codes, weights, step, self._links, survivors.mask, starts[: 0 if survivors.everything else None],
            ef=ef, keep=k if through_survivors else max(k, min(2 * k, len(survivors))), squared=squared,
            through_survivors=through_survivors, budget=budget,
        )  # fmt: skip
        return found[:, :k].copy(), values[:, :k] + constants, compared
