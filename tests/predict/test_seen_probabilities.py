"""Probabilities of seen classes: checks, temperature, fitted estimators, folders without pickle."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

import theatrum
from theatrum.contracts import ClassSemantics
from theatrum.predict.convex_combination import ConvexCombinationClassifier
from theatrum.predict.seen_probabilities import check_probabilities, tempered

rng = np.random.default_rng(0)
NAMES = ("ash", "beech", "cedar", "dogwood", "elm")
S = rng.normal(size=(5, 3))
CODES = np.repeat([0, 2, 3, 4], 15)  # beech is unseen
X = (S @ rng.normal(size=(3, 6)))[CODES] + 0.2 * rng.normal(size=(60, 6))
TREES = ClassSemantics(NAMES, vectors=S)
LABELS = np.array(NAMES)[CODES]


class Remote:
    """A classifier that is not scikit-learn's: columns in an order of its own."""

    def __init__(self, classes):
        self.classes_ = np.array(classes)

    def predict_proba(self, rows):
        P = np.exp(rows[:, : len(self.classes_)])
        return P / P.sum(axis=1, keepdims=True)


def test_temperature_divides_logits():
    logits = rng.normal(size=(20, 4)) * 5
    P = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for t in (0.25, 1.0, 3.0):
        slow = np.exp(logits / t) / np.exp(logits / t).sum(axis=1, keepdims=True)
        assert np.allclose(tempered(P, t), slow)
    assert np.allclose(tempered(np.array([[1e-300, 1e-301]]), 0.01).sum(), 1)
    assert tempered(np.array([[1.0, 0.0]]), 8.0).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("P", "message"),
    [
        ([[0.5, 0.5]], "one column for each of the 3 seen classes is needed, got shape \\(1, 2\\)"),
        ([0.5, 0.5, 0.0], "got shape"),
        ([[1, 0, 0], [0.5, np.nan, 0.5]], "row 1 holds NaN"),
        ([[2.0, -1.0, 0.0]], "row 0 holds NaN, infinity or a negative number"),
        ([[1, 0, 0], [0, 0, 0]], "row 1 is all zeros"),
    ],
)
def test_bad_probabilities(P, message):
    with pytest.raises(ValueError, match=message):
        check_probabilities(P, 3)


def test_one_versus_rest_is_normalised():
    assert check_probabilities([[0.9, 0.9]], 2).tolist() == [[0.5, 0.5]]


def test_a_fitted_estimator_is_used_as_it_is():
    fitted = LogisticRegression(max_iter=1000).fit(X, LABELS)
    before = fitted.coef_.copy()
    prefit = ConvexCombinationClassifier(fitted, n_top=3, prefit=True).fit(semantics=TREES)
    assert prefit.estimator_ is fitted and (fitted.coef_ == before).all()
    assert prefit.semantics_.seen.tolist() == [True, False, True, True, True]
    fresh = ConvexCombinationClassifier(n_top=3).fit(X, LABELS, TREES)
    assert np.allclose(prefit.class_scores(X), fresh.class_scores(X))
    by_code = ConvexCombinationClassifier(LogisticRegression(max_iter=1000).fit(X, CODES), n_top=3, prefit=True)
    assert np.allclose(by_code.fit(semantics=TREES).class_scores(X), fresh.class_scores(X))
    plain = ConvexCombinationClassifier(fitted, n_top=4, prefit=True).fit()
    assert (plain.predict(X) == fitted.predict(X)).all()


def test_columns_are_put_in_the_order_of_the_semantics():
    remote = Remote(["elm", "ash", "dogwood", "cedar"])
    model = ConvexCombinationClassifier(remote, n_top=4, prefit=True).fit(semantics=TREES)
    P = remote.predict_proba(X)
    assert np.allclose(model._probabilities(X), P[:, [1, 3, 2, 0]])
    assert (model.explain(X).classes[:, 0] == remote.classes_[P.argmax(axis=1)]).all()


