"""The store: vectors on disk, keyed by what was encoded and by what encoded it; and files of vectors."""

from __future__ import annotations

from theatrum.store.lance_table import StoreError
from theatrum.store.vector_reader import Block, VectorFile, open_vectors, read_vectors
from theatrum.store.vector_store import Encoded, VectorStore, content_key
from theatrum.store.vector_writer import write_blocks, write_vectors

__all__ = [
    "Block",
    "Encoded",
    "StoreError",
    "VectorFile",
    "VectorStore",
    "content_key",
    "open_vectors",
    "read_vectors",
    "write_blocks",
    "write_vectors",
]
