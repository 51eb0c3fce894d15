"""The vectors that a dense pipeline searches with, given out by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_vectors, unit_rows
from theatrum.contracts import Encoder, Refiner, Role, TokenEncoder, Vectors
from theatrum.pipelines.notation import Chain
from theatrum.pipelines.pipeline import Pipeline
from theatrum.pipelines.retrievers import DenseRetriever, FusedRetriever
from theatrum.pipelines.token_retrievers import ReducedEncoder, TokenRetriever
from theatrum.registry import name_of
from theatrum.text.tokens import words

# Parts whose first k outputs are their own result for k dimensions: components in the order of their variance.
_NESTED_ENCODERS = ("lsa",)
_NESTED_REFINERS = ("pca", "truncate")


def shortened(X: Vectors, dimensions: int) -> Vectors:
    """Keep the first dimensions of vectors and make unit rows of them again.

    Examples
    --------
    >>> shortened(np.array([[0.6, 0.0, 0.8]], dtype=np.float32), 2).tolist()
    [[1.0, 0.0]]
    """
    return unit_rows(np.ascontiguousarray(X[:, :dimensions]))


def token_counts(encoder: Any, texts: Sequence[str]) -> NDArray[np.int64]:
    """Count the tokens of texts as an encoder sees them, or their words where it has no tokens."""
    count = getattr(encoder, "token_counts", None)
    counts = count(texts) if count is not None else [len(words(text)) for text in texts]
    return np.asarray(counts, dtype=np.int64)


class VectorSpace:
    """An encoder with its refiners: texts -> unit vectors, those that the pipeline's index compares.

    Parameters
    ----------
    encoder : Encoder
        Fitted.
    refiners : sequence of Refiner
        Fitted, applied in order.
    notation : str
        How the two are written.
    """

    def __init__(self, encoder: Encoder, refiners: Sequence[Refiner], notation: str) -> None:
        self.encoder = encoder
        self.refiners = tuple(refiners)
        self.notation = notation

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Encode texts into unit rows (n, dim)."""
        X: Any = self.encoder.encode(texts, role=role)
        for refiner in self.refiners:
            X = refiner.transform(X)
        return unit_rows(check_vectors(X, name="vectors", min_rows=0))

    @cached_property
    def dim(self) -> int:
        """Number of dimensions (loads the encoder)."""
        return int(self.encode(["dimensions"], "document").shape[1])

    @property
    def nested(self) -> bool:
        """Whether the first dimensions are good vectors by themselves."""
        part: Any = self.refiners[-1] if self.refiners else self.encoder
        try:
            name = name_of(part)
        except ValueError:
            return False
        return name in (_NESTED_REFINERS if self.refiners else _NESTED_ENCODERS)

    @property
    def max_tokens(self) -> int | None:
        """Most tokens read of a text; None where it reads all."""
        try:
            return getattr(self.encoder, "max_tokens", None)
        except ValueError:  # a model that states no limit
            return None

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Texts of token ids.

        Raises
        ------
        ValueError
            The encoder has no tokens, or an id is not one of them.
        """
        decode = getattr(self.encoder, "decode_tokens", None)
        if decode is None:
            raise ValueError(f"the encoder of {self.notation!r} has no tokenizer; send texts instead of token ids")
        texts: list[str] = decode(tokens)
        return texts


def vector_space(pipeline: Pipeline) -> VectorSpace | None:
    """Find the vectors of the first dense retriever inside a pipeline.

    Vectors reduced from those of tokens are left out: they are made otherwise for queries than for documents and
    approximate a sum, so they are no use as vectors by themselves. The token vectors are (see `token_encoder`).
    """
    retriever = pipeline.retriever
    if isinstance(retriever, DenseRetriever) and not isinstance(retriever.encoder, ReducedEncoder):
        calls = pipeline.chain.calls[: 1 + len(retriever.refiners)]
        return VectorSpace(retriever.encoder, retriever.refiners, " | ".join(map(str, calls)))
    return next((found for member in members(pipeline) if (found := vector_space(member)) is not None), None)


def token_encoder(pipeline: Pipeline) -> TokenEncoder | None:
    """Find the first encoder of token vectors inside a pipeline."""
    retriever = pipeline.retriever
    if isinstance(retriever, TokenRetriever):
        return retriever.tokens
    if isinstance(retriever, DenseRetriever):
        return retriever.encoder.tokens if isinstance(retriever.encoder, ReducedEncoder) else None
    return next((found for member in members(pipeline) if (found := token_encoder(member)) is not None), None)


def members(pipeline: Pipeline) -> list[Pipeline]:
    """Pipelines that a fusion merges; none for others.

    Examples
    --------
    >>> from theatrum.pipelines.pipeline import pipeline
    >>> [str(member) for member in members(pipeline("rrf(bm25, lsa(dim=8) | flat)"))]
    ['bm25', 'lsa(dim=8) | flat']
    """
    if not isinstance(pipeline.retriever, FusedRetriever):
        return []
    chains = [argument for argument in pipeline.chain.calls[0].args if isinstance(argument, Chain)]
    return [Pipeline(*pair) for pair in zip(chains, pipeline.retriever.members, strict=True)]
