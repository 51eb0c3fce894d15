"""Questions: the user's own are checked, proxies are honest."""

from __future__ import annotations

import pytest

from theatrum.bakeoffs.questions import judged_questions, proxy_questions, split_queries
from theatrum.data import Document

TITLED = [
    Document(f"d{i}", f"The body number {i} says more. And more again.", f"A title of case {i}") for i in range(20)
]
UNTITLED = [Document(f"d{i}", f"Plates of sort {i} bend. They buckle under load {i}. It ends here.") for i in range(20)]


def test_titles_must_find_their_body():
    made = proxy_questions(TITLED)
    assert made.kind == "titles"
    assert len(made.queries) == 20
    assert made.queries["title-d3"] == "A title of case 3"
    assert made.qrels["title-d3"] == {"d3": 1}
    assert not any("title of case" in text for text in made.texts)


def test_sentences_are_taken_out_of_their_document():
    made = proxy_questions(UNTITLED)
    assert made.kind == "sentences"
    for row, document in enumerate(UNTITLED):
        query = made.queries[f"sentence-{document.id}"]
        assert query in document.text
        assert query not in made.texts[row]
        assert len(made.texts[row]) < len(document.text)


def test_the_draw_does_not_depend_on_order():
    one, two = proxy_questions(UNTITLED, limit=7), proxy_questions(UNTITLED[::-1], limit=7)
    assert len(one.queries) == 7
    assert dict(one.queries) == dict(two.queries)


def test_too_short_documents_say_so():
    with pytest.raises(ValueError, match="only 0 of 5 documents are long enough"):
        proxy_questions([Document(str(i), "word") for i in range(5)])


def test_judged_questions_drop_those_without_a_relevant_document():
    queries = {"q1": "one", "q2": "two", "q3": "three", "q4": "four"}
    qrels = {"q1": {"d1": 2}, "q2": {"d1": 0}, "q3": {"unknown": 1}}
    made = judged_questions(TITLED, queries, qrels)
    assert dict(made.queries) == {"q1": "one"}
    assert made.texts[0] == TITLED[0].content


def test_ids_that_match_nothing_say_so():
    with pytest.raises(ValueError, match="do the ids of queries, judgements and corpus match"):
        judged_questions(TITLED, {"q1": "one"}, {"x": {"d1": 1}})


def test_halves_are_stable_and_disjoint():
    queries = {str(i): "" for i in range(101)}
    dev, test = split_queries(queries)
    assert set(dev) | set(test) == set(queries)
    assert not set(dev) & set(test)
    assert (dev, test) == split_queries(dict(reversed(queries.items())))
    with pytest.raises(ValueError, match="give 4"):
        split_queries({"a": "", "b": "", "c": ""})
