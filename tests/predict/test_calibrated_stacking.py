"""CalibratedStacking: scikit-learn's checks, what gamma does, how it is found, reports, folders, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.contracts import ClassSemantics
from theatrum.evaluate.generalized_zero_shot import generalized_accuracy, seen_unseen_curve
from theatrum.predict.calibrated_stacking import CalibratedStacking, generalized_report, ideal_semantics, pooled_curve
from theatrum.predict.semantic_ridge import SemanticRidge

rng = np.random.default_rng(0)
S = rng.normal(size=(40, 6))
SEEN = np.arange(40) < 28
MAP = rng.normal(size=(6, 12))
NAMES = tuple(f"c{i}" for i in range(40))
SEMANTICS = ClassSemantics(NAMES, vectors=S, seen=SEEN)


def draw(codes, seed):
    noise = np.random.default_rng(seed)
    own = np.random.default_rng(7).normal(size=(40, 12))  # what the description does not tell of a class
    return (S @ MAP)[codes] + own[codes] + 1.5 * noise.normal(size=(len(codes), 12))


CODES = np.repeat(np.arange(28), 15)
X = draw(CODES, 1)
TEST_CODES = np.repeat(np.arange(40), 8)
X_TEST = draw(TEST_CODES, 2)

# Descriptions with many numbers that tell nothing: a map to them memorises the seen ones.
VAGUE = ClassSemantics(NAMES, vectors=np.hstack([S, 0.7 * rng.normal(size=(40, 20))]), seen=SEEN)


@parametrize_with_checks([CalibratedStacking()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_gamma_comes_off_seen_scores_only():
    plain = SemanticRidge(alpha=1.0).fit(X, CODES, SEMANTICS).class_scores(X_TEST)
    shifted = CalibratedStacking(SemanticRidge(alpha=1.0), gamma=0.25).fit(X, CODES, SEMANTICS).class_scores(X_TEST)
    assert np.allclose(plain - shifted, 0.25 * SEEN)
    everywhere = CalibratedStacking(SemanticRidge(alpha=1.0), gamma=99.0).fit(X, CODES, SEMANTICS)
    assert set(everywhere.predict(X_TEST)) <= set(np.array(NAMES)[~SEEN])


@pytest.mark.parametrize("transfer", ["absolute", "quantile"])
def test_automatic_gamma_helps_and_is_near_the_best(transfer):
    # Mapped rows lie between the signatures of seen classes, so that unseen ones hardly ever win.
    biased = SemanticRidge("to_semantics", alpha=1e-3)
    model = CalibratedStacking(biased, gamma_transfer=transfer).fit(X, CODES, VAGUE)
    plain = biased.fit(X, CODES, VAGUE).class_scores(X_TEST)
    best = seen_unseen_curve(plain, TEST_CODES, SEEN).best_h
    found = generalized_accuracy(model.class_scores(X_TEST), TEST_CODES, SEEN).harmonic
    assert found > generalized_accuracy(plain, TEST_CODES, SEEN).harmonic + 0.05
    assert found > 0.8 * best
    assert model.gamma_ > 0


def test_gamma_cannot_depend_on_unseen_descriptions():
    other = ClassSemantics(NAMES, vectors=np.where(SEEN[:, None], S, rng.normal(size=S.shape)), seen=SEEN)
    one, two = (CalibratedStacking().fit(X, CODES, semantics).gamma_ for semantics in (SEMANTICS, other))
    assert one == two


def test_the_pooled_curve_is_read_off_all_folds():
    scores, y = rng.normal(size=(30, 4)), np.arange(30) % 4
    seen = np.array([True, True, False, False])
    curves = [seen_unseen_curve(scores[i::2], y[i::2], seen, missing="ignore") for i in range(2)]
    gammas, harmonic = pooled_curve(curves)
    at = gammas[5]
    u, s = np.mean([curve.at(at) for curve in curves], axis=0)
    assert harmonic[5] == pytest.approx(2 * u * s / (u + s))
    assert (np.diff(gammas) > 0).all()


def test_parameters_of_the_base_are_chosen_by_the_area():
    model = CalibratedStacking(SemanticRidge(alpha=1.0), grid={"alpha": [1e6, 1.0]}).fit(X, CODES, SEMANTICS)
    assert model.best_parameters_ == {"alpha": 1.0}
    assert model.base_.alpha == 1.0


def test_the_report_compares_with_gates():
    model = SemanticRidge().fit(X, CODES, SEMANTICS)
    names = np.array(NAMES)[TEST_CODES]
    report = generalized_report(
        model, X_TEST, names, X_train=X, y_train=CODES, gates=("gaussian", "loop", lambda rows: rows[:, 0])
    )
    assert set(report.gates) == {"gaussian", "loop", "<lambda>"}
    ends = (report.stacking.unseen_accuracy[-1], report.stacking.seen_accuracy[0])
    for curve in report.gates.values():
        assert (curve.unseen_accuracy[-1], curve.seen_accuracy[0]) == pytest.approx(ends)
    assert len(report.plot().axes[0].lines) == 6
    with pytest.raises(ValueError, match="learns from training rows"):
        generalized_report(model, X_TEST, names, gates=("loop",))
    with pytest.raises(ValueError, match="class 'c39' has no test row"):
        generalized_report(model, X_TEST[:-8], names[:-8])


def test_ideal_semantics_are_class_means_and_help():
    names = np.array(NAMES)[TEST_CODES]
    ideal = ideal_semantics(SEMANTICS, X_TEST[::2], names[::2])
    assert np.allclose(ideal.vectors[3], X_TEST[::2][TEST_CODES[::2] == 3].mean(axis=0), atol=1e-6)
    area = [
        generalized_report(SemanticRidge().fit(X, CODES, s), X_TEST[1::2], names[1::2]).stacking.ausuc
        for s in (SEMANTICS, ideal)
    ]
    assert area[1] > area[0]
    with pytest.raises(ValueError, match="class 'c39' has no row"):
        ideal_semantics(SEMANTICS, X_TEST[:-8], names[:-8])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CalibratedStacking(class_folds=1).fit(X, CODES, SEMANTICS), "class_folds must be"),
        (lambda: CalibratedStacking(gamma="best").fit(X, CODES, SEMANTICS), "gamma must be"),
        (
            lambda: CalibratedStacking().fit(X[:45], CODES[:45], ClassSemantics(NAMES, vectors=S)),
            "needs at least 4 of them, got 3",
        ),
        (lambda: CalibratedStacking().fit(X, CODES, SEMANTICS).predict(X[:, :3]), "features"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_scores_on_two_scales_are_told():
    class Split(SemanticRidge):
        def class_scores(self, X):
            return super().class_scores(X) + 10 * self.semantics_.seen

    with pytest.warns(UserWarning, match="different scales"):
        CalibratedStacking(Split()).fit(X, CODES, SEMANTICS)


def test_save_and_open_with_its_base(tmp_path):
    model = CalibratedStacking(SemanticRidge("to_semantics", alpha=0.5)).fit(X, CODES, SEMANTICS)
    theatrum.save(model, tmp_path / "m")
    opened = theatrum.open(tmp_path / "m")
    assert opened.class_scores(X_TEST).tobytes() == model.class_scores(X_TEST).tobytes()
    assert opened.base.direction == "to_semantics"
    assert opened.gamma_ == model.gamma_
