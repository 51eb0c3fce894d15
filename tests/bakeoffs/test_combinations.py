"""The section on combinations: quiet where nothing is at stake, plain where something is."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

import theatrum
from theatrum.bakeoffs.combinations import combination_notes
from theatrum.bakeoffs.questions import QuestionSet
from theatrum.bakeoffs.results import Measurement
from theatrum.data import make_limit
from theatrum.evaluate.embedding_capacity import DEFAULT_CURVE


def measured(pipeline, *dims):
    return Measurement(pipeline, {"d": 0.5}, {"t": 0.5}, 0.9, 8, 8, 1.0, 1.0, 50.0, 20.0, 1.0, -1, dims)


def questions(answers, kind="judged"):
    qrels = {f"q{row}": {f"d{document}": 1 for document in answer} for row, answer in enumerate(answers)}
    return QuestionSet(kind, dict.fromkeys(qrels, "?"), qrels, ())


def corpus(n):
    return [f"d{row}" for row in range(n)]


FIELD = [measured("bm25"), measured("minilm", 384), measured("minilm | pca(dim=8)", 8), measured("rrf(bm25, lsa)", 8)]
PAIRS = list(combinations(range(46), 2))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (questions(PAIRS, "titles"), FIELD),  # proxies
        (questions(PAIRS, "sentences"), FIELD),
        (questions([(row,) for row in range(46)]), FIELD),  # single documents
        (questions([(2 * row, 2 * row + 1) for row in range(23)]), FIELD),  # disjoint answers
        (questions([(row, (row + 1) % 46) for row in range(46)]), FIELD),  # a ring
        (questions([tuple(range(5 * row, 5 * row + 8)) for row in range(7)]), FIELD),  # topics that overlap a little
        (questions(PAIRS[:1] * 50), FIELD),  # one answer, asked for again and again
        (questions(PAIRS), FIELD[:1]),  # no vectors in the field
    ],
)
def test_quiet_where_nothing_is_at_stake(asked, field):
    assert combination_notes(asked, corpus(46), field) == []


def test_judged_documents_outside_of_the_corpus_do_not_count():
    assert combination_notes(questions(PAIRS), corpus(2), FIELD) == []


def test_every_dimension_is_said_to_be_inside_or_beyond():
    first, low, high, last = combination_notes(questions(PAIRS), corpus(46), FIELD)
    assert "46 documents make 1,035 different answers, 22.5 a document" in first
    assert low.startswith("8 dimensions (`minilm | pca(dim=8)` and 1 more): beyond the ceiling.")
    assert "every pair of about 29 documents (measured); the corpus has 46" in low
    assert "22.5 answers a document against 14 at the ceiling" in low
    assert high.startswith("384 dimensions (`minilm`): inside the ceiling.")
    assert f"extrapolated from at most {DEFAULT_CURVE.dims[-1]} dimensions" in high
    assert "the paper's own curve gives 220,000" in high
    assert "take more dimensions" in last and "BM25" in last and "several vectors a document" in last


def test_a_large_corpus_whose_answers_do_not_exhaust_the_ceiling():
    few = list(combinations(range(6), 2))
    _, verdict, _ = combination_notes(questions(few), corpus(40), FIELD[2:3])
    assert "the corpus is beyond the ceiling" in verdict
    assert "does not exhaust it yet (2.5 answers a document against 14 at the ceiling)" in verdict


def test_longer_answers_than_pairs_are_said_to_have_lower_ceilings():
    assert "The ceilings are for pairs" not in combination_notes(questions(PAIRS), corpus(46), FIELD)[0]
    triples = combination_notes(questions(combinations(range(12), 3)), corpus(12), FIELD)
    assert "The ceilings are for pairs, and these answers hold 3.0 documents each" in triples[0]


def test_inside_everywhere_still_says_what_it_does_not_mean():
    notes = combination_notes(questions(PAIRS), corpus(46), [measured("minilm", 384)])
    assert len(notes) == 3
    assert "not that an encoder of texts makes them" in notes[-1]
    assert "take more dimensions" not in notes[-1]


@pytest.fixture(scope="module")
def limit():
    return make_limit(30, n_queries=120, items_per_doc=12)


def test_a_bake_off_measures_dimensions_and_shows_the_section(limit, tmp_path):
    field = ["lsa(dim=8)", "lsa(dim=16) | pca(dim=4) | int8", "rrf(bm25, lsa(dim=8))"]
    result = theatrum.bakeoff(limit, pipelines=field, out=tmp_path / "out", store=tmp_path / "store")
    assert [one.dims for one in result.measurements] == [(), (8,), (4,), (8,)]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "What the answers ask of one vector" in page
    assert "8 dimensions (<code>lsa(dim=8)</code> and 1 more)" in page
    assert page.index("What the answers ask") < page.index("The whole field")


def test_a_quiet_bake_off_has_no_section(limit, tmp_path):
    single = replace(limit, qrels={query: dict([next(iter(rows.items()))]) for query, rows in limit.qrels.items()})
    result = theatrum.bakeoff(single, pipelines=["lsa(dim=8)"], out=tmp_path / "out", store=tmp_path / "store")
    assert result.combinations == []
    assert "What the answers ask of one vector" not in (tmp_path / "out" / "report.html").read_text()
