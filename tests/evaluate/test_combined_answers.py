"""Counting combinations: the densest group against exhaustive search, and what must not count."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from theatrum.data import make_limit
from theatrum.evaluate import answer_combinations
from theatrum.evaluate.combined_answers import densest_core


def density(answers, core):
    return sum(set(core).issuperset(answer) for answer in answers) / len(core)


def best_density(answers, n):
    """The densest group of all there are."""
    return max(density(answers, core) for size in range(1, n + 1) for core in combinations(range(n), size))


@pytest.mark.parametrize("seed", range(20))
def test_the_core_is_within_its_guarantee_of_the_best(seed):
    rng = np.random.default_rng(seed)
    n, longest = 9, int(rng.integers(2, 5))
    answers = sorted(
        {tuple(sorted(rng.choice(n, size=rng.integers(2, longest + 1), replace=False).tolist())) for _ in range(14)}
    )
    found = density(answers, densest_core(answers, n))
    best = best_density(answers, n)
    assert best / longest <= found <= best


def test_a_planted_group_is_found():
    rng = np.random.default_rng(0)
    planted = list(combinations(range(20), 2))
    sparse = [tuple(sorted(rng.choice(np.arange(20, 500), 2, replace=False).tolist())) for _ in range(400)]
    assert densest_core(planted + sorted(set(sparse)), 500) == list(range(20))


def test_a_hub_does_not_hide_a_group():
    clique = list(combinations(range(5), 2))
    star = [(5, leaf) for leaf in range(6, 16)]  # the hub has most answers, until its leaves are gone
    assert densest_core(clique + star, 16) == [0, 1, 2, 3, 4]


def test_every_pair_has_the_density_of_the_formula():
    found = answer_combinations({f"{a}{b}": {a: 1, b: 1} for a, b in combinations("abcdefg", 2)})
    assert (found.core_documents, found.core_answers, found.density) == (7, 21, 3.0)


@pytest.mark.parametrize(
    ("pattern", "low", "high"), [("dense", 21.7, 21.8), ("cycle", 0.9, 1.0), ("disjoint", 0.5, 0.5), ("random", 0.5, 1)]
)
def test_the_patterns_of_limit(pattern, low, high):
    found = answer_combinations(make_limit(2_000, pattern=pattern, items_per_doc=3).qrels)
    assert found.answers == 1_000
    assert low <= found.density <= high


def test_repeats_single_documents_and_grade_0_count_nothing():
    qrels = {"a": {"x": 1, "y": 3}, "b": {"y": 1, "x": 1, "z": 0}, "c": {"x": 1}, "d": {"x": 0, "z": 0}}
    found = answer_combinations(qrels)
    assert (found.answers, found.documents, found.density) == (1, 2, 0.5)


@pytest.mark.parametrize("qrels", [{}, {"a": {}}, {"a": {"x": 1}}, {"a": {"x": 0, "y": 0}}])
def test_nothing_to_combine(qrels):
    found = answer_combinations(qrels)
    assert (found.answers, found.documents, found.core_documents, found.core_answers) == (0, 0, 0, 0)
    assert found.density == found.core_length == 0.0


def test_the_order_of_queries_does_not_matter():
    qrels = {f"{a}{b}": {a: 1, b: 1} for a, b in combinations("abcdefg", 2)} | {"more": {"g": 1, "h": 1, "i": 1}}
    assert answer_combinations(qrels) == answer_combinations(dict(reversed(qrels.items())))
