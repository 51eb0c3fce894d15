"""What every zero-shot classifier refuses, answers and keeps, tested on all of them that need nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

import theatrum
from theatrum import registry
from theatrum.contracts import ClassSemantics, ZeroShotPredictor
from theatrum.predict.zero_shot_predictor import ZeroShotClassifier, candidate_codes, check_labels, joined

rng = np.random.default_rng(0)
S = rng.normal(size=(6, 4))
NAMES = tuple("abcdef")
CODES = np.repeat(np.arange(4), 12)
# Class vectors as wide as the rows, so that plain cosine takes part.
X = (S[CODES] + 0.1 * rng.normal(size=(48, 4))).astype(np.float32)
Y = np.array(NAMES)[CODES]
SEEN = np.array([True] * 4 + [False] * 2)
SEMANTICS = ClassSemantics(NAMES, vectors=S, seen=SEEN)

# Those that learn from other things than rows with labels have their own tests.
_OTHERS = {
    *("embedding_regression", "incremental_discovery", "label_propagation", "minimax_attributes", "multiple_choice"),
    *("rank_axis", "zero_shot_text"),
}
PREDICTORS = [part for part in registry.parts(kind="predictor") if part.name not in _OTHERS]
_SETTINGS = {
    "frechet_mean": {"metric": "euclidean"},
    "semantic_to_feature": {"validation_classes": 0.0, "alpha": 1e-4, "random_state": 0},
}
_SETTINGS["semantic_relations"] = _SETTINGS["semantic_to_feature"]


@pytest.fixture(params=PREDICTORS, ids=lambda part: part.name)
def model(request):
    return request.param.load()(**_SETTINGS.get(request.param.name, {}))


def test_keeps_the_contract(model):
    assert isinstance(model, ZeroShotClassifier)
    assert isinstance(model, ZeroShotPredictor)
    model.fit(X, Y, SEMANTICS)
    assert model.class_scores(X).shape == (48, 6)
    assert model.classes_.tolist() == list(NAMES)
    assert set(model.predict(X, candidates="unseen")) <= {"e", "f"}
    assert set(model.predict(X, candidates="seen")) <= set("abcd")
    assert set(model.predict(X, candidates=["b", "f"])) <= {"b", "f"}
    assert (model.predict(X, candidates="seen") == Y).mean() > 0.8


def test_codes_stand_for_names(model):
    by_code = model.fit(X, CODES, SEMANTICS).class_scores(X)
    assert (by_code == clone(model).fit(X, Y, SEMANTICS).class_scores(X)).all()


def test_seen_classes_are_told_from_y(model):
    untold = ClassSemantics(NAMES, vectors=S)
    assert model.fit(X, Y, untold).semantics_.seen.tolist() == SEEN.tolist()


BAD = [
    (X, np.where(Y == "a", "zzz", Y), SEMANTICS, "row 0 is 'zzz', a class with no semantics"),
    (X, np.where(Y == "a", "e", Y), SEMANTICS, "row 0 is 'e', which the semantics call unseen"),
    (X, np.where(Y == "d", "a", Y), SEMANTICS, "call 'd' seen, but y has no row of it"),
    (X[:12], Y[:12], ClassSemantics(NAMES, vectors=S), "one class only"),
    (X[:12], Y[:12], None, "one class"),
    (X, [*Y[:-1], 3], SEMANTICS, "mixed types, row 0 is .*str.* and row 47 is int"),
    (X, CODES + 3, SEMANTICS, "row 36 is 6; class codes are 0 to 5"),
    (np.where(X > 1, np.nan, X), Y, SEMANTICS, "NaN"),
    (X[:-1], Y, SEMANTICS, "inconsistent"),
    (X, rng.normal(size=48), SEMANTICS, "[Uu]nknown label type|class with no semantics"),
]


@pytest.mark.parametrize(("rows", "labels", "semantics", "message"), BAD, ids=[row[3][:30] for row in BAD])
def test_bad_input(model, rows, labels, semantics, message):
    with pytest.raises(ValueError, match=message):
        model.fit(rows, labels, semantics)


def test_constant_columns_are_no_harm(model):
    """A column without information must not change what is said of the others, or make NaN."""
    constant = np.hstack([X, np.zeros((48, 1), dtype=np.float32)])
    wide = ClassSemantics(NAMES, vectors=np.hstack([S, np.zeros((6, 1))]), seen=SEEN)
    assert np.isfinite(model.fit(constant, Y, wide).class_scores(constant)).all()


def test_bad_candidates(model):
    model.fit(X, Y, SEMANTICS)
    for candidates, message in (("some", "must be 'all'"), (["zzz"], "'zzz' is no class"), ([], "list is empty")):
        with pytest.raises(ValueError, match=message):
            model.predict(X, candidates=candidates)
    with pytest.raises(ValueError, match="there is no unseen class"):
        clone(model).fit(X, Y).predict(X, candidates="unseen")


def test_save_and_open(model, tmp_path):
    model.fit(X, Y, SEMANTICS)
    theatrum.save(model, tmp_path / "m")
    opened = theatrum.open(tmp_path / "m")
    assert opened.class_scores(X).tobytes() == model.class_scores(X).tobytes()
    assert (opened.predict(X) == model.predict(X)).all()
    assert not list((tmp_path / "m").rglob("*.pkl"))


def test_classes_come_later(model):
    first = SEMANTICS.subset(np.arange(5))
    model.fit(X, Y, first)
    before = model.class_scores(X)
    model.add_classes(ClassSemantics(("f",), vectors=S[5:]))
    after = model.class_scores(X)
    assert after.shape == (48, 6)
    assert model.classes_.tolist() == list(NAMES)
    seen_only = model.predict(X, candidates="seen")
    assert (seen_only == np.array(NAMES)[before[:, :4].argmax(axis=1)]).mean() > 0.95
    with pytest.raises(ValueError, match="'f' is known already"):
        model.add_classes(ClassSemantics(("f",), vectors=S[5:]))
    with pytest.raises(ValueError, match=r"columns|wide"):
        model.add_classes(ClassSemantics(("g",), vectors=[[1.0, 2.0]]))


def test_joining_and_candidates():
    with pytest.raises(ValueError, match="must both have them"):
        joined(SEMANTICS, ClassSemantics(("g",), attributes=[[1.0]]))
    with pytest.raises(ValueError, match="distances"):
        joined(ClassSemantics(("a",), distances=[[0]], seen=np.array([True])), ClassSemantics(("g",)))
    assert candidate_codes(["c", "a"], SEMANTICS, np.array(NAMES)).tolist() == [2, 0]


def test_labels_of_one_type_pass():
    assert check_labels([1, 2]).tolist() == [1, 2]
    assert check_labels(np.array(["a", "b"], dtype=object)).tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="row 1 is float"):
        check_labels(np.array(["a", np.nan], dtype=object))
