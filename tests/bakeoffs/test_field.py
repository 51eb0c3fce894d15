"""The default field, users' fields and budgets."""

from __future__ import annotations

import pytest

import theatrum
from theatrum.bakeoffs import Budget, check_field, default_field, parse_budget, read_field


def test_the_default_field_is_large_enough_and_can_be_built():
    field = check_field(default_field())
    assert len(field) >= 14
    for text in field:
        assert str(theatrum.pipeline(text)) == text


def test_bm25_is_always_in():
    assert check_field(["minilm"]) == ["bm25", "minilm"]


def test_read_field(tmp_path):
    (tmp_path / "field.txt").write_text("# ours\nminilm|int8   # small\n\nbm25\n")
    assert read_field(tmp_path / "field.txt") == ["minilm | int8", "bm25"]
    (tmp_path / "bad.txt").write_text("bm25\nminilm | | int8\n")
    with pytest.raises(ValueError, match=r"bad\.txt, line 2: cannot read"):
        read_field(tmp_path / "bad.txt")
    (tmp_path / "none.txt").write_text("# nothing\n")
    with pytest.raises(ValueError, match="names no pipeline"):
        read_field(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("text", "budget"),
    [(None, Budget()), ("", Budget()), ("bytes=64", Budget(64)), (" ms = 5 , bytes=1e3", Budget(1000, 5))],
)
def test_budgets(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["bytes", "bytes=0", "bytes=-1", "ms=fast", "gb=1", "bytes=inf", "ms=nan"])
def test_bad_budgets(text):
    with pytest.raises(ValueError, match="write limits as bytes=64,ms=5"):
        parse_budget(text)


def test_a_budget_prints_as_it_is_typed():
    assert str(Budget(64, 5)) == "bytes=64,ms=5"
    assert parse_budget(str(Budget(64))) == Budget(64)
