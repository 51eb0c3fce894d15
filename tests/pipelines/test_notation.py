"""The notation: print and parse are each other's inverse, and mistakes are pointed at."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theatrum.pipelines.notation import MAX_LENGTH, Call, Chain, PipelineError, parse

names = st.from_regex(r"[a-z_][a-z0-9_]{0,10}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
literals = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    ),
    max_leaves=5,
)


def calls(arguments):
    return st.builds(
        Call,
        names,
        st.lists(arguments, max_size=2).map(tuple),
        st.dictionaries(names, arguments, max_size=2).map(lambda found: tuple(found.items())),
    )


def chains_of(arguments):
    return st.builds(Chain, st.lists(calls(arguments), min_size=1, max_size=3).map(tuple))


chains = st.recursive(chains_of(literals), lambda inner: chains_of(st.one_of(literals, inner)), max_leaves=6)


@given(chains)
@settings(max_examples=300, deadline=None)
def test_parse_after_print_is_the_identity(chain):
    assert parse(str(chain)) == chain
    assert str(parse(str(chain))) == str(chain)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("minilm|int8", "minilm | int8"),
        (
            "  minilm | zipf_whiten( dim = 128 )|int8 |hnsw(ef=64) ",
            "minilm | zipf_whiten(dim=128) | int8 | hnsw(ef=64)",
        ),
        ("rrf(bm25,\n  minilm | int8 | flat)", "rrf(bm25, minilm | int8 | flat)"),
        ('st("a folder/model")', "st('a folder/model')"),
        ("flat()", "flat"),
        ("a(-1, +2.5, [1, (2,)], {'k': None})", "a(-1, 2.5, [1, (2,)], {'k': None})"),
    ],
)
def test_equal_texts_print_alike(text, printed):
    assert str(parse(text)) == printed
    assert parse(text) == parse(printed)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 0, "empty"),
        ("   ", 0, "empty"),
        ("minilm | | int8", 9, "cannot read"),
        ("minilm |", 8, "cannot read"),
        ("minilm | pca(dim=2**7)", 17, "literals"),
        ("minilm | pca(dim=__import__('os').name)", 17, "literals"),
        ("minilm & int8", 0, "a stage is a name"),
        ("minilm | 'int8'", 9, "a stage is a name"),
        ("minilm | a.b(1)", 9, "a stage is a name"),
        ("minilm | pca(**{'a': 1})", 13, "name=value"),
        ("minilm | pca(1e999)", 13, "literals"),
        ("minilm | pca({1, 2})", 13, "literals"),
        ("minilm | pca(b'x')", 13, "literals"),
        ("st('größe') | pca(x=a if b else c)", 20, "literals"),
    ],
)
def test_mistakes_are_pointed_at(text, column, reason):
    with pytest.raises(PipelineError, match=reason) as caught:
        parse(text)
    assert caught.value.column == column
    assert f"column {column + 1}" in str(caught.value)


def test_too_long_and_too_deep_are_refused():
    with pytest.raises(PipelineError, match="at most"):
        parse("a" * (MAX_LENGTH + 1))
    with pytest.raises(PipelineError):
        parse("a(" * 4000 + ")" * 4000)
    with pytest.raises(PipelineError):
        parse("-" * 9000 + "1")


def test_not_a_text():
    with pytest.raises(TypeError, match="written as a text, got int"):
        parse(3)


def test_walk_goes_into_arguments():
    assert [call.name for call in parse("rrf(bm25, m | int8, k=1)").walk()] == ["rrf", "bm25", "m", "int8"]
