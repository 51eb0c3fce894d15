"""Vectors that claims need, encoded once and kept in the user's store."""

from __future__ import annotations

from collections.abc import Sequence

from theatrum.contracts import Encoder, Vectors
from theatrum.data import cache_folder
from theatrum.store import VectorStore


def encode_cached(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Encode texts through the store: measuring a claim again costs no encoding."""
    return VectorStore(cache_folder() / "store").encode(encoder, texts).vectors
