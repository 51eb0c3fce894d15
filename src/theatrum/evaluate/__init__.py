"""Measures: rankings, significance, sentence similarity, isotropy and Pareto fronts, as functions of arrays.

Everything but ``isotropy`` is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Eager, because function and module share a name: importing a submodule later would put the module over the function.
from theatrum.evaluate.isotropy import Isotropy, isotropy

if TYPE_CHECKING:
    from theatrum.evaluate.judgements import Judged, Judgements, judge, prepare_judgements
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
    "BootstrapDifference": "theatrum.evaluate.significance",
    "Comparison": "theatrum.evaluate.significance",
    "Judged": "theatrum.evaluate.judgements",
    "Judgements": "theatrum.evaluate.judgements",
    "RankingReport": "theatrum.evaluate.ranking",
    "average_precision_at": "theatrum.evaluate.ranking",
    "bootstrap_spearman_difference": "theatrum.evaluate.sts",
    "compare_with_best": "theatrum.evaluate.significance",
    "cosine_scores": "theatrum.evaluate.sts",
    "hit_rate_at": "theatrum.evaluate.ranking",
    "holm": "theatrum.evaluate.significance",
    "judge": "theatrum.evaluate.judgements",
    "ndcg_at": "theatrum.evaluate.ranking",
    "paired_bootstrap": "theatrum.evaluate.significance",
    "paired_randomization_test": "theatrum.evaluate.significance",
    "pareto_front": "theatrum.evaluate.pareto",
    "precision_at": "theatrum.evaluate.ranking",
    "prepare_judgements": "theatrum.evaluate.judgements",
    "ranking_report": "theatrum.evaluate.ranking",
    "recall_at": "theatrum.evaluate.ranking",
    "reciprocal_rank_at": "theatrum.evaluate.ranking",
    "spearman": "theatrum.evaluate.sts",
    "sts_scores": "theatrum.evaluate.sts",
    "sts_spearman": "theatrum.evaluate.sts",
}

__all__ = [
    "BootstrapDifference",
    "Comparison",
    "Isotropy",
    "Judged",
    "Judgements",
    "RankingReport",
    "average_precision_at",
    "bootstrap_spearman_difference",
    "compare_with_best",
    "cosine_scores",
    "hit_rate_at",
    "holm",
    "isotropy",
    "judge",
    "ndcg_at",
    "paired_bootstrap",
    "paired_randomization_test",
    "pareto_front",
    "precision_at",
    "prepare_judgements",
    "ranking_report",
    "recall_at",
    "reciprocal_rank_at",
    "spearman",
    "sts_scores",
    "sts_spearman",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.evaluate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
