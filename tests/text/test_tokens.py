from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from theatrum.text.tokens import (
    ENGLISH_STOPWORDS,
    count_matrix,
    inverse_document_frequency,
    tfidf_rows,
    vocabulary,
    words,
)

TEXTS = ["The flow, the flow!", "a wing in the flow", "", "heat of plates 42", "x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("...", []),
        ("Mach 2.5 (M2)", ["mach", "2", "5", "m2"]),
        ("don't", ["don", "t"]),
        ("Grenzschicht-Strömung", ["grenzschicht", "strömung"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs belong to their letters
        ("ความร้อน", ["ความร้อน"]),
        ("السَّماء", ["السَّماء"]),
        ("日本語の text", ["日", "本", "語", "の", "text"]),
        ("ﬁne", ["fine"]),
    ],
)
def test_words(text, expected):
    assert words(text) == [unicodedata.normalize("NFKC", word) for word in expected]


def test_composed_and_decomposed_accents_match():
    assert words("Strömung") == words(unicodedata.normalize("NFD", "Strömung"))


def test_stopwords_are_left_out():
    assert words("the flow in THE wing", stopwords=ENGLISH_STOPWORDS) == ["flow", "wing"]


def test_vocabulary_does_not_depend_on_the_order_of_documents():
    documents = [words(text) for text in TEXTS]
    assert list(vocabulary(documents).items()) == list(vocabulary(documents[::-1]).items())


def test_weights_agree_with_scikit_learn():
    documents = [words(text) for text in TEXTS]
    columns = vocabulary(documents)
    counts = count_matrix(documents, columns)
    peer = TfidfVectorizer(analyzer=words, sublinear_tf=True)
    expected = peer.fit_transform(TEXTS).toarray()
    assert list(columns) == peer.get_feature_names_out().tolist()
    idf = inverse_document_frequency(counts)
    np.testing.assert_allclose(idf, peer.idf_, rtol=1e-6)
    np.testing.assert_allclose(tfidf_rows(counts, idf).toarray(), expected, atol=1e-6)


def test_unknown_words_are_passed_over():
    assert count_matrix([["flow", "new"]], {"flow": 0}).toarray().tolist() == [[1.0]]
    assert count_matrix([], {"flow": 0}).shape == (0, 1)
