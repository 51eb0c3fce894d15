"""Interop: indexes, vectors and retrievers in the hands of other libraries.

Adapters subclass the other library's classes, so each lives in a module that needs its extra:
``theatrum.interop.langchain``, ``theatrum.interop.llama_index`` and ``theatrum.interop.mteb``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.interop.faiss_files import from_faiss
    from theatrum.interop.index_files import IndexFile, to_faiss, to_hnswlib, to_table, to_usearch

_EXPORTS = {
    "IndexFile": "theatrum.interop.index_files",
    "from_faiss": "theatrum.interop.faiss_files",
    "to_faiss": "theatrum.interop.index_files",
    "to_hnswlib": "theatrum.interop.index_files",
    "to_table": "theatrum.interop.index_files",
    "to_usearch": "theatrum.interop.index_files",
}

__all__ = ["IndexFile", "from_faiss", "to_faiss", "to_hnswlib", "to_table", "to_usearch"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
