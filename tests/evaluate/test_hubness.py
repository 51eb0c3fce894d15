"""Hubness: counts by hand, skewness by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import skew

from theatrum.evaluate.hubness import hubness

rng = np.random.default_rng(0)


@pytest.mark.parametrize("k", [1, 3, 20])
def test_counts_and_skewness(k):
    similarities = rng.normal(size=(50, 20)) + 1.5 * (np.arange(20) == 4)
    found = hubness(similarities, k)
    slow = np.zeros(20, dtype=int)
    for row in similarities:
        for column in sorted(range(20), key=lambda j: -row[j])[:k]:
            slow[column] += 1
    assert (found.occurrences == slow).all()
    assert found.antihubs == (slow == 0).mean()
    assert found.skewness == pytest.approx(skew(slow) if k < 20 else 0.0)


@pytest.mark.parametrize(
    ("values", "k", "message"),
    [([1.0, 2.0], 1, "a matrix"), ([[np.nan, 1.0]], 1, "without NaN"), ([[1.0, 2.0]], 3, "between 1 and 2")],
)
def test_bad_input(values, k, message):
    with pytest.raises(ValueError, match=message):
        hubness(values, k)