def test_whole_numbers_without_semantics_are_labels_not_positions():
    codes = np.array([7, 2, 5])[np.searchsorted([2, 3, 4], np.maximum(CODES, 2))]
    model = ConvexCombinationClassifier(n_top=3).fit(X, codes)
    assert set(model.predict(X)) == {2, 5, 7} and (model.predict(X) == codes).mean() > 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConvexCombinationClassifier(LinearSVC()).fit(X, LABELS, TREES), "wrap it in .*CalibratedClassifierCV"),
        (lambda: ConvexCombinationClassifier(prefit=True).fit(semantics=TREES), "prefit=True needs the fitted"),
        (
            lambda: ConvexCombinationClassifier(Remote(["ash", "oak"]), prefit=True).fit(semantics=TREES),
            "knows the class 'oak', which has no semantics",
        ),
        (
            lambda: ConvexCombinationClassifier(Remote(["ash", "elm"]), prefit=True).fit(
                semantics=TREES.with_seen(["ash", "elm", "beech"])
            ),
            "disagree whether class 'beech' is seen",
        ),
        (lambda: ConvexCombinationClassifier(Remote(["ash"]), prefit=True).fit(semantics=TREES), "one class only"),
        (lambda: ConvexCombinationClassifier(LogisticRegression(), prefit=True).fit(semantics=TREES), "not fitted"),
        (lambda: ConvexCombinationClassifier().fit(semantics=TREES), "X and y are needed"),
        (lambda: ConvexCombinationClassifier().fit(X, ["oak"] * 60, TREES), "'oak', a class with no semantics"),
        (lambda: ConvexCombinationClassifier().fit(X, ["ash"] * 60, TREES), "one class only, 'ash'"),
        (lambda: ConvexCombinationClassifier().fit(X, ["ash", 1] * 30, TREES), "labels of mixed types"),
        (
            lambda: ConvexCombinationClassifier().fit(X, LABELS, TREES.with_seen(["ash"])),
            "which the semantics call unseen",
        ),
        (lambda: ConvexCombinationClassifier().fit(X * np.nan, LABELS, TREES), "NaN"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_tuning_keeps_the_names_that_the_estimator_was_told_of():
    named = LogisticRegression(class_weight={name: 1.0 + row for row, name in enumerate(NAMES)})
    assert ConvexCombinationClassifier(named, n_top="auto").fit(X, LABELS, TREES).n_top_ >= 1
    # An order of names that is not the order of their codes.
    backwards = ClassSemantics(NAMES[::-1], vectors=S[::-1])
    one, other = (ConvexCombinationClassifier(n_top="auto").fit(X, LABELS, told) for told in (TREES, backwards))
    assert np.allclose(one.class_scores(X)[:, ::-1], other.class_scores(X), atol=1e-4) or one.n_top_ != other.n_top_
    held = other._held_probabilities(X, 4 - CODES, np.arange(60), np.arange(60))
    assert np.allclose(held, other._probabilities(X))


def test_columns_that_do_not_vary_are_harmless():
    flat = np.hstack([X, np.ones((60, 2))])
    assert np.isfinite(ConvexCombinationClassifier(n_top=3).fit(flat, LABELS, TREES).class_scores(flat)).all()


@pytest.mark.parametrize(
    "model",
    [
        ConvexCombinationClassifier(n_top=3),
        ConvexCombinationClassifier(LogisticRegression(C=3.0, class_weight={"ash": 2.0}), n_top=2, temperature=2.0),
        ConvexCombinationClassifier(LogisticRegression().fit(X, LABELS), n_top=4, prefit=True),
    ],
)
def test_save_and_open(model, tmp_path):
    model.fit(X, LABELS, TREES)
    theatrum.save(model, tmp_path / "m")
    opened = theatrum.open(tmp_path / "m")
    assert opened.class_scores(X).tobytes() == model.class_scores(X).tobytes()
    assert (opened.estimator is None) == (model.estimator is None)
    if model.estimator is not None:
        assert opened.estimator.get_params() == model.estimator.get_params()
    assert (opened.fit(X, LABELS, TREES).predict(X) == model.predict(X)).all()


def test_a_registered_part_inside_is_saved_as_itself(tmp_path, monkeypatch):
    inner = ConvexCombinationClassifier(n_top=4).fit(X, LABELS)
    monkeypatch.setattr(
        ConvexCombinationClassifier, "predict_proba", lambda self, rows: self.class_scores(rows), raising=False
    )
    outer = ConvexCombinationClassifier(inner, n_top=2, prefit=True).fit(semantics=TREES)
    theatrum.save(outer, tmp_path / "m")
    opened = theatrum.open(tmp_path / "m")
    assert isinstance(opened.estimator, ConvexCombinationClassifier)
    assert opened.class_scores(X).tobytes() == outer.class_scores(X).tobytes()


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (GaussianNB(), "a GaussianNB cannot be saved without pickle"),
        (LogisticRegression(random_state=np.random.RandomState(0)), "cannot be kept as JSON"),
    ],
)
def test_what_cannot_be_saved_says_so(estimator, message, tmp_path):
    model = ConvexCombinationClassifier(estimator, n_top=2).fit(X, LABELS, TREES)
    with pytest.raises(ValueError, match=message):
        theatrum.save(model, tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config.update(kind="SVC"), "estimator of kind 'SVC', which this theatrum cannot open"),
        (lambda config: config["parameters"].update(colour="red"), "cannot be made again"),
        (lambda config: config.pop("parameters"), "cannot be made again"),
    ],
)
def test_damaged_folders(change, message, tmp_path):
    theatrum.save(ConvexCombinationClassifier(n_top=2).fit(X, LABELS, TREES), tmp_path / "m")
    path = tmp_path / "m" / "estimator" / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        theatrum.open(tmp_path / "m")
