"""Where a linkage lies between its two ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RefinementReport:
    """Where a linkage lies between single linkage ``u`` and the distances ``d``, and what both ends cost.

    Parameters
    ----------
    share_at_least_single, share_at_most_maximal : float
        Shares of the pairs with ``u <= d_H`` and ``d_H <= d``; both 1 for single, maximal and path.
    root_stress_single, root_stress_maximal : float
        Root of the stress of the embeddings of u and of d, each fitted to its own; in the units of the distances.
        Do not compare them with each other: an ultrametric may need as many dimensions as there are rows.
    chaining_index : float
        Mean of ``u / d`` over the pairs farther apart than the median.
    """

    share_at_least_single: float
    share_at_most_maximal: float
    root_stress_single: float
    root_stress_maximal: float
    chaining_index: float

    def __str__(self) -> str:
        """Say the report in words, with a warning where far rows are chained together."""
        lines = [
            f"u <= d_H for {self.share_at_least_single:.1%} of pairs, d_H <= d for {self.share_at_most_maximal:.1%}",
            f"root stress: {self.root_stress_single:.4g} fitted to u, {self.root_stress_maximal:.4g} fitted to d",
            f"chaining index {self.chaining_index:.2f}",
        ]
        if self.chaining_index < 0.2:
            lines.append(
                "warning: small steps join most rows that are far apart. Right for chains; where it is noise between "
                "groups, single linkage sees one group: take linkage='path'"
            )
        return "\n".join(lines)
