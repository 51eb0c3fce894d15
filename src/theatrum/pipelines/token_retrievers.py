"""Retrievers over token vectors: one encoding a text, exact scores for the best, or exact scores for all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from theatrum import registry
from theatrum.checks import check_ids, check_k, check_texts
from theatrum.contracts import (
    Attributes,
    Encoder,
    Ids,
    Reranker,
    Role,
    Scores,
    TokenEncoder,
    TokenReducer,
    Vectors,
    Where,
)
from theatrum.persistence import parameters
from theatrum.pipelines.retrievers import DenseRetriever


class ReducedEncoder:
    """A token encoder and a token reducer, which together make one vector a text: keeps the Encoder contract.

    Parameters
    ----------
    tokens : TokenEncoder
        Makes the sets of vectors.
    reducer : TokenReducer
        Turns them into single vectors.
    """

    def __init__(self, tokens: TokenEncoder, reducer: TokenReducer) -> None:
        self.tokens = tokens
        self.reducer = reducer

    @property
    def dim(self) -> int:
        """Number of dimensions (loads the model)."""
        return self.reducer.output_dim(self.tokens.dim)

    def encode(
        self, items: Sequence[str], *, role: Role = "document", batch_size: int = 64, show_progress: bool = False
    ) -> Vectors:
        """Encode items, float32 (n, dim)."""
        if not len(items):
            return np.empty((0, self.dim), dtype=np.float32)
        made = self.tokens.encode(items, role=role, batch_size=batch_size, show_progress=show_progress)
        return self.reduce(made, role)

    def reduce(self, sets: Sequence[Vectors], role: Role) -> Vectors:
        """Turn sets of token vectors into single vectors."""
        return self.reducer.encode_queries(sets) if role == "query" else self.reducer.encode_documents(sets)

    def fingerprint(self) -> str:
        """Hex digest that changes whenever the vectors would."""
        parts = [self.tokens.fingerprint(), registry.name_of(self.reducer), parameters(self.reducer)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def __getattr__(self, name: str) -> Any:
        """Find the optional methods of encoders where the token encoder has them."""
        if name in ("max_tokens", "token_counts"):
            return getattr(self.tokens, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class _Encoded:
    """A source of vectors from token vectors that are there already: texts go through the model once."""

    def __init__(self, sets: Sequence[Vectors]) -> None:
        self.sets = sets

    def vectors(self, encoder: Encoder, texts: Sequence[str], role: Role) -> Vectors:
        """Reduce what is there."""
        assert isinstance(encoder, ReducedEncoder)
        return encoder.reduce(self.sets, role)


class TokenRetriever:
    """Texts -> token encoder -> (search over reduced vectors ->) exact scores of a reranker.

    Parameters
    ----------
    tokens : TokenEncoder
        Makes the sets of vectors.
    reranker : Reranker
        Keeps them and scores.
    dense : DenseRetriever or None
        Finds the candidates, its encoder being a `ReducedEncoder` of the same tokens; None scores every document.
    """

    def __init__(self, tokens: TokenEncoder, reranker: Reranker, dense: DenseRetriever | None = None) -> None:
        self.tokens = tokens
        self.reranker = reranker
        self.dense = dense

    def fit(self, ids: Sequence[str], texts: Sequence[str], attributes: Attributes | None = None) -> TokenRetriever:
        """Encode and index a corpus.

        Parameters
        ----------
        ids : sequence of str
            Unique ids.
        texts : sequence of str
            One text an id.
        attributes : mapping of str to sequence, optional
            Columns to filter on.
        """
        rows = check_texts(texts, name="texts")
        names = check_ids(ids, len(rows))
        if not rows:
            raise ValueError("texts: the corpus is empty; there is nothing to index")
        sets = self.tokens.encode(rows, role="document")
        self.reranker.fit(sets)
        if self.dense is None:
            self.reranker.add(names, sets, attributes)
        else:  # what filters is what searches
            self.reranker.add(names, sets)
            self.dense.fit(names, rows, attributes, source=_Encoded(sets))
        return self

    def search(self, queries: Sequence[str], k: int, where: Where | None = None) -> tuple[Ids, Scores]:
        """Best k ids (q, k) and exact scores (q, k) for every query."""
        k = check_k(k, len(self))
        rows = check_texts(queries, name="queries")
        if not rows:
            return np.empty((0, k), dtype=object), np.empty((0, k), dtype=np.float32)
        sets = self.tokens.encode(rows, role="query")
        if self.dense is None:
            return self.reranker.search(sets, k, where)
        depth = max(k, self.reranker.n_candidates)
        candidates, _ = self.dense.search(rows, depth, where, source=_Encoded(sets))
        return self.reranker.rescore(sets, candidates, k)

    def __len__(self) -> int:
        """Documents held."""
        return len(self.reranker)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the tokens, and of the index before them."""
        return self.reranker.memory_bytes + (self.dense.memory_bytes if self.dense is not None else 0)
