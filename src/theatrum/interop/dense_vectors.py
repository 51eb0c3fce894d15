"""The vectors of an encoder or of a dense pipeline, for libraries that want vectors and not hits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from theatrum.checks import check_texts, check_vectors, unit_rows
from theatrum.contracts import Encoder, Role, Vectors
from theatrum.pipelines.pipeline import Pipeline, pipeline
from theatrum.pipelines.retrievers import DenseRetriever
from theatrum.registry import name_of


class DenseVectors:
    """Texts -> encoder -> refiners -> vectors, as the index of a pipeline would get them.

    Parameters
    ----------
    source : Encoder, Pipeline or str
        An encoder, a dense pipeline, or its notation. Encoders and refiners that learn from a corpus must have been
        fitted: fit the pipeline, or open a saved one.

    Raises
    ------
    ValueError
        A pipeline that makes rankings, not vectors.

    Examples
    --------
    >>> import theatrum
    >>> texts = ["swept wings in shock waves", "heat in thin plates", "wings and plates"]
    >>> vectors = DenseVectors(theatrum.pipeline("lsa(dim=2)").fit(["a", "b", "c"], texts))
    >>> vectors.name, vectors.encode(["heat in plates"], role="query").shape
    ('lsa(dim=2)', (1, 2))
    """

    def __init__(self, source: Encoder | Pipeline | str) -> None:
        if isinstance(source, str):
            source = pipeline(source)
        if isinstance(source, Pipeline):
            self.name = str(source)
            retriever: Any = source.retriever
            if not isinstance(retriever, DenseRetriever):
                raise ValueError(f"{self.name!r} makes rankings, not vectors; give an encoder or a dense pipeline")
            self.dense = retriever
        elif isinstance(source, Encoder):
            self.name = _name(source)
            self.dense = DenseRetriever(source, [], None, None)  # type: ignore[arg-type]  # nothing is searched
        else:
            raise ValueError(f"{type(source).__name__} is neither an encoder nor a pipeline nor its notation")

    @property
    def metric(self) -> str:
        """How the vectors are to be compared: cosine, ip or l2."""
        return str(getattr(self.dense.index, "metric", "cosine"))

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self._refined(np.zeros((1, self.dense.encoder.dim), dtype=np.float32)).shape[1])

    def encode(
        self, texts: Sequence[str], *, role: Role = "document", batch_size: int = 64, quantized: bool = False
    ) -> Vectors:
        """Encode texts.

        Parameters
        ----------
        texts : sequence of str
            May be empty.
        role : {"document", "query"}, default="document"
            Handed to the encoder.
        batch_size : int, default=64
            Texts that the encoder handles at a time.
        quantized : bool, default=False
            Return what the codes of documents stand for; queries are never coded.

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Unit rows where the metric is cosine.
        """
        rows = check_texts(texts, name="texts")
        if not rows:
            return np.empty((0, self.dim), dtype=np.float32)
        X = self._refined(self.dense.encoder.encode(rows, role=role, batch_size=batch_size))
        if quantized and role == "document" and self.dense.quantizer is not None:
            X = self.dense.quantizer.decode(self.dense.quantizer.encode(X))
        return X

    def fingerprint(self) -> str:
        """Hex digest that changes whenever the vectors would."""
        digest = hashlib.blake2b(self.name.encode(), digest_size=16)
        digest.update(self.dense.encoder.fingerprint().encode())
        # What refiners and quantizer learnt shows in what they make of a few vectors.
        probes = np.random.default_rng(0).normal(size=(8, self.dense.encoder.dim)).astype(np.float32)
        probes = self._refined(probes)
        if self.dense.quantizer is not None:
            probes = self.dense.quantizer.decode(self.dense.quantizer.encode(probes))
        digest.update(np.ascontiguousarray(probes).tobytes())
        return digest.hexdigest()

    def _refined(self, X: Any) -> Vectors:
        for refiner in self.dense.refiners:
            X = refiner.transform(X)
        X = check_vectors(X, name="vectors")
        return unit_rows(X) if self.metric == "cosine" else X


def _name(encoder: Encoder) -> str:
    try:
        return name_of(encoder)
    except ValueError:
        return re.sub(r"\W+", "-", type(encoder).__name__).lower()
