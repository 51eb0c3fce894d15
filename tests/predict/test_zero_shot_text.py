"""Texts into classes: three lines, examples, confidence, abstaining, folders, bad input."""

from __future__ import annotations

import numpy as np
import pytest

import theatrum
from theatrum.predict.semantic_ridge import SemanticRidge
from theatrum.predict.zero_shot_text import ZeroShotTextClassifier, fitted_temperature, make_zero_shot, softmax
from theatrum.text import LatentSemanticEncoder

rng = np.random.default_rng(0)
WORDS = {
    "apple": ["apple", "sour", "red", "cider", "orchard", "crisp"],
    "car": ["car", "fast", "engine", "wheel", "road", "petrol"],
    "song": ["song", "loud", "guitar", "chorus", "singer", "melody"],
}


def sentences(label, n, seed):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS[label], 4)) + f" {label}" * (i % 2) for i in range(n)]


TEXTS = [text for seed, label in enumerate(WORDS) for text in sentences(label, 30, seed)]
LABELS = [label for label in WORDS for _ in range(30)]
NAMES = list(WORDS)


def lsa():
    return LatentSemanticEncoder(8)


def test_class_names_are_enough():
    model = make_zero_shot(lsa(), NAMES).fit(TEXTS)
    assert (model.predict(TEXTS) == LABELS).mean() > 0.9
    assert model.predict_proba(TEXTS[:2]).sum(axis=1) == pytest.approx(1.0)


def test_descriptions_and_templates():
    described = make_zero_shot(lsa(), ["a", "b"], [["sour apple", "apple cider"], "fast car engine"]).fit(TEXTS)
    assert described.predict(["red apple orchard", "road car wheel"]).tolist() == ["a", "b"]
    templated = make_zero_shot(lsa(), NAMES, template=["red {}", "{} loud"]).fit(TEXTS)
    assert templated.predict(["guitar chorus"]).tolist() == ["song"]


@pytest.mark.parametrize("method", ["label_propagation", "semantic_ridge", SemanticRidge(alpha=0.5)])
def test_other_methods(method):
    model = make_zero_shot(lsa(), NAMES, method=method)
    model.fit(TEXTS, None if method == "label_propagation" else LABELS)
    assert (model.predict(TEXTS) == LABELS).mean() > 0.9


class Fixed:
    """An encoder that has learnt already."""

    def __init__(self, encoder):
        self.inner, self.dim, self.encode, self.fingerprint = encoder, encoder.dim, encoder.encode, encoder.fingerprint


def test_examples_of_some_classes():
    known = [i for i, label in enumerate(LABELS) if label != "song"]
    model = make_zero_shot(Fixed(lsa().fit(TEXTS)), NAMES, method="semantic_ridge")
    model.fit([TEXTS[i] for i in known], [LABELS[i] for i in known])
    assert model.predictor_.semantics_.seen.tolist() == [True, True, False]
    assert set(model.predict(TEXTS, candidates="unseen")) == {"song"}


def test_new_classes_make_it_less_sure():
    """The same predictor must not be as sure when some classes have no example as when all have."""
    rng = np.random.default_rng(1)
    names = [f"class {letter}" for letter in "abcdefghij"]
    centres = rng.normal(size=(10, 16))

    class Drawn:
        dim = 16

        def encode(self, items, **_):
            rows = [
                centres[names.index(text)] if text in names else np.array([float(x) for x in text.split()])
                for text in items
            ]
            return np.asarray(rows, dtype=np.float32)

        def fingerprint(self):
            return "drawn"

    def texts(codes):
        return [" ".join(map(str, centres[code] + 1.5 * rng.normal(size=16))) for code in codes]

    codes = np.repeat(np.arange(10), 20)
    rows, labels = texts(codes), np.array(names)[codes]
    some = codes < 8
    whole = make_zero_shot(Drawn(), names, method=SemanticRidge(alpha=0.1)).fit(rows, labels)
    partial = make_zero_shot(Drawn(), names, method=SemanticRidge(alpha=0.1))
    partial.fit([row for row, kept in zip(rows, some, strict=True) if kept], labels[some])
    new = texts(codes)
    assert partial.decide(new).confidence.mean() < whole.decide(new).confidence.mean()
    right = partial.predict(new) == labels
    assert abs(partial.decide(new).confidence.mean() - right.mean()) < 0.2


