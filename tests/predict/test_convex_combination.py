"""Convex combination of class vectors: scikit-learn's checks, a slow version, tuning, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from theatrum.contracts import ClassSemantics, ZeroShotPredictor
from theatrum.predict.convex_combination import (
    ConvexCombinationClassifier,
    class_vectors,
    from_probabilities,
    top_weights,
)

rng = np.random.default_rng(1)
C, SEEN = 14, 10
S = rng.normal(size=(C, 5))
NAMES = tuple(f"class {chr(97 + i)}" for i in range(C))
CODES = np.repeat(np.arange(SEEN), 12)
MAP = rng.normal(size=(5, 8))
X = (S @ MAP)[CODES] + 0.5 * rng.normal(size=(len(CODES), 8))
ALL = ClassSemantics(NAMES, vectors=S)
TOLD = ALL.with_seen(NAMES[:SEEN])
P = rng.dirichlet(np.ones(SEEN), size=30)


@pytest.mark.filterwarnings("ignore:n_top=10, but")
@parametrize_with_checks([ConvexCombinationClassifier(), ConvexCombinationClassifier(n_top="auto", temperature="auto")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def slow_scores(P, S, seen, n_top, center=False):
    unit = S / np.linalg.norm(S, axis=1, keepdims=True)
    if center:
        unit = unit - unit[seen].mean(axis=0)
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    codes = np.flatnonzero(seen)
    scores = np.zeros((len(P), len(S)))
    for i, p in enumerate(P):
        f, z = np.zeros(S.shape[1]), 0.0
        for t in sorted(range(len(p)), key=lambda j: -p[j])[:n_top]:
            f += p[t] * unit[codes[t]]
            z += p[t]
        f /= z
        for c in range(len(S)):
            scores[i, c] = f @ unit[c] / np.linalg.norm(f)
    return scores


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("n_top", [1, 3, 10])
def test_the_formula_of_the_paper(n_top, center):
    slow = slow_scores(P, S, TOLD.seen, n_top, center)
    found = from_probabilities(P, TOLD, "all", n_top=n_top, center=center)
    assert np.allclose(found, slow, atol=1e-6)
    assert np.allclose(from_probabilities(P, TOLD, n_top=n_top, center=center), slow[:, SEEN:], atol=1e-6)
    model = ConvexCombinationClassifier(n_top=n_top, center=center).fit(X, CODES, ALL)
    P_model = model.estimator_.predict_proba(X)
    assert np.allclose(model.class_scores(X), slow_scores(P_model, S, TOLD.seen, n_top, center), atol=1e-6)


def test_weights_are_those_of_a_full_sort():
    for n_top in (1, 4, 10, None):
        weights = top_weights(P, n_top).toarray()
        kept = n_top or SEEN
        assert np.allclose(weights.sum(axis=1), 1) and (np.count_nonzero(weights, axis=1) == kept).all()
        top = -np.sort(-P)[:, :kept]
        assert np.allclose(-np.sort(-weights)[:, :kept], top / top.sum(axis=1, keepdims=True))


def test_one_class_alone_is_its_own_vector():
    model = ConvexCombinationClassifier(n_top=1).fit(X, CODES, ALL)
    likeliest = [NAMES.index(name) for name in model.estimator_.predict(X)]
    assert np.allclose(model.semantic_embedding(X), ALL.signature()[likeliest])
    assert (model.predict(X) == model.estimator_.predict(X)).all()


def test_vectors_of_any_length_count_alike():
    longer = ClassSemantics(NAMES, vectors=S * np.linspace(1, 50, C)[:, None], seen=TOLD.seen)
    assert np.allclose(from_probabilities(P, TOLD, "all"), from_probabilities(P, longer, "all"), atol=1e-5)


def test_without_semantics_it_is_the_estimator():
    blobs, y = make_blobs(300, centers=6, random_state=0, cluster_std=3)
    found = ConvexCombinationClassifier(n_top=3).fit(blobs, y).predict(blobs)
    assert (found == LogisticRegression(max_iter=1000).fit(blobs, y).predict(blobs)).all()


def test_unseen_classes_are_found_and_the_contract_is_kept():
    model = ConvexCombinationClassifier(temperature=2.0).fit(X, CODES, ALL)
    assert isinstance(model, ZeroShotPredictor)
    unseen = np.repeat(np.arange(SEEN, C), 20)
    rows = (S @ MAP)[unseen]
    found = model.predict(rows, candidates="unseen")
    assert set(found) <= set(NAMES[SEEN:]) and (found == np.array(NAMES)[unseen]).mean() > 0.5
    embedded = model.semantic_embedding(rows)
    assert embedded.dtype == np.float32 and embedded.shape == (80, 5)
    assert (np.linalg.norm(embedded, axis=1) <= 1 + 1e-6).all()


def test_top_k():
    model = ConvexCombinationClassifier().fit(X, CODES, ALL)
    names, scores = model.predict_top(X, 3, candidates="unseen")
    full = model.class_scores(X)[:, SEEN:]
    assert names.shape == scores.shape == (len(X), 3)
    assert (names[:, 0] == model.predict(X, candidates="unseen")).all()
    assert np.allclose(scores, -np.sort(-full, axis=1)[:, :3])
    assert model.predict_top(X, 99)[0].shape == (len(X), C)
    with pytest.raises(ValueError, match="k must be"):
        model.predict_top(X, 0)


def test_explanations_can_be_read_and_drawn():
    model = ConvexCombinationClassifier(n_top=4).fit(X, CODES, ALL)
    told = model.explain(X, candidates="unseen")
    assert (told.predicted == model.predict(X, candidates="unseen")).all()
    best = np.sort(model.class_scores(X)[:, SEEN:], axis=1)
    assert np.allclose(told.margin, best[:, -1] - best[:, -2])
    assert np.allclose(told.norm, np.linalg.norm(model.semantic_embedding(X), axis=1), atol=1e-6)
    assert told.classes.shape == told.weights.shape == (len(X), 4) and (np.diff(told.weights) <= 0).all()
    place = np.array([[NAMES.index(name) for name in row] for row in told.classes])
    rebuilt = np.einsum("nt,nts->ns", told.weights, class_vectors(ALL, False)[place])
    assert np.allclose(rebuilt, model.semantic_embedding(X), atol=1e-6)
    axes = told.plot(3).axes[0]
    assert len(axes.patches) == 4 and "weight" in axes.get_xlabel()
    assert np.isinf(model.explain(X, candidates=[NAMES[0]]).margin).all()


def test_more_than_there_are_is_a_warning():
    with pytest.warns(UserWarning, match="n_top=50, but 10 classes are seen; all are combined"):
        many = ConvexCombinationClassifier(n_top=50).fit(X, CODES, ALL)
    assert many.n_top_ == SEEN
    assert np.allclose(many.class_scores(X), ConvexCombinationClassifier(n_top=None).fit(X, CODES, ALL).class_scores(X))


def test_auto_tunes_on_seen_classes_only():
    model = ConvexCombinationClassifier(n_top="auto", temperature="auto").fit(X, CODES, ALL)
    again = ConvexCombinationClassifier(n_top="auto", temperature="auto").fit(X, CODES, ALL)
    assert (model.n_top_, model.temperature_) == (again.n_top_, again.temperature_)
    # The unseen classes' vectors are not looked at.
    other = ClassSemantics(NAMES, vectors=np.vstack([S[:SEEN], rng.normal(size=(C - SEEN, 5))]))
    blind = ConvexCombinationClassifier(n_top="auto", temperature="auto").fit(X, CODES, other)
    assert (model.n_top_, model.temperature_) == (blind.n_top_, blind.temperature_)
    few = ConvexCombinationClassifier(n_top="auto", temperature="auto").fit(X[:36], CODES[:36], ALL)
    assert (few.n_top_, few.temperature_) == (3, 1.0)


def test_auto_takes_the_best_of_a_slow_search():
    model = ConvexCombinationClassifier(n_top="auto").fit(X, CODES, ALL)
    scores = {}
    for held_P, vectors, kept, truth in model._held_out(X, CODES):
        for n_top in (1, 2, 5, None):
            found = slow_scores(held_P, vectors, kept, n_top or kept.sum())
            found = np.where(kept, -np.inf, found).argmax(axis=1)
            accuracy = np.mean([(found[truth == c] == c).mean() for c in np.flatnonzero(~kept)])
            scores[n_top] = scores.get(n_top, 0) + accuracy
    best = model.n_top_ if model.n_top_ in (1, 2, 5) else None
    assert scores[best] == pytest.approx(max(scores.values()))


def test_new_classes_need_no_fitting():
    more = ClassSemantics(NAMES[12:], vectors=S[12:])
    model = ConvexCombinationClassifier().fit(X, CODES, ALL.subset(np.arange(12)))
    before = model.class_scores(X)
    model.add_classes(more)
    whole = ConvexCombinationClassifier().fit(X, CODES, ALL)
    assert np.allclose(model.class_scores(X), whole.class_scores(X))
    assert np.allclose(model.class_scores(X)[:, :12], before)
    with pytest.raises(ValueError, match="is known already"):
        model.add_classes(more)


ZERO = ClassSemantics(NAMES, vectors=np.vstack([S[:-1], np.zeros(5)]))
MEAN = ClassSemantics(("a", "b", "c"), vectors=[[1, 0], [0, 1], [1, 1]], seen=np.array([True, True, False]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConvexCombinationClassifier(n_top=0).fit(X, CODES, ALL), "n_top must be a whole number of at least 1"),
        (lambda: ConvexCombinationClassifier(temperature=0.0).fit(X, CODES, ALL), "temperature must be a number above"),
        (lambda: ConvexCombinationClassifier(center=1).fit(X, CODES, ALL), "center must be a bool"),
        (
            lambda: ConvexCombinationClassifier(LogisticRegression().fit(X, CODES), n_top="auto", prefit=True).fit(
                X, CODES, ALL
            ),
            "'auto' fits the estimator on fewer classes",
        ),
        (lambda: ConvexCombinationClassifier().fit(X, CODES, ZERO), "class 'class n' has a zero vector"),
        (
            lambda: class_vectors(
                ClassSemantics(("a", "b", "c"), vectors=[[1, 0], [1, 0], [0, 1]], seen=MEAN.seen), True
            ),
            "class 'a' has the mean vector of the seen classes",
        ),
        (lambda: ConvexCombinationClassifier().fit(X, CODES, ClassSemantics(NAMES)), "neither vectors nor attributes"),
        (lambda: from_probabilities(P, ALL), "do not say which classes are seen"),
        (lambda: from_probabilities(P[:, :4], TOLD), "one column for each of the 10 seen classes"),
        (lambda: from_probabilities(P, TOLD, n_top=0), "n_top must be"),
        (lambda: from_probabilities(P, TOLD, temperature=-1.0), "temperature must be above 0"),
        (lambda: from_probabilities(P, TOLD, "none"), "candidates must be"),
        (lambda: from_probabilities(P, TOLD, ["nobody"]), "'nobody' is no class"),
        (lambda: ConvexCombinationClassifier().fit(X, CODES).predict(X, candidates="unseen"), "there is no unseen"),
    ],
)
@pytest.mark.filterwarnings("ignore:n_top=10, but")
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
