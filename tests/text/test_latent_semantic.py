from __future__ import annotations

import warnings

import numpy as np
import pytest

import theatrum
from theatrum.contracts import Encoder
from theatrum.text.latent_semantic import LatentSemanticEncoder
from theatrum.text.tokens import count_matrix, inverse_document_frequency, tfidf_rows, vocabulary, words


def _corpus(n=80, seed=0):
    """Documents of two topics with words of their own."""
    rng = np.random.default_rng(seed)
    topics = [[f"flow{number}" for number in range(20)], [f"heat{number}" for number in range(20)]]
    return [" ".join(rng.choice(topics[row % 2], 12)) for row in range(n)]


@pytest.fixture(scope="module")
def lsa():
    return LatentSemanticEncoder(4).fit(_corpus())


def test_keeps_the_contract(lsa):
    assert isinstance(lsa, Encoder)
    X = lsa.encode(_corpus()[:3])
    assert X.dtype == np.float32
    assert X.shape == (3, 4) == (3, lsa.dim)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)


def test_words_that_go_together_come_near_without_a_common_word(lsa):
    X = lsa.encode(["flow0", "flow7", "heat3"])
    near, far = float(X[0] @ X[1]), float(X[0] @ X[2])
    assert near > far + 0.3


def test_projection_is_that_of_the_exact_svd():
    texts = _corpus(40)
    documents = [words(text) for text in texts]
    counts = count_matrix(documents, vocabulary(documents, min_count=2))
    X = tfidf_rows(counts, inverse_document_frequency(counts)).toarray().astype(np.float64)
    _, _, V = np.linalg.svd(X, full_matrices=False)
    exact = X @ V[:2].T  # the topics' two directions stand far above the rest
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    ours = LatentSemanticEncoder(2, stopwords=None).fit(texts).encode(texts)
    np.testing.assert_allclose(ours @ ours.T, exact @ exact.T, atol=1e-3)


def test_texts_without_known_words_are_zero_rows(lsa):
    assert not lsa.encode(["", "unheard of"]).any()
    assert lsa.encode([]).shape == (0, 4)


def test_dimensions_are_cut_to_the_rank_with_a_warning():
    texts = ["flow wing", "flow wing", "heat plate", "heat plate"]
    with pytest.warns(UserWarning, match="has 2 dimensions; 256 were asked for"):
        lsa = LatentSemanticEncoder().fit(texts)
    assert lsa.dim == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LatentSemanticEncoder(2).fit(texts)


def test_same_random_state_same_vectors_and_fingerprint():
    first, again = (LatentSemanticEncoder(8, random_state=3).fit(_corpus()) for _ in range(2))
    assert np.array_equal(first.encode(_corpus()), again.encode(_corpus()))
    assert first.fingerprint() == again.fingerprint()
    assert LatentSemanticEncoder(8).fit(_corpus(seed=1)).fingerprint() != first.fingerprint()


def test_save_and_open_give_the_same_vectors(lsa, tmp_path):
    theatrum.save(lsa, tmp_path / "lsa")
    again = theatrum.open(tmp_path / "lsa")
    assert np.array_equal(again.encode(_corpus()), lsa.encode(_corpus()))
    assert (again.dim, again.fingerprint()) == (lsa.dim, lsa.fingerprint())


def test_the_notation_takes_dim():
    assert next(iter(theatrum.pipeline("lsa(dim=32)").encoders.values())).n_components == 32


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="no word is in 2 of the 2 texts"):
        LatentSemanticEncoder().fit(["flow", "heat"])
    with pytest.raises(ValueError, match="no word is in 2 of the 0 texts"):
        LatentSemanticEncoder().fit([])
    with pytest.raises(ValueError, match="n_components must be"):
        LatentSemanticEncoder(0).fit(_corpus())
    with pytest.raises(ValueError, match="call fit"):
        LatentSemanticEncoder().encode(["flow"])
    with pytest.raises(ValueError, match="call fit"):
        LatentSemanticEncoder().fingerprint()
