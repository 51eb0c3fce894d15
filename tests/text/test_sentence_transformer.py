from __future__ import annotations

import shutil
import socket
import warnings

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import theatrum
import theatrum.pipelines.notation
from theatrum.contracts import Encoder, Stateful
from theatrum.text.sentence_transformer import SentenceTransformerEncoder, TruncationWarning

TEXTS = [
    "the shock wave on a blunt body",
    "heat",
    "swept wing in a sonic jet: the boundary layer",
    "",
    "plates and shells, thin cylinder buckling theory",
    "heat",
    "the flow of gas in a wind tunnel test",
]
LONG = " ".join(["wing", "flow", "heat"] * 20)  # 60 tokens of one word each


@pytest.fixture
def encoder(tiny_model_folder):
    return SentenceTransformerEncoder(str(tiny_model_folder), device="cpu")


@pytest.fixture(scope="module")
def peer(tiny_model_folder):
    return SentenceTransformer(str(tiny_model_folder), device="cpu")


def test_keeps_the_contracts(encoder):
    assert isinstance(encoder, Encoder)
    assert isinstance(encoder, Stateful)


def test_vectors_are_those_of_sentence_transformers(encoder, peer):
    full = [text for text in TEXTS if text]
    X = encoder.encode(full)
    assert X.dtype == np.float32
    assert X.shape == (len(full), encoder.dim) == (len(full), 32)
    np.testing.assert_allclose(X, peer.encode(full), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)


