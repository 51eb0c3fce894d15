from __future__ import annotations

import numpy as np
import pytest

from theatrum.pipelines.pipeline import pipeline
from theatrum.serve.word_weights import WordWeights, lexical_retriever


@pytest.mark.parametrize("text", ["bm25", "bm25(k1=0.9, b=0.3, stopwords=None)", "tfidf", "rrf(lsa(dim=8), tfidf)"])
def test_weights_of_documents_are_those_in_the_index(text, corpus):
    ids, texts = corpus
    weights = WordWeights(lexical_retriever(pipeline(text).fit(ids, texts)), lambda: texts)
    np.testing.assert_allclose(
        weights.rows(texts, "document").toarray(), weights.retriever.index_.postings.T.toarray(), rtol=1e-5
    )


def test_unknown_words_count_for_the_length_only(corpus):
    ids, texts = corpus
    weights = WordWeights(lexical_retriever(pipeline("bm25").fit(ids, texts)), lambda: texts)
    short, long = weights.rows(["drag", "drag zyx zyx zyx zyx zyx zyx zyx zyx zyx zyx zyx"], "document").toarray()
    column = weights.vocabulary.index("drag")
    assert 0 < long[column] < short[column]
    assert np.count_nonzero(long) == 1


def test_without_texts_only_queries_are_weighed(corpus):
    ids, texts = corpus
    weights = WordWeights(lexical_retriever(pipeline("bm25").fit(ids, texts)), lambda: [])
    assert weights.rows(["drag drag the"], "query").data.tolist() == [2.0]
    with pytest.raises(ValueError, match="without its documents"):
        weights.rows(["drag"], "document")


def test_dense_pipelines_weigh_no_words():
    assert lexical_retriever(pipeline("lsa")) is None
