"""Capacity curves: the search against predicates with gaps, geometry that is known, the fit, encoders on LIMIT."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theatrum.data import make_limit
from theatrum.evaluate import CapacityCurve, capacity_report, critical_corpus_size, n_at_margin
from theatrum.evaluate.embedding_capacity import (
    DEFAULT_CURVE,
    PUBLISHED_CUBIC,
    fit_capacity,
    largest_solvable,
    mean_recalls,
)


@pytest.mark.parametrize("start", [3, 10, 20, 21, 60])
@pytest.mark.parametrize("limit", [2, 3, 20, 57])
def test_the_search_finds_the_limit_from_anywhere(start, limit):
    asked = []

    def solves(n):
        asked.append(n)
        return n <= limit

    assert largest_solvable(solves, start, 2) == (limit, limit + 1)
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize(
    ("solvable", "expected"),
    [
        ({*range(21), 23}, (23, 21)),  # a gap near the answer is looked across
        ({*range(18), 19, 20}, (20, 18)),
        ({*range(21), 40}, (20, 21)),  # a far one is not
    ],
)
def test_gaps(solvable, expected):
    assert largest_solvable(lambda n: n in solvable, 5, 2) == expected


def packing_limit(dim, margin, k):
    """Most documents by the packing of queries, which lie at least the margin apart: a proven upper bound."""
    n = k
    while math.lgamma(n + 2) - math.lgamma(k + 1) - math.lgamma(n + 2 - k) <= dim * math.log1p(2 / margin):
        n += 1
    return n


class TestGeometry:
    """What must come out whatever the optimiser."""

    @pytest.fixture(autouse=True)
    def _torch(self):
        pytest.importorskip("torch")

    def test_low_dimensions(self):
        # A line: one end is one answer. A plane: sides of a triangle. Space: edges of a tetrahedron.
        curve = critical_corpus_size([1, 2, 3], max_steps=1_000)
        assert curve.n_solved == (2, 3, 4)
        assert curve.n_failed == (3, 4, 5)

    def test_a_margin_costs_documents_and_stays_below_the_packing(self):
        wide, narrow = (n_at_margin(4, margin, max_steps=1_500, restarts=1) for margin in (0.9, 0.2))
        assert wide < narrow
        assert wide <= packing_limit(4, 0.9, 2)
        assert narrow <= packing_limit(4, 0.2, 2)

    def test_the_seed_decides(self):
        first, again = (critical_corpus_size([4], max_steps=500, restarts=1, random_state=3) for _ in range(2))
        assert first == again

    def test_the_start_does_not_change_the_answer(self):
        assert critical_corpus_size([3], start=9, max_steps=1_000).n_solved == (4,)

    @pytest.mark.slow
    def test_the_default_curve_is_measured(self):
        assert critical_corpus_size([4, 5, 6], max_steps=20_000, restarts=1).n_solved == DEFAULT_CURVE.n_solved[1:4]


@pytest.mark.parametrize(
    ("dims", "parameters", "message"),
    [
        ([], {}, r"got \[\]"),
        ([4, 3], {}, r"rising, got \[4, 3\]"),
        ([3, 3], {}, r"rising, got \[3, 3\]"),
        ([0, 2], {}, r"got \[0, 2\]"),
        ([3], {"k": 0}, "k=0"),
        ([3], {"start": 2}, "got start=2, k=2"),
        ([3], {"margin": 3.0}, "margin must be between 0 and 2"),
    ],
)
def test_bad_input(dims, parameters, message):
    with pytest.raises(ValueError, match=message):
        critical_corpus_size(dims, **parameters)


def test_a_cubic_is_found_again():
    dims = np.arange(3, 12)
    cubic = np.array([-10.0, 4.0, 0.5, 0.25])
    curve = fit_capacity(dims, np.polynomial.polynomial.polyval(dims, cubic), dims)
    # Sizes are whole numbers, so that the coefficients are met only nearly.
    assert curve.predict(20) == pytest.approx(np.polynomial.polynomial.polyval(20, cubic), rel=0.01)
    assert curve.r2 > 0.9999


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_dimensions_are_fitted_by_a_lower_degree(n):
    curve = fit_capacity(range(4, 4 + n), [9, 14, 19][:n], [10, 15, 20][:n])
    assert [round(curve.predict(d)) for d in range(4, 4 + n)] == [9, 14, 19][:n]
    assert curve.r2 == pytest.approx(1.0)
    assert curve.cubic_coef[3] == 0


def test_prediction_is_never_below_a_simplex():
    assert CapacityCurve((4,), (9,), (10,), (-50.0, 0.0, 0.0, 0.0), 1.0).predict(30) == 31.0
    assert all(DEFAULT_CURVE.predict(d) >= d + 1 for d in range(1, 2_000))


def test_the_default_curve_and_the_published_one_agree_where_both_were_measured():
    for d, n in zip(DEFAULT_CURVE.dims, DEFAULT_CURVE.n_solved, strict=True):
        if d >= 4:
            assert abs(n - np.polynomial.polynomial.polyval(d, PUBLISHED_CUBIC)) <= 5
    assert DEFAULT_CURVE.r2 > 0.999
    assert list(DEFAULT_CURVE.n_solved) == sorted(set(DEFAULT_CURVE.n_solved))


class Words:
    """An encoder that counts words: one dimension a word."""

    def __init__(self, vocabulary):
        self.places = {word: place for place, word in enumerate(vocabulary)}
        self.dim = len(self.places)

    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        X = np.zeros((len(items), self.dim), dtype=np.float32)
        for row, text in enumerate(items):
            for word in text.replace("?", "").replace(".", "").replace(",", "").split():
                X[row, self.places[word]] = word not in ("Who", "likes", "and")
        return X

    def fingerprint(self):
        return "words"


@pytest.fixture(scope="module")
def limit():
    collection = make_limit(30, n_queries=90, items_per_doc=15)
    # Names of two words would match no query; things of two words are fine.
    return collection


@pytest.fixture(scope="module")
def encoder(limit):
    texts = [*limit.queries.values(), *(document.text for document in limit.documents)]
    return Words(dict.fromkeys(word for text in texts for word in text.translate({46: "", 44: "", 63: ""}).split()))


def test_words_find_everything_and_their_first_dimensions_do_not(limit, encoder):
    report = capacity_report(encoder, limit=limit, dims=[encoder.dim, 8])
    assert list(report) == [8, encoder.dim]
    assert report[encoder.dim]["recall@2"] == 1.0
    assert report[8]["recall@2"] < 0.3
    assert report[8]["ceiling"] == DEFAULT_CURVE.predict(8) < report[encoder.dim]["ceiling"]


def test_dimensions_are_halved_down_to_32(limit, encoder):
    report = capacity_report(encoder, limit=limit)
    expected = sorted({encoder.dim, *(encoder.dim >> power for power in range(20) if encoder.dim >> power >= 32)})
    assert list(report) == expected and min(report) >= 32


def test_recall_against_loops(limit):
    scores = np.random.default_rng(0).normal(size=(90, 30)).astype(np.float32)
    ids = [document.id for document in limit.documents]
    slow = np.mean(
        [
            len({ids[place] for place in np.argsort(-row)[:5]} & limit.qrels[query].keys()) / 2
            for query, row in zip(limit.queries, scores, strict=True)
        ]
    )
    assert mean_recalls(scores, limit, [2, 5])["recall@5"] == pytest.approx(slow)


@pytest.mark.parametrize("dims", [[0, 4], [4, 10_000]])
def test_dimensions_that_there_are_not(dims, limit, encoder):
    with pytest.raises(ValueError, match="dims: the encoder has"):
        capacity_report(encoder, limit=limit, dims=dims)
