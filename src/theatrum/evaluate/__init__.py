"""Measures: rankings, significance, sentence similarity, isotropy and Pareto fronts, as functions of arrays.

Everything but ``isotropy`` is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Eager, because function and module share a name: importing a submodule later would put the module over the function.
from theatrum.evaluate.isotropy import Isotropy, isotropy

if TYPE_CHECKING:
    from theatrum.evaluate.combined_answers import AnswerCombinations, answer_combinations
    from theatrum.evaluate.effective_dimension import (
        SpectrumReport,
        compression_curve,
        fewest_dims,
        spectrum_report,
    )
    from theatrum.evaluate.embedding_capacity import CapacityCurve, capacity_report, critical_corpus_size, n_at_margin
    from theatrum.evaluate.free_embedding import FreeEmbeddingResult, free_embedding_fit
    from theatrum.evaluate.judgements import Judged, Judgements, judge, prepare_judgements
    from theatrum.evaluate.next_item import NextItems, SequentialSplit, judge_next, sequential_split
    from theatrum.evaluate.pareto import pareto_front
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
    from theatrum.evaluate.sts import (
        bootstrap_spearman_difference,
        cosine_scores,
        spearman,
        sts_scores,
        sts_spearman,
    )

_EXPORTS = {
    "AnswerCombinations": "theatrum.evaluate.combined_answers",
    "BootstrapDifference": "theatrum.evaluate.significance",
    "CapacityCurve": "theatrum.evaluate.embedding_capacity",
    "Comparison": "theatrum.evaluate.significance",
    "FreeEmbeddingResult": "theatrum.evaluate.free_embedding",
    "Judged": "theatrum.evaluate.judgements",
    "Judgements": "theatrum.evaluate.judgements",
    "NextItems": "theatrum.evaluate.next_item",
    "RankingReport": "theatrum.evaluate.ranking",
    "SequentialSplit": "theatrum.evaluate.next_item",
    "SignRankBounds": "theatrum.evaluate.sign_rank",
    "SpectrumReport": "theatrum.evaluate.effective_dimension",
    "answer_combinations": "theatrum.evaluate.combined_answers",
    "average_precision_at": "theatrum.evaluate.ranking",
    "bootstrap_spearman_difference": "theatrum.evaluate.sts",
    "capacity_report": "theatrum.evaluate.embedding_capacity",
    "compare_with_best": "theatrum.evaluate.significance",
    "compression_curve": "theatrum.evaluate.effective_dimension",
    "cosine_scores": "theatrum.evaluate.sts",
    "critical_corpus_size": "theatrum.evaluate.embedding_capacity",
    "fewest_dims": "theatrum.evaluate.effective_dimension",
    "free_embedding_fit": "theatrum.evaluate.free_embedding",
    "hit_rate_at": "theatrum.evaluate.ranking",
    "holm": "theatrum.evaluate.significance",
    "judge": "theatrum.evaluate.judgements",
    "judge_next": "theatrum.evaluate.next_item",
    "n_at_margin": "theatrum.evaluate.embedding_capacity",
    "ndcg_at": "theatrum.evaluate.ranking",
    "paired_bootstrap": "theatrum.evaluate.significance",
    "paired_randomization_test": "theatrum.evaluate.significance",
    "pareto_front": "theatrum.evaluate.pareto",
    "precision_at": "theatrum.evaluate.ranking",
    "prepare_judgements": "theatrum.evaluate.judgements",
    "ranking_report": "theatrum.evaluate.ranking",
    "recall_at": "theatrum.evaluate.ranking",
    "reciprocal_rank_at": "theatrum.evaluate.ranking",
    "sequential_split": "theatrum.evaluate.next_item",
    "sign_rank_bounds": "theatrum.evaluate.sign_rank",
    "spearman": "theatrum.evaluate.sts",
    "spectrum_report": "theatrum.evaluate.effective_dimension",
    "sts_scores": "theatrum.evaluate.sts",
    "sts_spearman": "theatrum.evaluate.sts",
    "trigonometric_embedding": "theatrum.evaluate.sign_rank",
}

__all__ = [
    "AnswerCombinations",
    "BootstrapDifference",
    "CapacityCurve",
    "Comparison",
    "FreeEmbeddingResult",
    "Isotropy",
    "Judged",
    "Judgements",
    "NextItems",
    "RankingReport",
    "SequentialSplit",
    "SignRankBounds",
    "SpectrumReport",
    "answer_combinations",
    "average_precision_at",
    "bootstrap_spearman_difference",
    "capacity_report",
    "compare_with_best",
    "compression_curve",
    "cosine_scores",
    "critical_corpus_size",
    "fewest_dims",
    "free_embedding_fit",
    "hit_rate_at",
    "holm",
    "isotropy",
    "judge",
    "judge_next",
    "n_at_margin",
    "ndcg_at",
    "paired_bootstrap",
    "paired_randomization_test",
    "pareto_front",
    "precision_at",
    "prepare_judgements",
    "ranking_report",
    "recall_at",
    "reciprocal_rank_at",
    "sequential_split",
    "sign_rank_bounds",
    "spearman",
    "spectrum_report",
    "sts_scores",
    "sts_spearman",
    "trigonometric_embedding",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.evaluate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
