"""Spectra against closed forms and slow versions, compression against a plain search, and the choice of a size."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.evaluate import compression_curve, fewest_dims, judge, ndcg_at, spectrum_report
from theatrum.evaluate.effective_dimension import dims_for_share, effective_rank, participation_ratio

rng = np.random.default_rng(0)


def test_equal_variances_count_as_many_directions_as_there_are():
    X = np.vstack([np.eye(5), -np.eye(5)])
    report = spectrum_report(X)
    assert report.effective_rank == pytest.approx(5)
    assert report.participation_ratio == pytest.approx(5)
    assert (report.first_share, report.dims90, report.dims99) == (pytest.approx(0.2), 5, 5)


def test_a_known_spectrum():
    values = [0.5, 0.25, 0.125, 0.125]
    assert effective_rank(values) == pytest.approx(2**1.75)  # entropy of 1.75 bits
    assert participation_ratio(values) == pytest.approx(1 / (0.25 + 0.0625 + 2 * 0.015625))
    assert [dims_for_share(values, share) for share in (0.5, 0.51, 0.75, 0.9, 1.0)] == [1, 2, 2, 4, 4]


def test_scale_shift_and_rotation_change_no_share():
    X = rng.normal(size=(200, 6)) * [3, 2, 1, 1, 0.5, 0.1]
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    one, two = spectrum_report(X), spectrum_report(4 * X @ turn + 2)
    assert one.effective_rank == pytest.approx(two.effective_rank, rel=1e-4)
    assert one.first_share == pytest.approx(two.first_share, rel=1e-4)
    assert (one.dims90, one.dims95) == (two.dims90, two.dims95)


def test_mean_cosine_against_all_pairs():
    X = rng.normal(size=(40, 5)) + 1
    units = X / np.linalg.norm(X, axis=1, keepdims=True)
    cosines = units @ units.T
    assert spectrum_report(X).mean_cosine == pytest.approx(cosines[~np.eye(40, dtype=bool)].mean(), abs=1e-5)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((5, 3)), "all rows are the same"),
        (np.zeros((5, 3)), "all rows are the same"),
        (np.ones((1, 3)), "at least 2"),
        ([[1.0, np.nan], [0, 0]], "row 0 holds NaN"),
    ],
)
def test_bad_vectors(X, message):
    with pytest.raises(ValueError, match=message):
        spectrum_report(X)


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0, np.inf]])
def test_bad_spectra(values):
    with pytest.raises(ValueError, match="eigenvalues"):
        effective_rank(values)


def test_bad_share():
    with pytest.raises(ValueError, match="share must be above 0"):
        dims_for_share([1.0], 0)


def slow_curve(X, Q, qrels, m, ids, query_ids, center):
    mean = X.mean(axis=0)
    axes = np.linalg.svd(X - mean, full_matrices=False)[2][:m]
    moved = mean if center else 0
    items, queries = (X - moved) @ axes.T, (Q - moved) @ axes.T
    scores = []
    for row in range(len(Q)):
        cosine = [q @ queries[row] / np.linalg.norm(q) for q in items]
        ranking = [ids[place] for place in np.argsort(-np.array(cosine))[:10]]
        scores.append(float(ndcg_at(judge([ranking], ["q"], {"q": qrels[query_ids[row]]}), 10)[0]))
    return scores


@pytest.mark.parametrize("center", [False, True])
def test_curve_against_a_slow_version(center):
    X, Q = rng.normal(size=(60, 8)) * np.arange(8, 0, -1) + 1, rng.normal(size=(7, 8)) * 3
    ids, query_ids = [f"d{i}" for i in range(60)], [f"q{i}" for i in range(7)]
    qrels = {query: {f"d{i}": 1 for i in rng.permutation(60)[:9]} for query in query_ids}
    curve = compression_curve(X, Q, qrels, [2, 5, 8], ids=ids, query_ids=query_ids, center=center)
    assert list(curve) == [2, 5, 8]
    for m, values in curve.items():
        assert values.tolist() == pytest.approx(slow_curve(X, Q, qrels, m, ids, query_ids, center))


def test_all_directions_uncentred_are_the_plain_cosine():
    X, Q = rng.normal(size=(300, 6)).astype(np.float32), rng.normal(size=(300, 6)).astype(np.float32)
    ids = [str(i) for i in range(300)]
    nearest = ((Q / np.linalg.norm(Q, axis=1)[:, None]) @ (X / np.linalg.norm(X, axis=1)[:, None]).T).argmax(axis=1)
    qrels = {str(row): {str(best): 1} for row, best in enumerate(nearest)}
    assert compression_curve(X, Q, qrels, [6], ids=ids, query_ids=ids)[6].min() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": [0]}, "0 is not between 1 and the 2"),
        ({"dims": [3]}, "3 is not between 1 and the 2"),
        ({"dims": [True]}, "True is not"),
        ({"query_ids": ["a", "b"]}, "2 ids for 1 rows of Q"),
        ({"ids": ["a"]}, "1 ids for 2 rows"),
        ({"Q": [[1.0]]}, "expected 2 columns"),
    ],
)
def test_bad_curves(change, message):
    given = {"X": [[1, 0], [0, 1]], "Q": [[1, 0]], "qrels": {}, "dims": [1], "ids": ["a", "b"], "query_ids": ["q"]}
    with pytest.raises(ValueError, match=message):
        compression_curve(**{**given, **change})


def test_the_fewest_within_one_standard_error_of_the_best():
    best = np.array([0.0, 1.0, 0.0, 1.0])  # mean 0.5, standard error 0.2887
    assert fewest_dims({8: best - 0.3, 16: best - 0.28, 32: best, 64: best - 0.1}) == 16
    assert fewest_dims({64: best, 8: best - 0.3}) == 64
    for bad in ({}, {8: [1.0]}):
        with pytest.raises(ValueError, match="curve: needs"):
            fewest_dims(bad)
