"""Turning a corpus of any size into vectors on disk: streamed, cached, resumed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Encoder, Quantizer, Refiner
from theatrum.data import Document
from theatrum.pipelines.pipeline import pipeline
from theatrum.pipelines.retrievers import DenseRetriever, word_counts
from theatrum.store import VectorStore, write_blocks
from theatrum.store.vector_reader import SUFFIXES

_ROWS = 4096  # rows handled at a time after encoding
_SAMPLE = 200_000  # rows that refiners and quantizers learn from, evenly spread


@dataclass(frozen=True)
class EncodedCorpus:
    """What was written.

    Parameters
    ----------
    rows, dim : int
        Vectors and their width (bytes a code where a quantizer is used).
    encoded : int
        Texts encoded now; the others were in the store.
    cut : int
        Texts longer than the encoder reads.
    """

    rows: int
    dim: int
    encoded: int
    cut: int


def encode_corpus(
    documents: Callable[[], Iterable[Document]],
    text: str,
    out: Path,
    store: VectorStore,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> EncodedCorpus:
    """Encode documents with the encoder, refiners and quantizer of a pipeline, and write the vectors.

    Parameters
    ----------
    documents : callable
        Gives the documents from the start each time (an encoder that learns from the corpus reads them twice).
    text : str
        A pipeline; its index, if it names one, is not used.
    out : Path
        ``.npy`` (ids go to a text file beside it), ``.parquet`` or ``.lance`` (a LanceDB table).
    store : VectorStore
        Cache of encoder vectors.
    on_progress : callable, optional
        Called with the number of documents encoded since the last call.

    Returns
    -------
    EncodedCorpus
        The account of the work.

    Raises
    ------
    ValueError
        The pipeline makes no vectors, the ending of ``out`` is unknown, or there are no documents.
    """
    if out.suffix not in SUFFIXES:
        raise ValueError(f"{out}: the ending says the format; it must be one of {', '.join(SUFFIXES)}")
    dense = pipeline(text).retriever
    if not isinstance(dense, DenseRetriever):
        raise ValueError(f"{text!r} makes rankings, not vectors; name an encoder such as 'static'")
    encoder = dense.encoder
    fit = getattr(encoder, "fit", None)
    if fit is not None:
        fit(document.content for document in documents())
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".theatrum-", dir=out.parent, ignore_cleanup_errors=True) as folder:
        scratch = Path(folder) / "vectors"
        ids, weights, encoded, cut = _encode(encoder, documents(), store, scratch, on_progress)
        if not ids:
            raise ValueError("the corpus has no documents; nothing was written")
        _fit(dense.refiners, dense.quantizer, np.memmap(scratch, np.float32, "r").reshape(len(ids), -1), weights)
        blocks = _finished(scratch, encoder.dim, dense.refiners, dense.quantizer)
        dim = write_blocks(out, ids, blocks, fingerprint=encoder.fingerprint())
    return EncodedCorpus(len(ids), dim, encoded, cut)


def _encode(
    encoder: Encoder,
    documents: Iterable[Document],
    store: VectorStore,
    scratch: Path,
    on_progress: Callable[[int], None] | None,
) -> tuple[list[str], NDArray[np.float64], int, int]:
    """Write the encoder's vectors of all documents, one after another; returns ids and words a document."""
    ids: list[str] = []
    words: list[float] = []
    encoded = cut = 0

    def texts() -> Iterator[str]:
        for document in documents:
            ids.append(document.id)
            words.append(float(word_counts([document.content])[0]))
            yield document.content

    with scratch.open("wb") as file:
        for block in store.stream(encoder, texts()):
            file.write(block.vectors.tobytes())
            encoded, cut = encoded + block.encoded, cut + int(block.cut.sum())
            if on_progress:
                on_progress(len(block.vectors))
    return ids, np.array(words), encoded, cut


def _fit(
    refiners: tuple[Refiner, ...], quantizer: Quantizer | None, X: NDArray[np.float32], weights: NDArray[np.float64]
) -> None:
    rows = np.linspace(0, len(X) - 1, min(len(X), _SAMPLE)).astype(np.int64)
    sample: Any = X[rows] if refiners or quantizer is not None else None
    for refiner in refiners:
        if getattr(refiner, "weight_by", None) == "length":
            refiner.fit(sample, sample_weight=weights[rows])  # type: ignore[call-arg]  # said by weight_by
        else:
            refiner.fit(sample)
        sample = refiner.transform(sample)
    if quantizer is not None:
        quantizer.fit(sample)


def _finished(
    scratch: Path, dim: int, refiners: tuple[Refiner, ...], quantizer: Quantizer | None
) -> Iterator[NDArray[Any]]:
    # Read, not mapped: pages of a map would stay in memory one by one, until all vectors are there.
    with scratch.open("rb") as file:
        while len(values := np.fromfile(file, np.float32, _ROWS * dim)):
            block: Any = values.reshape(-1, dim)
            for refiner in refiners:
                block = refiner.transform(block)
            yield quantizer.encode(block) if quantizer is not None else block
