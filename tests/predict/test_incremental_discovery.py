"""Incremental class discovery: scikit-learn's checks, the loss, the assignment, stages, bad input, folders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.checks import unit_rows
from theatrum.predict.incremental_discovery import (
    IncrementalClassDiscovery,
    class_statistics,
    cross_entropy_slope,
    estimate_n_classes,
    learning_rate,
    swapped,
    train_head,
)

rng = np.random.default_rng(0)
CENTRES = rng.normal(size=(12, 64))
CODES = np.repeat(np.arange(12), 30)
X = (CENTRES[CODES] + 0.9 * rng.normal(size=(360, 64))).astype(np.float32)
STAGES = [X[CODES // 4 == stage] for stage in range(3)]


def found(**changed):
    model = IncrementalClassDiscovery(**{"n_classes": 4, "epochs": 60, "random_state": 0, **changed})
    for stage in STAGES:
        model.partial_fit(stage)
    return model


def expected_failures(_):
    return {"check_estimators_dtypes": "its data have a row of zeros, which has no direction and is refused"}


@parametrize_with_checks([IncrementalClassDiscovery(epochs=20)], expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_the_slope_is_that_of_the_loss():
    V = torch.nn.functional.normalize(torch.randn(10, 6, dtype=torch.float64))
    Q = torch.rand(10, 4, dtype=torch.float64).softmax(dim=1)
    W = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    cosines = V @ W.T
    (-(Q * (cosines / 0.1).log_softmax(dim=1)).sum(dim=1).mean()).backward()
    assert torch.allclose(cross_entropy_slope(cosines.detach(), Q, 0.1).T @ V, W.grad)


def test_views_learn_each_others_assignment():
    both = torch.randn(6, 3)
    targets = swapped(lambda cosines: 2 * cosines)(both)
    assert torch.equal(targets, 2 * torch.cat([both[3:], both[:3]]))


def test_the_learning_rate_ends_at_its_least():
    assert learning_rate(49, 100, 0.1) == pytest.approx(0.05005)
    assert learning_rate(0, 100, 0.1) < 0.1 and learning_rate(99, 100, 0.1) == learning_rate(0, 1, 0.1) == 1e-4


def test_training_is_sgd_on_normalised_rows():
    """The same steps by torch's optimiser, the rows brought to length 1 after each."""
    V = torch.nn.functional.normalize(torch.randn(5, 20, 6, dtype=torch.float64), dim=2)
    Q = torch.eye(4, dtype=torch.float64)[torch.arange(20) % 4]
    start = torch.nn.functional.normalize(torch.randn(4, 6, dtype=torch.float64))
    W = start.clone().requires_grad_()
    sgd = torch.optim.SGD([W], lr=0.1, momentum=0.9)
    for step in range(5):
        sgd.param_groups[0]["lr"] = learning_rate(step, 5, 0.1)
        sgd.zero_grad()
        (-(Q * (V[step] @ W.T / 0.1).log_softmax(dim=1)).sum(dim=1).mean()).backward()
        sgd.step()
        with torch.no_grad():
            W.copy_(torch.nn.functional.normalize(W))
    trained = train_head(start, ((v, lambda _: Q) for v in V), 5, lr=0.1, temperature=0.1)
    assert torch.allclose(trained, W.detach())


def test_statistics_are_those_of_each_class():
    codes = np.array([0, 3, 3, 1, 3, 0])
    rows = rng.normal(size=(6, 4)).astype(np.float32)
    means, scale, counts = class_statistics(rows, codes, 4)
    for c in (0, 1, 3):
        assert means[c] == pytest.approx(rows[codes == c].mean(axis=0), abs=1e-6)
        assert scale[c] == pytest.approx(np.sqrt(rows[codes == c].var(axis=0) + 1e-5), rel=1e-4)
    assert counts.tolist() == [2, 1, 0, 3] and not means[2].any() and not scale[2].any()


@pytest.mark.parametrize(
    "changed",
    [{}, {"method": "replay"}, {"views": "dropout"}, {"class_prior": "free", "views": "dropout"}],
    ids=["concat", "replay", "dropout", "free"],
)
def test_classes_of_all_stages_are_told_apart(changed):
    model = found(**changed)
    assert model.heads_.shape == (12, 64) and np.linalg.norm(model.heads_, axis=1) == pytest.approx(1, abs=1e-5)
    assert model.stage_of_class_.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert adjusted_rand_score(CODES, model.predict(X)) > (0.7 if "class_prior" in changed else 0.9)
    assert (model.decision_function(X).argmax(axis=1) == model.predict(X)).all()
    assert set(model.labels_) <= {8, 9, 10, 11}
    assert model.class_counts_.sum() == 360


def test_heads_side_by_side_forget_nothing():
    model = IncrementalClassDiscovery(4, epochs=30, random_state=0).partial_fit(STAGES[0])
    first = model.heads_.copy()
    model.partial_fit(STAGES[1])
    assert (model.heads_[:4] == first).all()
    assert not np.allclose(model.heads_[4:], first, atol=0.1)


def test_replay_repairs_a_broken_head():
    """The joint head learns earlier classes from their means and spread alone."""
    good, broken = (found(method="replay") for _ in range(2))
    other = (CENTRES[CODES % 2] + 5 * np.eye(64)[0] + 0.9 * rng.normal(size=(360, 64))).astype(np.float32)
    broken.heads_ = np.roll(broken.heads_, 1, axis=0)
    for model in (good, broken):
        model.partial_fit(other, n_classes=2)
    assert (good.predict(X) == broken.predict(X)).mean() > 0.9
    assert adjusted_rand_score(CODES, broken.predict(X)) > 0.8


