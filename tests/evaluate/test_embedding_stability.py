"""Stability: the bounds on random spaces, the report on linkages that keep and break order, bad input."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from sklearn.manifold import smacof

from theatrum.evaluate.embedding_stability import PropertyTest, equivariance_report, stability_bound
from theatrum.refine.linkage_distances import linkage_distance, single_linkage_distance

rng = np.random.default_rng(0)


def space(n=20, noise=0.1):
    D = squareform(pdist(rng.normal(size=(n, 3))))
    error = rng.uniform(-noise, noise, size=(n, n))
    noisy = np.abs(D + np.triu(error, 1) + np.triu(error, 1).T)
    return D, noisy


def root_stress(A, D):
    return np.sqrt(sum((np.linalg.norm(A[i] - A[j]) - D[i, j]) ** 2 for i in range(len(A)) for j in range(i)))


def test_figures_against_loops():
    D, noisy = space()
    A = rng.normal(size=(20, 2))
    bound = stability_bound(D, noisy, A)
    assert np.isclose(bound.root_stress, root_stress(A, noisy))
    assert np.isclose(bound.root_stress_clean, root_stress(A, D))
    assert bound.epsilon == np.abs(D - noisy).max()
    assert np.isclose(bound.pair_norm, np.linalg.norm(D - noisy) / np.sqrt(2))
    assert bound.excess == 2 * bound.pair_norm
    by_epsilon = stability_bound(bound.epsilon, noisy, A)
    assert by_epsilon.pair_norm == bound.epsilon * np.sqrt(190) >= bound.pair_norm
    assert by_epsilon.root_stress == bound.root_stress and by_epsilon.root_stress_clean is None


@pytest.mark.parametrize("linkage", ["single", "maximal"])
def test_the_certificate_covers_what_happens(linkage):
    for _ in range(20):
        D, noisy = space(noise=rng.uniform(0, 0.5))
        clean, off = linkage_distance(D, linkage), linkage_distance(noisy, linkage)
        A = rng.normal(size=(20, 2))
        bound = stability_bound(clean, off, A)
        assert bound.clean_low - 1e-12 <= bound.root_stress_clean <= bound.clean_high + 1e-12
        assert bound.epsilon <= stability_bound(D, noisy, A).epsilon + 1e-12


def test_it_is_tight_in_one_dimension():
    clean = np.array([[0, 2.0], [2, 0]])
    bound = stability_bound(clean, clean + 0.5 - 0.5 * np.eye(2), [[0.0], [1.0]])
    assert bound.root_stress_clean == bound.clean_low == 1 and bound.clean_high == 2


def test_an_optimum_for_noisy_distances_is_nearly_one_for_clean():
    for _ in range(5):
        D, noisy = space()

        def best(distances):
            return smacof(distances, n_components=3, n_init=4, init=None, random_state=0, normalized_stress=False)[0]

        bound = stability_bound(D, noisy, best(noisy))
        # In three dimensions the clean optimum is 0: the points themselves.
        assert bound.root_stress_clean <= bound.excess


@pytest.mark.parametrize(
    "parameters",
    [
        {"linkage": "single"},
        {"linkage": "maximal"},
        {"linkage": "path", "p": 1.0},
        {"linkage": "path", "p": 4.0},
        {"linkage": "geodesic", "radius": 1.0},
    ],
)
def test_linkages_that_keep_order(parameters):
    report = equivariance_report(partial(linkage_distance, **parameters), n_spaces=60)
    assert all(
        test.holds
        for test in (report.permutation, report.isometry, report.monotone, report.duplicate, report.new_point)
    )


@pytest.mark.parametrize(
    "parameters",
    [{"linkage": "geodesic", "n_neighbors": 3, "connect": "mst"}, {"linkage": "fuzzy", "n_neighbors": 4}],
)
def test_linkages_that_break_it(parameters):
    report = equivariance_report(partial(linkage_distance, **parameters))
    assert report.permutation.holds and report.isometry.holds
    assert not report.monotone.holds and not report.new_point.holds
    assert report.monotone.worst > 0 and "monotone: broken in " in str(report)


def test_every_property_can_fail():
    def by_row(D):
        return D + np.arange(len(D))[:, None]

    def by_size(D):
        return D * len(D)

    def rising(D):
        return D / D.max()

    assert not equivariance_report(by_row).permutation.holds
    assert not equivariance_report(by_size).duplicate.holds
    assert not equivariance_report(by_size).new_point.holds
    assert equivariance_report(by_size).monotone.holds
    assert not equivariance_report(rising).monotone.holds
    assert not equivariance_report(lambda D: np.round(D * 1e15) % 7).isometry.holds


def test_it_is_deterministic():
    assert equivariance_report(single_linkage_distance, 3) == equivariance_report(single_linkage_distance, 3)
    first, second = (equivariance_report(partial(linkage_distance, linkage="fuzzy"), 3, random_state=r) for r in (1, 2))
    assert first != second
    assert PropertyTest(0.0, 0.0).holds and not PropertyTest(0.1, 1.0).holds


D, NOISY = space()
A = rng.normal(size=(20, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stability_bound(D, NOISY[:5], A), "D_noisy: expected a square matrix"),
        (lambda: stability_bound(D[:5, :5], NOISY, A), "clean: shape .5, 5. does not go with"),
        (lambda: stability_bound(D, NOISY, A[:5]), "embedding: 5 rows do not go with the 20"),
        (lambda: stability_bound(D, NOISY, A[0]), "embedding: expected finite places"),
        (lambda: stability_bound(D, NOISY, A * np.nan), "embedding: expected finite places"),
        (lambda: stability_bound(-0.1, NOISY, A), "epsilon must be a finite number of at least 0, got -0.1"),
        (lambda: stability_bound(np.nan, NOISY, A), "got nan"),
        (lambda: stability_bound(D, np.triu(NOISY), A), "D_noisy: the matrix is not symmetric"),
        (lambda: stability_bound(np.where(D > 2, np.inf, D), NOISY, A), "clean: from .* stress needs finite"),
        (lambda: equivariance_report(single_linkage_distance, 0), "n_spaces must be a whole number of at least 1"),
        (lambda: equivariance_report(lambda D: D[0]), "it must keep it"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