def test_a_text_has_one_vector_whatever_stands_beside_it(encoder):
    together = encoder.encode(TEXTS, batch_size=3)
    alone = np.vstack([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.array_equal(together[1], together[5])


def test_texts_without_a_known_token_are_zero_rows(encoder):
    X = encoder.encode(["", "   ", "\N{SNOWMAN}", "wing"])
    assert not X[:3].any()
    assert X[3].any()


def test_half_a_surrogate_pair_is_a_question_mark(encoder):
    broken, mended = encoder.encode(["thin \ud800 plates", "thin ? plates"])
    assert np.array_equal(broken, mended)
    assert encoder.token_counts(["thin \ud800 plates"]).tolist() == encoder.token_counts(["thin ? plates"]).tolist()


def test_no_texts(encoder):
    assert encoder.encode([]).shape == (0, 32)
    assert encoder.token_counts([]).shape == (0,)


def test_long_texts_are_cut_and_told_once(encoder, peer):
    with pytest.warns(TruncationWarning, match=r"2 of 4 texts \(50\.0%\) have more than 24 tokens") as told:
        X = encoder.encode([LONG, "heat", LONG, "flow"])
    assert len(told) == 1
    np.testing.assert_allclose(X[0], peer.encode(LONG), atol=1e-5)


def test_no_warning_when_nothing_is_cut(encoder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode(TEXTS)


def test_split_averages_the_windows_by_their_tokens(tiny_model_folder, peer):
    encoder = SentenceTransformerEncoder(str(tiny_model_folder), on_overflow="split", device="cpu")
    words = LONG.split()
    parts = [words[:22], words[22:44], words[44:]]  # 24 tokens less the two special ones
    vectors = peer.encode([" ".join(part) for part in parts])
    mean = np.average(vectors, axis=0, weights=[22, 22, 16])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X = encoder.encode(["heat", LONG])
    np.testing.assert_allclose(X[1], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(X[0], peer.encode("heat"), atol=1e-5)


def test_split_puts_the_prompt_before_every_window(tiny_model_folder, peer):
    encoder = SentenceTransformerEncoder(
        str(tiny_model_folder), on_overflow="split", query_prompt="query: ", device="cpu"
    )
    words = LONG.split()
    parts = [words[:20], words[20:40], words[40:]]
    mean = peer.encode(["query: " + " ".join(part) for part in parts]).mean(axis=0)
    X = encoder.encode([LONG], role="query")
    np.testing.assert_allclose(X[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_error_names_the_first_row_and_its_tokens(tiny_model_folder):
    encoder = SentenceTransformerEncoder(str(tiny_model_folder), on_overflow="error", device="cpu")
    with pytest.raises(ValueError, match="row 2 has 62 tokens, the limit is 24"):
        encoder.encode(["heat", "heat", LONG, LONG + " flow"])
    assert encoder.encode(["heat"]).any()


def test_token_limit_lowers_the_limit_and_never_raises_it(tiny_model_folder, peer):
    short = SentenceTransformerEncoder(str(tiny_model_folder), token_limit=5, device="cpu")
    assert short.max_tokens == 5
    with pytest.warns(TruncationWarning):
        X = short.encode(["wing flow heat drag lift"])
    np.testing.assert_allclose(X[0], peer.encode("wing flow heat"), atol=1e-5)
    assert SentenceTransformerEncoder(str(tiny_model_folder), token_limit=999, device="cpu").max_tokens == 24
    with pytest.raises(ValueError, match="no room"):
        SentenceTransformerEncoder(str(tiny_model_folder), token_limit=2, device="cpu").encode(["wing"])


def test_token_counts_agree_with_the_tokenizer(encoder, peer):
    counts = encoder.token_counts([*TEXTS, LONG])
    assert counts.dtype == np.int32
    assert counts.tolist() == [len(peer.tokenizer(text)["input_ids"]) for text in [*TEXTS, LONG]]


def test_prompts_belong_to_roles(tiny_model_folder, peer):
    encoder = SentenceTransformerEncoder(
        str(tiny_model_folder), query_prompt="query: ", document_prompt="passage: ", device="cpu"
    )
    np.testing.assert_allclose(
        encoder.encode(["wing"], role="query"), peer.encode(["wing"], prompt="query: "), atol=1e-5
    )
    np.testing.assert_allclose(encoder.encode(["wing"]), peer.encode(["passage: wing"]), atol=1e-5)


def test_the_models_own_prompts_are_the_default(tiny_model_folder, tmp_path):
    model = SentenceTransformer(str(tiny_model_folder), prompts={"query": "query: ", "document": ""}, device="cpu")
    model[1].include_prompt = False
    model.save(str(tmp_path / "prompted"), create_model_card=False)
    encoder = SentenceTransformerEncoder(str(tmp_path / "prompted"), device="cpu")
    for role, peer_encode in (("query", model.encode_query), ("document", model.encode_document)):
        np.testing.assert_allclose(encoder.encode(TEXTS[:3], role=role), peer_encode(TEXTS[:3]), atol=1e-5)
    plain = SentenceTransformerEncoder(str(tmp_path / "prompted"), query_prompt="", device="cpu")
    np.testing.assert_allclose(plain.encode(["wing"], role="query"), model.encode(["wing"]), atol=1e-5)


def test_without_normalising_the_models_own_vectors_come_out(tiny_model_folder, tmp_path):
    model = SentenceTransformer(str(tiny_model_folder), device="cpu")
    bare = SentenceTransformer(modules=[model[0], model[1]], device="cpu")
    bare.save(str(tmp_path / "bare"), create_model_card=False)
    X = SentenceTransformerEncoder(str(tmp_path / "bare"), normalize=False, device="cpu").encode(["wing", "heat"])
    np.testing.assert_allclose(X, bare.encode(["wing", "heat"]), atol=1e-5)
    assert abs(np.linalg.norm(X[0]) - 1) > 0.1


def test_fingerprint_follows_what_changes_vectors(tiny_model_folder, tmp_path):
    folder = str(tiny_model_folder)
    first = SentenceTransformerEncoder(folder).fingerprint()
    assert len(first) == 64
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "README.md").write_text("a card")
    assert SentenceTransformerEncoder(str(copy)).fingerprint() == first
    assert SentenceTransformerEncoder(folder, device="cpu", on_overflow="error").fingerprint() == first
    others = [
        SentenceTransformerEncoder(folder, on_overflow="split"),
        SentenceTransformerEncoder(folder, query_prompt="query: "),
        SentenceTransformerEncoder(folder, document_prompt="query: "),
        SentenceTransformerEncoder(folder, token_limit=8),
        SentenceTransformerEncoder(folder, normalize=False),
    ]
    assert len({first, *(other.fingerprint() for other in others)}) == 6


def test_save_and_open_give_the_same_vectors(tiny_model_folder, tmp_path):
    encoder = SentenceTransformerEncoder(str(tiny_model_folder), on_overflow="split", device="cpu")
    theatrum.save(encoder, tmp_path / "encoder")
    again = theatrum.open(tmp_path / "encoder")
    assert again.on_overflow == "split"
    assert np.array_equal(again.encode([*TEXTS, LONG]), encoder.encode([*TEXTS, LONG]))
    assert again.fingerprint() == encoder.fingerprint()


def test_a_model_that_changed_after_saving_is_refused(tiny_model_folder, tmp_path):
    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    theatrum.save(SentenceTransformerEncoder(str(folder), device="cpu"), tmp_path / "encoder")
    weights = folder / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(ValueError, match="is not the one that this encoder was saved with"):
        theatrum.open(tmp_path / "encoder").encode(["wing"])


def test_a_folder_needs_no_network(tiny_model_folder, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    encoder = SentenceTransformerEncoder(str(tiny_model_folder), device="cpu")
    encoder.fingerprint()
    assert encoder.encode(["wing"]).any()


def test_progress_goes_to_stderr(encoder, capsys):
    encoder.encode(TEXTS, show_progress=True)
    out, err = capsys.readouterr()
    assert not out
    assert "encoding" in err
    encoder.encode(TEXTS)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda encoder: encoder.encode("wing"), "put it in a list"),
        (lambda encoder: encoder.encode(["wing", 3]), "row 1 is int"),
        (lambda encoder: encoder.encode(["wing"], role="title"), "role must be"),
        (lambda encoder: encoder.encode(["wing"], batch_size=0), "batch_size must be"),
    ],
)
def test_bad_calls_are_refused(encoder, call, message):
    with pytest.raises(ValueError, match=message):
        call(encoder)


def test_bad_parameters_are_refused():
    with pytest.raises(ValueError, match="on_overflow must be one of"):
        SentenceTransformerEncoder("x", on_overflow="cut").fingerprint()
    with pytest.raises(theatrum.pipelines.notation.PipelineError, match="token_limit must be"):
        theatrum.pipeline("st('x', token_limit=0)")


def test_a_model_without_a_transformer_is_refused(tmp_path):
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "wing": 1}, unk_token="[UNK]"))
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)], device="cpu")
    model.save(str(tmp_path / "static"), create_model_card=False)
    with pytest.raises(ValueError, match="starts with StaticEmbedding"):
        SentenceTransformerEncoder(str(tmp_path / "static")).encode(["wing"])
