"""The attribute bound: closed forms, the plain programme, certificates, the greedy order, bad input."""

from __future__ import annotations

import time

import numpy as np
import pytest
from matplotlib.figure import Figure

from theatrum.evaluate import attribute_cuts as cuts
from theatrum.evaluate.attribute_bound import (
    attribute_zero_shot_bound,
    greedy_attributes,
    minimax_probabilities,
    pairwise_attribute_bound,
    worst_case_sample,
)

rng = np.random.default_rng(0)
A = rng.random((5, 8))


def all_patterns(m):
    return np.arange(2**m)[:, None] >> np.arange(m) & 1


def check_certificates(bound, rates, pi):
    """Both sides of the bracket, proved again without any solver."""
    # The worst case has the rates that it was given, and its Bayes error is the lower side.
    assert bound.joint.sum(axis=1) == pytest.approx(pi, abs=1e-7)
    assert bound.joint @ bound.patterns == pytest.approx(pi[:, None] * rates, abs=1e-7)
    assert len(np.unique(bound.patterns, axis=0)) == len(bound.patterns)
    assert bound.error_lower == pytest.approx(1 - bound.joint.max(axis=0).sum(), abs=1e-9)
    # The rule is one on every pattern, and an affine function below it proves the upper side for every law.
    V = all_patterns(rates.shape[1])
    found = minimax_probabilities(V, bound.weights, bound.offsets)
    assert (found >= 0).all()
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-9)
    affine = V @ bound.weights.T + bound.offsets
    assert (affine <= found + 1e-9).all()
    promise = (pi * ((rates * bound.weights).sum(axis=1) + bound.offsets)).sum()
    assert bound.error_upper == pytest.approx(1 - promise, abs=1e-9)


@pytest.mark.parametrize("digits", [0, 1, 6])
@pytest.mark.parametrize(("k", "m"), [(2, 1), (2, 4), (3, 5), (4, 6), (5, 7), (4, 9)])
def test_cuts_equal_the_plain_programme(k, m, digits):
    drawn = np.random.default_rng([k, m, digits])
    rates = drawn.random((k, m)).round(digits)
    for weights in (None, drawn.dirichlet(np.ones(k))):
        pi = np.full(k, 1 / k) if weights is None else weights
        both = [attribute_zero_shot_bound(rates, weights, method=method) for method in ("primal", "cuts")]
        assert both[0].error_lower == pytest.approx(both[1].error_lower, abs=1e-6)
        for bound in both:
            assert bound.exact
            assert bound.error_lower == pytest.approx(bound.error_upper, abs=2e-6)
            check_certificates(bound, rates, pi)


def test_two_classes_are_the_closed_form():
    for seed in range(20):
        pair = np.random.default_rng(seed).random((2, 1 + seed % 7))
        expected = (1 - np.abs(pair[0] - pair[1]).max()) / 2
        assert attribute_zero_shot_bound(pair, method="cuts").error_upper == pytest.approx(expected, abs=1e-6)
        assert pairwise_attribute_bound(pair)[0, 1] == pytest.approx(expected)


def test_known_values():
    same = attribute_zero_shot_bound(np.full((4, 3), 0.3), method="cuts")
    assert same.error_lower == pytest.approx(0.75)
    apart = attribute_zero_shot_bound(np.eye(4), method="cuts")
    assert apart.error_upper == pytest.approx(0, abs=1e-9)
    useless = attribute_zero_shot_bound(np.full((3, 2), 0.5), [0.7, 0.2, 0.1])
    assert (useless.error_lower, useless.error_upper) == pytest.approx((0.3, 0.3))


def test_pairwise_is_a_lower_bound_and_symmetric():
    pairs = pairwise_attribute_bound(A)
    assert (pairs == pairs.T).all()
    assert (np.diag(pairs) == 0.5).all()
    # Two of k equally frequent classes make up 2 / k of the items.
    assert attribute_zero_shot_bound(A).error_upper >= 2 / 5 * np.triu(pairs, 1).max() - 1e-9


