"""How a search goes: which rows may be found, and the way that is taken through them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Where
from theatrum.search.column_kinds import Mask
from theatrum.search.columns import AttributeColumns
from theatrum.search.filters import parse_filter

_KEPT, _KEPT_BYTES = 64, 64 * 2**20


@dataclass(frozen=True)
class SearchPlan:
    """The way that a search took, and why.

    Parameters
    ----------
    way : str
        "index" (no filter), "exact" (compared with every survivor), "graph" (walked on survivors only), "post"
        (searched without the filter, filtered afterwards), "window" (graphs of ranges), "selector" (left to FAISS).
    survivors, rows : int
        Rows that the filter lets through, and all rows.
    reason : str
        Why this way, in a sentence.
    comparisons : float
        Vectors compared with a query, on average; NaN where FAISS does not tell.

    Examples
    --------
    >>> print(SearchPlan("exact", 120, 100_000, "120 rows are compared faster than a graph is walked", 120.0))
    exact: 120 of 100000 rows (0.12%); 120 rows are compared faster than a graph is walked
    """

    way: str
    survivors: int
    rows: int
    reason: str
    comparisons: float = float("nan")

    @property
    def selectivity(self) -> float:
        """Share of the rows that the filter lets through."""
        return self.survivors / max(self.rows, 1)

    def __str__(self) -> str:
        """Say the plan in a line."""
        return f"{self.way}: {self.survivors} of {self.rows} rows ({self.selectivity:.2%}); {self.reason}"


class Survivors:
    """The rows that a filter and the deletions leave, in the forms in which searches want them.

    Parameters
    ----------
    mask : ndarray of bool, shape (n,)
        Whether a row may be found.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.count = int(np.count_nonzero(mask))

    def __len__(self) -> int:
        return self.count

    @property
    def everything(self) -> bool:
        """Whether no row is left out."""
        return self.count == len(self.mask)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Positions, rising."""
        return np.flatnonzero(self.mask)

    @cached_property
    def bits(self) -> NDArray[np.uint8]:
        """One bit a row, as FAISS reads them."""
        return np.packbits(self.mask, bitorder="little")


class SurvivorCache:
    """Survivors of the filters asked last, so that a filter asked again costs nothing.

    Examples
    --------
    >>> cache, years = SurvivorCache(), AttributeColumns({"year": [1958, 1965]})
    >>> first = cache.find("year > 1960", years, np.ones(2, dtype=bool))
    >>> first.rows.tolist(), first is cache.find({"year": {"gt": 1960}}, years, np.ones(2, dtype=bool))
    ([1], True)
    """

    def __init__(self) -> None:
        self._found: OrderedDict[str, Survivors] = OrderedDict()

    def find(self, where: Where | None, columns: AttributeColumns, alive: Mask) -> Survivors:
        """Return what a filter leaves of the living rows; valid until rows come or go."""
        parsed = None if where is None else parse_filter(where)
        key = "" if parsed is None else str(parsed)
        found = self._found.get(key)
        if found is None:
            found = Survivors(alive if parsed is None else alive & parsed.mask(columns))
            self._found[key] = found
            while len(self._found) > max(1, min(_KEPT, _KEPT_BYTES // max(len(alive), 1))):
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return found

    def clear(self) -> None:
        """Forget everything, because rows came or went."""
        self._found.clear()
