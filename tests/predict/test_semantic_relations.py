"""Relations between classes: masks by hand, losses against loops, row 007 with weights 0, describing rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.contracts import ClassSemantics, ZeroShotPredictor
from theatrum.nn.mlp import seeded
from theatrum.predict.class_relations import (
    RelationSettings,
    class_relations,
    class_similarities,
    hinges,
    pair_weights,
    relation_agreement,
    threshold,
)
from theatrum.predict.semantic_map import MapProblem, mapped
from theatrum.predict.semantic_relations import RelationPreservingClassifier
from theatrum.predict.semantic_to_feature import SemanticToFeatureClassifier

rng = np.random.default_rng(0)
S = rng.random(size=(20, 5)).astype(np.float32)  # 15 seen classes, 5 unseen
CENTRES = np.tanh((S - 0.5) @ rng.normal(size=(5, 12)) * 2).astype(np.float32)
CODES = np.repeat(np.arange(15), 12)
X = (CENTRES[CODES] + 0.1 * rng.normal(size=(180, 12))).astype(np.float32)
X_UNSEEN = (CENTRES[15:] + 0.05 * rng.normal(size=(5, 12))).astype(np.float32)
NAMES = tuple(f"c{i}" for i in range(20))
ATTRIBUTES = ("big", "red", "old", "wet", "far")
SEMANTICS = ClassSemantics(NAMES, attributes=S, attribute_names=ATTRIBUTES)
FIXED = {"tau": ("quantile", 0.7), "similar_weight": 0.5, "dissimilar_weight": 0.5}


def small(**parameters):
    return RelationPreservingClassifier(**{"hidden_dim": 64, "random_state": 0, **parameters})


@pytest.mark.filterwarnings("ignore:.*mapped to 0")
@parametrize_with_checks([RelationPreservingClassifier(32, max_epochs=150, feature_scaling="none", random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_four_classes_by_hand():
    delta = np.array([[1, 0.8, 0.1, -0.5], [0.8, 1, 0.3, -0.2], [0.1, 0.3, 1, -0.1], [-0.5, -0.2, -0.1, 1]], np.float32)
    relations = class_relations(delta, 0.3)
    assert relations.tolist() == [[0, 1, 2, 2], [1, 0, 1, 2], [2, 1, 0, 2], [2, 2, 2, 0]]
    weights = pair_weights(relations, 2.0, 3.0)
    assert np.allclose(weights, [[0, 2, 1.5, 1.5], [1, 0, 1, 3], [1.5, 2, 0, 1.5], [1, 1, 1, 0]])
    assert threshold(delta, ("quantile", 0.5)) == pytest.approx(0.0) and threshold(delta, 0.3) == 0.3
    cosine = torch.tensor(delta) - 0.1  # similar pairs are too far by 0.1, dissimilar ones are far enough
    wrong = hinges(cosine, torch.from_numpy(delta), torch.from_numpy(relations)).numpy()
    assert np.allclose(wrong, 0.1 * (relations == 1), atol=1e-6)


def test_similarities_have_the_mean_taken_out():
    delta = class_similarities(S)
    centred = S - S.mean(axis=0)
    slow = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in centred] for a in centred])
    assert np.allclose(delta, slow, atol=1e-5)


@pytest.mark.parametrize("identity_loss", ["l2", "cosine"])
@pytest.mark.parametrize("relation_on", ["samples", "prototypes"])
def test_the_loss_is_that_of_the_loops(relation_on, identity_loss):
    # Every row is drawn about equally often in a large batch, so the loss of the loops over all rows is its mean.
    model = small(relation_on=relation_on, identity_loss=identity_loss, batch_size=200_000, hidden_dim=8)
    model.activation_, model._seed = "linear", 0
    codes = np.repeat(np.arange(6), [5, 9, 2, 4, 7, 3])
    features = model._learn_scaling(X[: len(codes)])
    signatures = SEMANTICS.signature()[:6]
    problem = MapProblem.of([signatures], features, codes)
    settings = RelationSettings((0.0,), (1.0,), 0.1, 0.7, 1.3, 0.4)
    with seeded(0):
        network = model._network(problem, settings)
    P = mapped(network, problem.signatures, (1.0,), "linear")
    found = model._loss(network, problem, settings)(P).item()

    def cos(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    p = P.detach().numpy()
    delta = class_similarities(signatures)
    total = 0.0
    for x, c in zip(features, codes, strict=True):
        total += ((x - p[c]) ** 2).mean() if identity_loss == "l2" else 1 - cos(x, p[c])
        if identity_loss == "l2":  # the constant by which the loss over class means differs
            total -= ((x - features[codes == c].mean(axis=0)) ** 2).mean()
        query = x if relation_on == "samples" else p[c]
        similar = [j for j in range(6) if j != c and delta[c, j] >= 0.1]
        others = [j for j in range(6) if j != c and delta[c, j] < 0.1]
        if similar:
            total += 0.7 * np.mean([max(0, delta[c, j] - cos(query, p[j])) for j in similar])
        if others:
            total += 1.3 * np.mean([max(0, cos(query, p[j]) - delta[c, j]) for j in others])
    total /= len(codes)
    w = {name: value.detach().numpy() for name, value in network.items()}
    back = np.maximum(p @ w["w_0_decoder"] + w["b_0_decoder"], 0) @ w["w_out_decoder"] + w["b_out_decoder"]
    total += 0.4 * np.mean(((back / np.sqrt(5) - signatures) ** 2).sum(axis=1))
    assert found == pytest.approx(total, rel=5e-3 if relation_on == "samples" else 1e-4)


def test_without_weights_it_is_row_007_bit_for_bit():
    off = {"similar_weight": 0, "dissimilar_weight": 0, "reconstruction_weight": 0, "tau": 0.1}
    related = small(**off).fit(X, CODES, SEMANTICS)
    plain = SemanticToFeatureClassifier(64, feature_scaling="centered", random_state=0).fit(X, CODES, SEMANTICS)
    assert related.class_scores(X).tobytes() == plain.class_scores(X).tobytes()
    assert related.n_epochs_ == plain.n_epochs_ and related.alpha_ == plain.alpha_


def test_keeps_the_contract_and_tunes():
    model = small().fit(X, np.array(NAMES)[CODES], SEMANTICS)
    assert isinstance(model, ZeroShotPredictor)
    assert model.class_scores(X).shape == (180, 20)
    assert model.similar_weight_ == model.dissimilar_weight_ and model.similar_weight_ in (0, 0.1, 0.5, 1, 3)
    plain = SemanticToFeatureClassifier(64, feature_scaling="centered", random_state=0).fit(X, CODES, SEMANTICS)
    assert model.validation_score_ >= plain.validation_score_
    assert (model.predict(X_UNSEEN, candidates="unseen") == np.array(NAMES[15:])).mean() >= 0.6
    assert model.reconstruction_weight_ in (0, 0.1)
    one = small(similar_weight=2.0, tau=0.2, max_epochs=20).fit(X, CODES, SEMANTICS)
    assert one.similar_weight_ == 2 and one.dissimilar_weight_ in (0.1, 0.5, 1, 3) and one.tau_ == 0.2


@pytest.mark.parametrize("relation_on", ["samples", "prototypes"])
def test_relations_are_kept_better_with_the_losses(relation_on):
    scores = {}
    for weight in (0.0, 3.0):
        model = small(
            tau=0.0, similar_weight=weight, dissimilar_weight=weight, relation_on=relation_on, alpha=1e-4,
            validation_classes=0,
        )  # fmt: skip
        model.fit(X, CODES, SEMANTICS)
        scores[weight] = relation_agreement(model.class_prototypes_, model.semantics_, 0.0, among=np.arange(15))
    assert scores[3.0]["spearman"] > scores[0.0]["spearman"] + 0.02


def test_agreement_against_loops():
    from scipy.stats import spearmanr

    P = rng.normal(size=(20, 7))
    semantics = SEMANTICS.with_seen(NAMES[:15])
    unseen = ~semantics.seen
    found = relation_agreement(P, semantics, 0.1, among=unseen)
    unit = SEMANTICS.signature()
    centred = unit - unit[:15].mean(axis=0)
    pairs = [(i, j) for i in range(15, 20) for j in range(i + 1, 20)]

    def cos(rows, i, j):
        return rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])

    told, learnt = (np.array([cos(rows, i, j) for i, j in pairs]) for rows in (centred, P))
    assert found["spearman"] == pytest.approx(spearmanr(told, learnt).statistic)
    assert found["similar"] == pytest.approx(np.mean((learnt >= told)[told >= 0.1]))
    assert found["dissimilar"] == pytest.approx(np.mean((learnt <= told)[told < 0.1]))
    assert np.isnan(relation_agreement(P, semantics, 0.999, among=unseen)["similar"])


def test_rows_are_described_by_classes_and_attributes():
    model = small(**FIXED, reconstruction_weight=3.0, max_epochs=400, patience=400).fit(X, CODES, SEMANTICS)
    told = model.describe(CENTRES[:15], k=3)
    assert np.mean([one.classes[0][0] == NAMES[row] for row, one in enumerate(told)]) > 0.8
    scores = model.class_scores(CENTRES[:15])
    assert told[4].classes[0][1] == pytest.approx(scores[4].max(), abs=1e-6)
    assert all(len(one.classes) == len(one.attributes) == 3 for one in told)
    strongest = [ATTRIBUTES[i] for i in S[:15].argmax(axis=1)]
    values = np.array([[dict(one.attributes).get(name, np.nan) for name in ATTRIBUTES] for one in told])
    assert np.nanmean(np.abs(values - SEMANTICS.signature()[:15])) < 0.1
    assert np.mean([name in dict(one.attributes) for name, one in zip(strongest, told, strict=True)]) > 0.8
    assert len(model.describe(X[:1], k=99)[0].classes) == 20
    vectors = small(**FIXED, max_epochs=5).fit(X, CODES, ClassSemantics(NAMES, vectors=S))
    assert vectors.describe(X[:1])[0].attributes == ()


def test_added_and_several_semantics():
    both = [SEMANTICS, ClassSemantics(NAMES, vectors=S[:, :3])]
    model = small(**FIXED, branch_weights=(1, 1), max_epochs=10).fit(X, CODES, both)
    new = [ClassSemantics(("new",), attributes=S[:1], attribute_names=ATTRIBUTES),
           ClassSemantics(("new",), vectors=S[:1, :3])]  # fmt: skip
    assert np.allclose(model.add_classes(new).class_prototypes_[-1], model.class_prototypes_[0], atol=1e-5)


def test_the_same_seed_gives_the_same_map():
    one, two = (small(**FIXED, random_state=1).fit(X, CODES, SEMANTICS) for _ in range(2))
    assert (one.class_prototypes_ == two.class_prototypes_).all()
    other = small(**FIXED, random_state=2).fit(X, CODES, SEMANTICS)
    assert (one.class_prototypes_ != other.class_prototypes_).any()


@pytest.mark.parametrize(("tau", "kind"), [(0.9999, "similar"), (-0.9999, "dissimilar")])
def test_a_relation_without_pairs_is_dropped_with_a_warning(tau, kind):
    with pytest.warns(UserWarning, match=f"leaves no {kind} classes, so their loss is dropped"):
        model = small(tau=tau, similar_weight=1, dissimilar_weight=1, max_epochs=5).fit(X, CODES, SEMANTICS)
    assert np.isfinite(model.class_prototypes_).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small(tau=1.0).fit(X, CODES, SEMANTICS), "tau must be between -1 and 1 .neither itself., got 1.0"),
        (lambda: small(tau=-1.0).fit(X, CODES, SEMANTICS), "tau must be a number between -1 .not itself. and 1"),
        (lambda: small(tau=("quantile", 2.0)).fit(X, CODES, SEMANTICS), "q between 0 and 1, got .'quantile', 2.0"),
        (lambda: small(tau="high").fit(X, CODES, SEMANTICS), "tau must be"),
        (lambda: small(similar_weight=-1.0).fit(X, CODES, SEMANTICS), "similar_weight must be a number of at least 0"),
        (lambda: small(relation_on="rows").fit(X, CODES, SEMANTICS), "relation_on must be one of"),
        (lambda: small().fit(X[:36], CODES[:36], SEMANTICS), "needs at least 4 seen classes, got 3"),
        (lambda: FITTED.describe(X, k=0), "k must be a whole number of at least 1, got 0"),
        (lambda: FITTED.describe(X[:, :3]), "12 features"),
        (lambda: relation_agreement(CENTRES[:3], SEMANTICS, 0.1), "one row for each of the 20 classes is needed"),
        (lambda: relation_agreement(CENTRES, SEMANTICS, 0.1, among=[1, 2]), "at least 3 classes, got 2"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


FITTED = small(**FIXED, max_epochs=5).fit(X, CODES, SEMANTICS)


def test_save_and_open(tmp_path):
    theatrum.save(FITTED, tmp_path / "model")
    opened = theatrum.open(tmp_path / "model")
    assert opened.class_scores(X).tobytes() == FITTED.class_scores(X).tobytes()
    assert opened.describe(X[:3]) == FITTED.describe(X[:3])
    assert (opened.relations_ == FITTED.relations_).all() and opened.tau_ == FITTED.tau_
