from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

import theatrum
from theatrum.contracts import Encoder, Stateful
from theatrum.text import StaticEncoder, static

WORDS = "wing flow heat plate shock wave drag lift the of".split()
TEXTS = ["The wing of the flow", "", "heat, heat plate", "nothing known here", "shock wave drag lift", "wing"]


def tokenizer():
    made = Tokenizer(models.WordLevel({token: n for n, token in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).standard_normal((len(WORDS) + 1, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, table):
    """A model2vec folder, as that library writes it."""
    folder = tmp_path_factory.mktemp("static") / "m2v"
    folder.mkdir()
    tokenizer().save(str(folder / "tokenizer.json"))
    save_file({"embeddings": table}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True}))
    return folder


@pytest.fixture(scope="module")
def fitted(tiny_model_folder, corpus, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THEATRUM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield StaticEncoder(str(tiny_model_folder), n_components=16, context_tokens=500).fit(iter(corpus[1]))


def test_keeps_the_contracts(folder):
    assert isinstance(StaticEncoder(str(folder)), Encoder)
    assert isinstance(StaticEncoder(str(folder)), Stateful)


def test_a_static_folder_gives_the_mean_of_its_own_rows(folder, table):
    X = StaticEncoder(str(folder)).encode(TEXTS)
    assert X.dtype == np.float32
    for text, x in zip(TEXTS, X, strict=True):
        known = [1 + WORDS.index(word) for word in text.lower().replace(",", "").split() if word in WORDS]
        mean = table[known].astype(np.float64).mean(axis=0) if known else np.zeros(6)
        np.testing.assert_allclose(x, mean / (np.linalg.norm(mean) or 1), atol=1e-6)
    assert not X[[1, 3]].any()


def test_whitening_uses_the_frequencies_of_the_corpus(folder, table):
    corpus = ["wing wing wing flow", "heat plate shock wave drag lift the of"] * 3000
    encoder = StaticEncoder(str(folder), weighting="zipf").fit(corpus)
    counts = np.array([0, 3, *[1] * 9])
    p = counts / counts.sum()
    W = encoder.table_.astype(np.float64)
    np.testing.assert_allclose(p @ W, 0, atol=0.02)  # the general law counts as 1,000 of 36,000 tokens
    np.testing.assert_allclose((W * p[:, None]).T @ W, np.eye(6), atol=0.05)
    assert not W[0].any()
    other = StaticEncoder(str(folder), weighting="zipf").fit(["flow of heat"] * 3000)
    assert other.fingerprint() != encoder.fingerprint()


def test_a_text_has_the_same_bytes_in_every_batch(fitted, corpus, monkeypatch):
    texts = [*corpus[1], "", " ".join(corpus[1])]
    X = fitted.encode(texts)
    alone = np.vstack([fitted.encode([text]) for text in texts])
    assert X.tobytes() == alone.tobytes()
    assert X.tobytes() == fitted.encode(texts, batch_size=3, role="query").tobytes()
    monkeypatch.setattr(static, "_BLOCK_TEXTS", 7)
    assert X.tobytes() == fitted.encode(texts).tobytes()
    assert X[::-1].tobytes() == fitted.encode(texts[::-1]).tobytes()


def test_a_distilled_encoder_reads_the_corpus(fitted, corpus):
    X = fitted.encode(corpus[1])
    assert X.shape == (300, fitted.dim) == (300, 16)
    assert 500 <= fitted.teacher_tokens_ < 700
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)
    topics = np.array([name.split("-")[0] for name in corpus[0]])
    S = X @ X.T - 2 * np.eye(300, dtype=np.float32)
    assert np.mean(topics[S.argmax(axis=1)] == topics) > 0.95


def test_fitting_is_repeatable_and_does_not_depend_on_order(fitted, tiny_model_folder, corpus):
    again = StaticEncoder(str(tiny_model_folder), n_components=16, context_tokens=500).fit(corpus[1][::-1])
    assert again.fingerprint() == fitted.fingerprint()
    assert again.table_.tobytes() == fitted.table_.tobytes()
    context = StaticEncoder(str(tiny_model_folder), n_components=16, context_tokens=0).fit(corpus[1])
    assert context.teacher_tokens_ == 0
    assert context.fingerprint() != fitted.fingerprint()


def test_it_encodes_without_a_corpus(tiny_model_folder):
    encoder = StaticEncoder(str(tiny_model_folder), n_components=16)
    assert encoder.dim == 16
    X = encoder.encode(["the wing", "", "wing flow"])
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), [1, 0, 1], atol=1e-6)
    assert X.tobytes() == encoder.encode(["the wing", "", "wing flow"]).tobytes()


