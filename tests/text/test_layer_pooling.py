"""Layer pooling: the formulas, masking, folding of a whitening, the search over layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from theatrum.refine import Whitening
from theatrum.text.layer_pooling import (
    LayerPooling,
    encode_layers,
    fold_into,
    layer_average_encoder,
    pool_tokens,
    search_layers,
)
from theatrum.text.sentence_transformer import SentenceTransformerEncoder

TEXTS = ["the wing", "heat flow in thin plates and shells of a body", "shock wave", "a test of theory and method"]


@pytest.fixture
def base(tiny_model_folder):
    return tiny_model_folder.with_name(tiny_model_folder.name + "-base")


def slow(states, mask, pooling):
    rows = []
    for tokens, real in zip(states, mask, strict=True):
        kept = tokens[real.astype(bool)]
        weights = np.arange(1, len(kept) + 1)[:, None]
        rows.append(
            {
                "mean": kept.mean(axis=0),
                "cls": kept[0],
                "max": kept.max(axis=0),
                "weightedmean": (kept * weights).sum(axis=0) / weights.sum(),
            }[pooling]
        )
    return np.array(rows)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "weightedmean"])
def test_pooling_leaves_padding_out(pooling, left):
    rng = np.random.default_rng(0)
    states, mask = rng.normal(size=(3, 6, 4)), np.array([[1] * n + [0] * (6 - n) for n in (6, 2, 4)])
    if left:
        mask = mask[:, ::-1].copy()
    found = pool_tokens(torch.from_numpy(states), torch.from_numpy(mask), pooling).numpy()
    assert np.allclose(found, slow(states, mask, pooling))


def test_mixed_batches_equal_single_texts(base):
    encoder = layer_average_encoder(base)
    together = encoder.encode(TEXTS, batch_size=4)
    alone = np.vstack([encoder.encode([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5


def test_the_average_is_that_of_the_named_layers(base):
    encoder = layer_average_encoder(base, layers=(1, -1))
    states = encode_layers(encoder, TEXTS)
    assert states.shape == (4, 3, 32)
    assert np.allclose(encoder.encode(TEXTS), states[:, [1, 2]].mean(axis=1), atol=1e-6)
    assert np.allclose(layer_average_encoder(base, layers=(0,)).encode(TEXTS), states[:, 0], atol=1e-6)


def test_a_folded_whitening_is_the_transform(base, tmp_path):
    plain = layer_average_encoder(base)
    vectors = plain.encode([" ".join(pair) for pair in zip(TEXTS * 4, TEXTS[::-1] * 4, strict=True)] + TEXTS * 9)
    white = Whitening(3).fit(vectors)
    folded = layer_average_encoder(base, whitening=white)
    assert np.allclose(folded.encode(TEXTS), white.transform(plain.encode(TEXTS)), atol=1e-4)
    folded.save(str(tmp_path / "model"))
    opened = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert np.allclose(opened.encode(TEXTS), folded.encode(TEXTS), atol=1e-5)
    with pytest.raises(ValueError, match="fitted on 32 dimensions, the model gives 3"):
        fold_into(folded, white)


def test_the_search_tries_all_combinations(base):
    encoder = layer_average_encoder(base)
    scores = np.random.default_rng(0).random(len(TEXTS) * 4)
    found = search_layers(encoder, TEXTS * 4, (TEXTS[1:] + TEXTS[:1]) * 4, scores, whiten=False)
    assert {one.layers for one in found} == {(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)}
    assert [one.spearman for one in found] == sorted((one.spearman for one in found), reverse=True)


def test_bad_input(base):
    with pytest.raises(ValueError, match="there is no layer 5; the model has 2 layers"):
        layer_average_encoder(base, layers=(1, 5))
    with pytest.raises(ValueError, match="at least one layer"):
        LayerPooling(())
    with pytest.raises(ValueError, match="at least one layer"):
        layer_average_encoder(base, layers=())
    with pytest.raises(ValueError, match="pooling must be one of mean, cls"):
        LayerPooling(pooling="sum")
    with pytest.raises(TypeError, match="output_hidden_states = True"):
        LayerPooling()({"attention_mask": torch.ones(1, 2)})


@pytest.mark.parametrize("pooling", ["mean", "cls", "weightedmean", "max"])
def test_the_encoder_is_layer_pooling(base, pooling):
    encoder = layer_average_encoder(base, layers=(0, -1), pooling=pooling)
    by_hand = SentenceTransformer(modules=[encoder[0], LayerPooling((0, -1), pooling)], device="cpu")
    assert np.allclose(encoder.encode(TEXTS), by_hand.encode(TEXTS), atol=1e-6)


def test_what_is_saved_opens_as_a_part(base, tmp_path):
    encoder = layer_average_encoder(base)
    encoder.save(str(tmp_path / "model"))
    part = SentenceTransformerEncoder(str(tmp_path / "model"))
    vectors = encoder.encode(TEXTS)
    assert np.allclose(part.encode(TEXTS), vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-6)
