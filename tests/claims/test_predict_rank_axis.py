"""The claim of row 031: what is rendered and counted, the statements, and both scales on a made-up world."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.claims.predict import rank_axis as claim
from theatrum.data import LabelledImages, LabelledTexts, PlainText

rng = np.random.default_rng(0)
WORDS = "apple river mountain possibility understanding go see a the of little information".split()


class CountingEncoder:
    """Vectors that hold the number of words and of syllables, and noise."""

    dim = 12

    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        noise = np.random.default_rng(len(items)).normal(size=(len(items), 12))
        counts = [[len(item.split()) / 10, sum(map(claim.syllables, item.split())) / 20, 1] for item in items]
        return np.hstack([counts, 0.5 * noise[:, 3:]]).astype(np.float32)


@pytest.fixture
def world(monkeypatch):
    def sentence():
        return " ".join(rng.choice(WORDS, int(rng.integers(3, 12)))).capitalize() + "."

    messages = [" ".join(sentence() for _ in range(int(rng.integers(1, 9)))) for _ in range(900)]
    shapes = (rng.random((120, 28, 28)) * 255).astype(np.uint8)
    images = LabelledImages(shapes, (np.arange(120) % 10).astype(np.uint8))
    names = ["entity.n.01", *(f"n{row}" for row in range(1, 500))]
    synsets = ["head", *(f"{name}\t0\t3\tlemma\t{' '.join(rng.choice(WORDS, 6))}" for name in names)]
    edges = ["head", *(f"n{row}\t{names[(row - 1) // 2]}\thypernym" for row in range(1, 500))]
    sets = {
        "20newsgroups": LabelledTexts(tuple(messages), ("x",) * 900, ("train",) * 900),
        "fashion-mnist": {"train": images, "test": images},
        "mnist": {"test": images},
        "wordnet-nouns": PlainText({"synsets": tuple(synsets), "edges": tuple(edges)}),
    }
    monkeypatch.setattr(claim, "load", sets.__getitem__)
    monkeypatch.setattr(claim, "text_encoder", CountingEncoder)
    monkeypatch.setattr(claim, "encode_cached", lambda encoder, texts: encoder.encode(texts))
    phrases = {name: ("a long text of many words", "short") for name in claim._PHRASES}
    monkeypatch.setattr(claim, "_PHRASES", phrases)
    return sets


def test_the_smoke_run(world):
    outcome = claim.claim_031("smoke")
    assert outcome.holds
    assert outcome.measurements["number of words"]["linear"][0] > 0.8


@pytest.mark.filterwarnings("ignore:LatentSemanticEncoder")
def test_the_full_run_has_the_inequalities_of_the_atlas(world, monkeypatch):
    for name, value in {
        "_SEEDS": 2,
        "_ENCODERS": 1,
        "_ITEMS": 120,
        "_TRAIN": 90,
        "_RESAMPLES": 2,
        "_EPOCHS": 1,
    }.items():
        monkeypatch.setattr(claim, name, value)
    outcome = claim.claim_031("cpu")
    assert outcome.measurements.keys() == {
        *("brightness", "blur", "rotation", "size", "digit count"),
        *("number of words", "reading ease", "depth in WordNet"),
    }
    starts = [one.says.partition(":")[0] for one in outcome.inequalities]
    assert starts[:3] + starts[4:] == [f"at least {n} of 8 attributes" for n in (6, 5, 6, 7)]
    assert all(len(one.differences) == 2 for one in outcome.inequalities)
    assert {len(values) for arm in outcome.measurements.values() for values in arm.values()} == {2}
    assert outcome.recorded["linear minus raw pixels, mean"].keys() == {
        *("brightness", "blur", "rotation", "size", "digit count")
    }
    assert outcome.recorded["text axis, all items"].keys() == set(claim._PHRASES)


def arms(**changed):
    plain = {
        "linear": [0.8, 0.8005],
        "nonlinear": [0.9, 0.9],
        "untrained": [0.5, 0.51],
        "1 + 1 extremes": [0.4, 0.4],
        "30 + 30 extremes": [0.6, 0.6],
        "chance (95%)": [0.2, 0.21],
    }
    return {f"a{row}": {**plain, **(changed if row == 0 else {})} for row in range(8)}


@pytest.mark.parametrize(
    ("changed", "statement"),
    [
        ({"nonlinear": [1.0, 1.0]}, 0),
        ({"untrained": [0.79, 0.8]}, 1),
        ({"chance (95%)": [0.5, 0.5]}, 2),
        ({"30 + 30 extremes": [0.3, 0.3]}, 4),
    ],
)
def test_the_statements_count_attributes(changed, statement):
    def held(bad):
        found = {f"a{row}": {**arms()[f"a{row}"], **(changed if row < bad else {})} for row in range(8)}
        return claim.inequalities(found, {name: ["untrained"] for name in found})[statement].holds

    allowed = (2, 3, 2, None, 1)[statement]
    assert held(0) and held(allowed) and not held(allowed + 1)


def test_the_ratio_is_a_mean_over_attributes():
    ratio = claim.inequalities(arms(linear=[0.4, 0.4]), {f"a{row}": ["untrained"] for row in range(8)})[3]
    assert ratio.differences == pytest.approx([(1 + 7 * 0.4 / linear) / 8 - 0.4 for linear in (0.8, 0.8005)])


def test_rendered_attributes_are_what_they_say():
    disc = np.zeros((5, 28, 28), dtype=np.float32)
    rows, columns = np.mgrid[:28, :28]
    disc[:] = (rows - 13.5) ** 2 + (columns - 13.5) ** 2 < 100
    bright, y = claim.brightness(disc, np.random.default_rng(0))
    assert bright.max(axis=(1, 2)) == pytest.approx(y)
    small, y = claim.size(disc, np.random.default_rng(0))
    assert small.sum(axis=(1, 2)) / disc.sum(axis=(1, 2)) == pytest.approx(y**2, rel=0.1)
    soft, y = claim.blur(disc, np.random.default_rng(0))
    steepest = np.abs(np.diff(soft, axis=1)).max(axis=(1, 2))
    assert (np.argsort(steepest) == np.argsort(-y)).all()
    bar = np.zeros((5, 28, 28), dtype=np.float32)
    bar[:, 13:15, 4:24] = 1
    turned, y = claim.rotation(bar, np.random.default_rng(0))
    for image, angle in zip(turned, y, strict=True):
        spread = np.cov(np.stack([(rows - 13.5).ravel(), (columns - 13.5).ravel()]), aweights=image.ravel() + 1e-9)
        axis = np.linalg.eigh(spread)[1][:, 1]
        assert np.degrees(np.arctan2(abs(axis[0]), abs(axis[1]))) == pytest.approx(angle, abs=3)
    digits = np.ones((3, 28, 28), dtype=np.float32)
    canvases, counts = claim.digit_count(digits, np.random.default_rng(0), 50)
    cells = canvases[:, :27, :27].reshape(50, 3, 9, 3, 9).max(axis=(2, 4)) > 0
    assert (cells.sum(axis=(1, 2)) == counts).all()


@pytest.mark.parametrize(("word", "n"), [("cat", 1), ("apple", 2), ("make", 1), ("idea", 2), ("the", 1), ("people", 2)])
def test_syllables(word, n):
    assert claim.syllables(word) == n


def test_reading_ease_is_flesch():
    # Two sentences, 6 words, 7 syllables.
    assert claim.reading_ease(["The cat sat.", "See the river."]) == pytest.approx(206.835 - 1.015 * 3 - 84.6 * 7 / 6)


def test_depth_is_the_shortest_way_up(world):
    texts, depth = claim.glosses(500)
    assert len(texts) == 500
    assert np.bincount(depth.astype(int)).tolist() == [1, 2, 4, 8, 16, 32, 64, 128, 245]
