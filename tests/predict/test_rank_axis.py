"""Rank axes: scikit-learn's checks, every way to find one, the laws, indexes, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.evaluate.rankability import rankability_report
from theatrum.predict.rank_axis import RankAxis, pairs_axis, unit_axis
from theatrum.search import FlatIndex

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 6))
W = np.array([2.0, -1, 0, 0, 0, 1])
Y = normalize(X) @ W
TRUE = W / np.linalg.norm(W)


class WordEncoder:
    """A fixed direction a word."""

    dim = 6

    def __init__(self, **vectors):
        self.vectors = vectors

    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        return np.array([self.vectors[item] for item in items], dtype=np.float32)


@parametrize_with_checks([RankAxis(), RankAxis(normalize=False), RankAxis("extremes"), RankAxis("pairs")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("method", ["ridge", "extremes", "pairs", "sgd"])
def test_every_method_finds_the_axis(method):
    axis = RankAxis(method, n_extremes=20, random_state=0).fit(X, Y)
    assert np.linalg.norm(axis.axis_) == pytest.approx(1)
    assert axis.axis_ @ TRUE > 0.95
    assert axis.score(X, Y) > 0.95
    assert axis.transform(X).shape == (400, 1) and axis.predict(X).shape == (400,)
    assert axis.transform(X)[:, 0] == pytest.approx(normalize(X) @ axis.axis_)


def test_the_axis_of_ridge_is_ridge_regression():
    slow = Ridge(0.3).fit(normalize(X), Y).coef_
    assert RankAxis(alpha=0.3).fit(X, Y).axis_ == pytest.approx(slow / np.linalg.norm(slow))
    slow = Ridge(0.3).fit(X, Y).coef_
    assert RankAxis(alpha=0.3, normalize=False).fit(X, Y).axis_ == pytest.approx(slow / np.linalg.norm(slow))


def test_ranks_as_target_forgive_a_skewed_attribute():
    skewed = np.exp(12 * Y)
    plain, ranked = RankAxis().fit(X, skewed), RankAxis(target="rank").fit(X, skewed)
    assert ranked.axis_ @ TRUE > 0.99 > plain.axis_ @ TRUE
    assert ranked.predict(X).max() > 0.1 * skewed.max()  # in units of the attribute, not of ranks


def test_pairs_minimise_the_logistic_loss():
    D = rng.normal(loc=[0.5, 0, 0.2, 0], size=(80, 4))
    w = pairs_axis(D, 2.0)

    def loss(w):
        return np.logaddexp(0, -D @ w).sum() + w @ w

    assert np.abs(approx_fprime(w, loss)).max() < 1e-2
    mirrored, sides = np.vstack([D, -D]), np.r_[np.ones(80), np.zeros(80)]
    slow = LogisticRegression(C=0.25, fit_intercept=False, tol=1e-8).fit(mirrored, sides).coef_[0]
    assert w == pytest.approx(slow, abs=1e-3)


def test_order_alone_is_enough():
    first, second = rng.integers(400, size=(2, 1000))
    kept = Y[first] != Y[second]
    above = np.where(Y[first] > Y[second], first, second)[kept]
    below = np.where(Y[first] > Y[second], second, first)[kept]
    axis = RankAxis().fit_pairs(X, np.column_stack([above, below]))
    assert axis.axis_ @ TRUE > 0.95
    assert axis.predict(X) == pytest.approx(axis.transform(X)[:, 0])  # no values, so nothing to calibrate by
    turned = RankAxis().fit_pairs(X, np.column_stack([below, above]))
    assert turned.axis_ == pytest.approx(-axis.axis_)


def test_extremes_point_to_the_high_end():
    order = np.argsort(Y)
    axis = RankAxis.from_extremes(X[order[-3:]], X[order[:2]])
    units = normalize(X.astype(np.float32)).astype(np.float64)
    slow = units[order[-3:]].mean(axis=0) - units[order[:2]].mean(axis=0)
    assert axis.axis_ == pytest.approx(slow / np.linalg.norm(slow), abs=1e-6)
    assert axis.axis_ @ TRUE > 0.5
    raw = RankAxis.from_extremes([[3.0, 0]], [[0.0, 4]], normalize=False)
    assert raw.axis_.tolist() == [0.6, -0.8]


def test_an_outlier_is_not_taken_for_the_extreme():
    y = Y.copy()
    y[7] = 1e9
    drawn = {RankAxis("extremes", random_state=seed).fit(X, y).axis_.tobytes() for seed in range(20)}
    assert len(drawn) > 5


def test_phrases():
    encoder = WordEncoder(
        old=[3, 0, 0, 0, 0, 0], young=[0, 1, 0, 0, 0, 0], aged=[0, 0, 2, 0, 0, 0], new=[0, 0, 0, 1, 0, 0]
    )
    half = np.sqrt(0.5)
    assert RankAxis.from_text(encoder, "old", "young").axis_[:2] == pytest.approx([half, -half])
    assert RankAxis.from_text(encoder, "old").axis_.tolist() == [1, 0, 0, 0, 0, 0]
    mean = RankAxis.from_text(encoder, ["old", "aged"], ["young", "new"])
    assert mean.axis_ == pytest.approx([0.5, -0.5, 0.5, -0.5, 0, 0])
    best = RankAxis.from_text(encoder, ["aged", "old"], ["new", "young"], validation=(X, Y))
    assert best.axis_[:2] == pytest.approx([half, -half])


def test_predictions_rise_along_the_axis_in_units_of_the_attribute():
    y = 30 + 10 * Y + rng.normal(size=400)
    axis = RankAxis().fit(X[:300], y[:300])
    positions, predicted = axis.transform(X[300:])[:, 0], axis.predict(X[300:])
    assert (np.diff(predicted[np.argsort(positions)]) >= 0).all()
    assert np.abs(predicted - y[300:]).mean() < 1.5
    assert predicted.min() >= y[:300].min() and predicted.max() <= y[:300].max()


def test_calibration_does_not_believe_its_own_training_rows():
    # 40 rows in 60 dimensions fit any noise: positions of training rows would promise values that no other row has.
    noise = np.random.default_rng(1)
    rows, y = noise.normal(size=(40, 60)), noise.normal(size=40)
    spread = np.ptp(RankAxis(alpha=1e-3).fit(rows, y).predict(noise.normal(size=(500, 60))))
    assert spread < 0.8 * np.ptp(y)


def test_the_score_is_the_rank_correlation():
    axis = RankAxis().fit(X[:50], Y[:50] + rng.normal(size=50))
    assert axis.score(X, Y) == pytest.approx(spearmanr(axis.transform(X)[:, 0], Y).statistic)
    report = rankability_report(X[:200], Y[:200], X[200:], Y[200:], n_seeds=1, n_resamples=2)
    assert RankAxis().fit(X[:200], Y[:200]).score(X[200:], Y[200:]) == pytest.approx(report.linear.value, abs=1e-3)


def test_an_index_is_sorted_by_the_axis():
    index = FlatIndex().fit(X.astype(np.float32))
    names = [f"i{row}" for row in range(400)]
    index.add(names, X.astype(np.float32))
    axis = RankAxis().fit(X, Y)
    order = np.argsort(-axis.transform(X)[:, 0])
    ids, scores = axis.sort_index(index, 5)
    assert ids.tolist() == [names[row] for row in order[:5]]
    assert scores == pytest.approx(axis.transform(X)[order[:5], 0], abs=1e-6)
    few = [names[row] for row in (3, 200, 77)]
    ids, scores = axis.sort_index(index, 5, ids=few)
    assert ids.tolist() == [*sorted(few, key=lambda name: -axis.transform(X)[int(name[1:]), 0]), "", ""]
    assert scores[3:].tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("method", ["ridge", "extremes", "pairs", "sgd"])
def test_a_seed_is_a_seed(method):
    one, two, other = (RankAxis(method, random_state=seed).fit(X, Y).axis_ for seed in (0, 0, 1))
    assert one.tobytes() == two.tobytes()
    assert (method == "ridge") == (one.tobytes() == other.tobytes())


def test_a_later_fit_forgets_the_earlier_curve():
    axis = RankAxis().fit(X, Y).fit_pairs(X, [[int(Y.argmax()), int(Y.argmin())]])
    assert axis.predict(X) == pytest.approx(axis.transform(X)[:, 0])


@pytest.mark.parametrize("axis", [RankAxis(alpha=2.0), RankAxis("extremes", n_extremes=3, random_state=4)])
def test_save_and_open(axis, tmp_path):
    axis.fit(X, Y)
    theatrum.save(axis, tmp_path / "axis")
    opened = theatrum.open(tmp_path / "axis")
    assert opened.predict(X).tobytes() == axis.predict(X).tobytes()
    theatrum.save(RankAxis.from_extremes(X[:2], X[2:3]), tmp_path / "pair")
    assert theatrum.open(tmp_path / "pair").axis_.tobytes() == RankAxis.from_extremes(X[:2], X[2:3]).axis_.tobytes()


def test_plots():
    axis = RankAxis().fit(X, Y)
    (picture,) = axis.plot(X, Y).axes
    assert picture.get_xlabel() == "position along the axis (cosine)"
    assert len(picture.collections[0].get_offsets()) == 400
    assert len(picture.lines) == 1
    (histogram,) = RankAxis.from_extremes(X[:1], X[1:2], normalize=False).plot(X).axes
    assert histogram.get_ylabel() == "rows" and sum(bar.get_height() for bar in histogram.patches) == 400


PLAIN = RankAxis().fit(X, Y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RankAxis().fit(X, np.ones(400)), "y: all values are 1, so they rank nothing"),
        (lambda: RankAxis().fit(np.ones((400, 3)), Y), "all rows are alike, so they give no direction"),
        (lambda: RankAxis().fit(X[:, :1], Y), "n_features = 1.*normalize=False"),
        (lambda: RankAxis().fit(X, np.where(Y > 0, np.nan, Y)), "NaN"),
        (lambda: RankAxis().fit(np.where(X > 2, np.nan, X), Y), "NaN"),
        (lambda: RankAxis().fit(X, Y[:9]), "inconsistent"),
        (lambda: RankAxis("extremes").fit(X, np.arange(400) == 4), "the 4 highest of 400 rows share the value 0"),
        (lambda: RankAxis("extremes", n_extremes=201).fit(X, Y), "ask for fewer"),
        (lambda: RankAxis("sgd").fit(X[:9], Y[:9]), "needs at least 10 rows, got 9"),
        (lambda: RankAxis("pca").fit(X, Y), "method must be one of 'ridge', 'extremes', 'pairs', 'sgd', got 'pca'"),
        (lambda: RankAxis(n_extremes=0).fit(X, Y), "n_extremes must be a whole number of at least 1, got 0"),
        (lambda: RankAxis(alpha=0).fit(X, Y), "alpha must be a number above 0 or one of 'auto', got 0"),
        (lambda: RankAxis(target="log").fit(X, Y), "target must be one of"),
        (lambda: RankAxis.from_extremes(X[:2], X[:2]), "high and low give no direction: the axis is zero"),
        (lambda: RankAxis.from_extremes(X[:2], X[:2, :3]), "6 and 3 columns"),
        (lambda: RankAxis.from_extremes(X[:0], X[:2]), r"high: at least 1 row\(s\) needed"),
        (lambda: RankAxis.from_extremes(X[:2] * np.nan, X[:2]), "high: row 0 holds NaN"),
        (lambda: RankAxis().fit_pairs(X, [[0, 400]]), r"pair 0 is \[0, 400\]; X has rows 0 to 399"),
        (lambda: RankAxis().fit_pairs(X, [[0, 1], [5, 5]]), "pair 1 names row 5 twice"),
        (lambda: RankAxis().fit_pairs(X, [[0.5, 1.0]]), "expected whole numbers"),
        (lambda: RankAxis().fit_pairs(X, []), "expected whole numbers"),
        (lambda: RankAxis().fit_pairs(X, [[0, 1], [1, 0]]), "the pairs give no direction"),
        (lambda: RankAxis.from_text(WordEncoder(), ["a", "b"], ["c"]), "2 and 1 phrases"),
        (lambda: RankAxis.from_text(WordEncoder(), []), "0 and 0 phrases"),
        (lambda: RankAxis.from_text(WordEncoder(a=X[0]), "a", "a"), "the phrases give no direction"),
        (lambda: PLAIN.score(X, np.ones(400)), "y: all values are 1"),
        (lambda: PLAIN.sort_index(FlatIndex(), 3, ids=["a", "a"]), "'a' .* is there already"),
        (lambda: unit_axis(np.zeros(3), "the rows"), "the rows give no direction"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
