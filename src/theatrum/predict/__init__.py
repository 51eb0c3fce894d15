"""Predict: classes, ranks and values from vectors, for classes with and without examples."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.class_semantics import ClassSemantics
    from theatrum.predict.calibrated_stacking import (
        CalibratedStacking,
        GeneralizedReport,
        generalized_report,
        ideal_semantics,
    )
    from theatrum.predict.class_name_cosine import ClassNameCosine
    from theatrum.predict.class_relations import relation_agreement
    from theatrum.predict.classifier_injection import ClassifierInjector
    from theatrum.predict.convex_combination import ConvexCombinationClassifier
    from theatrum.predict.embedding_regression import EmbeddingRegressor
    from theatrum.predict.frechet_mean import FrechetMeanClassifier, frechet_predict
    from theatrum.predict.incremental_discovery import IncrementalClassDiscovery
    from theatrum.predict.label_locus import LabelLocus, is_locus_cover, locus, next_class
    from theatrum.predict.label_propagation import ZeroShotLabelPropagation
    from theatrum.predict.minimax_attributes import MinimaxAttributeClassifier
    from theatrum.predict.multiple_choice import MultipleChoiceClassifier, MultipleChoiceTask
    from theatrum.predict.rank_axis import RankAxis
    from theatrum.predict.semantic_relations import RelationPreservingClassifier
    from theatrum.predict.semantic_ridge import SemanticRidge
    from theatrum.predict.semantic_to_feature import SemanticToFeatureClassifier
    from theatrum.predict.semantics import class_split, from_attributes, from_graph, from_names, pseudo_unseen
    from theatrum.predict.zero_shot_predictor import ZeroShotClassifier
    from theatrum.predict.zero_shot_text import Decisions, ZeroShotTextClassifier, make_zero_shot

_EXPORTS = {
    "CalibratedStacking": "theatrum.predict.calibrated_stacking",
    "ClassNameCosine": "theatrum.predict.class_name_cosine",
    "ClassSemantics": "theatrum.class_semantics",
    "ClassifierInjector": "theatrum.predict.classifier_injection",
    "ConvexCombinationClassifier": "theatrum.predict.convex_combination",
    "Decisions": "theatrum.predict.zero_shot_text",
    "EmbeddingRegressor": "theatrum.predict.embedding_regression",
    "FrechetMeanClassifier": "theatrum.predict.frechet_mean",
    "GeneralizedReport": "theatrum.predict.calibrated_stacking",
    "IncrementalClassDiscovery": "theatrum.predict.incremental_discovery",
    "LabelLocus": "theatrum.predict.label_locus",
    "MinimaxAttributeClassifier": "theatrum.predict.minimax_attributes",
    "MultipleChoiceClassifier": "theatrum.predict.multiple_choice",
    "MultipleChoiceTask": "theatrum.predict.multiple_choice",
    "RankAxis": "theatrum.predict.rank_axis",
    "RelationPreservingClassifier": "theatrum.predict.semantic_relations",
    "SemanticRidge": "theatrum.predict.semantic_ridge",
    "SemanticToFeatureClassifier": "theatrum.predict.semantic_to_feature",
    "ZeroShotClassifier": "theatrum.predict.zero_shot_predictor",
    "ZeroShotLabelPropagation": "theatrum.predict.label_propagation",
    "ZeroShotTextClassifier": "theatrum.predict.zero_shot_text",
    "class_split": "theatrum.predict.semantics",
    "frechet_predict": "theatrum.predict.frechet_mean",
    "from_attributes": "theatrum.predict.semantics",
    "from_graph": "theatrum.predict.semantics",
    "from_names": "theatrum.predict.semantics",
    "generalized_report": "theatrum.predict.calibrated_stacking",
    "ideal_semantics": "theatrum.predict.calibrated_stacking",
    "is_locus_cover": "theatrum.predict.label_locus",
    "locus": "theatrum.predict.label_locus",
    "make_zero_shot": "theatrum.predict.zero_shot_text",
    "next_class": "theatrum.predict.label_locus",
    "pseudo_unseen": "theatrum.predict.semantics",
    "relation_agreement": "theatrum.predict.class_relations",
}

__all__ = [
    "CalibratedStacking",
    "ClassNameCosine",
    "ClassSemantics",
    "ClassifierInjector",
    "ConvexCombinationClassifier",
    "Decisions",
    "EmbeddingRegressor",
    "FrechetMeanClassifier",
    "GeneralizedReport",
    "IncrementalClassDiscovery",
    "LabelLocus",
    "MinimaxAttributeClassifier",
    "MultipleChoiceClassifier",
    "MultipleChoiceTask",
    "RankAxis",
    "RelationPreservingClassifier",
    "SemanticRidge",
    "SemanticToFeatureClassifier",
    "ZeroShotClassifier",
    "ZeroShotLabelPropagation",
    "ZeroShotTextClassifier",
    "class_split",
    "frechet_predict",
    "from_attributes",
    "from_graph",
    "from_names",
    "generalized_report",
    "ideal_semantics",
    "is_locus_cover",
    "locus",
    "make_zero_shot",
    "next_class",
    "pseudo_unseen",
    "relation_agreement",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.predict' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
