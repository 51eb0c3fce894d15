"""Encoding a corpus to disk: refiners, quantizers, formats, and an account that adds up."""

from __future__ import annotations

import numpy as np
import pytest

import theatrum
from theatrum.data import Document
from theatrum.encoding import encode_corpus
from theatrum.store import VectorStore


@pytest.fixture
def documents(corpus):
    return [Document(name, text) for name, text in zip(*corpus, strict=True)]


def test_vectors_are_those_of_the_parts(documents, tmp_path):
    done = encode_corpus(
        lambda: documents, "lsa(dim=24) | zipf_whiten(dim=8)", tmp_path / "v.npy", VectorStore(tmp_path)
    )
    X = np.load(tmp_path / "v.npy")
    dense = theatrum.pipeline("lsa(dim=24) | zipf_whiten(dim=8)").fit(
        [d.id for d in documents], [d.content for d in documents]
    )
    refiner, encoder = dense.retriever.refiners[0], dense.retriever.encoder
    assert np.allclose(X, refiner.transform(encoder.encode([d.content for d in documents])), atol=1e-4)
    assert (done.rows, done.dim, done.cut) == (300, 8, 0)
    assert (tmp_path / "v.ids.txt").read_text().split() == [d.id for d in documents]


def test_codes_and_a_second_run(documents, tmp_path):
    runs = [
        encode_corpus(lambda: documents, "lsa(dim=24) | binary", tmp_path / f"{n}.npy", VectorStore(tmp_path / "s"))
        for n in range(2)
    ]
    assert np.load(tmp_path / "0.npy").dtype == np.uint8
    assert (tmp_path / "0.npy").read_bytes() == (tmp_path / "1.npy").read_bytes()
    assert runs[0].encoded > 0 == runs[1].encoded


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("lsa", "v.csv", "must be one of .npy, .parquet, .lance"),
        ("bm25", "v.npy", "makes rankings, not vectors"),
        ("rrf(bm25, lsa)", "v.npy", "makes rankings, not vectors"),
    ],
)
def test_bad_requests_write_nothing(documents, tmp_path, text, name, message):
    with pytest.raises(ValueError, match=message):
        encode_corpus(lambda: documents, text, tmp_path / name, VectorStore(tmp_path / "s"))
    assert not (tmp_path / name).exists()
