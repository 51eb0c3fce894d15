"""Whitening and Zipfian whitening: scikit-learn's checks, the laws, an oracle, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.refine import Whitening, ZipfianWhitening, whiten_static_embedding, word_counts

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12)) + 30
P = 1 / np.arange(1, 401)


@parametrize_with_checks([Whitening(), Whitening(method="zca"), Whitening(center_only=True), ZipfianWhitening()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def weighted_covariance(Z, p):
    centred = Z - p @ Z / p.sum()
    return (centred.T * (p / p.sum())) @ centred


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["pca", "zca"])
def test_the_weighted_covariance_becomes_the_identity(method, dtype):
    Z = ZipfianWhitening(method=method, frequencies=P).fit_transform(X.astype(dtype))
    assert Z.dtype == dtype
    assert np.abs(weighted_covariance(Z.astype(float), P) - np.eye(12)).max() < 1e-4
    assert np.abs(P @ Z / P.sum()).max() < 1e-4


def test_uniform_weights_are_whitened_principal_components():
    Z = Whitening(5).fit_transform(X)
    oracle = PCA(5, whiten=True).fit_transform(X) * np.sqrt(400 / 399)  # scikit-learn divides by n - 1
    assert np.allclose(Z @ Z.T, oracle @ oracle.T)


def test_the_formula_of_the_paper():
    p = P / P.sum()
    mean = p @ X
    _, s, vt = np.linalg.svd(np.sqrt(p)[:, None] * (X - mean), full_matrices=False)
    slow = (X - mean) @ vt.T / s
    Z = ZipfianWhitening(frequencies=P).fit_transform(X)
    assert np.allclose(Z @ Z.T, slow @ slow.T)


def test_weights_count_rows():
    counts = rng.integers(0, 4, size=400)
    repeated = Whitening(3).fit(np.repeat(X, counts, axis=0))
    weighted = Whitening(3).fit(X, sample_weight=counts)
    assert np.allclose(repeated.transform(X), weighted.transform(X))


def test_zca_stays_near_the_input():
    white = Whitening(method="zca").fit(X)
    assert np.allclose(white.components_, white.components_.T)
    assert (np.linalg.eigvalsh(white.components_) > 0).all()


def test_partial_fit_is_fit():
    whole, parts = ZipfianWhitening().fit(X, sample_weight=P), ZipfianWhitening()
    for block in np.array_split(np.arange(400), 7):
        parts.partial_fit(X[block], sample_weight=P[block])
    assert np.allclose(whole.transform(X), parts.transform(X))


def test_inverse():
    white = Whitening().fit(X)
    assert np.allclose(white.inverse_transform(white.transform(X)), X)
    near = Whitening(8).fit(X)
    assert near.inverse_transform(near.transform(X)).shape == X.shape


def test_center_only():
    assert np.allclose(Whitening(center_only=True).fit_transform(X), X - X.mean(axis=0))


def test_a_table_far_from_the_origin_keeps_its_digits():
    far = X * 1e-3 + 1e4
    Z = Whitening().fit_transform(far)
    assert np.abs(weighted_covariance(Z, np.ones(400)) - np.eye(12)).max() < 1e-3


def test_missing_directions_are_dropped_with_a_warning():
    flat = np.hstack([X[:, :3], X[:, :3] @ rng.normal(size=(3, 4))])
    white = Whitening().fit(flat)
    assert white.effective_rank_ == white.transform(flat).shape[1] == 3
    with pytest.warns(UserWarning, match="vary in 3 directions only; 6 were asked for"):
        Whitening(6).fit(flat)
    assert np.isfinite(Whitening().fit_transform(np.ones((5, 3)))).all()


def test_shrinkage_moves_towards_the_sphere():
    plain = Whitening(shrinkage=0.0).fit(X).explained_variance_
    half = Whitening(shrinkage=0.5).fit(X).explained_variance_
    assert np.allclose(half, 0.5 * plain + 0.5 * plain.mean())
    few = X[:15]
    assert np.ptp(np.log(Whitening(shrinkage="auto").fit(few).explained_variance_)) < np.ptp(
        np.log(Whitening(shrinkage=0.0).fit(few).explained_variance_)
    )


def test_frequencies_by_word():
    words = [f"w{i}" for i in range(400)]
    counts = {word: 1 + i % 7 for i, word in enumerate(words) if i % 2}
    by_word = ZipfianWhitening(frequencies=counts).fit_words(words, X)
    by_row = ZipfianWhitening().fit(X, sample_weight=[counts.get(word, 0) for word in words])
    assert np.allclose(by_word.transform(X), by_row.transform(X))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Whitening().fit(X[:1]), "minimum of 2"),
        (lambda: Whitening().fit(X, sample_weight=-P), "row 0 is -1.0; weights are at least 0"),
        (lambda: Whitening().fit(X, sample_weight=P * 0), "all weights are 0|zero"),
        (lambda: Whitening().fit(X, sample_weight=P[:5]), "shape"),
        (lambda: Whitening().fit(np.where(X > 31, np.nan, X)), "NaN"),
        (lambda: Whitening(0).fit(X), "n_components must be a whole number of at least 1 or None, got 0"),
        (lambda: Whitening(method="cca").fit(X), "method must be one of 'pca', 'zca'"),
        (lambda: Whitening(shrinkage="auto").partial_fit(X), "needs all rows at once"),
        (lambda: ZipfianWhitening(frequencies={"a": 1}).fit(X), "use fit_words"),
        (lambda: ZipfianWhitening().fit_words(["a"], X), "needs frequencies by word"),
        (lambda: ZipfianWhitening(frequencies={"a": 1}).fit_words(["a"], X), "1 words for 400 rows"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("estimator", [Whitening(5, method="zca"), ZipfianWhitening(3, frequencies=P)])
def test_save_and_open(estimator, tmp_path):
    estimator.fit(X)
    theatrum.save(estimator, tmp_path / "w")
    opened = theatrum.open(tmp_path / "w")
    assert opened.transform(X).tobytes() == estimator.transform(X).tobytes()
    assert opened.partial_fit(X[:9]).mean_.shape == (12,)


def test_static_embeddings_are_whitened_with_their_own_counts():
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["the", "wing", "shock", "heat", "never"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="never"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    counts = word_counts(["the wing the shock", "the heat", "the wing", ""], tokenizer)
    assert counts.tolist() == [4, 2, 1, 1, 0]
    table = rng.normal(size=(5, 2)).astype(np.float32)
    plain = StaticEmbedding(tokenizer, embedding_weights=table)
    white = whiten_static_embedding(plain, counts)
    Z = white.embedding.weight.detach().numpy()
    assert np.abs(weighted_covariance(Z.astype(float), counts.astype(float)) - np.eye(2)).max() < 1e-4
    assert (Z[4] == 0).all()
    assert (plain.embedding.weight.detach().numpy() == table).all()
