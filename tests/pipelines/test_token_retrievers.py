"""Pipelines over token vectors: building, searching, filters, mistakes, folders, bake-off sources."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import theatrum
from theatrum.contracts import Encoder, Retriever
from theatrum.pipelines.notation import PipelineError
from theatrum.pipelines.token_retrievers import ReducedEncoder, TokenRetriever
from theatrum.search import FixedDimensionalEncoding, chamfer
from theatrum.text import MiniLMTokens

TOKENS = "minilm_tokens(token_limit=12)"
FIELD = [
    TOKENS,
    f"{TOKENS} | maxsim(store='int8')",
    f"{TOKENS} | fde(reps=4, bits=3, dim=8)",
    f"{TOKENS} | fde(reps=4, bits=3, dim=8) | maxsim(20)",
    f"{TOKENS} | fde(reps=4, bits=3, dim=8) | int8 | flat | maxsim(20)",
    f"{TOKENS} | fde(reps=4, bits=3, dim=8) | pca(dim=64) | pq(m=16) | hnsw | maxsim(20)",
    f"rrf(bm25, {TOKENS} | fde(reps=4, bits=3, dim=8) | maxsim(20))",
]
QUERIES = ["supersonic shock waves", "buckling of thin shells", "heat flux", ""]


@pytest.fixture(scope="module")
def encoders():
    """One model for all tests."""
    return {}


@pytest.fixture(scope="module")
def small(corpus):
    ids, texts = corpus
    return ids[:260], texts[:260]


@pytest.mark.parametrize("text", FIELD)
def test_search_finds_the_topic(text, small, encoders):
    built = theatrum.pipeline(text, encoders=encoders).fit(*small)
    found, scores = built.search(QUERIES, 5)
    assert found.shape == scores.shape == (4, 5)
    assert sum(name.startswith("shock") for name in found[0]) >= 3
    assert (np.diff(scores[0]) <= 0).all()
    assert str(built) == text
    assert len(built) == 260
    assert isinstance(built.retriever, Retriever)
    assert built.search([], 3)[0].shape == (0, 3)
    assert built.search(QUERIES[:1], 999)[0].shape == (1, 260)


@pytest.mark.parametrize("text", FIELD)
def test_opened_pipeline_is_bit_identical_in_a_fresh_process(text, small, encoders, tmp_path):
    built = theatrum.pipeline(text, encoders=encoders).fit(*small)
    found, scores = built.search(QUERIES, 7)
    built.save(tmp_path / "saved")
    code = (
        "import numpy as np, theatrum\n"
        f"p = theatrum.open({str(tmp_path / 'saved')!r})\n"
        f"ids, scores = p.search({QUERIES!r}, 7)\n"
        f"assert str(p) == {text!r}\n"
        f"np.savez({str(tmp_path / 'out.npz')!r}, ids=ids.astype('U'), scores=scores, memory=p.memory_bytes, n=len(p))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    opened = np.load(tmp_path / "out.npz")
    assert (opened["ids"] == found.astype("U")).all()
    assert opened["scores"].tobytes() == scores.tobytes()
    assert opened["memory"] == built.memory_bytes
    assert opened["n"] == len(built)


def test_exact_scores_are_chamfer_similarities(small, encoders):
    ids, texts = small
    model = MiniLMTokens(token_limit=12)
    docs, queries = model.encode(texts), model.encode(QUERIES[:2], role="query")
    wanted = np.stack([chamfer(query, docs) for query in queries])
    for text in (f"{TOKENS} | maxsim(store='float32')", f"{TOKENS} | fde | maxsim(260, store='float32')"):
        found, scores = theatrum.pipeline(text, encoders=encoders).fit(ids, texts).search(QUERIES[:2], 9)
        assert np.allclose(scores, -np.sort(-wanted, axis=1)[:, :9], atol=1e-4)
        assert found[0, 0] == ids[wanted[0].argmax()]


def test_encodings_are_compared_by_inner_product_unless_told(encoders):
    def metric(text):
        retriever = theatrum.pipeline(text, encoders=encoders).retriever
        return (retriever.dense if isinstance(retriever, TokenRetriever) else retriever).index.metric

    assert metric(f"{TOKENS} | fde") == metric(f"{TOKENS} | fde | hnsw | maxsim") == "ip"
    assert metric(f"{TOKENS} | fde | int8 | flat(rescore='int8')") == "ip"
    assert metric(f"{TOKENS} | fde | flat(metric='cosine')") == "cosine"
    assert metric("lsa(dim=8) | flat") == "cosine"


@pytest.mark.parametrize("text", [TOKENS, f"{TOKENS} | fde(reps=4) | int8 | flat | maxsim(20)"])
@pytest.mark.parametrize("where", [{"case": {"gte": 250}}, "case >= 250"])
def test_filters(text, where, small, encoders):
    ids, texts = small
    built = theatrum.pipeline(text, encoders=encoders).fit(ids, texts, {"case": list(range(260))})
    found, _ = built.search(QUERIES, 15, where)
    assert {name for row in found for name in row if name} == set(ids[250:])
    assert (found[:, 10:] == "").all()


def test_memory_counts_tokens_and_index(small, encoders):
    exact, dense, both = (
        theatrum.pipeline(text, encoders=encoders).fit(*small).memory_bytes
        for text in (
            f"{TOKENS} | maxsim",
            f"{TOKENS} | fde(4, 3, 8) | int8",
            f"{TOKENS} | fde(4, 3, 8) | int8 | maxsim",
        )
    )
    assert dense == 260 * 256
    assert exact > 260 * 8 * 384 * 2
    assert both == exact + dense


def test_the_model_reads_every_text_once(small, monkeypatch):
    read = []

    def counting(self, items, **parameters):
        read.extend(items)
        return [np.eye(384, dtype=np.float32)[[len(item) % 384]] for item in items]

    monkeypatch.setattr(MiniLMTokens, "encode", counting)
    built = theatrum.pipeline("minilm_tokens | fde(2, 2, 8) | maxsim(5)").fit(*small)
    assert read == small[1]
    built.search(QUERIES, 3)
    assert read[len(small[1]) :] == QUERIES


def test_encoders_are_shared_and_named_by_their_stages(encoders):
    shared = {}
    one = theatrum.pipeline(f"{TOKENS} | fde | int8", encoders=shared)
    two = theatrum.pipeline(f"{TOKENS}|fde()", encoders=shared)
    three = theatrum.pipeline(f"{TOKENS} | fde(reps=3) | maxsim", encoders=shared)
    assert list(one.encoders) == [f"{TOKENS} | fde"] == list(two.encoders)
    assert one.retriever.encoder is two.retriever.encoder
    assert three.retriever.tokens is one.retriever.encoder.tokens
    assert three.encoders == theatrum.pipeline(TOKENS, encoders=shared).encoders == {}


def test_reduced_encoders_keep_the_encoder_contract(encoders):
    tokens = theatrum.pipeline(TOKENS, encoders=encoders).retriever.tokens
    encoder = ReducedEncoder(tokens, FixedDimensionalEncoding(2, 2, 8))
    assert isinstance(encoder, Encoder)
    assert (encoder.dim, encoder.max_tokens) == (64, 12)
    assert encoder.token_counts(["heat flux"]).tolist() == tokens.token_counts(["heat flux"]).tolist()
    assert not hasattr(encoder, "fit")
    assert encoder.encode([]).shape == (0, 64)
    document, query = encoder.encode(["heat flux"]), encoder.encode(["heat flux"], role="query")
    assert document.shape == query.shape == (1, 64)
    assert not np.allclose(document, query)
    same, other = ReducedEncoder(tokens, FixedDimensionalEncoding(2, 2, 8)), FixedDimensionalEncoding(2, 2, 9)
    assert encoder.fingerprint() == same.fingerprint() != ReducedEncoder(tokens, other).fingerprint()


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        (
            "minilm_tokens | int8",
            16,
            "'int8' .quantizer. takes one vector a text; put a token reducer before it, such as fde",
        ),
        ("minilm_tokens | pca(3) | fde", 16, "takes one vector a text"),
        ("minilm_tokens | flat | maxsim", 16, "takes one vector a text"),
        ("minilm_tokens | maxsim | fde", 25, "out of order: token encoder"),
        ("minilm_tokens | fde | flat | int8", 29, "out of order: token encoder"),
        ("minilm_tokens | fde | fde", 22, "out of order"),
        ("minilm_tokens | fde | maxsim | maxsim", 31, "out of order"),
        ("minilm_tokens | minilm", 16, "out of order"),
        ("minilm | fde", 9, "'fde' .token reducer. takes token vectors, 'minilm' makes one vector a text"),
        ("minilm | flat | maxsim", 16, "'maxsim' .reranker. takes token vectors, 'minilm' makes one vector a text"),
        ("bm25 | maxsim", 7, "makes rankings"),
        ("fde | flat", 0, "starts with an encoder or a retriever; 'fde' is a token reducer"),
        ("maxsim", 0, "'maxsim' is a reranker"),
        ("minilm_tokens | fde(rep=3)", 16, "no parameter 'rep'; did you mean 'reps'"),
        ("minilm_tokens | fde(bits=17)", 16, "n_simhash_bits must be a whole number between 0 and 16"),
        ("minilm_tokens | maxsim(0)", 16, "n_candidates must be"),
        ("minilm_tokens | fdee", 16, "did you mean 'fde'"),
    ],
)
def test_building_mistakes_are_pointed_at(text, column, reason):
    with pytest.raises(PipelineError, match=reason) as caught:
        theatrum.pipeline(text)
    assert caught.value.column == column


def test_bad_rows_are_named(small, encoders):
    _, texts = small
    for text in (TOKENS, f"{TOKENS} | fde | maxsim"):
        built = theatrum.pipeline(text, encoders=encoders)
        with pytest.raises(ValueError, match="empty"):
            built.fit([], [])
        with pytest.raises(ValueError, match="is there already"):
            built.fit(["a", "a"], texts[:2])
        with pytest.raises(ValueError, match="row 1 is int, expected a text"):
            built.fit(["a", "b"], ["a", 3])
        built.fit(["a", "b"], ["", texts[0]])  # an empty text is a zero row
        with pytest.raises(ValueError, match="k must be"):
            built.search(["heat"], 0)
        with pytest.raises(ValueError, match="got one text"):
            built.search("heat", 1)


def test_an_incomplete_folder_is_told(small, encoders, tmp_path):
    built = theatrum.pipeline(f"{TOKENS} | maxsim", encoders=encoders).fit(*small)
    built.save(tmp_path / "saved")
    (tmp_path / "saved" / "parts" / "reranker").rename(tmp_path / "aside")
    with pytest.raises(ValueError, match="the folder is incomplete"):
        theatrum.open(tmp_path / "saved")
