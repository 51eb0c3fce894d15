from __future__ import annotations

import math
from collections import Counter

import bm25s
import numpy as np
import pytest

import theatrum
from theatrum.contracts import Retriever, Stateful
from theatrum.text.bm25 import BM25
from theatrum.text.tokens import ENGLISH_STOPWORDS, words

IDS = ["a", "b", "c", "d", "e"]
TEXTS = [
    "Swept wings in shock waves",
    "Heat in thin plates; the heat of a plate",
    "A shock wave on a blunt body in a wind tunnel",
    "",
    "Wings, wings, wings",
]


@pytest.fixture
def bm25():
    return BM25().fit(IDS, TEXTS)


def slow_scores(query, texts, k1=1.2, b=0.75):
    """The formula, read off the page."""
    documents = [words(text, stopwords=ENGLISH_STOPWORDS) for text in texts]
    average = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        tf, score = Counter(document), 0.0
        for word in words(query, stopwords=ENGLISH_STOPWORDS):
            df = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
            score += idf * tf[word] / (tf[word] + k1 * (1 - b + b * len(document) / average)) if tf[word] else 0
        scores.append(score)
    return scores


def test_keeps_the_contracts(bm25):
    assert isinstance(bm25, Retriever)
    assert isinstance(bm25, Stateful)
    assert len(bm25) == 5
    assert bm25.memory_bytes > 0


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.9, 0.4), (0.0, 0.0), (2.0, 1.0)])
def test_scores_are_those_of_the_formula(k1, b):
    for query in ("shock waves", "wings wings heat", "blunt body in the wind"):
        ids, scores = BM25(k1=k1, b=b).fit(IDS, TEXTS).search([query], 5)
        expected = dict(zip(IDS, slow_scores(query, TEXTS, k1, b), strict=True))
        found = {i: s for i, s in zip(ids[0], scores[0], strict=True) if i}
        assert found == pytest.approx({i: s for i, s in expected.items() if s > 0}, rel=1e-5)


def test_ranks_like_bm25s():
    rng = np.random.default_rng(0)
    lexicon = [f"w{number}" for number in range(60)]
    texts = [" ".join(rng.choice(lexicon, rng.integers(3, 30))) for _ in range(200)]
    queries = [" ".join(rng.choice(lexicon, 4)) for _ in range(20)]
    peer = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    peer.index([words(text) for text in texts], show_progress=False)
    ids, scores = BM25(stopwords=None).fit([str(row) for row in range(200)], texts).search(queries, 10)
    _, expected = peer.retrieve([words(query) for query in queries], k=10, show_progress=False)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    for row, query in enumerate(queries):
        own = peer.get_scores(words(query))[ids[row].astype(int)]
        np.testing.assert_allclose(own, scores[row], rtol=1e-5)


def test_documents_without_a_common_word_are_no_hits(bm25):
    ids, scores = bm25.search(["thin plates", "", "the of in", "nothing known"], 3)
    assert ids.tolist() == [["b", "", ""]] + [["", "", ""]] * 3
    assert np.isneginf(scores[0, 1:]).all()
    assert np.isneginf(scores[1:]).all()


def test_ties_keep_the_order_of_the_corpus():
    ids, _ = BM25().fit(["z", "m", "a"], ["shock wave", "heat", "shock wave"]).search(["shock"], 2)
    assert ids.tolist() == [["z", "a"]]


def test_k_is_cut_to_the_corpus_and_no_queries_are_fine(bm25):
    assert bm25.search(["wings"], 99)[0].shape == (1, 5)
    assert bm25.search([], 3)[0].shape == (0, 3)


def test_stopwords_can_be_kept():
    texts = ["the who", "the band"]
    assert BM25().fit(["a", "b"], texts).search(["the"], 1)[0].tolist() == [[""]]
    assert BM25(stopwords=None).fit(["a", "b"], texts).search(["the"], 1)[0].tolist() == [["a"]]


def test_a_filter_acts_before_ranking():
    years = {"year": [1950, 1960, 1970, 1980, 1990]}
    bm25 = BM25().fit(IDS, TEXTS, years)
    ids, _ = bm25.search(["shock wings"], 2, where={"year": {"gte": 1970}})
    assert sorted(ids[0]) == ["c", "e"]


def test_save_and_open_give_the_same_hits(tmp_path):
    bm25 = BM25(k1=0.9, b=0.4, stopwords=None).fit(IDS, TEXTS, {"year": [1, 2, 3, 4, 5]})
    theatrum.save(bm25, tmp_path / "bm25")
    again = theatrum.open(tmp_path / "bm25")
    assert (again.k1, again.b, again.stopwords, len(again)) == (0.9, 0.4, None, 5)
    for where in (None, {"year": {"lte": 3}}):
        before, after = (part.search(["shock waves in plates"], 5, where) for part in (bm25, again))
        assert before[0].tolist() == after[0].tolist()
        assert np.array_equal(before[1], after[1])
    assert not list((tmp_path / "bm25").glob("*.pkl"))


def test_runs_as_a_pipeline_and_prints_nothing(capfd):
    pipeline = theatrum.pipeline("bm25(b=0.4)").fit(IDS, TEXTS)
    assert pipeline.search(["blunt body"], k=1)[0].tolist() == [["c"]]
    assert capfd.readouterr() == ("", "")


def test_a_corpus_without_words_has_no_hits():
    assert BM25().fit(["a", "b"], ["", "the"]).search(["wing"], 2)[0].tolist() == [["", ""]]


@pytest.mark.parametrize(
    ("ids", "texts", "message"),
    [
        ([], [], "corpus is empty"),
        (["a", "a"], ["x", "y"], "there already"),
        (["a"], ["x", "y"], "1 ids for 2 rows"),
        (["a", "b"], ["x", None], "row 1 is NoneType"),
    ],
)
def test_bad_corpora_are_refused(ids, texts, message):
    with pytest.raises(ValueError, match=message):
        BM25().fit(ids, texts)


@pytest.mark.parametrize("parameters", [{"k1": -1}, {"b": 1.5}, {"stopwords": "german"}, {"k1": "a"}])
def test_bad_parameters_are_refused(parameters):
    with pytest.raises(ValueError, match=f"{next(iter(parameters))} must be"):
        BM25(**parameters).fit(IDS, TEXTS)


def test_search_before_fit_is_told():
    with pytest.raises(ValueError, match="call fit"):
        BM25().search(["wing"], 1)
