"""The map from semantics to features: scikit-learn's checks, the loss against loops, unseen classes, folders."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.contracts import ClassSemantics, ZeroShotPredictor
from theatrum.nn.mlp import seeded
from theatrum.predict.semantic_map import MapProblem, MapSettings, mapped, nearest_hits, new_network, penalised
from theatrum.predict.semantic_to_feature import SemanticToFeatureClassifier

rng = np.random.default_rng(0)
S = rng.normal(size=(20, 5)).astype(np.float32)  # 15 seen classes, 5 unseen
CENTRES = np.tanh(S @ rng.normal(size=(5, 12))).astype(np.float32)
CODES = np.repeat(np.arange(15), 12)
X = (CENTRES[CODES] + 0.1 * rng.normal(size=(180, 12))).astype(np.float32)
X_UNSEEN = (CENTRES[15:] + 0.05 * rng.normal(size=(5, 12))).astype(np.float32)
NAMES = tuple(f"c{i}" for i in range(20))
SEMANTICS = ClassSemantics(NAMES, vectors=S)
UNSEEN = np.array(NAMES[15:])


def small(**parameters):
    return SemanticToFeatureClassifier(**{"hidden_dim": 64, "random_state": 0, **parameters})


@pytest.mark.filterwarnings("ignore:.*mapped to 0")
@parametrize_with_checks([SemanticToFeatureClassifier(32, max_epochs=150, feature_scaling="none", random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_keeps_the_contract():
    model = small()
    assert isinstance(model, ZeroShotPredictor)
    model.fit(X, np.array(NAMES)[CODES], SEMANTICS)
    assert model.class_scores(X).shape == (180, 20)
    assert model.semantics_.seen.tolist() == [True] * 15 + [False] * 5
    assert (model.predict(X, candidates="seen") == np.array(NAMES)[CODES]).mean() > 0.9
    assert (model.predict(X_UNSEEN, candidates="unseen") == UNSEEN).mean() >= 0.8
    assert 0.5 < model.validation_score_ <= 1 and 1 <= model.n_epochs_ <= 200 and model.alpha_[0] in (1e-5, 1e-4, 1e-3)


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("n_branches", [1, 2])
def test_the_map_is_that_of_the_loops(activation, n_branches):
    told = [rng.normal(size=(4, width)).astype(np.float32) for width in (3, 5)[:n_branches]]
    with seeded(3):
        network = new_network([3, 5][:n_branches], 7, 6)
    weights = {name: value.detach().numpy() for name, value in network.items()}
    slow = np.zeros((4, 6))
    for row in range(4):
        hidden = np.zeros(7)
        for branch, loud in zip(range(n_branches), (3.0, 0.5), strict=False):
            before = weights[f"w_{branch}"].T @ told[branch][row] + weights[f"b_{branch}"]
            hidden = np.maximum(before, 0) if n_branches == 1 else hidden + loud * np.tanh(before)
        slow[row] = weights["w_out"].T @ hidden + weights["b_out"]
    slow = np.maximum(slow, 0) if activation == "relu" else slow
    found = mapped(network, [torch.from_numpy(matrix) for matrix in told], (3.0, 0.5), activation)
    assert np.allclose(found.detach().numpy(), slow, atol=1e-5)
    assert all(np.abs(weights[name]).max() <= 0.2 for name in weights if name.startswith("w"))
    assert all((weights[name] == np.float32(0.1)).all() for name in weights if name.startswith("b"))


def test_the_loss_over_classes_has_the_gradient_of_the_loss_over_rows():
    model = small()
    model.activation_ = "linear"
    codes = np.r_[CODES[:100], 14 - CODES[100:]]  # classes of different sizes
    codes = np.unique(codes, return_inverse=True)[1]
    problem = MapProblem.of([S[: codes.max() + 1]], X, codes)
    with seeded(0):
        network = new_network([5], 64, 12)
    settings = MapSettings((0.0,), (1.0,))
    prototypes = mapped(network, problem.signatures, (1.0,), "linear")
    by_class = model._loss(network, problem, settings)(prototypes)
    predicted = mapped(network, problem.signatures, (1.0,), "linear")[torch.from_numpy(codes)]
    by_row = ((predicted - torch.from_numpy(X)) ** 2).mean()
    weights = list(network.values())
    for one, other in zip(torch.autograd.grad(by_class, weights), torch.autograd.grad(by_row, weights), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    within = ((X - problem.means.numpy()[codes]) ** 2).mean()
    assert by_row.item() == pytest.approx(by_class.item() + within, rel=1e-5)


def test_the_penalty_is_the_gradient_of_half_the_squared_weights():
    with seeded(0):
        network = new_network([3, 4], 5, 2)
    groups = penalised(network, (0.1, 0.01))
    by_name = {name: group["weight_decay"] for name, group in zip(network, groups, strict=True)}
    assert by_name == {"w_0": 0.1, "b_0": 0.1, "w_1": 0.01, "b_1": 0.01, "w_out": 0.1, "b_out": 0.1}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_scores_and_hits_against_loops(metric):
    model = small(metric=metric, feature_scaling="none", alpha=1e-4, validation_classes=0, max_epochs=20)
    model.fit(X, CODES, SEMANTICS)
    P, scores = model.class_prototypes_, model.class_scores(X)
    for row in (0, 77):
        for c in (0, 19):
            slow = -((X[row] - P[c]) ** 2).sum()
            if metric == "cosine":
                slow = X[row] @ P[c] / np.linalg.norm(X[row]) / np.linalg.norm(P[c])
            assert scores[row, c] == pytest.approx(slow, rel=1e-4)
    found = scores[:, :4].argmax(axis=1)
    codes = np.where(np.arange(180) % 2, 3, found)  # class 3 has the wrong answers
    codes[:4] = np.arange(4)
    slow = np.mean([(found[codes == c] == c).mean() for c in range(4)])
    assert abs(slow - (found == codes).mean()) > 0.02
    assert nearest_hits(*(torch.from_numpy(a) for a in (X, codes, P[:4])), metric) == pytest.approx(slow)


def test_scaling_and_the_last_activation_follow_the_features():
    settings = {"alpha": 1e-4, "validation_classes": 0, "max_epochs": 5}
    positive = small(**settings).fit(np.abs(X), CODES, SEMANTICS)
    assert positive.activation_ == "relu" and positive.class_prototypes_.min() >= 0
    assert small(**settings).fit(X, CODES, SEMANTICS).activation_ == "linear"
    centred = small(feature_scaling="centered", **settings).fit(np.abs(X), CODES, SEMANTICS)
    assert centred.activation_ == "linear"
    scaled = centred._scaled(np.abs(X))
    assert np.allclose((scaled**2).mean(axis=1), 1, atol=1e-5)
    assert np.abs(scaled.mean(axis=0)).max() < 0.2
    assert small()._metric == "cosine" and small(feature_scaling="none")._metric == "euclidean"


def test_true_unseen_classes_are_never_looked_at():
    other = S.copy()
    other[15:] = rng.normal(size=(5, 5))
    one = small().fit(X, CODES, SEMANTICS)
    two = small().fit(X, CODES, ClassSemantics(NAMES, vectors=other))
    assert all((one.network_[name] == two.network_[name]).all() for name in one.network_)
    assert one.alpha_ == two.alpha_ and one.n_epochs_ == two.n_epochs_


def test_several_semantics_are_fused():
    noise = ClassSemantics(NAMES, vectors=rng.normal(size=(20, 9)))
    halves = [ClassSemantics(NAMES, vectors=S[:, :3]), ClassSemantics(NAMES, vectors=S[:, 3:])]
    fused = small(max_epochs=300).fit(X, CODES, halves)
    assert fused.alpha_.shape == fused.branch_weights_.shape == (2,)
    assert (fused.predict(X_UNSEEN, candidates="unseen") == UNSEEN).mean() >= 0.6
    given = small(branch_weights=(3, 1), alpha=(1e-2, 1e-3), validation_classes=0).fit(X, CODES, [SEMANTICS, noise])
    assert given.branch_weights_.tolist() == [3, 1] and given.alpha_.tolist() == [1e-2, 1e-3]
    more = [ClassSemantics(("new",), vectors=S[:1]), ClassSemantics(("new",), vectors=noise.vectors[:1])]
    assert np.allclose(given.add_classes(more).class_prototypes_[-1], given.class_prototypes_[0], atol=1e-5)


def test_added_classes_are_as_if_they_had_been_there():
    early = small().fit(X, CODES, SEMANTICS)
    late = small().fit(X, CODES, SEMANTICS.subset(np.arange(17)))
    late.add_classes(SEMANTICS.subset(np.arange(17, 20)))
    assert np.allclose(early.class_prototypes_, late.class_prototypes_, atol=1e-5)
    assert late.classes_.tolist() == list(NAMES)
    assert (late.predict(X_UNSEEN, candidates="unseen") == early.predict(X_UNSEEN, candidates="unseen")).all()


def test_the_same_seed_gives_the_same_map_and_disturbs_nobody():
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    one = small(random_state=1).fit(X, CODES, SEMANTICS)
    assert torch.rand(1) == before
    two, other = (small(random_state=seed).fit(X, CODES, SEMANTICS) for seed in (1, 2))
    assert (one.class_prototypes_ == two.class_prototypes_).all()
    assert (one.class_prototypes_ != other.class_prototypes_).any()


def test_published_settings():
    model = SemanticToFeatureClassifier.paper("AwA", max_epochs=3, random_state=0)
    assert (model.hidden_dim, model.alpha, model.learning_rate, model._metric) == (300, 1e-2, 1e-4, "euclidean")
    assert model.fit(np.abs(X), CODES, SEMANTICS).activation_ == "relu"
    with pytest.raises(ValueError, match="dataset must be one of AwA, CUB"):
        SemanticToFeatureClassifier.paper("SUN")


def test_warns_where_plain_cosine_is_better():
    # Class vectors among the features themselves, and far too strong a penalty for the network.
    with pytest.warns(UserWarning, match="plain cosine to the class vectors was better"):
        small(alpha=10.0, max_epochs=5).fit(X, CODES, ClassSemantics(NAMES, vectors=CENTRES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(max_epochs=5).fit(X, CODES, SEMANTICS)  # of another width: there is no plain cosine


def test_warns_of_classes_mapped_to_zero():
    with pytest.warns(UserWarning, match="20 class.es. were mapped to 0, the first is 'c0'"):
        model = small(output_activation="relu", alpha=1e-4, validation_classes=0).fit(-np.abs(X), CODES, SEMANTICS)
    assert (model.class_scores(X) == 0).all()


def test_constant_columns_and_zero_rows_are_no_trouble():
    wide = np.hstack([X, np.ones((180, 1), np.float32)])
    assert np.isfinite(small(max_epochs=5).fit(wide, CODES, SEMANTICS).class_scores(wide)).all()
    empty = X.copy()
    empty[0] = 0
    assert np.isfinite(small(max_epochs=5).fit(empty, CODES, SEMANTICS).class_scores(empty)).all()


MIXED = ["c0" if row % 2 else 1 for row in range(180)]
FEW = ClassSemantics(NAMES[:5], vectors=S[:5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: small().fit(X[:36], CODES[:36], FEW),
            "needs at least 4 seen classes, got 3; set validation_classes=0",
        ),
        (lambda: small().fit(X, CODES, FEW), "row 60 is 5; class codes are 0 to 4"),
        (lambda: small().fit(X, [f"d{c}" for c in CODES], SEMANTICS), "row 0 is 'd0', a class with no semantics"),
        (lambda: small().fit(X, CODES, SEMANTICS.with_seen(NAMES)), "call 'c15' seen, but y has no row of it"),
        (lambda: small().fit(X, CODES, SEMANTICS.with_seen(NAMES[1:15])), "row 0 is 'c0', which the semantics call un"),
        (lambda: small().fit(X, np.zeros(180, int), SEMANTICS), "one class only, 'c0'"),
        (lambda: small().fit(X, MIXED, SEMANTICS), "labels of mixed types"),
        (lambda: small().fit(np.where(X > 1, np.nan, X), CODES, SEMANTICS), "NaN"),
        (lambda: small().fit(X, CODES, ClassSemantics(NAMES)), "neither vectors nor attributes"),
        (lambda: small().fit(X, CODES, [SEMANTICS, FEW]), "branch 1 names other classes than branch 0"),
        (lambda: small().fit(X, CODES, [SEMANTICS.with_seen(NAMES[:15]), SEMANTICS.with_seen(NAMES[:9])]), "not agree"),
        (lambda: small().fit(X, CODES, [S]), "ClassSemantics .or a list of them. are needed, got ndarray"),
        (lambda: small(alpha=(1.0, 2.0)).fit(X, CODES, SEMANTICS), "alpha: 1 number.s. of at least 0"),
        (lambda: small(branch_weights=(0,)).fit(X, CODES, SEMANTICS), "branch_weights: 1 number"),
        (lambda: small(hidden_dim=0).fit(X, CODES, SEMANTICS), "hidden_dim must be a whole number of at least 1"),
        (lambda: small(metric="dot").fit(X, CODES, SEMANTICS), "metric must be one of"),
        (lambda: FITTED.add_classes(SEMANTICS.subset([19])), "class 'c19' is known already"),
        (lambda: FITTED.add_classes(ClassSemantics(("n",), vectors=[[1.0]])), "on signatures 5 wide, .* classes are 1"),
        (lambda: FITTED.add_classes([]), "new classes are missing"),
        (lambda: FITTED.predict(X, candidates=["c99"]), "'c99' is no class"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


FITTED = small(max_epochs=5).fit(X, CODES, SEMANTICS)


def test_save_and_open(tmp_path):
    model = small(alpha=(1e-4, 1e-3), branch_weights=(1.0, 2.0), max_epochs=10, feature_scaling="centered")
    model.fit(X, np.array(NAMES)[CODES], [SEMANTICS, SEMANTICS])
    theatrum.save(model, tmp_path / "model")
    opened = theatrum.open(tmp_path / "model")
    assert opened.class_scores(X).tobytes() == model.class_scores(X).tobytes()
    assert opened.network_.keys() == model.network_.keys()
    new = [ClassSemantics(("new",), vectors=S[:1])] * 2
    assert (opened.add_classes(new).class_prototypes_ == model.add_classes(new).class_prototypes_).all()
