"""Principal components: scikit-learn's checks, its PCA as the oracle, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.refine import PrincipalComponents

rng = np.random.default_rng(0)
X = (rng.normal(size=(200, 10)) @ rng.normal(size=(10, 10)) + 3).astype(np.float32)


@parametrize_with_checks([PrincipalComponents(1), PrincipalComponents(1, center=True)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_centred_it_is_principal_component_analysis():
    Z, oracle = PrincipalComponents(4, center=True).fit_transform(X), PCA(4).fit(X)
    assert np.allclose(Z @ Z.T, oracle.transform(X) @ oracle.transform(X).T, atol=1e-2)
    ours = PrincipalComponents(4).fit(X)
    assert np.allclose(ours.explained_variance_ratio_, oracle.explained_variance_ratio_, atol=1e-5)
    assert np.allclose(np.abs(ours.components_ @ oracle.components_.T), np.eye(4), atol=1e-3)


def test_not_centred_it_keeps_inner_products():
    Z = PrincipalComponents(10).fit_transform(X)
    assert np.allclose(Z @ Z.T, X @ X.T, rtol=1e-4, atol=1e-2)


def test_save_open_and_bad_input(tmp_path):
    reduction = PrincipalComponents(3).fit(X)
    theatrum.save(reduction, tmp_path / "p")
    assert (theatrum.open(tmp_path / "p").transform(X) == reduction.transform(X)).all()
    assert reduction.transform(X).dtype == np.float32
    with pytest.raises(ValueError, match="cannot keep 11 of 10 dimensions"):
        PrincipalComponents(11).fit(X)
    with pytest.raises(ValueError, match="n_components must be"):
        PrincipalComponents(0).fit(X)
