"""Vectors without an index: those that the index of the same pipeline would get."""

from __future__ import annotations

import numpy as np
import pytest

import theatrum
from theatrum.interop.dense_vectors import DenseVectors
from theatrum.interop.held import held


@pytest.fixture(scope="module")
def fitted(corpus):
    def fit(text):
        return theatrum.pipeline(text).fit(*corpus)

    return fit


@pytest.mark.parametrize(
    "text",
    [
        "lsa(dim=24)",
        "lsa(dim=24) | zipf_whiten(dim=16) | int8",
        "lsa(dim=24) | pq(m=8, bits=5)",
        "lsa(dim=24) | binary",
    ],
)
def test_documents_are_what_the_index_holds(corpus, fitted, text):
    pipeline = fitted(text)
    X = DenseVectors(pipeline).encode(corpus[1], quantized=True)
    assert np.allclose(X, np.vstack(list(held(pipeline.retriever.index).vectors())), atol=1e-5)


def test_queries_find_the_same(corpus, fitted):
    pipeline = fitted("lsa(dim=24) | zipf_whiten(dim=16) | int8")
    vectors = DenseVectors(pipeline)
    asked = corpus[1][:9]
    scores = vectors.encode(asked, role="query", quantized=True) @ vectors.encode(corpus[1], quantized=True).T
    assert np.allclose(np.sort(scores, axis=1)[:, ::-1][:, :5], pipeline.search(asked, 5)[1], atol=1e-5)


def test_name_width_and_no_texts(fitted):
    vectors = DenseVectors(fitted("lsa(dim=24) | pca(dim=8) | flat(metric='ip')"))
    assert (vectors.name, vectors.dim, vectors.metric) == ("lsa(dim=24) | pca(dim=8) | flat(metric='ip')", 8, "ip")
    assert vectors.encode([]).shape == (0, 8)
    encoder = DenseVectors(fitted("lsa(dim=24)").retriever.encoder)
    assert (encoder.name, encoder.dim, encoder.metric) == ("lsa", 24, "cosine")


def test_the_fingerprint_follows_the_vectors(corpus, fitted):
    ids, texts = corpus
    whole = DenseVectors(fitted("lsa(dim=24) | pca(dim=8) | int8")).fingerprint()
    assert whole == DenseVectors(fitted("lsa(dim=24) | pca(dim=8) | int8")).fingerprint()
    others = ["lsa(dim=24) | pca(dim=8)", "lsa(dim=24) | pca(dim=9) | int8", "lsa(dim=23) | pca(dim=8) | int8"]
    prints = {DenseVectors(fitted(text)).fingerprint() for text in others}
    half = theatrum.pipeline("lsa(dim=24) | pca(dim=8) | int8").fit(ids[:150], texts[:150])
    assert len(prints | {whole, DenseVectors(half).fingerprint()}) == 5


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("bm25", "'bm25' makes rankings, not vectors"),
        ("rrf(bm25, lsa)", "makes rankings, not vectors"),
        (7, "int is neither an encoder nor a pipeline"),
        ("no_such_part", "no part is called"),
    ],
)
def test_what_has_no_vectors(source, message):
    with pytest.raises(ValueError, match=message):
        DenseVectors(source)


def test_what_was_not_fitted(corpus):
    with pytest.raises(ValueError, match="fit"):
        DenseVectors("lsa(dim=24)").encode(corpus[1][:2])
