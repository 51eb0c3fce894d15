"""Novelty gates against slow versions."""

from __future__ import annotations

import numpy as np
from scipy.special import erf
from scipy.stats import multivariate_normal

from theatrum.predict.novelty_gates import gaussian_novelty, loop_novelty

rng = np.random.default_rng(0)
X, CODES, Q = rng.normal(size=(60, 3)), np.repeat([0, 2, 5], 20), 2 * rng.normal(size=(9, 3))


def test_gaussian_is_the_best_density_of_a_class():
    density = []
    for code in (0, 2, 5):
        rows = X[CODES == code]
        variance = ((rows - rows.mean(axis=0)) ** 2).sum() / rows.size
        density.append(multivariate_normal(rows.mean(axis=0), variance * np.eye(3)).logpdf(Q))
    constant = 3 / 2 * np.log(2 * np.pi)
    assert np.allclose(gaussian_novelty(X, CODES, Q), -(np.max(density, axis=0) + constant))


def test_a_class_of_one_row_has_a_spread():
    assert np.isfinite(gaussian_novelty(X[:21], np.array([0] * 20 + [1]), Q)).all()


def test_loop_by_its_definition():
    def near(point, rows, k=5):
        distances = np.linalg.norm(rows - point, axis=1)
        order = np.argsort(distances)[:k]
        return distances[order], order

    own = [near(x, np.delete(X, i, 0)) for i, x in enumerate(X)]
    deviation = np.array([np.sqrt((d**2).mean()) for d, _ in own])
    places = [np.delete(np.arange(60), i)[o] for i, (_, o) in enumerate(own)]
    factor = np.array([deviation[i] / deviation[p].mean() - 1 for i, p in enumerate(places)])
    scale = 2 * np.sqrt((factor**2).mean())
    slow = []
    for q in Q:
        distances, order = near(q, X)
        slow.append(max(erf((np.sqrt((distances**2).mean()) / deviation[order].mean() - 1) / (scale * np.sqrt(2))), 0))
    assert np.allclose(loop_novelty(X, Q, n_neighbors=5), slow)


def test_rows_that_are_all_alike_are_no_harm():
    assert np.isfinite(loop_novelty(np.ones((10, 2)), np.ones((2, 2)))).all()