def test_more_attributes_never_hurt_and_a_large_table_is_solved():
    table = np.random.default_rng(1).random((8, 60))
    errors = [attribute_zero_shot_bound(table[:, :m]) for m in (10, 20, 60)]
    assert all(one.exact for one in errors)
    assert errors[0].error_upper >= errors[1].error_upper - 1e-6 >= errors[2].error_upper - 2e-6
    assert errors[2].joint @ errors[2].patterns == pytest.approx(table / 8, abs=1e-7)


def test_more_classes_than_can_be_enumerated(monkeypatch):
    rates = np.random.default_rng(2).random((9, 6))
    exact = attribute_zero_shot_bound(rates, method="cuts")
    monkeypatch.setattr(cuts, "MOST_ENUMERATED", 4)
    searched = attribute_zero_shot_bound(rates, method="cuts")
    assert searched.error_lower == pytest.approx(exact.error_lower, abs=1e-5)
    assert searched.error_upper == pytest.approx(exact.error_upper, abs=1e-4)
    assert searched.error_lower <= exact.error_upper + 1e-6
    assert searched.error_upper >= exact.error_lower - 1e-6
    check_certificates(searched, rates, np.full(9, 1 / 9))


def test_largest_left_side_by_branch_and_bound_is_that_by_enumeration(monkeypatch):
    rules = [np.random.default_rng(seed).normal(size=(6, 5)) for seed in range(10)]
    slow = [max(np.maximum(rule[:, :-1] @ v + rule[:, -1], 0).sum() for v in all_patterns(4)) for rule in rules]
    assert [cuts.largest_left_side(rule, 1) for rule in rules] == pytest.approx(slow)
    monkeypatch.setattr(cuts, "MOST_ENUMERATED", 2)
    assert [cuts.largest_left_side(rule, 10) for rule in rules] == pytest.approx(slow, rel=1e-5)
    for rule, value in zip(rules, slow, strict=True):
        starts = np.random.default_rng(0).random((50, 6)) < 0.5
        assert cuts.left_sides(cuts.searched_subsets(rule, starts), rule)[0].max() == pytest.approx(value)


def test_a_stop_gives_a_valid_bracket():
    rates = np.random.default_rng(3).random((10, 12))
    whole = attribute_zero_shot_bound(rates, method="cuts")
    start = time.monotonic()
    stopped = attribute_zero_shot_bound(rates, method="cuts", time_limit=1e-9)
    assert time.monotonic() - start < 30
    assert not stopped.exact
    assert stopped.error_lower <= whole.error_lower + 1e-6
    assert stopped.error_upper >= whole.error_upper - 1e-6
    check_certificates(stopped, rates, np.full(10, 0.1))


def test_greedy_is_the_slow_greedy():
    indices, curve = greedy_attributes(A, 5)
    chosen = []
    for index, value in zip(indices, curve, strict=True):
        rest = [j for j in range(8) if j not in chosen]
        slow = {j: attribute_zero_shot_bound(A[:, [*chosen, j]], method="primal").error_lower for j in rest}
        assert value == pytest.approx(min(slow.values()), abs=1e-5)
        assert slow[index] == pytest.approx(min(slow.values()), abs=1e-5)
        chosen.append(int(index))
    assert (np.diff(curve) <= 0).all()


def test_max_attributes_is_the_bound_on_the_greedy_choice():
    bound = attribute_zero_shot_bound(A, max_attributes=3)
    indices, curve = greedy_attributes(A, 3)
    assert bound.attributes_used.tolist() == indices.tolist()
    assert bound.curve == pytest.approx(curve)
    assert bound.error_upper == pytest.approx(curve[-1], abs=1e-5)
    assert bound.weights.shape == A.shape
    assert not np.delete(bound.weights, indices, axis=1).any()
    assert attribute_zero_shot_bound(A, max_attributes=99).attributes_used.tolist() == list(range(8))


