"""The store: vectors keyed by what was encoded, collections that come and go, and files of vectors."""

from __future__ import annotations

from theatrum.store.lance_table import StoreError
from theatrum.store.store_check import Finding, check_store, repair_store
from theatrum.store.vector_collection import VectorCollection
from theatrum.store.vector_reader import Block, VectorFile, open_vectors, read_vectors
from theatrum.store.vector_store import Encoded, VectorStore, content_key
from theatrum.store.vector_writer import write_blocks, write_vectors

__all__ = [
    "Block",
    "Encoded",
    "Finding",
    "StoreError",
    "VectorCollection",
    "VectorFile",
    "VectorStore",
    "check_store",
    "content_key",
    "open_vectors",
    "read_vectors",
    "repair_store",
    "write_blocks",
    "write_vectors",
]
