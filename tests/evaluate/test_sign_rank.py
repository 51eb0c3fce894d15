"""Sign rank: the closed form against itself computed slowly, bounds against matrices whose sign rank is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.linalg import hadamard
from scipy.sparse import csr_matrix, random

from theatrum.evaluate import sign_rank as module
from theatrum.evaluate import sign_rank_bounds, trigonometric_embedding
from theatrum.evaluate.free_embedding import all_subsets, separation
from theatrum.evaluate.sign_rank import forster_bound


@pytest.mark.parametrize(("n", "k"), [(3, 1), (7, 1), (5, 2), (12, 2), (9, 3), (11, 4)])
def test_scores_follow_the_product_of_the_definition(n, k):
    Q, D, margin = trigonometric_embedding(n, k)
    assert D.shape == (n, 2 * k)
    assert np.allclose(np.linalg.norm(D, axis=1), 1) and np.allclose(np.linalg.norm(Q, axis=1), 1)
    angles = 2 * np.pi * np.arange(n) / n
    for q, wanted in zip(Q, combinations(range(n), k), strict=True):
        product = -np.prod([1 - np.cos(angles - angles[one]) for one in wanted], axis=0)
        scores = D @ q
        # Equal up to a positive factor and a constant, which a ranking does not see.
        slope, constant = np.polyfit(product, scores, 1)
        assert slope > 0 and np.allclose(slope * product + constant, scores, atol=1e-9)
    assert margin > 0


def test_the_query_of_a_pair_is_the_one_in_the_books():
    Q, _, _ = trigonometric_embedding(10)
    a, b = 0.0, 2 * np.pi * 3 / 10
    expected = np.array([np.cos(a) + np.cos(b), np.sin(a) + np.sin(b), -np.cos(a + b) / 2, -np.sin(a + b) / 2])
    row = list(combinations(range(10), 2)).index((0, 3))
    assert np.allclose(Q[row], expected / np.linalg.norm(expected))


@pytest.mark.parametrize(("n", "low", "high"), [(46, 2.5e-5, 3.5e-5), (100, 1.1e-6, 1.5e-6), (300, 1.4e-8, 1.8e-8)])
def test_four_dimensions_answer_every_pair_by_a_margin_that_falls_like_the_fourth_power(n, low, high):
    assert low < trigonometric_embedding(n)[2] < high


@pytest.mark.parametrize(
    ("n", "dtype", "works"), [(46, np.float32, True), (100, np.float32, True), (46, np.float16, False)]
)
def test_precision_is_what_ends_it(n, dtype, works):
    Q, D, _ = trigonometric_embedding(n)
    scores = Q.astype(dtype).astype(np.float64) @ D.astype(dtype).astype(np.float64).T
    assert (separation(scores, all_subsets(n, 2)).min() > 0) == works


@pytest.mark.parametrize("order", [2, 8, 64])
def test_hadamard_matrices_have_forsters_bound_of_their_root(order):
    assert forster_bound((hadamard(order) + 1) // 2) == pytest.approx(np.sqrt(order))


@pytest.mark.parametrize("balanced", [False, True])
def test_lanczos_and_the_dense_norm_agree(balanced, monkeypatch):
    A = random(60, 40, density=0.1, rng=0, data_rvs=np.ones).tocsr()
    if balanced:  # rows that are half answers send the vector of ones to 0
        A = csr_matrix(np.array([np.random.default_rng(row).permutation(40) < 20 for row in range(60)], dtype=float))
    dense = forster_bound(A)
    monkeypatch.setattr(module, "_DENSE", 0)
    assert forster_bound(A) == pytest.approx(dense)


@pytest.mark.parametrize(
    ("relevance", "lower", "upper", "kind"),
    [
        (np.eye(50), 1, 2, "trigonometric"),  # one answer each: points on a circle
        (np.ones((3, 4)), 1, 1, "rank"),
        (np.tri(30)[:-1], 1, 29, "rank"),  # nested answers lie on a line, which no construction here sees
        ((hadamard(64) + 1) // 2, 7, 63, "simplex"),
        (np.ones((3, 1)), 1, 1, "simplex"),  # a vector has one dimension at least
        (np.zeros((2, 5)), 1, 1, "rank"),
    ],
)
def test_brackets(relevance, lower, upper, kind):
    found = sign_rank_bounds(relevance)
    assert (found.lower, found.upper, found.upper_kind) == (lower, upper, kind)


def test_factors_of_the_signs_count_too():
    A = np.kron(np.eye(2), np.ones((20, 20)))  # two blocks: the signs are the product of two columns
    found = sign_rank_bounds(A)
    assert (found.upper, found.upper_kind) == (1, "rank")


def test_pairs_need_no_more_dimensions_than_the_closed_form_has():
    A = np.zeros((45, 10))
    np.put_along_axis(A, all_subsets(10, 2), 1, axis=1)
    found = sign_rank_bounds(A)
    assert (found.upper, found.upper_kind) == (4, "trigonometric")
    assert found.forster == pytest.approx(np.sqrt(45 * 10) / np.linalg.norm(2 * A - 1, 2))


def test_fits_lower_the_upper_bound():
    pytest.importorskip("torch")
    A = np.tri(12, 12)[:-1]  # nested answers: two dimensions are enough
    assert sign_rank_bounds(A).upper > 2
    found = sign_rank_bounds(A, try_dims=(2, 3))
    assert found.upper in (2, 3) and found.upper_kind == "free embedding"


@pytest.mark.parametrize(
    ("relevance", "message"),
    [
        (np.zeros((0, 3)), r"got shape \(0, 3\)"),
        ([[0, 3]], "row 0 holds 3"),
        ([[0, 1], [0.5, 0]], "row 1 holds 0.5"),
        ([[0, 1], [np.nan, 0]], "row 1 holds nan"),
    ],
)
def test_bad_input(relevance, message):
    for function in (sign_rank_bounds, forster_bound):
        with pytest.raises(ValueError, match=message):
            function(relevance)


@pytest.mark.parametrize(("n", "k"), [(3, 3), (3, 0), (2, 5)])
def test_bad_sizes(n, k):
    with pytest.raises(ValueError, match=f"got k={k} of n={n}"):
        trigonometric_embedding(n, k)