def test_unsure_answers_can_be_left_out():
    model = make_zero_shot(lsa(), NAMES).fit(TEXTS)
    decided = model.decide([*TEXTS, "unknown words only"], abstain=0.6)
    assert decided.labels[-1] == ""
    assert ((decided.labels == "") == (decided.confidence < 0.6)).all()
    assert (decided.confidence[:-1] >= 1 / 3).all()
    assert (model.decide(TEXTS).labels != "").all()


def test_the_temperature_makes_confidence_honest():
    truth = rng.integers(0, 4, 4000)
    logits = rng.normal(size=(4000, 4))
    logits[np.arange(4000), truth] += 1.0
    # A score that is the log-odds over ten has the temperature 1/10 of its logits'.
    temperature = fitted_temperature(logits / 10, truth)
    probabilities = softmax(logits / 10, temperature)
    assert probabilities.max(axis=1).mean() == pytest.approx((probabilities.argmax(axis=1) == truth).mean(), abs=0.03)


def test_calibrated_needs_examples_of_four_classes():
    with pytest.raises(ValueError, match="give texts and labels"):
        make_zero_shot(lsa(), NAMES, calibrated=True).fit(TEXTS)
    with pytest.raises(ValueError, match="at least 4 of them"):
        make_zero_shot(lsa(), [*NAMES, "sour"], method="semantic_ridge", calibrated=True).fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_zero_shot(lsa(), ["one"]).fit(TEXTS), "at least two classes are needed, got 1"),
        (lambda: make_zero_shot(lsa(), NAMES, method="pca").fit(TEXTS), "'pca' is no predictor but a refiner"),
        (lambda: make_zero_shot("pca", NAMES).fit(TEXTS), "'pca' is no encoder"),
        (lambda: make_zero_shot(lsa(), NAMES, method="semantic_ridge").fit(TEXTS), r"call fit\(texts, labels\)"),
        (lambda: make_zero_shot(lsa(), NAMES).predict(TEXTS), "learns from a corpus"),
        (lambda: make_zero_shot(lsa(), NAMES).fit(TEXTS, LABELS[:3]), "3 labels for 90 texts"),
        (lambda: make_zero_shot(lsa(), NAMES).fit("text"), "got one text"),
        (lambda: make_zero_shot(lsa(), NAMES).fit(TEXTS, ["pear"] * 90), "'pear', a class with no semantics"),
        (lambda: make_zero_shot(lsa(), ["a", "a"], ["red", "fast"]).fit(TEXTS), "'a' is there more than once"),
        (lambda: make_zero_shot(lsa(), NAMES).fit(TEXTS).decide(TEXTS, abstain=2), "between 0 and 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


class Chooser:
    """What a trained multiple-choice model looks like from outside."""

    reads_texts = True

    def decision_function(self, texts, options):
        return np.array([[float(option.split()[-1] in text) for option in options] for text in texts], dtype=np.float32)


def test_a_model_that_reads_texts_itself():
    model = make_zero_shot("minilm", NAMES, method=Chooser(), template="about {}")
    assert model.predict(["the apple", "my song"]).tolist() == ["apple", "song"]
    assert model.decide(["the apple"]).confidence[0] == pytest.approx(np.e / (np.e + 2))
    with pytest.raises(ValueError, match="by its own fit"):
        make_zero_shot("minilm", NAMES, method=Chooser()).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="one option a class"):
        make_zero_shot("minilm", NAMES, [["a", "b"], "c", "d"], method=Chooser()).fit()
    with pytest.raises(ValueError, match="trained on some tasks first"):
        make_zero_shot("minilm", NAMES, method="multiple_choice").fit()


@pytest.mark.parametrize("method", ["cosine", "label_propagation", "semantic_ridge"])
def test_save_and_open(method, tmp_path):
    model = ZeroShotTextClassifier(NAMES, encoder=lsa(), predictor=method)
    model.fit(TEXTS, LABELS if method == "semantic_ridge" else None)
    theatrum.save(model, tmp_path / "m")
    opened = theatrum.open(tmp_path / "m")
    assert (opened.decide(TEXTS).confidence == model.decide(TEXTS).confidence).all()
    assert (opened.predict(TEXTS) == model.predict(TEXTS)).all()
