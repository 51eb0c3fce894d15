"""ClassNameCosine: scikit-learn's checks, and that it is plain cosine."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.contracts import ClassSemantics
from theatrum.predict.class_name_cosine import ClassNameCosine

rng = np.random.default_rng(0)


@parametrize_with_checks([ClassNameCosine()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_scores_are_cosines_and_need_no_examples(tmp_path):
    vectors, X = rng.normal(size=(4, 5)), rng.normal(size=(9, 5))
    semantics = ClassSemantics(tuple("abcd"), vectors=vectors)
    model = ClassNameCosine().fit(semantics=semantics)
    assert np.allclose(model.class_scores(X), cosine_similarity(X, vectors), atol=1e-6)
    assert not model.semantics_.seen.any()
    theatrum.save(model, tmp_path / "m")
    assert (theatrum.open(tmp_path / "m").predict(X) == model.predict(X)).all()


def test_without_semantics_classes_are_their_means():
    X, y = np.array([[1.0, 0], [1, 0.2], [0, 1], [0.1, 1]]), ["x", "x", "y", "y"]
    assert ClassNameCosine().fit(X, y).predict([[2.0, 0.1]]).tolist() == ["x"]


def test_bad_input():
    with pytest.raises(ValueError, match="give class semantics, or examples"):
        ClassNameCosine().fit()
    wide = ClassSemantics(("a", "b"), vectors=np.eye(2))
    with pytest.raises(ValueError, match="class vectors have 2 columns and X has 3"):
        ClassNameCosine().fit(np.ones((2, 3)), ["a", "b"], wide)
