"""Ideal words: scikit-learn's checks, closed forms, an oracle for grids with gaps, what users do, bad input."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.refine.compositional_factors import IdealWords, unit

rng = np.random.default_rng(0)
COLOURS, SHAPES, SIZES = ["blue", "green", "red"], ["ball", "cone", "cube", "tube"], [1, 2]
GRID = list(product(COLOURS, SHAPES, SIZES))
PARTS = [rng.normal(size=(len(values), 16)) for values in (COLOURS, SHAPES, SIZES)]
ADDITIVE = np.array(
    [3 + PARTS[0][COLOURS.index(c)] + PARTS[1][SHAPES.index(s)] + PARTS[2][SIZES.index(z)] for c, s, z in GRID]
)
NOISY = ADDITIVE + 0.3 * rng.normal(size=ADDITIVE.shape)
NAMES = [[row[i] for row in GRID] for i in range(3)]


@parametrize_with_checks(
    [IdealWords(), IdealWords(normalize=False), IdealWords(ridge=0.1)],
    expected_failed_checks=lambda estimator: (
        {"check_estimators_dtypes": "its whole numbers hold a zero row, which has no direction and is refused"}
        if estimator.normalize
        else {}
    ),
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_a_whole_grid_has_the_closed_form_of_the_paper():
    alphas = [np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.4, 0.4, 0.1]), np.array([0.75, 0.25])]
    words = IdealWords(weights=[alpha.tolist() for alpha in alphas], normalize=False).fit(NOISY, GRID)
    cube = NOISY.reshape(3, 4, 2, 16)
    origin = np.einsum("abcd,a,b,c->d", cube, *alphas)
    assert np.allclose(words.origin_, origin)
    colour, shape, size = words.factor_vectors_
    assert np.allclose(colour, np.einsum("abcd,b,c->ad", cube, alphas[1], alphas[2]) - origin)
    assert np.allclose(shape, np.einsum("abcd,a,c->bd", cube, alphas[0], alphas[2]) - origin)
    assert np.allclose(size, np.einsum("abcd,a,b->cd", cube, alphas[0], alphas[1]) - origin)
    for alpha, vectors in zip(alphas, words.factor_vectors_, strict=True):
        assert np.allclose(alpha @ vectors, 0)


def dummy_coded(U, labels, weights=None):
    """Ordinary least squares as statistics packages do it: first value as the reference, then centred."""
    values = [sorted(set(column)) for column in zip(*labels, strict=True)]
    columns = [np.ones(len(labels))]
    columns += [
        np.array([row[i] == value for row in labels], float) for i, known in enumerate(values) for value in known[1:]
    ]
    scale = np.sqrt(np.ones(len(labels)) if weights is None else weights)[:, None]
    found = np.linalg.lstsq(np.array(columns).T * scale, U * scale, rcond=None)[0]
    origin, effects, row = found[0].copy(), [], 1
    for known in values:
        effect = np.vstack([np.zeros(U.shape[1]), found[row : row + len(known) - 1]])
        origin += effect.mean(axis=0)
        effects.append(effect - effect.mean(axis=0))
        row += len(known) - 1
    return origin, effects


def test_a_grid_with_gaps_is_ordinary_least_squares():
    seen = rng.permutation(len(GRID))[:15]
    words = IdealWords(normalize=False).fit(NOISY[seen], [GRID[i] for i in seen])
    origin, effects = dummy_coded(NOISY[seen], [GRID[i] for i in seen])
    assert np.allclose(words.origin_, origin)
    assert all(np.allclose(a, b) for a, b in zip(words.factor_vectors_, effects, strict=True))


def test_additive_vectors_come_back_from_a_grid_with_gaps():
    seen = rng.permutation(len(GRID))[:12]
    words = IdealWords(normalize=False).fit(ADDITIVE[seen], [GRID[i] for i in seen])
    assert np.abs(words.compose(GRID) - ADDITIVE).max() < 1e-5


def test_repeats_are_averaged_so_counts_do_not_weigh():
    repeated = np.repeat(np.arange(len(GRID)), rng.integers(1, 5, len(GRID)))
    once = IdealWords(normalize=False).fit(NOISY, GRID)
    often = IdealWords(normalize=False).fit(NOISY[repeated], [GRID[i] for i in repeated])
    assert np.allclose(once.ideal_words_, often.ideal_words_)


def test_ridge_shrinks_a_whole_grid_by_a_known_factor():
    plain, shrunk = (IdealWords(ridge=ridge, normalize=False).fit(NOISY, GRID) for ridge in (0.0, 0.25))
    assert np.allclose(shrunk.ideal_words_, plain.ideal_words_ / 1.25)
    assert np.allclose(shrunk.origin_, plain.origin_)


def test_scale_of_weights_and_of_rows_does_not_matter():
    weights = [[1, 2, 3], [2, 2, 1, 1], [3, 1]]
    words = IdealWords(weights=weights, ridge=0.5).fit(NOISY, GRID)
    same = IdealWords(weights=[np.multiply(7.0, alpha).tolist() for alpha in weights], ridge=0.5)
    same.fit(NOISY * rng.uniform(0.1, 10, size=(len(GRID), 1)), GRID)
    assert np.allclose(words.ideal_words_, same.ideal_words_)


def test_ridge_accepts_values_that_cannot_be_told_apart():
    words = IdealWords(ridge=1e-6, normalize=False).fit([[1.0, 0], [3.0, 0]], [("a", "x"), ("b", "y")])
    assert np.allclose(words.ideal_words_[:, 0], [-0.5, 0.5, -0.5, 0.5], atol=1e-4)


def test_labels_may_come_in_any_form():
    frame = pd.DataFrame(GRID, columns=["colour", "shape", "size"])
    want = IdealWords().fit(NOISY, GRID)
    assert want.values_ == [COLOURS, SHAPES, SIZES]
    for labels in (frame, frame.to_numpy(), [list(row) for row in GRID], frame.assign(size=frame["size"] * 1.0)):
        found = IdealWords().fit(NOISY, labels)
        assert found.values_ == want.values_ and (found.ideal_words_ == want.ideal_words_).all()
    one = IdealWords().fit(NOISY, NAMES[0])
    assert one.values_ == [COLOURS] and one.compose(["red", None]).shape == (2, 16)


def test_given_factors_set_the_order():
    order = [COLOURS[::-1], SHAPES, SIZES]
    words, plain = IdealWords(order).fit(NOISY, GRID), IdealWords().fit(NOISY, GRID)
    assert np.allclose(words.factor_vectors_[0], plain.factor_vectors_[0][::-1])
    assert words.get_feature_names_out()[:4].tolist() == [
        "factor0_red", "factor0_green", "factor0_blue", "factor1_ball",
    ]  # fmt: skip


def test_composed_vectors_are_unit_rows_and_none_is_the_mean_of_a_factor():
    words = IdealWords().fit(NOISY, GRID)
    made = words.compose([("red", None, None), ("red", "cube", 2)])
    assert made.dtype == np.float32 and np.allclose(np.linalg.norm(made, axis=1), 1)
    assert np.allclose(made[0], unit(words.origin_ + words.factor_vectors_[0][[2]])[0], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_gives_cosines_with_every_value(dtype):
    words = IdealWords().fit(NOISY, GRID)
    found = words.transform(NOISY.astype(dtype))
    anchors = words.origin_ + words.ideal_words_
    slow = [[x @ a / np.linalg.norm(x) / np.linalg.norm(a) for a in anchors] for x in NOISY]
    assert found.dtype == dtype and np.allclose(found, slow, atol=1e-6)
    assert (words.transform(np.zeros((1, 16))) == 0).all()


@pytest.mark.parametrize("normalize", [True, False])
def test_a_removed_factor_cannot_be_seen_any_more(normalize):
    words = IdealWords(normalize=normalize).fit(NOISY, GRID)
    cleaned = words.remove(NOISY, 1)
    assert np.abs(cleaned @ words.factor_vectors_[1].T).max() < 1e-9
    if normalize:
        assert np.allclose(np.linalg.norm(cleaned, axis=1), 1)
    assert np.abs(words.remove(cleaned, 1) - cleaned).max() < 1e-9
    assert np.abs(cleaned @ words.factor_vectors_[0].T).max() > 0.01


def test_a_factor_without_effect_is_removed_without_effect():
    words = IdealWords(normalize=False).fit(np.repeat(PARTS[1], 2, axis=0), [(s, z) for s in SHAPES for z in SIZES])
    assert np.allclose(words.remove(NOISY, 1), NOISY)


def test_shifting_moves_to_the_other_value():
    words = IdealWords(normalize=False).fit(ADDITIVE, GRID)
    start, end = GRID.index(("red", "cube", 1)), GRID.index(("blue", "cube", 1))
    assert np.allclose(words.shift(ADDITIVE[[start]], 0, "red", "blue"), ADDITIVE[[end]])
    moved = IdealWords().fit(ADDITIVE, GRID).shift(ADDITIVE[[start]].astype(np.float32), 0, "red", "blue")
    assert moved.dtype == np.float32 and np.allclose(np.linalg.norm(moved), 1)


class Letters:
    """Counts of letters, so that phrases add up but for their templates."""

    def encode(self, items):
        return np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in items], np.float32)


def test_fitting_on_phrases():
    words = IdealWords(normalize=False).fit_text(Letters(), [COLOURS, SHAPES], ["a {0} {1}", "the {1} is {0}"])
    assert words.values_ == [COLOURS, SHAPES]
    want = Letters().encode(["a red cube", "the cube is red"]).mean(axis=0)
    assert np.allclose(words.compose([("red", "cube")])[0], want, atol=1e-6)
    assert IdealWords().fit_text(Letters(), [COLOURS, SIZES]).values_ == [COLOURS, SIZES]


FITTED = IdealWords().fit(NOISY, GRID)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: IdealWords().fit(NOISY), "requires y to be passed"),
        (lambda: IdealWords().fit(NOISY, GRID[:5]), "5 rows for 24 vectors"),
        (lambda: IdealWords().fit(NOISY, [*GRID[:-1], ("red",)]), "rows differ in length"),
        (lambda: IdealWords().fit(NOISY, np.zeros((24, 1, 1))), "one column a factor, got shape"),
        (lambda: IdealWords().fit(NOISY, [*GRID[:-1], ("red", "tube", "2")]), "factor 2 mixes int and str"),
        (lambda: IdealWords().fit(NOISY, [*GRID[:-1], ("red", None, 2)]), "row 23, factor 1 is None"),
        (lambda: IdealWords().fit(NOISY, [*GRID[:-1], ("red", "tube", 2.5)]), "row 23, factor 2 is 2.5"),
        (lambda: IdealWords().fit(NOISY, [*GRID[:-1], ("red", "tube", np.nan)]), "row 23, factor 2 is nan"),
        (lambda: IdealWords().fit(NOISY, ["red"] * 24), "factor 0 has the value 'red' only"),
        (
            lambda: IdealWords().fit(NOISY, list(zip(NAMES[0], NAMES[0], strict=True))),
            "factor 0 .*factor 1 .*told apart",
        ),
        (
            lambda: IdealWords().fit(NOISY[[0, 7]], [("red", 1), ("blue", 2)]),
            r"\('blue', 'red'\) and factor 1 \(1, 2\)",
        ),
        (lambda: IdealWords().fit(np.vstack([NOISY[:-1], np.zeros(16)]), GRID), "row 23 is zero"),
        (lambda: IdealWords().fit(np.where(NOISY > 5, np.nan, NOISY), GRID), "NaN"),
        (lambda: IdealWords([COLOURS, SHAPES]).fit(NOISY, GRID), "3 label.s., but factors lists the values of 2"),
        (lambda: IdealWords([COLOURS[1:], SHAPES, SIZES]).fit(NOISY, GRID), "row 0: 'blue' is no value of factor 0"),
        (lambda: IdealWords([COLOURS, SHAPES, [1, 2, 3]]).fit(NOISY, GRID), "3 of factor 2 never occurs"),
        (lambda: IdealWords([COLOURS, "abcd", SIZES]).fit(NOISY, GRID), "factor 1 must be a list of different values"),
        (lambda: IdealWords([COLOURS, SHAPES, [1, 1]]).fit(NOISY, GRID), "factor 2 must be a list of different values"),
        (lambda: IdealWords(weights=[[1, 1, 1]]).fit(NOISY, GRID), "1 lists of weights for 3 factors"),
        (lambda: IdealWords(weights=[[1, 1, 1], [1, 1, 0, 1], [1, 1]]).fit(NOISY, GRID), "factor 1 needs 4 .*above 0"),
        (lambda: IdealWords(ridge=-1.0).fit(NOISY, GRID), "ridge must be a number of at least 0"),
        (lambda: FITTED.compose([("red", "cube")]), "2 value.s., the factors are 3"),
        (lambda: FITTED.compose([("red", "egg", 1)]), "'egg' is no value of factor 1; it has 'ball'"),
        (lambda: FITTED.shift(NOISY, 0, "red", "pink"), "'pink' is no value of factor 0"),
        (lambda: FITTED.remove(NOISY, 3), "factors 0 to 2, got 3"),
        (lambda: FITTED.remove(NOISY[:, :5], 0), "5 features"),
        (lambda: IdealWords().fit(NOISY[:4, :2], SHAPES).remove(NOISY[:4, :2], 0), "spans all 2 dimensions"),
        (lambda: IdealWords().fit_text(Letters(), [COLOURS, SHAPES], "a {0}"), r"must have the places \{0\} to \{1\}"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_save_and_open(tmp_path):
    words = IdealWords([COLOURS[::-1], SHAPES, SIZES], weights=[[1, 2, 1], [1] * 4, [3, 1]]).fit(NOISY, GRID)
    theatrum.save(words, tmp_path / "words")
    opened = theatrum.open(tmp_path / "words")
    assert opened.transform(NOISY).tobytes() == words.transform(NOISY).tobytes()
    assert opened.compose(GRID).tobytes() == words.compose(GRID).tobytes()
    assert opened.shift(NOISY, 2, 1, 2).tobytes() == words.shift(NOISY, 2, 1, 2).tobytes()
