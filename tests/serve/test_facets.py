from __future__ import annotations

from theatrum.search.filters import parse_filter
from theatrum.serve.facets import facets


def by_name(columns):
    return {facet.name: facet for facet in facets(columns)}


def test_each_kind_of_column_has_its_facet():
    columns = {
        "topic": ["a", "b", "a", None] * 9 + ["a", "b", "a", ""],
        "tags": [["x", "y"], ["y", "y"], [], None] * 10,
        "grade": [1, 2, 3, 2] * 10,
        "year": list(range(1950, 1990)),
        "open": [True, False, None, True] * 10,
        "url": [f"/{number}" for number in range(40)],
        "nothing": [None] * 40,
    }
    found = by_name(columns)
    assert found.keys() == {"topic", "tags", "grade", "year", "open"}
    assert found["topic"].values == (("a", 20), ("b", 10))
    assert (found["tags"].kind, found["tags"].values) == ("lists", (("y", 20), ("x", 10)))
    assert found["grade"].values == ((1, 10), (2, 20), (3, 10))
    assert (found["year"].kind, found["year"].low, found["year"].high) == ("range", 1950.0, 1989.0)
    assert found["open"].values == ((True, 20), (False, 10))
    for facet in found.values():
        assert parse_filter(facet.example()).mask(columns).any()


def test_only_the_most_frequent_of_many_values_are_listed():
    values = [f"v{number}" for number in range(50) for _ in range(2)] + ["often"] * 5
    facet = by_name({"name": values})["name"]
    assert (facet.distinct, len(facet.values), facet.values[0]) == (51, 30, ("often", 5))
