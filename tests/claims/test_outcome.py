"""An inequality holds only with its margin and beyond noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from theatrum.claims.outcome import Inequality, Outcome


def test_interval_over_seeds_is_students():
    values = [1.0, 2.0, 4.0]
    low = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))[0]
    assert Inequality("", values, "seeds").low == pytest.approx(low)


def test_interval_over_resamples_is_percentiles():
    assert Inequality("", np.arange(1001), "resamples").low == pytest.approx(25.0)


@pytest.mark.parametrize(
    ("values", "margin", "bound", "holds"),
    [
        ([1.0, 1.1, 0.9], 0.5, 0.0, True),
        ([1.0, 1.1, 0.9], 1.5, 0.0, False),  # margin missed
        ([5.0, -3.0, 1.0], 0.5, 0.0, False),  # within noise
        ([5.0, -3.0, 1.0], 0.5, None, True),
        ([1.0], 0.5, 0.0, False),  # one seed proves nothing
        ([1.0], 0.5, None, True),
    ],
)
def test_holds(values, margin, bound, holds):
    inequality = Inequality("", values, "seeds", margin, bound)
    assert inequality.holds is holds
    assert Outcome({}, [Inequality("", [1.0], "seeds", 0, None), inequality]).holds is holds
