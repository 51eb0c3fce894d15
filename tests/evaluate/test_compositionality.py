"""The score of compositionality: against loops and known answers, its parts, bad input."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import product

import numpy as np
import pytest

from theatrum.evaluate.compositionality import (
    additive_model,
    average_cells,
    compositionality_score,
    factorize,
    foretell,
    heldout_ranks,
)

rng = np.random.default_rng(0)
GRID = list(product("abcdef", range(5), "xyz"))
FIRST, SECOND, THIRD = rng.normal(size=(6, 12)), rng.normal(size=(5, 12)), rng.normal(size=(3, 12))
ADDITIVE = np.array([5 + FIRST["abcdef".index(a)] + SECOND[b] + THIRD["xyz".index(c)] for a, b, c in GRID])
NOISY = ADDITIVE + rng.normal(size=ADDITIVE.shape)


def residual(U, labels, factors):
    """Sum of squares that dummies of some factors leave, by least squares."""
    columns = [np.ones(len(labels))]
    for i in factors:
        known = sorted({row[i] for row in labels})
        columns += [np.array([row[i] == value for row in labels], float) for value in known]
    D = np.array(columns).T
    return ((U - D @ np.linalg.lstsq(D, U, rcond=None)[0]) ** 2).sum()


@pytest.mark.parametrize("seen", [np.arange(90), rng.permutation(90)[:50]], ids=["whole", "with gaps"])
def test_shares_are_those_of_least_squares(seen):
    U, labels = NOISY[seen].astype(np.float32), [GRID[i] for i in seen]
    score = compositionality_score(U, labels)
    total = residual(U.astype(float), labels, [])
    r2 = 1 - residual(U.astype(float), labels, [0, 1, 2]) / total
    assert score.r2 == pytest.approx(r2)
    for factor, share in enumerate(score.share):
        without = 1 - residual(U.astype(float), labels, [i for i in range(3) if i != factor]) / total
        assert share == pytest.approx(r2 - without)
    assert score.n_cells == len(seen)
    if len(seen) == 90:
        assert sum(score.share) == pytest.approx(r2)  # on a whole grid the factors are orthogonal


def test_additive_vectors_are_foretold_and_noise_is_not():
    exact = compositionality_score(ADDITIVE, GRID)
    assert (exact.r2, exact.cosine, exact.heldout_cosine) == pytest.approx((1, 1, 1), abs=1e-5)
    assert (exact.heldout_rank, exact.heldout_top1) == (1, 1)
    assert exact.p_value == pytest.approx(1 / 101)
    noise = compositionality_score(rng.normal(size=(90, 12)), GRID, random_state=1)
    free = (5 + 4 + 2) / 89  # share of the dimensions between cells that the sum may use
    assert noise.r2 == pytest.approx(free, abs=0.03) and noise.permuted_r2 == pytest.approx(free, abs=0.01)
    assert noise.p_value > 0.05 and noise.heldout_rank > 20


def test_a_permutation_shuffles_cells_not_rows():
    often = np.repeat(np.arange(90), 3)
    once, repeated = compositionality_score(NOISY, GRID), compositionality_score(NOISY[often], [GRID[i] for i in often])
    assert once.r2 == pytest.approx(repeated.r2) and once.permuted_r2 == pytest.approx(repeated.permuted_r2)


def test_the_origin_adds_nothing():
    near, far = compositionality_score(NOISY, GRID), compositionality_score(NOISY + 50, GRID)
    assert near.r2 == pytest.approx(far.r2, abs=1e-5)
    assert far.cosine > near.cosine


def test_held_out_cells_are_made_from_the_others():
    codes, _ = factorize(GRID, 90)
    weights = [np.full(n, 1 / n) for n in (6, 5, 3)]
    held, made = foretell(codes, ADDITIVE, weights, 0.3, np.random.RandomState(0))
    assert len(held) == len(set(held.tolist())) == 27
    assert np.allclose(made, ADDITIVE[held])
    spoilt = ADDITIVE.copy()
    spoilt[held] = 1e6
    assert np.allclose(foretell(codes, spoilt, weights, 0.3, np.random.RandomState(0))[1], made)


def test_ranks_count_those_before():
    means = np.array([[1.0, 0], [0.9, 0.1], [0.0, 1.0], [0.7, 0.3]])
    assert heldout_ranks(means, np.array([0, 3, 2]), np.array([[2.0, 0], [1.0, 0], [1.0, 0]])).tolist() == [1, 3, 4]


def test_cells_are_averaged():
    cells, means = average_cells(np.array([[1.0], [3.0], [10.0]]), np.array([[1, 0], [1, 0], [0, 1]]))
    assert cells.tolist() == [[0, 1], [1, 0]] and means.tolist() == [[10.0], [2.0]]


def test_the_model_names_what_cells_do_not_determine():
    # Two islands: the first two values of each factor never meet the third.
    cells = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 2]])
    assert additive_model(cells, [np.full(3, 1 / 3)] * 2).confounded.all()
    joined = np.vstack([cells, [2, 0]])
    assert not additive_model(joined, [np.full(3, 1 / 3)] * 2).confounded.any()


def test_the_score_is_the_same_for_the_same_seed():
    again = [compositionality_score(NOISY, GRID, random_state=seed) for seed in (3, 3, 4)]
    assert again[0] == again[1] != again[2]
    with pytest.raises(FrozenInstanceError):
        again[0].r2 = 1.0


def test_the_picture_names_its_axes():
    figure = compositionality_score(NOISY, GRID).plot()
    (axes,) = figure.axes
    assert tuple(figure.get_size_inches()) == (6, 4)
    assert "R²" in axes.get_xlabel() and axes.get_ylabel() == "permutations"
    assert sum(bar.get_height() for bar in axes.patches) == 100


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compositionality_score(NOISY, [row[0] for row in GRID]), "one factor explains everything"),
        (lambda: compositionality_score(NOISY, GRID[:3]), "3 rows for 90 vectors"),
        (lambda: compositionality_score(NOISY[:1], GRID[:1]), "at least 2 row"),
        (lambda: compositionality_score(np.where(NOISY > 7, np.nan, NOISY), GRID), "NaN"),
        (lambda: compositionality_score(np.ones((90, 3)), GRID), "all cells have the same vector"),
        (lambda: compositionality_score(NOISY, [(a, a) for a, _, _ in GRID]), "factor 0 .* and factor 1 .*told apart"),
        (lambda: compositionality_score(NOISY[:3], [("a", 1), ("a", 2), ("b", 1)]), "fits any 3 cells"),
        (lambda: compositionality_score(NOISY, GRID, n_permutations=0), "n_permutations must be a whole number"),
        (lambda: compositionality_score(NOISY, GRID, holdout=1.0), "holdout must be a share between 0 and 1"),
        (lambda: compositionality_score(NOISY, GRID, holdout=0.97), "do not determine every value"),
        (lambda: compositionality_score(NOISY, [(a, 1) for a, _, _ in GRID]), "factor 1 has the value 1 only"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
