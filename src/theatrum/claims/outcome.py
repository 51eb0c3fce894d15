"""What a claim's measurement returns: the numbers per seed, and the inequalities that must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

Scale: TypeAlias = Literal["smoke", "cpu", "gpu"]


@dataclass(frozen=True)
class Inequality:
    """One statement of a claim: method minus baseline is at least a margin, beyond noise.

    Parameters
    ----------
    says : str
        The statement in words, such as ``"MAP@25 at m=16: TLDR >= best of PCA, whitened PCA + 0.02"``.
    differences : sequence of float
        Method minus baseline, paired: one value a seed, or one value a bootstrap resample.
    over : {"seeds", "resamples"}
        What the values are. The 95% interval is Student's over seeds and the percentiles over resamples.
    margin : float, default=0.0
        Least mean difference.
    bound : float or None, default=0.0
        The lower end of the 95% interval must lie above this; None asks for no bound (for "not worse than"
        statements, and for closed-form methods measured once).
    """

    says: str
    differences: Sequence[float]
    over: Literal["seeds", "resamples"]
    margin: float = 0.0
    bound: float | None = 0.0

    @property
    def mean(self) -> float:
        """Mean difference."""
        return float(np.mean(self.differences))

    @property
    def low(self) -> float:
        """Lower end of the 95% interval of the mean difference (minus infinity for a single seed)."""
        values = np.asarray(self.differences, dtype=np.float64)
        if self.over == "resamples":
            return float(np.quantile(values, 0.025))
        if len(values) < 2:
            return -np.inf
        from scipy.stats import t

        return float(values.mean() - t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))

    @property
    def holds(self) -> bool:
        """Whether the margin is reached and the interval lies above the bound."""
        return self.mean >= self.margin and (self.bound is None or self.low > self.bound)


@dataclass(frozen=True)
class Outcome:
    """The measurement of one claim.

    Parameters
    ----------
    measurements : mapping of str to mapping of str to sequence of float
        Arm (method or baseline) -> metric -> one value a seed (one value where nothing is random).
    inequalities : sequence of Inequality
        All must hold for the claim to hold.
    notes : str, default=""
        What a reader must know: data used, deviations from the paper, what was tried.
    recorded : mapping, default={}
        Further findings that decide nothing (counter-examples, ablations).
    """

    measurements: Mapping[str, Mapping[str, Sequence[float]]]
    inequalities: Sequence[Inequality]
    notes: str = ""
    recorded: Mapping[str, object] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every inequality holds."""
        return all(inequality.holds for inequality in self.inequalities)
