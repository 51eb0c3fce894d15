from __future__ import annotations

import sys

import numpy as np
import pytest

import theatrum
from theatrum.text import minilm
from theatrum.text.minilm import MiniLM, packaged_folder


@pytest.fixture(scope="module")
def encoder():
    return MiniLM(device="cpu")


TEXTS = ["a wing in a shock wave", "heat", "the boundary layer of a flat plate " * 12, "Überschall", "x = 1 / 3"]


def test_vectors_are_those_of_sentence_transformers(encoder):
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(packaged_folder()), device="cpu")
    assert (encoder.dim, encoder.max_tokens) == (384, 256)
    np.testing.assert_allclose(encoder.encode(TEXTS), peer.encode(TEXTS), atol=1e-5)


def test_a_text_has_one_vector_whatever_stands_beside_it(encoder):
    alone = np.vstack([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS, batch_size=2), alone, atol=1e-6)


def test_finding_the_weights_imports_nothing():
    assert (packaged_folder() / "model.safetensors").is_file()
    assert minilm.PACKAGE not in sys.modules


def test_other_weights_are_not_taken_for_minilm(monkeypatch, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(minilm, "packaged_folder", lambda: tmp_path)
    monkeypatch.setattr(minilm, "model_folder", lambda name: tmp_path)
    with pytest.raises(ValueError, match="wrong SHA-256"):
        MiniLM().fingerprint()


def test_without_weights_the_extra_is_named(monkeypatch):
    def missing(name):
        raise OSError(f"no {name}")

    monkeypatch.setattr(minilm, "packaged_folder", lambda: None)
    monkeypatch.setattr(minilm, "model_folder", missing)
    with pytest.raises(OSError, match=r"theatrum\[minilm\]"):
        MiniLM().fingerprint()


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r"theatrum\[minilm\]"):
        MiniLM().encode(["wing"])


def test_save_and_open(encoder, tmp_path):
    theatrum.save(encoder, tmp_path / "minilm")
    again = theatrum.open(tmp_path / "minilm")
    assert isinstance(again, MiniLM)
    assert again.fingerprint() == encoder.fingerprint()
    assert np.array_equal(again.encode(["wing"]), encoder.encode(["wing"]))
