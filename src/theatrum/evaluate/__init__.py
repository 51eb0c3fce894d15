"""Measures: rankings, significance, zero-shot accuracy, spaces and their limits, as functions of arrays.

Everything but ``isotropy`` and ``hubness`` is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Eager, because function and module share a name: importing a submodule later would put the module over the function.
from theatrum.evaluate.hubness import Hubness, hubness
from theatrum.evaluate.isotropy import Isotropy, isotropy

if TYPE_CHECKING:
    from theatrum.evaluate.attribute_bound import (
        AttributeBound,
        attribute_zero_shot_bound,
        greedy_attributes,
        pairwise_attribute_bound,
        worst_case_sample,
    )
    from theatrum.evaluate.class_discovery import DiscoveryReport, discovery_report
    from theatrum.evaluate.combined_answers import AnswerCombinations, answer_combinations
    from theatrum.evaluate.compositionality import CompositionalityScore, compositionality_score
    from theatrum.evaluate.effective_dimension import SpectrumReport, compression_curve, fewest_dims, spectrum_report
    from theatrum.evaluate.embedding_capacity import CapacityCurve, capacity_report, critical_corpus_size, n_at_margin
    from theatrum.evaluate.embedding_stability import (
        EquivarianceReport,
        StabilityBound,
        equivariance_report,
        stability_bound,
    )
    from theatrum.evaluate.free_embedding import FreeEmbeddingResult, free_embedding_fit
    from theatrum.evaluate.generalized_zero_shot import (
        GeneralizedAccuracy,
        SeenUnseenCurve,
        generalized_accuracy,
        harmonic_mean,
        per_class_accuracy,
        seen_unseen_curve,
    )
    from theatrum.evaluate.judgements import Judged, Judgements, judge, prepare_judgements
    from theatrum.evaluate.lipschitz import LipschitzFactors, compare_representations, lipschitz_factors
    from theatrum.evaluate.next_item import NextItems, SequentialSplit, judge_next, sequential_split
    from theatrum.evaluate.pareto import pareto_front
    from theatrum.evaluate.rankability import RankabilityReport, rankability_report
    from theatrum.evaluate.ranking import (
        RankingReport,
        average_precision_at,
        hit_rate_at,
        ndcg_at,
        precision_at,
        ranking_report,
        recall_at,
        reciprocal_rank_at,
    )
    from theatrum.evaluate.sign_rank import SignRankBounds, sign_rank_bounds, trigonometric_embedding
    from theatrum.evaluate.significance import (
        BootstrapDifference,
        Comparison,
        compare_with_best,
        holm,
        paired_bootstrap,
        paired_randomization_test,
    )
    from theatrum.evaluate.sts import bootstrap_spearman_difference, cosine_scores, spearman, sts_scores, sts_spearman

_EXPORTS = {
    "AnswerCombinations": "theatrum.evaluate.combined_answers",
    "AttributeBound": "theatrum.evaluate.attribute_bound",
    "BootstrapDifference": "theatrum.evaluate.significance",
    "CapacityCurve": "theatrum.evaluate.embedding_capacity",
    "Comparison": "theatrum.evaluate.significance",
    "CompositionalityScore": "theatrum.evaluate.compositionality",
    "DiscoveryReport": "theatrum.evaluate.class_discovery",
    "EquivarianceReport": "theatrum.evaluate.embedding_stability",
    "FreeEmbeddingResult": "theatrum.evaluate.free_embedding",
    "GeneralizedAccuracy": "theatrum.evaluate.generalized_zero_shot",
    "Judged": "theatrum.evaluate.judgements",
    "Judgements": "theatrum.evaluate.judgements",
    "LipschitzFactors": "theatrum.evaluate.lipschitz",
    "NextItems": "theatrum.evaluate.next_item",
    "RankabilityReport": "theatrum.evaluate.rankability",
    "RankingReport": "theatrum.evaluate.ranking",
    "SeenUnseenCurve": "theatrum.evaluate.generalized_zero_shot",
    "SequentialSplit": "theatrum.evaluate.next_item",
    "SignRankBounds": "theatrum.evaluate.sign_rank",
    "SpectrumReport": "theatrum.evaluate.effective_dimension",
    "StabilityBound": "theatrum.evaluate.embedding_stability",
    "answer_combinations": "theatrum.evaluate.combined_answers",
    "attribute_zero_shot_bound": "theatrum.evaluate.attribute_bound",
    "average_precision_at": "theatrum.evaluate.ranking",
    "bootstrap_spearman_difference": "theatrum.evaluate.sts",
    "capacity_report": "theatrum.evaluate.embedding_capacity",
    "compare_representations": "theatrum.evaluate.lipschitz",
    "compare_with_best": "theatrum.evaluate.significance",
    "compositionality_score": "theatrum.evaluate.compositionality",
    "compression_curve": "theatrum.evaluate.effective_dimension",
    "cosine_scores": "theatrum.evaluate.sts",
    "critical_corpus_size": "theatrum.evaluate.embedding_capacity",
    "discovery_report": "theatrum.evaluate.class_discovery",
    "equivariance_report": "theatrum.evaluate.embedding_stability",
    "fewest_dims": "theatrum.evaluate.effective_dimension",
    "free_embedding_fit": "theatrum.evaluate.free_embedding",
    "generalized_accuracy": "theatrum.evaluate.generalized_zero_shot",
    "greedy_attributes": "theatrum.evaluate.attribute_bound",
    "harmonic_mean": "theatrum.evaluate.generalized_zero_shot",
    "hit_rate_at": "theatrum.evaluate.ranking",
    "holm": "theatrum.evaluate.significance",
    "judge": "theatrum.evaluate.judgements",
    "judge_next": "theatrum.evaluate.next_item",
    "lipschitz_factors": "theatrum.evaluate.lipschitz",
    "n_at_margin": "theatrum.evaluate.embedding_capacity",
    "ndcg_at": "theatrum.evaluate.ranking",
    "paired_bootstrap": "theatrum.evaluate.significance",
    "paired_randomization_test": "theatrum.evaluate.significance",
    "pairwise_attribute_bound": "theatrum.evaluate.attribute_bound",
    "pareto_front": "theatrum.evaluate.pareto",
    "per_class_accuracy": "theatrum.evaluate.generalized_zero_shot",
    "precision_at": "theatrum.evaluate.ranking",
    "prepare_judgements": "theatrum.evaluate.judgements",
    "rankability_report": "theatrum.evaluate.rankability",
    "ranking_report": "theatrum.evaluate.ranking",
    "recall_at": "theatrum.evaluate.ranking",
    "reciprocal_rank_at": "theatrum.evaluate.ranking",
    "seen_unseen_curve": "theatrum.evaluate.generalized_zero_shot",
    "sequential_split": "theatrum.evaluate.next_item",
    "sign_rank_bounds": "theatrum.evaluate.sign_rank",
    "spearman": "theatrum.evaluate.sts",
    "spectrum_report": "theatrum.evaluate.effective_dimension",
    "stability_bound": "theatrum.evaluate.embedding_stability",
    "sts_scores": "theatrum.evaluate.sts",
    "sts_spearman": "theatrum.evaluate.sts",
    "trigonometric_embedding": "theatrum.evaluate.sign_rank",
    "worst_case_sample": "theatrum.evaluate.attribute_bound",
}

__all__ = [
    "AnswerCombinations",
    "AttributeBound",
    "BootstrapDifference",
    "CapacityCurve",
    "Comparison",
    "CompositionalityScore",
    "DiscoveryReport",
    "EquivarianceReport",
    "FreeEmbeddingResult",
    "GeneralizedAccuracy",
    "Hubness",
    "Isotropy",
    "Judged",
    "Judgements",
    "LipschitzFactors",
    "NextItems",
    "RankabilityReport",
    "RankingReport",
    "SeenUnseenCurve",
    "SequentialSplit",
    "SignRankBounds",
    "SpectrumReport",
    "StabilityBound",
    "answer_combinations",
    "attribute_zero_shot_bound",
    "average_precision_at",
    "bootstrap_spearman_difference",
    "capacity_report",
    "compare_representations",
    "compare_with_best",
    "compositionality_score",
    "compression_curve",
    "cosine_scores",
    "critical_corpus_size",
    "discovery_report",
    "equivariance_report",
    "fewest_dims",
    "free_embedding_fit",
    "generalized_accuracy",
    "greedy_attributes",
    "harmonic_mean",
    "hit_rate_at",
    "holm",
    "hubness",
    "isotropy",
    "judge",
    "judge_next",
    "lipschitz_factors",
    "n_at_margin",
    "ndcg_at",
    "paired_bootstrap",
    "paired_randomization_test",
    "pairwise_attribute_bound",
    "pareto_front",
    "per_class_accuracy",
    "precision_at",
    "prepare_judgements",
    "rankability_report",
    "ranking_report",
    "recall_at",
    "reciprocal_rank_at",
    "seen_unseen_curve",
    "sequential_split",
    "sign_rank_bounds",
    "spearman",
    "spectrum_report",
    "stability_bound",
    "sts_scores",
    "sts_spearman",
    "trigonometric_embedding",
    "worst_case_sample",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.evaluate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