def test_worst_case_sample():
    bound = attribute_zero_shot_bound(A, [0.4, 0.3, 0.1, 0.1, 0.1])
    V, y = worst_case_sample(bound, 50_000, random_state=0)
    assert V.dtype == np.uint8
    assert np.bincount(y) / len(y) == pytest.approx([0.4, 0.3, 0.1, 0.1, 0.1], abs=0.01)
    assert np.array([V[y == c].mean(axis=0) for c in range(5)]) == pytest.approx(A, abs=0.03)
    again = worst_case_sample(bound, 50_000, random_state=0)
    assert (again[0] == V).all()
    assert (again[1] == y).all()
    # The best answer to each pattern, learnt from the sample itself, does not beat the bound.
    codes = V @ (1 << np.arange(8))
    counts = np.zeros((256, 5))
    np.add.at(counts, (codes, y), 1)
    assert 1 - counts.max(axis=1).sum() / len(y) == pytest.approx(bound.error_lower, abs=0.01)


def test_the_bound_is_deterministic():
    first, second = (attribute_zero_shot_bound(A, method="cuts") for _ in range(2))
    assert first.weights.tobytes() == second.weights.tobytes()
    assert first.joint.tobytes() == second.joint.tobytes()


def test_plots():
    bound = attribute_zero_shot_bound(A, max_attributes=3)
    for what in ("pairs", "curve"):
        figure = bound.plot(what, class_names=list("abcde"))
        assert isinstance(figure, Figure)
    axes = bound.plot(class_names=list("abcde")).axes
    assert [label.get_text() for label in axes[0].get_xticklabels()] == list("abcde")
    assert axes[1].get_ylabel() == "least worst-case error of the pair"
    assert bound.plot("curve").axes[0].get_xlabel() == "attributes chosen"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attribute_zero_shot_bound(A * 100), "class 0, attribute 0 is 63.6.*divide percentages by 100"),
        (lambda: attribute_zero_shot_bound(A - 1), "a negative number often marks a missing one"),
        (lambda: attribute_zero_shot_bound(np.where(A > 0.9, np.nan, A)), "is NaN or infinite; drop it or fill it in"),
        (lambda: attribute_zero_shot_bound(A[:1]), "1 class.*two at least"),
        (lambda: attribute_zero_shot_bound(A[0]), r"expected a matrix \(classes, attributes\), got shape \(8,\)"),
        (lambda: attribute_zero_shot_bound(A[:, :0]), r"got shape \(5, 0\)"),
        (lambda: attribute_zero_shot_bound([["a", "b"], ["c", "d"]]), "expected a matrix of rates"),
        (lambda: attribute_zero_shot_bound(A, [0.5, 0.5]), "expected 5 numbers, one a class"),
        (lambda: attribute_zero_shot_bound(A, [0.5] * 5), "add up to 2.5, not 1; divide them by their sum"),
        (lambda: attribute_zero_shot_bound(A, [1.5, -0.5, 0, 0, 0]), "class 1 is -0.5; weights are at least 0"),
        (lambda: attribute_zero_shot_bound(A, [np.nan, 1, 0, 0, 0]), "class 0 is nan"),
        (lambda: attribute_zero_shot_bound(A, method="dual"), "method must be 'auto', 'primal' or 'cuts', got 'dual'"),
        (lambda: attribute_zero_shot_bound(A, max_attributes=0), "max_attributes must be a whole number of at least 1"),
        (lambda: attribute_zero_shot_bound(A, tol=0), "tol must be above 0"),
        (lambda: attribute_zero_shot_bound(A, time_limit=-1), "time_limit must be above 0"),
        (lambda: attribute_zero_shot_bound(np.full((2, 16), 0.5), method="primal"), "at most 15 attributes; use"),
        (lambda: pairwise_attribute_bound(A * 2), "rates are probabilities"),
        (lambda: greedy_attributes(A, 9), "between 1 and the 8 attributes there are, got 9"),
        (lambda: greedy_attributes(np.full((16, 2), 0.5), 1), "at most 15 classes, got 16"),
        (lambda: worst_case_sample(attribute_zero_shot_bound(A), 0), "n must be a whole number of at least 1, got 0"),
        (lambda: attribute_zero_shot_bound(A).plot("curve"), "ask for the bound with max_attributes"),
        (lambda: attribute_zero_shot_bound(A).plot("rule"), "what must be 'pairs' or 'curve', got 'rule'"),
        (lambda: attribute_zero_shot_bound(A).plot(class_names=["a"]), "1 names for 5 classes"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
