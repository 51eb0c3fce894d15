"""The store: vectors on disk, keyed by what was encoded and by what encoded it."""

from __future__ import annotations

from theatrum.store.vector_store import Encoded, StoreError, VectorStore, content_key

__all__ = ["Encoded", "StoreError", "VectorStore", "content_key"]
