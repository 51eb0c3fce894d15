"""The minimax rule on attributes: scikit-learn's checks, its promise, the ways to make it, bad input, folders."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.contracts import ClassSemantics
from theatrum.evaluate.attribute_bound import attribute_zero_shot_bound, worst_case_sample
from theatrum.predict.minimax_attributes import MinimaxAttributeClassifier, class_rates

rng = np.random.default_rng(0)
A = rng.random((4, 6))
NAMES = ("ant", "bee", "cat", "dog")


@parametrize_with_checks([MinimaxAttributeClassifier()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_probabilities_are_the_formula():
    rule = MinimaxAttributeClassifier(A).fit()
    V = rng.integers(0, 2, (50, 6))
    for row, found in zip(V, rule.predict_proba(V), strict=True):
        taken = [max(0.0, float(rule.weights_[c] @ row) + rule.offsets_[c]) for c in range(4)]
        assert found == pytest.approx([value + (1 - sum(taken)) / 4 for value in taken])
    assert (rule.predict(V) == rule.predict_proba(V).argmax(axis=1)).all()
    assert (rule.class_scores(V) == rule.predict_proba(V)).all()


@pytest.mark.parametrize("law", ["worst case", "independent", "one uniform number"])
def test_the_promise_holds_under_other_laws_with_the_same_rates(law):
    bound = attribute_zero_shot_bound(A)
    y = rng.integers(0, 4, 40_000)
    if law == "worst case":
        V, y = worst_case_sample(bound, 40_000, random_state=1)
    elif law == "independent":
        V = rng.random((40_000, 6)) < A[y]
    else:
        V = rng.random((40_000, 1)) < A[y]
    rule = MinimaxAttributeClassifier(A).fit()
    error = 1 - rule.predict_proba(V)[np.arange(len(y)), y].mean()
    assert error <= bound.error_upper + 0.01
    if law == "worst case":
        assert error == pytest.approx(bound.error_lower, abs=0.01)
    assert (rule.draw(V, random_state=0) != y).mean() == pytest.approx(error, abs=0.01)


def test_draw_follows_the_probabilities_and_its_seed():
    rule = MinimaxAttributeClassifier(A, NAMES).fit()
    rule.weights_, rule.offsets_ = np.zeros((4, 6)), np.array([0.5, 0.1, 0.0, -0.3])
    V = rng.integers(0, 2, (20_000, 6))
    assert rule.predict_proba(V[:1])[0] == pytest.approx([0.6, 0.2, 0.1, 0.1])
    drawn = rule.draw(V, random_state=0)
    shares = [(drawn == name).mean() for name in NAMES]
    assert shares == pytest.approx(rule.predict_proba(V[:1])[0], abs=0.015)
    assert (drawn == rule.draw(V, random_state=0)).all()
    assert (drawn != rule.draw(V, random_state=1)).any()


def test_examples_semantics_attributes_and_a_bound_make_the_same_rule():
    V = np.vstack([np.tile(row, (10, 1)) for row in np.arange(16)[:, None] >> np.arange(4) & 1])
    y = np.repeat(np.array(["x", "y", "x", "y", "z", "z", "x", "z"] * 2), 10)
    of_examples = MinimaxAttributeClassifier().fit(V, y)
    rates = np.array([V[y == name].mean(axis=0) for name in "xyz"])
    assert of_examples.rates_ == pytest.approx(rates)
    told = ClassSemantics(tuple("xyz"), attributes=rates)
    others = [
        MinimaxAttributeClassifier(rates, ["x", "y", "z"]).fit(),
        MinimaxAttributeClassifier().fit(semantics=told),
        MinimaxAttributeClassifier.from_bound(attribute_zero_shot_bound(rates), ["x", "y", "z"]),
    ]
    for other in others:
        assert other.predict_proba(V) == pytest.approx(of_examples.predict_proba(V), abs=1e-5)
        assert (other.predict(V) == of_examples.predict(V)).all()


def test_a_bound_on_chosen_attributes_reads_these_only():
    bound = attribute_zero_shot_bound(A, max_attributes=2)
    rule = MinimaxAttributeClassifier.from_bound(bound)
    V, y = worst_case_sample(bound, 20_000, random_state=0)
    assert rule.n_features_in_ == 2
    error = 1 - rule.predict_proba(V)[np.arange(len(y)), y].mean()
    assert error == pytest.approx(bound.error_upper, abs=0.015)


def test_threshold_and_class_weights():
    V = rng.random((200, 3))
    y = rng.integers(0, 2, 200)
    by_hand = MinimaxAttributeClassifier().fit(V > 0.7, y)
    rule = MinimaxAttributeClassifier(threshold=0.7).fit(V, y)
    assert (rule.predict_proba(V) == by_hand.predict_proba(V > 0.7)).all()
    rare = MinimaxAttributeClassifier([[0.6], [0.5]], class_weights=[0.99, 0.01]).fit()
    assert rare.error_upper_ == pytest.approx(0.01)
    assert (rare.predict([[0], [1]]) == 0).all()


def test_class_rates_count():
    present = rng.random((60, 5)) < 0.4
    codes = rng.integers(0, 3, 60)
    slow = [present[codes == k].mean(axis=0) for k in range(3)]
    assert class_rates(present, codes, 3) == pytest.approx(np.array(slow))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MinimaxAttributeClassifier().fit(), "nothing to fit: give attributes, semantics"),
        (lambda: MinimaxAttributeClassifier().fit(np.eye(3)), "requires y"),
        (lambda: MinimaxAttributeClassifier().fit(np.eye(3), ["a", "a", "a"]), "one class only, .*'a'"),
        (lambda: MinimaxAttributeClassifier().fit(np.eye(3), ["a", 1, "b"]), "mixed types, row 0 is str and row 1"),
        (lambda: MinimaxAttributeClassifier().fit([[0.0], [np.nan]], [0, 1]), "NaN"),
        (lambda: MinimaxAttributeClassifier().fit(np.eye(2), [0.5, 1.7]), "continuous"),
        (lambda: MinimaxAttributeClassifier(A).fit(semantics=ClassSemantics(NAMES, attributes=A)), "given twice"),
        (lambda: MinimaxAttributeClassifier().fit(semantics=ClassSemantics(NAMES)), "hold no attributes"),
        (lambda: MinimaxAttributeClassifier(A * 100).fit(), "divide percentages by 100"),
        (lambda: MinimaxAttributeClassifier(A[:1]).fit(), "1 class.*two at least"),
        (lambda: MinimaxAttributeClassifier(A, ["a"]).fit(), "1 names for 4 rows"),
        (lambda: MinimaxAttributeClassifier(A, ["a", "b", "a", "c"]).fit(), "must be unique"),
        (lambda: MinimaxAttributeClassifier(A, class_weights=[1, 1, 1, 1]).fit(), "add up to 4, not 1"),
        (lambda: MinimaxAttributeClassifier(A, threshold="half").fit(), "threshold must be a number"),
        (lambda: MinimaxAttributeClassifier(A, time_limit=0.0).fit(), "time_limit must be a number above 0"),
        (lambda: MinimaxAttributeClassifier(A).fit().predict(np.eye(5)), "5 features.*expecting 6"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "rule",
    [
        MinimaxAttributeClassifier(A, NAMES).fit(),
        MinimaxAttributeClassifier().fit(rng.integers(0, 2, (40, 6)), rng.integers(0, 3, 40)),
        MinimaxAttributeClassifier.from_bound(attribute_zero_shot_bound(A, max_attributes=6)),
    ],
)
def test_save_and_open(rule, tmp_path):
    V = rng.integers(0, 2, (30, 6))
    theatrum.save(rule, tmp_path / "rule")
    opened = theatrum.open(tmp_path / "rule")
    assert opened.predict_proba(V).tobytes() == rule.predict_proba(V).tobytes()
    assert opened.predict(V).tolist() == rule.predict(V).tolist()
    assert opened.error_upper_ == rule.error_upper_
