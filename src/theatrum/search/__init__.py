"""Search: indexes over vectors and codes, filters on attributes, fusion of rankings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.search.filtered_index import FilteredIndex
    from theatrum.search.filters import Filter, parse_filter
    from theatrum.search.fixed_dimensional_encoding import FixedDimensionalEncoding
    from theatrum.search.flat import FlatIndex
    from theatrum.search.fusion import ReciprocalRankFusion
    from theatrum.search.hnsw import HNSWIndex
    from theatrum.search.inverted_file import InvertedFileIndex
    from theatrum.search.max_sim import MaxSim, chamfer
    from theatrum.search.multi_vector_index import MultiVectorIndex
    from theatrum.search.zero_shot_recommender import TextRecommender

_EXPORTS = {
    "Filter": "theatrum.search.filters",
    "FilteredIndex": "theatrum.search.filtered_index",
    "FixedDimensionalEncoding": "theatrum.search.fixed_dimensional_encoding",
    "FlatIndex": "theatrum.search.flat",
    "HNSWIndex": "theatrum.search.hnsw",
    "InvertedFileIndex": "theatrum.search.inverted_file",
    "MaxSim": "theatrum.search.max_sim",
    "MultiVectorIndex": "theatrum.search.multi_vector_index",
    "ReciprocalRankFusion": "theatrum.search.fusion",
    "TextRecommender": "theatrum.search.zero_shot_recommender",
    "chamfer": "theatrum.search.max_sim",
    "parse_filter": "theatrum.search.filters",
}

__all__ = [
    "Filter",
    "FilteredIndex",
    "FixedDimensionalEncoding",
    "FlatIndex",
    "HNSWIndex",
    "InvertedFileIndex",
    "MaxSim",
    "MultiVectorIndex",
    "ReciprocalRankFusion",
    "TextRecommender",
    "chamfer",
    "parse_filter",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.search' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
