"""What a pipeline is when it runs: a dense retriever (a chain of parts) or a fusion of retrievers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from theatrum.checks import check_ids, check_k, check_texts, check_vectors, unit_rows
from theatrum.contracts import (
    Attributes,
    Encoder,
    Fusion,
    Ids,
    Index,
    Quantizer,
    Refiner,
    Retriever,
    Role,
    Scores,
    Vectors,
    Where,
)

_WORD = re.compile(r"\w+")


class VectorSource(Protocol):
    """Where a dense retriever gets vectors from: the encoder itself, or a cache in front of it."""

    def vectors(self, encoder: Encoder, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors of texts; for documents an encoder that learns from the corpus is fitted first."""
        ...


class Direct:
    """Asks the encoder each time."""

    def vectors(self, encoder: Encoder, texts: Sequence[str], role: Role) -> Vectors:
        """Fit the encoder on documents where it can be fitted, then encode."""
        if role == "document" and hasattr(encoder, "fit"):
            encoder.fit(texts)
        return encoder.encode(texts, role=role)


def word_counts(texts: Sequence[str]) -> np.ndarray:
    """Words of each text, at least 1: how often a document counts where documents are weighted by length.

    Examples
    --------
    >>> word_counts(["Boundary layers, again", ""]).tolist()
    [3.0, 1.0]
    """
    return np.array([max(len(_WORD.findall(text)), 1) for text in texts], dtype=np.float64)


class DenseRetriever:
    """Texts -> encoder -> refiners -> quantizer -> index.

    Parameters
    ----------
    encoder : Encoder
        Makes the vectors.
    refiners : sequence of Refiner
        Applied in order; may be empty.
    quantizer : Quantizer or None
        How vectors are stored; None stores float32.
    index : Index
        Finds neighbours.
    """

    def __init__(
        self, encoder: Encoder, refiners: Sequence[Refiner], quantizer: Quantizer | None, index: Index
    ) -> None:
        self.encoder = encoder
        self.refiners = tuple(refiners)
        self.quantizer = quantizer
        self.index = index

    def fit(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        attributes: Attributes | None = None,
        *,
        source: VectorSource | None = None,
    ) -> DenseRetriever:
        """Encode and index a corpus.

        Parameters
        ----------
        ids : sequence of str
            Unique ids.
        texts : sequence of str
            One text an id.
        attributes : mapping of str to sequence, optional
            Columns to filter on.
        source : VectorSource, optional
            A cache of vectors; the encoder itself by default.
        """
        rows = check_texts(texts, name="texts")
        names = check_ids(ids, len(rows))
        if not rows:
            raise ValueError("texts: the corpus is empty; there is nothing to index")
        X = check_vectors((source or Direct()).vectors(self.encoder, rows, "document"), name="document vectors")
        for refiner in self.refiners:
            if getattr(refiner, "weight_by", None) == "length":
                refiner.fit(X, sample_weight=word_counts(rows))  # type: ignore[call-arg]  # said by weight_by
            else:
                refiner.fit(X)
            X = check_vectors(refiner.transform(X), name=f"vectors after {type(refiner).__name__}")
        if getattr(self.index, "metric", None) == "cosine":
            X = unit_rows(X)  # the index would do so too, but ranges and codewords must be learnt from what it stores
        if self.quantizer is not None:
            self.quantizer.fit(X)
        self.index.fit(X, self.quantizer)
        self.index.add(names, X, attributes)
        return self

    def search(
        self,
        queries: Sequence[str],
        k: int,
        where: Where | None = None,
        *,
        source: VectorSource | None = None,
    ) -> tuple[Ids, Scores]:
        """Best k ids (q, k) and scores (q, k) for every query."""
        k = check_k(k, len(self))
        rows = check_texts(queries, name="queries")
        if not rows:
            return np.empty((0, k), dtype=object), np.empty((0, k), dtype=np.float32)
        Q: Any = (source or Direct()).vectors(self.encoder, rows, "query")
        for refiner in self.refiners:
            Q = refiner.transform(Q)
        return self.index.search(check_vectors(Q, name="query vectors"), k, where)

    def __len__(self) -> int:
        """Documents held."""
        return len(self.index)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the index in memory."""
        return self.index.memory_bytes


class FusedRetriever:
    """Several retrievers and a fusion of their rankings.

    Parameters
    ----------
    fusion : Fusion
        Merges rankings; its ``candidates`` says how deep each member searches.
    members : sequence of Retriever
        At least two.
    """

    def __init__(self, fusion: Fusion, members: Sequence[Retriever]) -> None:
        self.fusion = fusion
        self.members = tuple(members)

    def fit(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        attributes: Attributes | None = None,
        *,
        source: VectorSource | None = None,
    ) -> FusedRetriever:
        """Index the corpus in every member."""
        for member in self.members:
            if isinstance(member, (DenseRetriever, FusedRetriever)):
                member.fit(ids, texts, attributes, source=source)
            else:
                member.fit(ids, texts, attributes)
        return self

    def search(
        self,
        queries: Sequence[str],
        k: int,
        where: Where | None = None,
        *,
        source: VectorSource | None = None,
    ) -> tuple[Ids, Scores]:
        """Search every member and merge."""
        k = check_k(k, len(self))
        depth = max(k, getattr(self.fusion, "candidates", k))
        rankings = [
            member.search(queries, depth, where, source=source)
            if isinstance(member, (DenseRetriever, FusedRetriever))
            else member.search(queries, depth, where)
            for member in self.members
        ]
        return self.fusion.fuse(rankings, k)

    def __len__(self) -> int:
        """Documents held."""
        return len(self.members[0])

    @property
    def memory_bytes(self) -> int:
        """Bytes of all members together."""
        return sum(member.memory_bytes for member in self.members)
