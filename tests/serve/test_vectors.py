from __future__ import annotations

import numpy as np
import pytest

from theatrum.pipelines.pipeline import pipeline
from theatrum.serve.vectors import members, shortened, token_counts, vector_space


@pytest.mark.parametrize(
    ("text", "nested", "dim"),
    [
        ("lsa(dim=20)", True, 20),
        ("lsa(dim=20) | pca(dim=8) | int8", True, 8),
        ("lsa(dim=20) | whiten | truncate(dim=8)", True, 8),
        ("lsa(dim=20) | whiten(dim=8)", False, 8),
        ("rrf(bm25, lsa(dim=20) | pca(dim=6))", True, 6),
    ],
)
def test_vectors_are_those_that_the_index_compares(text, nested, dim, corpus):
    ids, texts = corpus
    made = pipeline(text).fit(ids, texts)
    space = vector_space(made)
    assert (space.nested, space.dim) == (nested, dim)
    cosines = space.encode(texts[:50], "query") @ space.encode(texts, "document").T
    dense = next((one for one in members(made) if "lsa" in str(one)), made)
    _, scores = dense.search(texts[:50], 1)
    np.testing.assert_allclose(cosines.max(axis=1), scores[:, 0], atol=2e-2 if "int8" in text else 1e-5)


def test_nested_vectors_are_those_of_the_smaller_pipeline(corpus):
    ids, texts = corpus
    large, small = (vector_space(pipeline(f"lsa(dim=20) | pca(dim={dim})").fit(ids, texts)) for dim in (12, 5))
    np.testing.assert_allclose(shortened(large.encode(texts, "query"), 5), small.encode(texts, "query"), atol=1e-5)


def test_words_are_counted_where_there_are_no_tokens(corpus):
    ids, texts = corpus
    space = vector_space(pipeline("lsa(dim=8)").fit(ids, texts))
    assert token_counts(space.encoder, ["Swept wings, again", ""]).tolist() == [3, 0]
    assert space.max_tokens is None
    with pytest.raises(ValueError, match="no tokenizer"):
        space.decode([[1]])


def test_lexical_pipelines_have_no_vectors():
    assert vector_space(pipeline("bm25")) is None
