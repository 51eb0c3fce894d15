from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

import theatrum
from theatrum.contracts import Retriever, Stateful
from theatrum.text.tfidf import TfidfRetriever
from theatrum.text.tokens import words

IDS = ["a", "b", "c", "d"]
TEXTS = ["Swept wings in shock waves", "Heat in thin plates; the heat of a plate", "A shock wave, a shock wave", ""]


@pytest.fixture
def tfidf():
    return TfidfRetriever().fit(IDS, TEXTS)


def test_keeps_the_contracts(tfidf):
    assert isinstance(tfidf, Retriever)
    assert isinstance(tfidf, Stateful)
    assert len(tfidf) == 4
    assert tfidf.memory_bytes > 0


def test_scores_are_cosines_of_scikit_learns_vectors():
    queries = ["shock waves", "the heat of wings", "wave wave plate"]
    peer = TfidfVectorizer(analyzer=words, sublinear_tf=True)
    X = peer.fit_transform(TEXTS).toarray()
    expected = peer.transform(queries).toarray() @ X.T
    ids, scores = TfidfRetriever(stopwords=None).fit(IDS, TEXTS).search(queries, 4)
    for row in range(len(queries)):
        found = {i: s for i, s in zip(ids[row], scores[row], strict=True) if i}
        assert found == pytest.approx({i: s for i, s in zip(IDS, expected[row], strict=True) if s > 0}, abs=1e-6)


def test_a_document_finds_itself_with_score_one(tfidf):
    ids, scores = tfidf.search(TEXTS[:3], 1)
    assert ids[:, 0].tolist() == IDS[:3]
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-6)


def test_documents_without_a_common_word_are_no_hits(tfidf):
    ids, scores = tfidf.search(["plates", "", "unknown"], 2)
    assert ids.tolist() == [["b", ""], ["", ""], ["", ""]]
    assert np.isneginf(scores[:, 1]).all()


def test_a_filter_acts_before_ranking():
    tfidf = TfidfRetriever().fit(IDS, TEXTS, {"year": [1, 2, 3, 4]})
    assert tfidf.search(["shock"], 2, where={"year": {"lte": 2}})[0].tolist() == [["a", ""]]


def test_save_and_open_give_the_same_hits(tfidf, tmp_path):
    theatrum.save(tfidf, tmp_path / "tfidf")
    before, after = (part.search(["heat and shock waves"], 4) for part in (tfidf, theatrum.open(tmp_path / "tfidf")))
    assert before[0].tolist() == after[0].tolist()
    assert np.array_equal(before[1], after[1])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="corpus is empty"):
        TfidfRetriever().fit([], [])
    with pytest.raises(ValueError, match="stopwords must be"):
        TfidfRetriever(stopwords="german").fit(IDS, TEXTS)
    with pytest.raises(ValueError, match="call fit"):
        TfidfRetriever().search(["x"], 1)
