"""The LIMIT generator: judgements recomputed from the texts, patterns, seeds, bad input, and the published set."""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from importlib.resources import files

import pytest

from theatrum.data import load, make_limit
from theatrum.data.limit import answer_sets, dense_corpus_size

SIZES = {"n_docs": 120, "n_queries": 60, "items_per_doc": 9}


def likes(text):
    """Things of a document, read back from its text."""
    name, listed = re.fullmatch(r"(.+?) likes (.+)\.", text).groups()
    return name, re.split(r", | and ", listed)


def asked(text):
    return re.fullmatch(r"Who likes (.+)\?", text).group(1)


def judged_from_texts(collection):
    people = dict(likes(document.text) for document in collection.documents)
    return {
        query: {name for name, things in people.items() if asked(text) in things}
        for query, text in collection.queries.items()
    }


@pytest.mark.parametrize("pattern", ["dense", "random", "cycle", "disjoint"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_judgements_are_what_the_texts_say(pattern, k):
    SIZES_K = SIZES | {"n_queries": 40}
    collection = make_limit(**SIZES_K, k=k, pattern=pattern, random_state=k)
    assert judged_from_texts(collection) == {query: set(rows) for query, rows in collection.qrels.items()}
    assert all(len(rows) == k and set(rows.values()) == {1} for rows in collection.qrels.values())


def test_the_small_set_is_the_papers():
    small = make_limit(46)
    assert (len(small.documents), len(small.queries)) == (46, 1_000)
    assert judged_from_texts(small) == {query: set(rows) for query, rows in small.qrels.items()}
    assert len({frozenset(rows) for rows in small.qrels.values()}) == 1_000
    assert {len(likes(document.text)[1]) for document in small.documents} == {46}


def test_the_full_set_has_50_000_people_of_different_names():
    full = make_limit()
    assert len({document.id for document in full.documents}) == len(full.documents) == 50_000
    relevant = {name for rows in full.qrels.values() for name in rows}
    assert len(relevant) == 46
    # The answers lie anywhere in the corpus, not at its beginning.
    places = [row for row, document in enumerate(full.documents) if document.id in relevant]
    assert max(places) > 25_000


def test_like_the_published_set():
    try:
        published = load("limit-small")
    except OSError:
        pytest.skip("the published set is not on this machine")
    ours = make_limit(46)
    for collection in (published, ours):
        things = [likes(document.text)[1] for document in collection.documents]
        assert all(45 <= len(row) <= 46 for row in things)
        assert all(len(set(row)) == len(row) for row in things)
    # One published thing has an "and" of its own, which the reading here takes for the end of the list.
    strange = {query for query, text in published.queries.items() if " and " in text}
    assert len(strange) == 1
    found = judged_from_texts(published)
    assert all(found[query] == set(rows) for query, rows in published.qrels.items() if query not in strange)
    shapes = [
        Counter(Counter(name for rows in collection.qrels.values() for name in rows).values())
        for collection in (published, ours)
    ]
    assert shapes[0] == shapes[1]  # how often people are answers: 45 times, the last ones less often
    assert next(iter(ours.queries.values()))[:10] == next(iter(published.queries.values()))[:10] == "Who likes "


def test_patterns_use_documents_as_they_say():
    def uses(pattern):
        collection = make_limit(**SIZES, pattern=pattern)
        return Counter(name for rows in collection.qrels.values() for name in rows)

    assert len(uses("dense")) == dense_corpus_size(60) == 12
    assert set(uses("cycle").values()) == {1, 2}
    assert set(uses("disjoint").values()) == {1} and len(uses("disjoint")) == 120
    assert 60 < len(uses("random")) < 120


def test_people_with_more_answers_than_items_keep_them_all():
    collection = make_limit(46, items_per_doc=3)
    assert max(len(likes(document.text)[1]) for document in collection.documents) == 45


def test_the_seed_decides_everything():
    first, again, other = make_limit(**SIZES), make_limit(**SIZES), make_limit(**SIZES, random_state=1)
    assert first == again
    assert first.documents != other.documents and first.queries != other.queries


def test_bystanders_are_the_same_under_every_pattern():
    texts = {}
    for pattern in ("dense", "random"):
        collection = make_limit(**SIZES, pattern=pattern)
        relevant = {name for rows in collection.qrels.values() for name in rows}
        texts[pattern] = {one.id: one.text for one in collection.documents if one.id not in relevant}
    both = texts["dense"].keys() & texts["random"].keys()
    assert both and all(texts["dense"][name] == texts["random"][name] for name in both)


def test_dense_sizes_against_counting():
    for n_queries in (1, 3, 4, 10, 1_000, 1_035, 1_036):
        for k in (1, 2, 3):
            n = dense_corpus_size(n_queries, k=k)
            assert math.comb(n, k) >= n_queries
            assert n == k or math.comb(n - 1, k) < n_queries
    assert len(set(answer_sets("dense", 99, 20, 3, None))) == 20


def test_the_lists_of_words_are_clean():
    lists = tomllib.loads((files("theatrum.data") / "limit_words.toml").read_text(encoding="utf-8"))
    for text in lists.values():
        words = [word.strip() for word in text.replace("\n", " ").split(",")]
        assert len(set(words)) == len(words)
        assert all(word and " and " not in word and "." not in word and " likes " not in word for word in words)
    assert len(lists["things"].split(",")) >= 1_850


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pattern": "ring"}, "pattern must be one of dense, random, cycle, disjoint, got 'ring'"),
        ({"k": 0}, "got k=0 of n_docs=10"),
        ({"k": 10}, "got k=10 of n_docs=10"),
        ({"n_queries": 46}, "n_queries=46, but 10 documents have only 45 subsets of 2"),
        ({"n_queries": 6, "pattern": "disjoint"}, "needs 12 documents for 6 queries of 2, got n_docs=10"),
        ({"n_queries": 0}, "must be at least 1, got 0"),
        ({"items_per_doc": 0}, "must be at least 1"),
        ({"n_queries": 5_000, "pattern": "random"}, "5000 queries and 46 other things per document need 5046 things"),
        ({"n_docs": 10_000_000, "n_queries": 5}, "n_docs=10000000, but there are only"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_limit(**{"n_docs": 10, "n_queries": 5, **arguments})
