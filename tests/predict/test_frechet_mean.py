"""Fréchet-mean prediction: scikit-learn's checks, a slow version, ties, temperature, folders, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.contracts import ClassSemantics, ZeroShotPredictor
from theatrum.predict.convex_combination import ConvexCombinationClassifier
from theatrum.predict.frechet_mean import FrechetMeanClassifier, frechet_predict
from theatrum.predict.seen_probabilities import tempered

rng = np.random.default_rng(0)
N = 9
NAMES = tuple(f"{10 * i} degrees" for i in range(N))
D = np.abs(np.subtract.outer(np.arange(N), np.arange(N))).astype(float)
SCALE = ClassSemantics(NAMES, distances=D)
OBSERVED = np.array([0, 4, 8])
CODES = np.repeat(OBSERVED, 20)
X = rng.normal(size=(60, 3)) + CODES[:, None] * [1.0, 0.5, 0.0]
VECTORS = ClassSemantics(NAMES, vectors=rng.normal(size=(N, 4)))


@parametrize_with_checks([FrechetMeanClassifier(), FrechetMeanClassifier(temperature="auto", metric="euclidean")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def slow_prediction(P, D):
    found = []
    for p in P:
        risks = [sum(p[k] * D[k, v] ** 2 for k in range(len(p))) for v in range(D.shape[1])]
        found.append(int(np.argmin(risks)))
    return np.array(found)


@pytest.mark.parametrize("block_size", [1, 4, 1000])
def test_the_formula_of_the_paper(block_size):
    P = rng.dirichlet(np.full(5, 0.4), size=200)
    distances = rng.uniform(0.1, 3, size=(5, 40))
    assert (frechet_predict(P, distances, block_size=block_size) == slow_prediction(P, distances)).all()
    model = FrechetMeanClassifier(block_size=block_size).fit(X, CODES, SCALE)
    found = slow_prediction(model.estimator_.predict_proba(X), D[OBSERVED])
    assert (model.predict(X) == np.array(NAMES)[found]).all()
    assert np.allclose(model.class_scores(X), -(model.estimator_.predict_proba(X) @ D[OBSERVED] ** 2))


def test_the_mean_not_the_median():
    """Squared distances: with the distances themselves, the heavier end would win."""
    assert frechet_predict([[0.6, 0.4]], D[[0, 8]]).tolist() == [3]


def test_the_discrete_metric_is_the_argmax():
    P = rng.dirichlet(np.ones(6), size=100)
    assert (frechet_predict(P, 1 - np.eye(6)) == P.argmax(axis=1)).all()
    blobs, y = make_blobs(300, centers=6, random_state=0, cluster_std=3)
    found = FrechetMeanClassifier().fit(blobs, y)
    assert (found.predict(blobs) == LogisticRegression(max_iter=1000).fit(blobs, y).predict(blobs)).all()


def test_ties_go_to_an_observed_label_then_to_the_first():
    # A triangle with sides 3, 4 and 5 between the two observed labels: every corner ties at 12.5.
    triangle = np.array([[3.0, 0.0, 5.0], [4.0, 5.0, 0.0]])
    assert frechet_predict([[0.5, 0.5]], triangle).tolist() == [0]
    for block_size in (1, 2, 3):
        seen = np.array([False, True, True])
        assert frechet_predict([[0.5, 0.5]], triangle, observed=seen, block_size=block_size).tolist() == [1]


def test_vectors_give_the_ranking_of_the_convex_combination():
    mean = FrechetMeanClassifier(metric="euclidean", temperature=2.0).fit(X, CODES, VECTORS)
    combined = ConvexCombinationClassifier(n_top=None, temperature=2.0).fit(X, CODES, VECTORS)
    assert (mean.class_scores(X).argsort(axis=1) == combined.class_scores(X).argsort(axis=1)).mean() > 0.99
    assert (mean.predict(X, candidates="unseen") == combined.predict(X, candidates="unseen")).all()


def test_labels_without_examples_are_answered():
    model = FrechetMeanClassifier(temperature=2.0).fit(X, CODES, SCALE)
    assert isinstance(model, ZeroShotPredictor)
    between = model.predict(np.array([[2.0, 1.0, 0.0], [6.0, 3.0, 0.0]]))
    assert {NAMES.index(name) for name in between} <= {1, 2, 3, 5, 6, 7}
    assert set(model.predict(X, candidates="unseen")) <= set(NAMES) - {NAMES[code] for code in OBSERVED}
    assert (model.predict(X, candidates=[NAMES[5]]) == NAMES[5]).all()


def test_probabilities_rank_as_the_scores():
    model = FrechetMeanClassifier(probability_scale=10.0).fit(X, CODES, SCALE)
    P = model.predict_proba(X)
    assert P.shape == (60, N) and np.allclose(P.sum(axis=1), 1)
    assert np.allclose(np.log(P[:, 0] / P[:, 1]), (model.class_scores(X)[:, 0] - model.class_scores(X)[:, 1]) / 10)


def test_entropy():
    model = FrechetMeanClassifier(temperature=3.0).fit(X, CODES, SCALE)
    P = tempered(model.estimator_.predict_proba(X), 3.0)
    assert np.allclose(model.entropy(X), -(P * np.log(P)).sum(axis=1))


def test_temperature_is_tuned_on_held_out_rows_where_all_classes_are_seen():
    told = SCALE.subset(OBSERVED)
    codes = np.searchsorted(OBSERVED, CODES)
    flat = LogisticRegression(C=1e-3)
    model = FrechetMeanClassifier(flat, temperature="auto").fit(X, codes, told)
    assert model.temperature_ < 1
    risks = dict.fromkeys((0.25, 0.5, 1.0, 2.0), 0.0)
    trials = list(model._held_out(X, codes))
    assert sorted(np.concatenate([trial.truth for trial in trials])) == sorted(codes)
    for trial in trials:
        for t in risks:
            answer = slow_prediction(tempered(trial.P, t), told.distances)
            risks[t] += (told.distances[trial.truth, answer] ** 2).mean()
    assert risks[model.temperature_] == pytest.approx(min(risks.values()))


def test_temperature_is_tuned_with_classes_held_out_where_some_are_unseen():
    codes = np.repeat([0, 1, 3, 4, 6, 8], 12)
    rows = rng.normal(size=(72, 3)) + codes[:, None] * [1.0, 0.5, 0.0]
    model = FrechetMeanClassifier(temperature="auto").fit(rows, codes, SCALE)
    trials = list(model._held_out(rows, codes))
    risks = dict.fromkeys((0.25, 0.5, 1.0, 2.0, 4.0, 8.0), 0.0)
    for trial in trials:
        foreign = ~np.isin(trial.truth, trial.known)
        assert len(trial.known) == trial.P.shape[1] == 4 and foreign.sum() == 24
        assert trial.weights[foreign].sum() == pytest.approx(3 / 9) and trial.weights.sum() == pytest.approx(1)
        for t in risks:
            answer = slow_prediction(tempered(trial.P, t), D[trial.known])
            risks[t] += trial.weights @ D[trial.truth, answer] ** 2
    assert risks[model.temperature_] == pytest.approx(min(risks.values()))
    again = FrechetMeanClassifier(temperature="auto").fit(rows, codes, SCALE)
    assert again.temperature_ == model.temperature_


def test_a_fitted_estimator_is_tuned_on_the_rows_that_are_given():
    fitted = LogisticRegression(C=1e-3).fit(X[::2], CODES[::2])
    model = FrechetMeanClassifier(fitted, temperature="auto", prefit=True).fit(X[1::2], CODES[1::2], SCALE)
    by_name = FrechetMeanClassifier(fitted, temperature="auto", prefit=True)
    by_name.fit(X[1::2], np.array(NAMES)[CODES[1::2]], SCALE)
    assert model.temperature_ == by_name.temperature_ < 1
    plain = FrechetMeanClassifier(fitted, temperature="auto", prefit=True).fit(X[1::2], CODES[1::2])
    assert (plain.predict(X) == fitted.predict(X)).all()


def test_the_locus_of_a_fitted_classifier():
    model = FrechetMeanClassifier().fit(X[CODES < 8], CODES[CODES < 8], SCALE)
    told = model.locus()
    assert told.names == NAMES and told.diameter == 8
    assert np.flatnonzero(told.reachable).tolist() == [0, 1, 2, 3, 4]
    assert np.flatnonzero(told.observed).tolist() == [0, 4]
    assert len(told.plot().axes[0].collections) == 3
    assert set(model.predict(rng.normal(size=(500, 3)) * 9)) <= set(NAMES[:5])


def test_new_classes():
    model = FrechetMeanClassifier(metric="euclidean").fit(X, CODES, VECTORS)
    more = ClassSemantics(("new",), vectors=rng.normal(size=(1, 4)))
    before = model.class_scores(X)
    assert np.allclose(model.add_classes(more).class_scores(X)[:, :-1], before)
    with pytest.raises(ValueError, match="fit again with all of them"):
        FrechetMeanClassifier().fit(X, CODES, SCALE).add_classes(ClassSemantics(("new",), vectors=[[1.0]]))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (FrechetMeanClassifier(temperature="auto"), SCALE),
        (FrechetMeanClassifier(LogisticRegression(C=0.1), metric="euclidean", block_size=2), VECTORS),
        (FrechetMeanClassifier(), None),
    ],
)
def test_save_and_open(model, told, tmp_path):
    model.fit(X, CODES, told)
    theatrum.save(model, tmp_path / "m")
    opened = theatrum.open(tmp_path / "m")
    assert (opened.predict(X) == model.predict(X)).all()
    assert opened.class_scores(X).tobytes() == model.class_scores(X).tobytes()
    assert opened.temperature_ == model.temperature_


PREFIT = LogisticRegression().fit(X, CODES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FrechetMeanClassifier().fit(X, CODES, VECTORS), "hold no distances; use metric='euclidean'"),
        (lambda: FrechetMeanClassifier(metric="euclidean").fit(X, CODES, SCALE), "neither vectors nor attributes"),
        (lambda: FrechetMeanClassifier(metric="tree").fit(X, CODES, SCALE), "metric must be one of"),
        (lambda: FrechetMeanClassifier(temperature=0).fit(X, CODES, SCALE), "temperature must be a number above 0"),
        (lambda: FrechetMeanClassifier(block_size=0).fit(X, CODES, SCALE), "block_size must be"),
        (lambda: FrechetMeanClassifier(probability_scale=-1).fit(X, CODES, SCALE), "probability_scale must be"),
        (
            lambda: FrechetMeanClassifier(PREFIT, temperature="auto", prefit=True).fit(semantics=SCALE),
            "needs rows X, y that the estimator was not fitted on",
        ),
        (
            lambda: FrechetMeanClassifier(PREFIT, temperature="auto", prefit=True).fit(X, CODES + 1, SCALE),
            "row 0 is 1, a class that the estimator does not know",
        ),
        (
            lambda: FrechetMeanClassifier(PREFIT, temperature="auto", prefit=True).fit(X, CODES[:9], SCALE),
            "X has 60 rows and y has 9 labels; one a row",
        ),
        (
            lambda: FrechetMeanClassifier(temperature="auto").fit(X[:41], CODES[:41], SCALE),
            "class '80 degrees' has one row only",
        ),
        (lambda: FrechetMeanClassifier().fit(X, ["80 degree"] * 60, SCALE), "a class with no semantics"),
        (lambda: frechet_predict([[0.5, 0.5]], D), "one column for each of the 9 seen classes"),
        (lambda: frechet_predict([[0.5, 0.5]], -D[:2]), "at least 0"),
        (lambda: frechet_predict([[np.nan, 0.5]], D[:2]), "row 0 holds NaN"),
        (lambda: frechet_predict([[0.5, 0.5]], D[:2], observed=[0, 1]), "observed: 9 truth values are needed"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
