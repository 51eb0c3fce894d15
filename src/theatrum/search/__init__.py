"""Search: indexes over vectors and codes, filters on attributes, fusion of rankings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.search.filters import Filter, parse_filter
    from theatrum.search.flat import FlatIndex
    from theatrum.search.fusion import ReciprocalRankFusion
    from theatrum.search.hnsw import HNSWIndex
    from theatrum.search.inverted_file import InvertedFileIndex

_EXPORTS = {
    "Filter": "theatrum.search.filters",
    "FlatIndex": "theatrum.search.flat",
    "HNSWIndex": "theatrum.search.hnsw",
    "InvertedFileIndex": "theatrum.search.inverted_file",
    "ReciprocalRankFusion": "theatrum.search.fusion",
    "parse_filter": "theatrum.search.filters",
}

__all__ = ["Filter", "FlatIndex", "HNSWIndex", "InvertedFileIndex", "ReciprocalRankFusion", "parse_filter"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.search' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
