from __future__ import annotations

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from theatrum.text import distillation
from theatrum.text.distillation import Teacher, TextSample


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THEATRUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "static"


def hidden_states(folder, ids):
    """Token vectors of one text, by sentence-transformers itself."""
    import torch

    model = SentenceTransformer(str(folder), device="cpu")
    rows = torch.tensor([ids])
    with torch.inference_mode():
        return model[0]({"input_ids": rows, "attention_mask": torch.ones_like(rows)})["token_embeddings"][0].numpy()


def test_tokens_alone_are_the_mean_over_the_token_between_special_ones(tiny_model_folder):
    tokenizer, table = Teacher(tiny_model_folder).vocabulary()
    token = tokenizer.token_to_id("wing")
    frame = tokenizer.encode("wing").ids
    assert len(frame) == 3
    assert table.shape == (max(tokenizer.get_vocab().values()) + 1, 32)
    np.testing.assert_allclose(table[token], hidden_states(tiny_model_folder, frame).mean(axis=0), atol=1e-5)


def test_sums_over_texts_are_those_of_one_text_at_a_time(tiny_model_folder):
    teacher = Teacher(tiny_model_folder)
    tokenizer, table = teacher.vocabulary()
    texts = [tokenizer.encode(text, add_special_tokens=False).ids for text in ("wing flow wing", "the heat", "flow")]
    texts.append([tokenizer.token_to_id("plate")] * 40)  # the model reads 24 tokens, 22 of them of the text
    sums, counts = teacher.read(texts, len(table))
    expected, number = np.zeros(sums.shape), np.zeros(len(table), dtype=int)
    first, last = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    for text in texts:
        states = hidden_states(tiny_model_folder, [first, *text[:22], last])[1:-1]
        for token, state in zip(text, states, strict=False):
            expected[token] += state
            number[token] += 1
    np.testing.assert_array_equal(counts, number)
    np.testing.assert_allclose(sums, expected, atol=1e-4)


def test_the_second_time_the_model_is_not_loaded(tiny_model_folder, monkeypatch, own_cache):
    first = Teacher(tiny_model_folder)
    table = first.vocabulary()[1]
    sums, counts = first.read([[10, 11], [12]], len(table))
    monkeypatch.setattr(distillation, "TransformerEngine", None)
    second = Teacher(tiny_model_folder)
    np.testing.assert_array_equal(second.vocabulary()[1], table)
    again = second.read([[10, 11], [12]], len(table))
    np.testing.assert_array_equal(again[0], sums)
    np.testing.assert_array_equal(again[1], counts)


def test_a_damaged_cache_is_made_anew(tiny_model_folder, own_cache):
    table = Teacher(tiny_model_folder).vocabulary()[1]
    (path,) = own_cache.glob("*/arrays.safetensors")
    path.write_bytes(b"cut short")
    np.testing.assert_array_equal(Teacher(tiny_model_folder).vocabulary()[1], table)


def test_a_cache_that_cannot_be_written_is_told(tiny_model_folder, own_cache):
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("a file in the way")
    with pytest.warns(UserWarning, match="could not be kept"):
        assert Teacher(tiny_model_folder).vocabulary()[1].any()


def test_a_sample_does_not_depend_on_the_order_of_the_texts():
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 50, rng.integers(1, 30)) for _ in range(500)]
    samples = []
    for order in (range(500), reversed(range(500)), rng.permutation(500)):
        sample = TextSample(400, 20)
        for row in order:
            sample.add(texts[row])
            sample.add(texts[row])  # the same text again changes nothing
        samples.append(sample.texts())
    assert samples[0] == samples[1] == samples[2]
    assert 400 <= sum(map(len, samples[0])) < 420
    assert max(map(len, samples[0])) <= 20


def test_a_small_corpus_is_taken_whole():
    sample = TextSample(1000, 20)
    for text in ([1, 2], [], [3]):
        sample.add(np.array(text, dtype=np.int32))
    assert sorted(sample.texts()) == [[1, 2], [3]]
