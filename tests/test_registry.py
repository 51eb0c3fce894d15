"""Every registered part loads, and the registry says what is wrong with a name."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from theatrum import registry


@pytest.mark.parametrize("part", registry.parts(), ids=lambda part: part.name)
def test_every_registered_part_loads_and_finds_its_name_again(part):
    cls = part.load()
    assert cls.__doc__
    made = cls("a/model") if part.name in ("st", "st_tokens") else cls()
    assert registry.name_of(made) == part.name


def test_listing_by_pattern_and_kind():
    assert [part.name for part in registry.parts("*pq")] == ["opq", "pq"]
    assert {part.kind for part in registry.parts(kind="index")} == {"index"}


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'hnsw'"):
        registry.part("hnws")
    with pytest.raises(ValueError, match="the parts are: binary"):
        registry.part("qqqqqqqq")


def test_unregistered_class_is_refused():
    with pytest.raises(ValueError, match="SimpleNamespace is not registered"):
        registry.name_of(SimpleNamespace())


def test_a_name_taken_twice_is_refused(monkeypatch):
    def doubled(group):
        return [EntryPoint("pca", target, group) for target in ("one:PCA", "two:PCA")] if "refiners" in group else []

    monkeypatch.setattr(registry, "entry_points", doubled)
    registry._parts.cache_clear()
    try:
        with pytest.raises(ValueError, match="'pca' is taken twice"):
            registry.part("pca")
    finally:
        monkeypatch.undo()
        registry._parts.cache_clear()
