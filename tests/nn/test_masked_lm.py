"""The small masked language model: what it hides, that it learns, that a seed is a seed."""

from __future__ import annotations

import numpy as np
import pytest
from sentence_transformers.base.modules import Transformer

from theatrum.nn.masked_lm import mask_tokens, train_masked_lm

TEXTS = [f"the wing of type {i % 7} lifts and the plate of type {i % 5} bends under load" for i in range(200)]
SMALL = {"vocab_size": 120, "layers": 1, "hidden": 32, "heads": 2, "length": 16, "batch_size": 8}


def test_shares_of_hidden_tokens():
    ids = np.random.default_rng(0).integers(0, 1000, size=(400, 100))
    inputs, labels = mask_tokens(ids, 1000, 4, np.random.default_rng(1))
    hidden = labels != -100
    assert abs(hidden[ids >= 5].mean() - 0.15) < 0.01
    assert not hidden[ids < 5].any()
    assert (labels[hidden] == ids[hidden]).all()
    assert (inputs[~hidden] == ids[~hidden]).all()
    assert abs((inputs[hidden] == 4).mean() - 0.8) < 0.02
    assert abs((inputs[hidden] == ids[hidden]).mean() - 0.1) < 0.02


def test_it_learns_and_a_seed_is_a_seed(tmp_path):
    one = train_masked_lm(TEXTS, tmp_path / "one", steps=60, **SMALL)
    two = train_masked_lm(TEXTS, tmp_path / "two", steps=60, **SMALL)
    assert one == two
    assert np.mean(one[-10:]) < 0.85 * np.mean(one[:10])
    assert Transformer(str(tmp_path / "one")).auto_model.config.num_hidden_layers == 1


def test_too_little_text_says_so(tmp_path):
    with pytest.raises(ValueError, match="a batch needs 8"):
        train_masked_lm(TEXTS[:1], tmp_path, steps=1, **SMALL)