@pytest.mark.parametrize("weighting", ["zipf", "sif", "none"])
def test_every_weighting_has_the_dimensions_asked_for(tiny_model_folder, folder, corpus, weighting):
    for model in (tiny_model_folder, folder):
        encoder = StaticEncoder(str(model), n_components=5, weighting=weighting, context_tokens=100).fit(corpus[1])
        assert encoder.encode(["wing"]).shape == (1, 5) == (1, encoder.dim)


def test_dimensions_that_are_not_there_are_told(folder, corpus):
    with pytest.warns(UserWarning, match="have 6 dimensions; 50 were asked for"):
        assert StaticEncoder(str(folder), n_components=50, weighting="zipf").fit(corpus[1]).dim == 6
    assert StaticEncoder(str(folder)).dim == 6


def test_a_megabyte_is_read_whole(fitted):
    long = "shock wave " * 100_000
    X = fitted.encode([long + "thin plate", long, "shock wave", "w" * 1_000_000])
    assert not np.array_equal(X[0], X[1])
    np.testing.assert_allclose(X[1], X[2], atol=1e-3)


def test_saved_and_opened_it_is_the_same_without_torch(fitted, corpus, tmp_path):
    theatrum.save(fitted, tmp_path / "static")
    opened = theatrum.open(tmp_path / "static")
    X = fitted.encode(corpus[1])
    assert opened.encode(corpus[1]).tobytes() == X.tobytes()
    assert opened.fingerprint() == fitted.fingerprint()
    assert opened.teacher_tokens_ == fitted.teacher_tokens_
    np.save(tmp_path / "X.npy", X)
    (tmp_path / "texts.json").write_text(json.dumps(corpus[1]))
    script = """
import json, sys
import numpy as np
class Blocked:
    def find_spec(self, name, path=None, target=None):
        assert name not in ("torch", "transformers", "sentence_transformers"), name
sys.meta_path.insert(0, Blocked())
import theatrum
encoder = theatrum.open(sys.argv[1] + "/static")
X = encoder.encode(json.load(open(sys.argv[1] + "/texts.json")))
assert X.tobytes() == np.load(sys.argv[1] + "/X.npy").tobytes()
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=120)


def test_saved_before_fit_it_is_saved_as_it_encodes(folder, tmp_path):
    encoder = StaticEncoder(str(folder), weighting="zipf")
    theatrum.save(encoder, tmp_path / "static")
    assert theatrum.open(tmp_path / "static").encode(TEXTS).tobytes() == encoder.encode(TEXTS).tobytes()


def test_in_a_pipeline(tiny_model_folder, corpus, tmp_path):
    built = theatrum.pipeline(f"static({str(tiny_model_folder)!r}, dim=16, context_tokens=200)").fit(*corpus)
    ids, scores = built.search([corpus[1][7]], k=3)
    assert ids[0, 0] == corpus[0][7]
    assert scores[0, 0] > 0.999
    built.save(tmp_path / "pipe")
    again = theatrum.open(tmp_path / "pipe").search([corpus[1][7]], k=3)
    np.testing.assert_array_equal(again[0], ids)


def test_bad_input_is_refused(fitted, folder, tmp_path):
    with pytest.raises(ValueError, match="row 1 is NoneType"):
        fitted.encode(["a", None])
    with pytest.raises(ValueError, match="put it in a list"):
        fitted.encode("a text")
    encoder = StaticEncoder(str(folder), weighting="zipf")
    with pytest.raises(ValueError, match="row 2 is int"):
        encoder.fit(["wing", "flow", 3])
    with pytest.raises(ValueError, match="put it in a list"):
        encoder.fit("a text")
    for texts in ([], ["", "xyz"]):
        with pytest.raises(ValueError, match="nothing to learn from"):
            encoder.fit(texts)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        StaticEncoder(str(tmp_path / "nowhere")).encode(["a"])
    for parameters in ({"n_components": 0}, {"weighting": "idf"}, {"context_tokens": -1}):
        with pytest.raises(ValueError, match=f"StaticEncoder: {next(iter(parameters))} must be"):
            StaticEncoder(str(folder), **parameters).fit(["wing"])
