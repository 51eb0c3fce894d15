from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theatrum.text.transformer_engine import TransformerEngine, length_batches, special_frame, windows


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 9), st.integers(1, 120))
def test_batches_take_every_item_once_within_the_budget(lengths, rows, tokens):
    batches = list(length_batches(lengths, rows=rows, tokens=tokens))
    taken = [int(position) for batch in batches for position in batch]
    assert sorted(taken) == list(range(len(lengths)))
    assert [lengths[position] for position in taken] == sorted(lengths, reverse=True)
    for batch in batches:
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * max(lengths[position] for position in batch) <= tokens


@given(st.integers(0, 200), st.integers(1, 30))
def test_windows_cover_without_overlap(n, size):
    cuts = windows(n, size)
    assert [position for start, end in cuts for position in range(start, end)] == list(range(n))
    assert all(end - start == size for start, end in cuts[:-1])


def test_special_frame_finds_what_stands_around_a_text():
    class Framing:
        def __call__(self, text, add_special_tokens=True):
            return {"input_ids": [1, 2, *map(ord, text), 3] if add_special_tokens else [*map(ord, text)]}

    assert special_frame(Framing()) == ([1, 2], [3])


def test_special_frame_refuses_a_tokenizer_that_rewrites_the_text():
    class Rewriting:
        def __call__(self, text, add_special_tokens=True):
            return {"input_ids": [7, 7] if add_special_tokens else [5]}

    with pytest.raises(ValueError, match="not supported"):
        special_frame(Rewriting())


def test_padding_on_either_side_gives_the_same_vectors(tiny_model_folder):
    engine = TransformerEngine(tiny_model_folder, "cpu")
    rows = [[*engine.prefix, *tokens, *engine.suffix] for tokens in engine.tokenize(["wing", "the flow of heat"])]
    right = engine.forward(rows, "")
    alone = np.vstack([engine.forward([row], "") for row in rows])
    np.testing.assert_allclose(right, alone, atol=1e-6)
    assert right.shape == (2, engine.dim)
