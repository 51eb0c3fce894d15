"""ZLaP: scikit-learn's checks, the linear system, the dual form, scale-free details, bad input, folders."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.contracts import ClassSemantics
from theatrum.predict.label_propagation import ZeroShotLabelPropagation, conjugate_gradient, propagation_matrix

rng = np.random.default_rng(0)
S = rng.normal(size=(6, 16))
CODES = rng.integers(0, 6, 150)
X = (S[CODES] + 1.2 * rng.normal(size=(150, 16))).astype(np.float32)
SEMANTICS = ClassSemantics(tuple("abcdef"), vectors=S)


@parametrize_with_checks([ZeroShotLabelPropagation()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def slow_graph(model):
    """The weights of the paper, edge by edge."""
    U, T = model.items_.astype(float), model.class_vectors_.astype(float)
    n, c = len(U), len(T)
    W = np.zeros((n + c, n + c))
    for i in range(n):
        to_items = U @ U[i]
        to_items[i] = -np.inf
        for j in np.argsort(-to_items)[: model.n_neighbors]:
            W[i, j] = max(to_items[j], 0)
        to_classes = T @ U[i]
        for j in np.argsort(-to_classes)[: model.n_neighbors]:
            W[i, n + j] = max(to_classes[j], 0) ** model.gamma
    return W + W.T


@pytest.mark.parametrize("solver", ["cg", "lu"])
def test_the_solution_is_that_of_the_dense_system(solver):
    model = ZeroShotLabelPropagation(solver=solver).fit(X, semantics=SEMANTICS)
    W = slow_graph(model)
    D = W.sum(axis=1)
    L = np.eye(len(W)) - 0.3 * W / np.sqrt(np.outer(D, D))
    Z = np.linalg.inv(L)[:, 150:]
    assert np.abs(model.solution_ - Z).max() < 1e-5
    assert (model.transduction_ == np.array(list("abcdef"))[Z[:150].argmax(axis=1)]).all()


def test_the_dual_form_is_a_direct_solve():
    model = ZeroShotLabelPropagation().fit(X, semantics=SEMANTICS)
    W = slow_graph(model)
    D = W.sum(axis=1)
    L = np.eye(len(W)) - 0.3 * W / np.sqrt(np.outer(D, D))
    for y in rng.normal(size=(5, 16)):
        unit = y / np.linalg.norm(y)
        b = np.zeros(len(W))
        to_items, to_classes = model.items_ @ unit, model.class_vectors_ @ unit
        near, named = np.argsort(-to_items)[:5], np.argsort(-to_classes)[:5]
        b[near] = np.maximum(to_items[near], 0)
        b[150 + named] = np.maximum(to_classes[named], 0) ** 5
        assert np.abs(np.linalg.solve(L, b)[150:] - model.class_scores([y])[0]).max() < 1e-5


def test_conjugate_gradients_of_many_columns():
    weights = slow_graph(ZeroShotLabelPropagation().fit(X, semantics=SEMANTICS))
    from scipy.sparse import csr_matrix

    L = propagation_matrix(csr_matrix(weights), 0.9)
    B = rng.normal(size=(156, 7))
    B[:, 3] = 0
    assert np.abs(conjugate_gradient(L, B) - np.linalg.solve(L.toarray(), B)).max() < 1e-4


def test_neighbours_help():
    model = ZeroShotLabelPropagation().fit(X, semantics=SEMANTICS)
    cosine = (model.items_ @ model.class_vectors_.T).argmax(axis=1)
    names = np.array(list("abcdef"))
    assert (model.transduction_ == names[CODES]).mean() > (names[cosine] == names[CODES]).mean()


def test_given_labels_are_sources():
    vague = ClassSemantics(SEMANTICS.names, vectors=S + 2 * rng.normal(size=S.shape))
    truth = np.array(list("abcdef"))[CODES]
    rest = np.arange(150) % 5 > 0
    some = [None if left else label for left, label in zip(rest, truth, strict=True)]
    with_labels = ZeroShotLabelPropagation().fit(X, some, vague)
    assert with_labels.semantics_.seen.all()
    plain = ZeroShotLabelPropagation().fit(X, semantics=vague)
    assert (with_labels.transduction_ == truth)[rest].mean() > (plain.transduction_ == truth)[rest].mean() + 0.05
    by_code = ZeroShotLabelPropagation().fit(X, np.where(rest, -1, CODES), vague)
    assert (by_code.solution_ == with_labels.solution_).all()


def test_duplicates_keep_their_own_edges():
    twice = np.vstack([X[:30], X[:30]])
    model = ZeroShotLabelPropagation().fit(twice, semantics=SEMANTICS)
    assert (model.transduction_[:30] == model.transduction_[30:]).all()


def test_a_sparse_solution_keeps_the_best():
    whole = ZeroShotLabelPropagation().fit(X, semantics=SEMANTICS)
    sparse = ZeroShotLabelPropagation(n_keep=1).fit(X, semantics=SEMANTICS)
    assert ((sparse.solution_ > 0).sum(axis=1) <= 1).all()
    assert (sparse.transduction_ == whole.transduction_).all()


def test_isolated_rows_fall_back_to_cosine():
    lonely = np.zeros((152, 17), dtype=np.float32)
    lonely[:150, :16] = X
    lonely[150, 16] = 1
    wide = ClassSemantics(SEMANTICS.names, vectors=np.hstack([S, np.zeros((6, 1))]))
    model = ZeroShotLabelPropagation().fit(lonely, semantics=wide)
    assert model.n_isolated_ == 2
    assert np.isfinite(model.class_scores(lonely)).all()


def test_scaled_similarities_reach_from_0_to_1():
    model = ZeroShotLabelPropagation(scale_similarity=True).fit(X, semantics=SEMANTICS)
    assert model.bounds_[0][0] < model.bounds_[0][1] <= 1.0001
    assert model.class_scores(X[:3]).shape == (3, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ZeroShotLabelPropagation().fit(X), "give class semantics, or labels"),
        (lambda: ZeroShotLabelPropagation().fit(X[:1], semantics=SEMANTICS), "minimum of 2"),
        (
            lambda: ZeroShotLabelPropagation().fit(X[:, :5], semantics=SEMANTICS),
            "class vectors have 16 columns and X has 5",
        ),
        (lambda: ZeroShotLabelPropagation().fit(np.where(X > 3, np.nan, X), semantics=SEMANTICS), "NaN"),
        (lambda: ZeroShotLabelPropagation().fit(X, ["zzz"] * 150, SEMANTICS), "'zzz', a class with no semantics"),
        (lambda: ZeroShotLabelPropagation().fit(X, ["a"], SEMANTICS), "1 labels for 150 rows"),
        (lambda: ZeroShotLabelPropagation(alpha=1.0).fit(X, semantics=SEMANTICS), "alpha must be"),
        (lambda: ZeroShotLabelPropagation(0).fit(X, semantics=SEMANTICS), "n_neighbors must be"),
        (lambda: ZeroShotLabelPropagation().fit(X, ["a"] * 150), "one class"),
        (lambda: ZeroShotLabelPropagation().fit(X[:2], ["a", 1]), "mixed types"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_save_and_open(tmp_path):
    model = ZeroShotLabelPropagation(scale_similarity=True).fit(X, semantics=SEMANTICS)
    theatrum.save(model, tmp_path / "m")
    opened = theatrum.open(tmp_path / "m")
    assert opened.class_scores(X).tobytes() == model.class_scores(X).tobytes()
    assert (opened.transduction_ == model.transduction_).all()


def test_classes_cannot_come_later():
    with pytest.raises(NotImplementedError, match="fit again"):
        ZeroShotLabelPropagation().fit(X, semantics=SEMANTICS).add_classes(SEMANTICS)


def test_the_plot_is_a_figure():
    figure = ZeroShotLabelPropagation().fit(X, semantics=SEMANTICS).plot()
    assert len(figure.axes[0].texts) == 6
