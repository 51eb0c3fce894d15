"""Facets: which values the documents' attributes have, and how often, for people to filter by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_MOST_VALUES = 30
_FEW_NUMBERS = 12  # so many different numbers are still picked one by one; more become a range
_LEAST_COVER = 0.1  # of the documents with a value; below, nearly every document has a value of its own


@dataclass(frozen=True)
class Facet:
    """One attribute.

    Parameters
    ----------
    name : str
        The column.
    kind : {"values", "lists", "range"}
        Picked by value, picked by a value in a list, or bounded.
    values : tuple of (value, count)
        Most frequent first; empty for a range.
    distinct : int
        Different values there are.
    low, high : float or None
        Bounds of a range.
    """

    name: str
    kind: Literal["values", "lists", "range"]
    values: tuple[tuple[Any, int], ...]
    distinct: int
    low: float | None = None
    high: float | None = None

    def example(self) -> dict[str, Any]:
        """Make a filter by this attribute that some document passes."""
        if self.kind == "range":
            return {self.name: {"gte": self.low}}
        return {self.name: {"any" if self.kind == "lists" else "in": [self.values[0][0]]}}


def facets(columns: Mapping[str, Sequence[Any]]) -> list[Facet]:
    """Make facets of columns; a column whose values hardly repeat is left out.

    Parameters
    ----------
    columns : mapping of str to sequence
        Attribute -> one value a document, None where it is missing.

    Examples
    --------
    >>> found = facets({"topic": ["heat", "wing", "heat", None], "id": ["a", "b", "c", "d"]})
    >>> [(facet.name, facet.values) for facet in found]
    [('topic', (('heat', 2), ('wing', 1)))]
    """
    made = (_facet(name, [value for value in values if value not in (None, "")]) for name, values in columns.items())
    return [facet for facet in made if facet is not None]


def _facet(name: str, known: list[Any]) -> Facet | None:
    if not known:
        return None
    lists = isinstance(known[0], list)
    counts = Counter(value for one in known for value in dict.fromkeys(one)) if lists else Counter(known)
    if not counts:
        return None
    if not isinstance(known[0], (bool, str, list)):
        if len(counts) > _FEW_NUMBERS:
            return Facet(name, "range", (), len(counts), float(min(known)), float(max(known)))
        return Facet(name, "values", tuple(sorted(counts.items())), len(counts))
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))[:_MOST_VALUES]
    repeated = sum(count for _, count in ordered if count > 1)
    if repeated < _LEAST_COVER * len(known):
        return None
    return Facet(name, "lists" if lists else "values", tuple(ordered), len(counts))
