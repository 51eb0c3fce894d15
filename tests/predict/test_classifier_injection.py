"""ClassifierInjector: scikit-learn's checks, old answers bit for bit, closed forms, networks, folders, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.contracts import ClassSemantics
from theatrum.predict.classifier_injection import ClassifierInjector, convex_fit, costa, left_out_rows, weighted_average
from theatrum.predict.semantic_ridge import cosines
from theatrum.predict.weight_autoencoder import has_settled

rng = np.random.default_rng(0)
S = rng.normal(size=(50, 6))
KNOWN = np.arange(50) < 42
W = S @ rng.normal(size=(6, 9)) + 0.1 * rng.normal(size=(50, 9))
B = rng.normal(size=50)
SEMANTICS = ClassSemantics(tuple(f"c{i}" for i in range(50)), vectors=S, seen=KNOWN)
X = rng.normal(size=(30, 9))
DECODERS = ["ridge", "mlp", "costa", "weighted_average", "convex_fit"]


def injector(decoder="ridge", **settings):
    return ClassifierInjector(decoder, **{"latent_dim": 32, "learning_rate": 3e-3, "max_epochs": 60} | settings)


@parametrize_with_checks([ClassifierInjector()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("decoder", DECODERS)
def test_old_answers_stay_bit_for_bit(decoder):
    model = injector(decoder).fit_weights(W[KNOWN], B[KNOWN], SEMANTICS)
    assert (model.class_scores(X)[:, KNOWN] == X @ W[KNOWN].T + B[KNOWN]).all()
    assert (model.predict(X, "seen") == np.array(SEMANTICS.names)[(X @ W[KNOWN].T + B[KNOWN]).argmax(axis=1)]).all()


@pytest.mark.parametrize("decoder", DECODERS)
def test_new_rows_point_where_they_should(decoder):
    made, _ = injector(decoder).fit_weights(W[KNOWN], None, SEMANTICS).predict_weights(SEMANTICS.subset(~KNOWN))
    centre = W[KNOWN].mean(axis=0)
    found = np.diag(cosines(made - centre, W[~KNOWN] - centre)).mean()
    shuffled = np.diag(cosines(made - centre, np.roll(W[~KNOWN], 1, axis=0) - centre)).mean()
    assert found > shuffled + 0.3
    if decoder == "ridge":
        assert found > 0.95


def test_the_left_out_class_is_really_left_out():
    A, rows = S[KNOWN] - S[KNOWN].mean(axis=0), W[KNOWN]
    alpha = 0.7
    U, s, _ = np.linalg.svd(A, full_matrices=False)
    quick = left_out_rows(U, s**2 / (s**2 + alpha), rows)
    for i in range(5):
        rest = np.arange(42) != i
        coef = np.linalg.solve(A[rest].T @ A[rest] + alpha * np.eye(6), A[rest].T @ rows[rest])
        assert np.allclose(A[i] @ coef, quick[i])


def test_mixtures_by_hand():
    A, rows, new = np.eye(2), np.array([[1.0, 0], [0, 2.0]]), np.array([[0.6, 0.8]])
    assert np.allclose(costa(new, A, rows), [[0.6 / 1.4, 2 * 0.8 / 1.4]])
    near = np.exp(-5 * np.linalg.norm(new - A, axis=1))
    assert np.allclose(weighted_average(new, A, rows), near / near.sum() @ rows)
    assert np.allclose(convex_fit(np.array([[0.3, 0.7]]), A, rows), [[0.3, 1.4]], atol=1e-3)


def test_norms():
    matched = injector("costa").fit_weights(W[KNOWN], B[KNOWN], SEMANTICS)
    rows = np.hstack([matched.coef_, matched.intercept_[:, None]]) - matched.mean_row_
    lengths = np.linalg.norm(rows, axis=1)
    assert np.allclose(lengths[~KNOWN], lengths[KNOWN].mean())
    raw = injector("costa", weight_norm="raw").fit_weights(W[KNOWN], B[KNOWN], SEMANTICS)
    assert not np.allclose(raw.coef_[~KNOWN], matched.coef_[~KNOWN])


def test_networks_repeat_and_stop():
    one, two = (injector("mlp", random_state=3).fit_weights(W[KNOWN], B[KNOWN], SEMANTICS) for _ in range(2))
    assert (one.coef_ == two.coef_).all()
    assert one.losses_[-1] < one.losses_[0]
    assert len(injector("mlp", stopping="class_cv").fit_weights(W[KNOWN], None, SEMANTICS).losses_) <= 60
    assert not has_settled([1.0] * 24)
    assert has_settled([1.0] * 25)
    assert not has_settled(list(np.linspace(3, 0, 100)))


def test_a_layer_of_a_network_is_widened():
    network = torch.nn.Sequential(torch.nn.Linear(4, 9), torch.nn.ReLU(), torch.nn.Linear(9, 42))
    wider = injector().inject(network, "2", SEMANTICS)
    inputs = torch.randn(5, 4)
    assert wider(inputs).shape == (5, 50)
    assert torch.allclose(wider(inputs)[:, :42], network(inputs), atol=1e-6)
    assert set(wider.state_dict()) == set(network.state_dict())
    assert network[2].out_features == 42
    for layer in ("1", "nothing"):
        with pytest.raises(ValueError, match="no Linear of this module; those there are: 0, 2"):
            injector().inject(network, layer, SEMANTICS)


@pytest.mark.parametrize("decoder", ["mlp", "convex_fit"])
def test_save_and_open(decoder, tmp_path):
    model = injector(decoder).fit_weights(W[KNOWN], B[KNOWN], SEMANTICS)
    theatrum.save(model, tmp_path / "m")
    opened = theatrum.open(tmp_path / "m")
    assert opened.class_scores(X).tobytes() == model.class_scores(X).tobytes()
    more = ClassSemantics(("late",), vectors=S[3:4] + 0.1)
    assert np.allclose(opened.add_classes(more).coef_, model.add_classes(more).coef_)


def test_data_are_only_needed_for_the_layer():
    codes = np.repeat(np.arange(42), 8)
    rows = W[codes] + 0.1 * rng.normal(size=(len(codes), 9))
    model = injector().fit(rows, codes, SEMANTICS)
    assert (model.predict(rows, "seen") == np.array(SEMANTICS.names)[codes]).mean() > 0.9


@pytest.mark.parametrize(
    ("W", "b", "message"),
    [
        (W, None, "42 rows are needed, one a seen class"),
        (W[KNOWN], B, "b: 42 numbers are needed"),
        (np.where(KNOWN[KNOWN][:, None] & (np.arange(42) == 3)[:, None], 0, W[KNOWN]), None, "class 'c3' is zero"),
        (np.where(np.arange(42)[:, None] == 1, np.nan, W[KNOWN]), None, "NaN or infinity"),
    ],
)
def test_bad_weights(W, b, message):
    with pytest.raises(ValueError, match=message):
        injector().fit_weights(W, b, SEMANTICS)


def test_bad_descriptions():
    model = injector().fit_weights(W[KNOWN], None, SEMANTICS)
    with pytest.raises(ValueError, match="descriptions have 2 columns, those of the known classes 6"):
        model.predict_weights(ClassSemantics(("x",), vectors=[[1.0, 2.0]]))
    with pytest.raises(ValueError, match="do not say which classes are seen"):
        injector().fit_weights(W[KNOWN], None, ClassSemantics(SEMANTICS.names, vectors=S))
