"""Refine: vectors into better or smaller vectors, as scikit-learn transformers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.refine.compositional_factors import IdealWords
    from theatrum.refine.linkage_distances import linkage_distance, single_linkage_distance
    from theatrum.refine.linkage_scaling import LinkageScaling
    from theatrum.refine.neighbors import knn, nearest
    from theatrum.refine.principal_components import PrincipalComponents
    from theatrum.refine.refinement_report import RefinementReport
    from theatrum.refine.truncation import Truncation
    from theatrum.refine.twin_learning import TwinLearningReduction
    from theatrum.refine.whitening import Whitening, ZipfianWhitening, whiten_static_embedding, word_counts

_EXPORTS = {
    "IdealWords": "theatrum.refine.compositional_factors",
    "LinkageScaling": "theatrum.refine.linkage_scaling",
    "PrincipalComponents": "theatrum.refine.principal_components",
    "RefinementReport": "theatrum.refine.refinement_report",
    "Truncation": "theatrum.refine.truncation",
    "TwinLearningReduction": "theatrum.refine.twin_learning",
    "Whitening": "theatrum.refine.whitening",
    "ZipfianWhitening": "theatrum.refine.whitening",
    "knn": "theatrum.refine.neighbors",
    "linkage_distance": "theatrum.refine.linkage_distances",
    "nearest": "theatrum.refine.neighbors",
    "single_linkage_distance": "theatrum.refine.linkage_distances",
    "whiten_static_embedding": "theatrum.refine.whitening",
    "word_counts": "theatrum.refine.whitening",
}

__all__ = [
    "IdealWords",
    "LinkageScaling",
    "PrincipalComponents",
    "RefinementReport",
    "Truncation",
    "TwinLearningReduction",
    "Whitening",
    "ZipfianWhitening",
    "knn",
    "linkage_distance",
    "nearest",
    "single_linkage_distance",
    "whiten_static_embedding",
    "word_counts",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.refine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
