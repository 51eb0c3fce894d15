"""Token vectors: those of sentence-transformers, without padding, special tokens as asked, late-interaction models."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import theatrum
from theatrum.contracts import TokenEncoder, TruncationWarning
from theatrum.text import MiniLM, MiniLMTokens, TokenVectorEncoder
from theatrum.text.token_vectors import is_late_interaction

TEXTS = ["the wing in a flow", "heat", "shock waves in the boundary layer of a blunt cone", "", "body lift"]


@pytest.fixture(scope="module")
def encoder(tiny_model_folder):
    return TokenVectorEncoder(str(tiny_model_folder), device="cpu")


@pytest.fixture(scope="session")
def late_model_folder(tiny_model_folder, tmp_path_factory):
    """A late-interaction model: prompts, queries lengthened to 8 tokens, commas of documents left out."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    torch.manual_seed(0)
    transformer = Transformer(
        str(tiny_model_folder), document_length=12, query_expansion={"strategy": "fixed", "length": 8}
    )
    head = Dense(32, 16, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    modules = [
        transformer,
        head,
        MultiVectorMask(skiplist_words=[","]),
        Normalize(module_input_name="token_embeddings"),
    ]
    prompts = {"query": "query: ", "document": "passage: "}
    model = MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu")
    folder = tmp_path_factory.mktemp("models") / "late"
    model.save(str(folder), create_model_card=False)
    return folder


def last_states(folder, text):
    """Unit rows of the last hidden states, special tokens included, as transformers gives them."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    states = model.encode([text], output_value="token_embeddings")[0].numpy()
    return states / np.linalg.norm(states, axis=1, keepdims=True)


def test_vectors_are_the_last_hidden_states(encoder, tiny_model_folder):
    assert isinstance(encoder, TokenEncoder)
    made = encoder.encode(TEXTS)
    kept = TokenVectorEncoder(str(tiny_model_folder), skip_special_tokens=False, device="cpu").encode(TEXTS)
    for text, inner, whole in zip(TEXTS, made, kept, strict=True):
        assert inner.dtype == np.float32
        if text:
            states = last_states(tiny_model_folder, text)
            np.testing.assert_allclose(inner, states[1:-1], atol=1e-5)
            np.testing.assert_allclose(whole, states, atol=1e-5)
            np.testing.assert_allclose(np.linalg.norm(inner, axis=1), 1, atol=1e-6)


def test_a_text_without_a_token_is_one_zero_row(encoder):
    assert encoder.encode(["", "heat"])[0].tolist() == [[0.0] * 32]
    assert encoder.encode([]) == []


def test_a_text_has_its_vectors_whatever_stands_beside_it(encoder):
    together = encoder.encode(TEXTS, batch_size=2)
    for text, one in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(encoder.encode([text])[0], one, atol=1e-5)


def test_long_texts_are_cut_and_told(encoder, tiny_model_folder):
    with pytest.warns(TruncationWarning, match=r"1 of 2 texts \(50.0%\) have more than 24 tokens \(the longest 42\)"):
        made = encoder.encode(["heat " * 40, "wing"])
    assert [len(one) for one in made] == [22, 1]
    short = TokenVectorEncoder(str(tiny_model_folder), token_limit=6, device="cpu")
    assert short.max_tokens == 6
    with pytest.warns(TruncationWarning):
        assert len(short.encode(["heat " * 40])[0]) == 4
    assert len(short.encode(["heat " * 40], role="query")[0]) == 4


def test_prompts_are_read_before_the_text(tiny_model_folder):
    made = TokenVectorEncoder(str(tiny_model_folder), query_prompt="query: ", device="cpu")
    by_hand = TokenVectorEncoder(str(tiny_model_folder), device="cpu").encode(["query: heat"])[0]
    np.testing.assert_allclose(made.encode(["heat"], role="query")[0], by_hand, atol=1e-5)
    assert len(made.encode(["heat"])[0]) == 1


def test_late_interaction_models_keep_their_own_rules(late_model_folder, tiny_model_folder):
    from sentence_transformers import MultiVectorEncoder

    assert is_late_interaction(late_model_folder)
    assert not is_late_interaction(tiny_model_folder)
    ours, peer = TokenVectorEncoder(str(late_model_folder), device="cpu"), MultiVectorEncoder(str(late_model_folder))
    assert (ours.dim, ours.max_tokens) == (16, 12)
    texts = ["heat, flow", "wing"]
    for made, right in (
        (ours.encode(texts), peer.encode_document(texts, convert_to_numpy=True)),
        (ours.encode(texts, role="query"), peer.encode_query(texts, convert_to_numpy=True)),
    ):
        for one, other in zip(made, right, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
    assert [len(one) for one in ours.encode(texts, role="query")] == [8, 8]
    with pytest.raises(ValueError, match="has its own rule for special tokens; leave skip_special_tokens out"):
        TokenVectorEncoder(str(late_model_folder), skip_special_tokens=True).encode(["heat"])


def test_folders_of_other_libraries_are_known(tmp_path):
    for file, text, late in (
        ("config_sentence_transformers.json", '{"model_type": "ColBERT"}', True),
        ("config_sentence_transformers.json", '{"model_type": "SentenceTransformer"}', False),
        ("config_sentence_transformers.json", "{}", False),
    ):
        (tmp_path / file).write_text(text)
        assert is_late_interaction(tmp_path) is late
    (tmp_path / "config.json").write_text('{"architectures": ["HF_ColBERT"]}')
    assert is_late_interaction(tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda encoder: encoder.encode(["a", 3]), "items: row 1 is int"),
        (lambda encoder: encoder.encode("a"), "got one text"),
        (lambda encoder: encoder.encode(["a"], role="title"), "role must be 'document' or 'query'"),
        (lambda encoder: encoder.encode(["a"], batch_size=0), "batch_size must be a whole number of at least 1"),
        (lambda encoder: TokenVectorEncoder(encoder.model, token_limit=2).encode(["a"]), "token_limit must be"),
        (lambda encoder: TokenVectorEncoder(encoder.model, skip_special_tokens="no").encode(["a"]), "must be a bool"),
    ],
)
def test_bad_input(encoder, call, message):
    with pytest.raises(ValueError, match=message):
        call(encoder)


def test_the_fingerprint_tells_what_vectors_come(encoder, tiny_model_folder):
    folder = str(tiny_model_folder)
    same = TokenVectorEncoder(folder, skip_special_tokens=True)
    others = [TokenVectorEncoder(folder, skip_special_tokens=False), TokenVectorEncoder(folder, token_limit=9)]
    sentence = theatrum.text.SentenceTransformerEncoder(folder)
    assert same.fingerprint() == encoder.fingerprint()
    assert len({one.fingerprint() for one in (encoder, sentence, *others)}) == 4


def test_save_and_open(encoder, tmp_path):
    theatrum.save(encoder, tmp_path / "tokens")
    again = theatrum.open(tmp_path / "tokens")
    for ours, theirs in zip(encoder.encode(TEXTS), again.encode(TEXTS), strict=True):
        assert np.array_equal(ours, theirs)


def test_minilm_has_the_token_vectors_that_its_sentence_vectors_are_means_of():
    made = MiniLMTokens(skip_special_tokens=False, device="cpu")
    assert (made.dim, made.max_tokens) == (384, 256)
    (wing,) = made.encode(["a wing in a shock wave"])
    (bare,) = MiniLMTokens(device="cpu").encode(["a wing in a shock wave"])
    np.testing.assert_allclose(bare, wing[1:-1], atol=1e-6)
    states = last_states(made._folder, "a wing in a shock wave")
    np.testing.assert_allclose(wing, states, atol=1e-5)
    assert made.fingerprint() != MiniLM().fingerprint()


def test_minilm_is_saved_by_its_own_name(tmp_path):
    theatrum.save(MiniLMTokens(token_limit=9), tmp_path / "tokens")
    again = theatrum.open(tmp_path / "tokens")
    assert isinstance(again, MiniLMTokens)
    assert again.max_tokens == 9


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r"theatrum\[minilm\]"):
        MiniLMTokens().encode(["wing"])
