"""SemanticRidge: scikit-learn's checks, the closed form, tuning that never sees an unseen class."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from theatrum.contracts import ClassSemantics
from theatrum.predict.semantic_ridge import SemanticRidge, cosines, ridge_map

rng = np.random.default_rng(0)
S = rng.normal(size=(20, 6))
SEEN = np.arange(20) < 14
CODES = np.repeat(np.arange(14), 15)
X = (S @ rng.normal(size=(6, 10)))[CODES] + 0.3 * rng.normal(size=(210, 10))
SEMANTICS = ClassSemantics(tuple(f"c{i}" for i in range(20)), vectors=S, seen=SEEN)


@parametrize_with_checks([SemanticRidge(), SemanticRidge("to_semantics")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("direction", ["to_features", "to_semantics"])
def test_the_map_is_that_of_scikit_learn(direction):
    model = SemanticRidge(direction, alpha=0.3).fit(X, CODES, SEMANTICS)
    per_row = SEMANTICS.signature()[CODES].astype(float)
    source, target = (per_row, X) if direction == "to_features" else (X, per_row)
    centred = source - source.mean(axis=0)
    oracle = Ridge(0.3 * np.mean(np.linalg.eigvalsh(centred.T @ centred))).fit(source, target)
    assert np.allclose(model.coef_, oracle.coef_.T)
    mapped = oracle.predict(SEMANTICS.signature() if direction == "to_features" else X)
    own = SEMANTICS.signature() if direction == "to_semantics" else None
    if direction == "to_features":
        assert np.allclose(model.class_scores(X), cosines(X - X.mean(axis=0), mapped - X.mean(axis=0)))
    else:
        assert np.allclose(model.class_scores(X), cosines(mapped - per_row.mean(axis=0), own - per_row.mean(axis=0)))


def test_ridge_map_counts_rows_by_weight():
    A, B, counts = rng.normal(size=(8, 3)), rng.normal(size=(8, 2)), rng.integers(1, 4, 8)
    assert np.allclose(
        ridge_map(A, B, 0.5, counts.astype(float)), ridge_map(*(np.repeat(M, counts, 0) for M in (A, B)), 0.5)
    )


def test_unseen_classes_are_recognised():
    fresh = (S @ np.linalg.lstsq(S[CODES], X, rcond=None)[0])[14:]
    found = SemanticRidge().fit(X, CODES, SEMANTICS).predict(fresh, candidates="unseen")
    assert (found == [f"c{i}" for i in range(14, 20)]).all()


def test_tuning_repeats_and_cannot_see_unseen_classes():
    one = SemanticRidge(random_state=1).fit(X, CODES, SEMANTICS)
    other = ClassSemantics(SEMANTICS.names, vectors=np.where(SEEN[:, None], S, 7.0), seen=SEEN)
    assert SemanticRidge(random_state=1).fit(X, CODES, other).alpha_ == one.alpha_
    assert (SemanticRidge(random_state=1).fit(X, CODES, SEMANTICS).coef_ == one.coef_).all()


@pytest.mark.parametrize("change", [{"alpha": 0.0}, {"alpha": "best"}, {"direction": "up"}])
def test_bad_parameters(change):
    with pytest.raises(ValueError, match=f"SemanticRidge: {next(iter(change))} must be"):
        SemanticRidge(**change).fit(X, CODES, SEMANTICS)