def test_given_views():
    noise = X[:120] + 0.2 * rng.normal(size=(120, 64))
    model = IncrementalClassDiscovery(4, views="given", epochs=60, random_state=0).fit(STAGES[0], X_view=noise)
    assert adjusted_rand_score(CODES[:120], model.labels_) > 0.9


def test_equal_shares_split_one_cloud():
    """Without structure only the balance decides: every class gets about its share."""
    cloud = rng.normal(size=(600, 16))
    counts = np.bincount(IncrementalClassDiscovery(3, random_state=0).fit(cloud).labels_, minlength=3)
    assert counts.min() > 120


def test_returning_classes_are_reported():
    model = IncrementalClassDiscovery(4, epochs=60, random_state=0).partial_fit(STAGES[0]).partial_fit(STAGES[1])
    assert model.probable_duplicates_.shape == (0, 2)
    model.partial_fit(STAGES[0][:60], n_classes=2)
    pairs = model.probable_duplicates_
    assert sorted(pairs[:, 1].tolist()) == [8, 9] and (pairs[:, 0] < 4).all()
    means = unit_rows(model.class_means_)
    assert all(means[old] @ means[new] >= 0.95 for old, new in pairs)


@pytest.mark.parametrize("wanted", [3, 8])
def test_the_number_of_classes_is_estimated(wanted):
    rows = unit_rows(X[CODES < wanted])
    assert abs(estimate_n_classes(rows, np.random.RandomState(0)) - wanted) <= 1
    assert estimate_n_classes(rows[:3], np.random.RandomState(0)) == 1
    assert estimate_n_classes(np.repeat(rows[:1], 9, axis=0), np.random.RandomState(0)) == 1


def test_fit_is_one_stage():
    once = clone(found()).fit(STAGES[1])
    assert (found().fit(STAGES[1]).heads_ == once.heads_).all() and len(once.heads_) == 4
    assert (once.labels_ == once.predict(STAGES[1])).all()


def test_lengths_do_not_matter():
    scaled = STAGES[0] * rng.uniform(0.5, 20, (120, 1))
    model = IncrementalClassDiscovery(4, epochs=30, random_state=0)
    assert (clone(model).fit(scaled).labels_ == clone(model).fit(STAGES[0]).labels_).mean() > 0.99


def test_the_same_state_gives_the_same_heads():
    assert (found(method="replay").heads_ == found(method="replay").heads_).all()
    assert not np.allclose(found().heads_, found(random_state=1).heads_, atol=0.01)


def holed(value):
    rows = STAGES[0].copy()
    rows[5] = value
    return rows


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: IncrementalClassDiscovery(61).fit(STAGES[0]), "120 rows for 61 new classes"),
        (lambda: IncrementalClassDiscovery(4).fit(holed(0)), "X: row 5 is all zeros"),
        (lambda: IncrementalClassDiscovery(4).fit(holed(np.nan)), "NaN"),
        (lambda: found(epochs=1).partial_fit(X[:, :7]), "7 features"),
        (lambda: IncrementalClassDiscovery(4).fit(X, X_view=X), "X_view: given, but views='neighbors'"),
        (lambda: IncrementalClassDiscovery(4, views="given").fit(X), "X_view: missing"),
        (lambda: IncrementalClassDiscovery(4, views="given").fit(X, X_view=X[:9]), "9 rows for 360 rows"),
        (lambda: IncrementalClassDiscovery(4, views="given").fit(X, X_view=X[:, :9]), "expected 64 columns"),
        (lambda: IncrementalClassDiscovery(4, views="given").fit(STAGES[0], X_view=holed(0)), "X_view: row 5 is"),
        (lambda: IncrementalClassDiscovery(4).partial_fit(X, n_classes=0), "n_classes must be a whole number"),
        (lambda: IncrementalClassDiscovery(0).fit(X), "n_classes must be"),
        (lambda: IncrementalClassDiscovery(4, temperature=0.0).fit(X), "temperature must be"),
        (lambda: IncrementalClassDiscovery(4, method="other").fit(X), "method must be"),
        (lambda: IncrementalClassDiscovery(1).fit(X[:1]), "minimum of 2"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_refused_stage_changes_nothing():
    model = found(epochs=5)
    before = model.heads_.copy()
    with pytest.raises(ValueError, match="all zeros"):
        model.partial_fit(holed(0))
    assert (model.heads_ == before).all() and len(model.stage_of_class_) == 12


def test_save_open_and_go_on(tmp_path):
    model = IncrementalClassDiscovery(4, epochs=20, method="replay", random_state=0)
    model.partial_fit(STAGES[0]).partial_fit(STAGES[1])
    theatrum.save(model, tmp_path / "m")
    opened = theatrum.open(tmp_path / "m")
    assert opened.decision_function(X).tobytes() == model.decision_function(X).tobytes()
    assert opened.partial_fit(STAGES[2]).heads_.tobytes() == model.partial_fit(STAGES[2]).heads_.tobytes()


def test_a_failed_fit_keeps_what_was_there():
    rows = np.repeat(np.eye(3), 10, axis=0) + 0.05 * np.random.default_rng(0).normal(size=(30, 3))
    model = IncrementalClassDiscovery(3, epochs=2, random_state=0).fit(rows)
    before = model.heads_.copy()
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full((30, 3), np.nan))
    assert (model.heads_ == before).all()
