"""Truncation: scikit-learn's checks and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from theatrum.refine import Truncation


@parametrize_with_checks([Truncation(1)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_first_columns_stay():
    X = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert (Truncation(3).fit_transform(X) == X[:, :3]).all()
    assert Truncation(3).fit(X).get_feature_names_out().tolist() == ["truncation0", "truncation1", "truncation2"]


def test_bad_input():
    with pytest.raises(ValueError, match="cannot keep 5 of 4 dimensions"):
        Truncation(5).fit(np.ones((2, 4)))
    with pytest.raises(ValueError, match="n_components must be"):
        Truncation(0).fit(np.ones((2, 4)))
