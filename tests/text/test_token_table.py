from __future__ import annotations

import numpy as np
import pytest

from theatrum.text import token_table

V, D = 200, 12


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return rng.standard_normal((V, D)) @ rng.standard_normal((D, D)) + rng.standard_normal(D)


@pytest.fixture
def p():
    p = np.random.default_rng(1).pareto(1.0, V)
    p[:5] = 0
    return p / p.sum()


def test_whitened_rows_are_centred_and_white_under_their_frequencies(table, p):
    W = token_table.whitened(table, p, D)
    np.testing.assert_allclose(p @ W, 0, atol=1e-10)
    np.testing.assert_allclose((W * p[:, None]).T @ W, np.eye(D), atol=1e-10)


def test_whitening_agrees_with_the_singular_value_decomposition(table, p):
    centred = table - p @ table
    _, S, Vt = np.linalg.svd(np.sqrt(p)[:, None] * centred, full_matrices=False)
    expected = centred @ (Vt.T / S)[:, :4]
    W = token_table.whitened(table, p, 4)
    np.testing.assert_allclose(W @ W.T, expected @ expected.T, atol=1e-8)


def test_directions_in_which_tokens_do_not_differ_are_left_out(table, p):
    flat = np.hstack([table, table[:, :1] * 2, np.ones((V, 1))])
    assert token_table.whitened(flat, p, D + 2).shape == (V, D)


def test_sif_principal_is_model2vecs_recipe(table, p):
    real = p > 0
    X = table[real] - table[real].mean(axis=0)
    axes = np.linalg.svd(X, full_matrices=False)[2][:3]
    expected = (X @ axes.T) * (1e-4 / (1e-4 + p[real]))[:, None]
    found = token_table.sif_principal(table, p, 3, real)[real]
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-8)


def test_a_full_rotation_keeps_inner_products(table):
    found = token_table.rotated(table, D, np.ones(V, dtype=bool))
    np.testing.assert_allclose(found @ found.T, table @ table.T, atol=1e-8)


def test_frequencies_lie_between_the_corpus_and_the_law():
    real = np.array([False, True, True, True])
    law = token_table.zipf_law(real)
    np.testing.assert_allclose(law, np.array([0, 1 / 2, 1 / 3, 1 / 4]) / (13 / 12))
    counts = np.array([7, 0, 3_000_000, 1_000_000])
    p = token_table.frequencies(counts, real, law)
    assert p[0] == 0
    assert 0 < p[1] < 1e-3
    np.testing.assert_allclose(p.sum(), 1)
    np.testing.assert_allclose(p[2:], [0.75, 0.25], atol=1e-3)
    np.testing.assert_allclose(token_table.frequencies(np.zeros(4, dtype=int), real, law), law)
