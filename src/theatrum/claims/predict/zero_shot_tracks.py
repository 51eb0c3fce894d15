"""The zero-shot data that claims and the comparison page share: features, class semantics and class splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from theatrum.checks import unit_rows
from theatrum.claims.encoded import encode_cached
from theatrum.contracts import ClassSemantics
from theatrum.data import LabelledTexts, load
from theatrum.predict.semantics import class_split
from theatrum.text.minilm import MiniLM

# T1: utterances and intent names in one space (MiniLM). T2: utterances as LSA, names as MiniLM. I: handwritten
# characters, described by the strokes of other people. A: photographs of animals, described by attributes.
Track: TypeAlias = Literal["T1", "T2", "I", "A"]
TRACKS: tuple[Track, ...] = get_args(Track)
N_UNSEEN: dict[Track, int] = {"T1": 40, "T2": 40, "I": 60, "A": 10}

_A_CLASS = 50  # training utterances a class
_LSA, _HOG, _WORDS = 256, 200, 200  # dimensions of T2, I and A
_SIGNING = 5  # the first drawers give the signatures, the others the images
_SEEN_TEST = 0.2  # share of a seen class's rows that are held out, where there is no official test part


@dataclass(frozen=True)
class ZeroShotSplit:
    """One draw of seen and unseen classes, ready to fit and to test.

    Parameters
    ----------
    X, codes : ndarray, shape (n, d), (n,)
        Training rows of seen classes; ``codes`` are positions in ``semantics.names``.
    X_test, test_codes : ndarray, shape (m, d), (m,)
        Test rows of seen classes (none of them trained on), and of unseen classes.
    semantics : ClassSemantics
        Of all classes, with ``seen``.
    """

    X: NDArray[np.float32]
    codes: NDArray[np.intp]
    X_test: NDArray[np.float32]
    test_codes: NDArray[np.intp]
    semantics: ClassSemantics

    @property
    def unseen_rows(self) -> NDArray[np.intp]:
        """Test rows of unseen classes."""
        assert self.semantics.seen is not None
        return np.flatnonzero(~self.semantics.seen[self.test_codes])


def zero_shot_split(track: Track, seed: int, *, n_classes: int | None = None) -> ZeroShotSplit:
    """Draw a class split of a track; nothing is fitted on rows of unseen classes.

    Parameters
    ----------
    track : {"T1", "T2", "I", "A"}
        The data.
    seed : int
        Draws the classes and, in I and A, the seen classes' test rows.
    n_classes : int, optional
        Take fewer classes (drawn), a quarter of them unseen: for quick runs.
    """
    rng = np.random.default_rng(seed)
    total = {"T1": 150, "T2": 150, "I": 242, "A": 50}[track]
    chosen = np.arange(total) if n_classes is None else np.sort(rng.permutation(total)[:n_classes])
    n_unseen = N_UNSEEN[track] if n_classes is None else max(n_classes // 4, 1)
    seen = class_split(len(chosen), n_unseen, random_state=seed)
    place = np.full(total, -1)
    place[chosen] = np.arange(len(chosen))
    if track in ("T1", "T2"):
        return _texts(track, place, seen)
    return _images(place, seen, rng) if track == "I" else _animals(place, seen, rng)


@cache
def intents() -> tuple[tuple[str, ...], LabelledTexts, LabelledTexts]:
    """Names of the 150 intents, training rows (50 each), and test rows."""
    rows: LabelledTexts = load("clinc150")
    train, test = rows.split("train"), rows.split("test")
    names = tuple(sorted(set(train.labels)))
    labels = np.array(train.labels)
    kept = np.sort(np.concatenate([np.flatnonzero(labels == name)[:_A_CLASS] for name in names]))
    return names, _rows(train, kept), test


def _rows(texts: LabelledTexts, kept: NDArray[np.intp]) -> LabelledTexts:
    return LabelledTexts(*(tuple(column[row] for row in kept) for column in (texts.texts, texts.labels, texts.splits)))


def _texts(track: Track, place: NDArray[np.intp], seen: NDArray[np.bool_]) -> ZeroShotSplit:
    names, train, test = intents()
    code = {name: place[row] for row, name in enumerate(names)}
    train_codes, test_codes = (np.array([code[label] for label in part.labels]) for part in (train, test))
    fit = (train_codes >= 0) & seen[train_codes]
    tested = test_codes >= 0
    encoder = MiniLM()
    vectors = encode_cached(encoder, [name.replace("_", " ") for name in names])
    if track == "T1":
        X, X_test = encode_cached(encoder, train.texts)[fit], encode_cached(encoder, test.texts)[tested]
    else:
        X, X_test = _latent(
            [train.texts[i] for i in np.flatnonzero(fit)], [test.texts[i] for i in np.flatnonzero(tested)]
        )
    kept = np.flatnonzero(place >= 0)
    semantics = ClassSemantics(tuple(names[row] for row in kept), vectors=vectors[kept], seen=seen)
    return ZeroShotSplit(X, train_codes[fit], X_test, test_codes[tested], semantics)


def _latent(train: Sequence[str], test: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    words = TfidfVectorizer(sublinear_tf=True)
    counted = words.fit_transform(train)
    svd = TruncatedSVD(min(_LSA, counted.shape[1] - 1), random_state=0).fit(counted)
    both = (svd.transform(counted), svd.transform(words.transform(test)))
    return unit_rows(both[0].astype(np.float32)), unit_rows(both[1].astype(np.float32))


def _images(place: NDArray[np.intp], seen: NDArray[np.bool_], rng: np.random.Generator) -> ZeroShotSplit:
    hog, character, drawer, signatures, names = _characters()
    codes = place[character]
    usable = (drawer > _SIGNING) & (codes >= 0)
    X, codes, drawer = hog[usable], codes[usable], drawer[usable]
    held = np.isin(drawer, _SIGNING + 1 + rng.permutation(15)[: round(_SEEN_TEST * 15)])
    fit = seen[codes] & ~held
    tested = ~seen[codes] | held
    pca = PCA(_HOG, svd_solver="full").fit(X[fit])
    kept = np.flatnonzero(place >= 0)
    standard = signatures[kept]
    spread = standard[seen].std(axis=0)
    standard = (standard - standard[seen].mean(axis=0)) / np.where(spread == 0, 1, spread)
    semantics = ClassSemantics(tuple(names[row] for row in kept), vectors=standard.astype(np.float32), seen=seen)
    X32 = pca.transform(X).astype(np.float32)
    return ZeroShotSplit(X32[fit], codes[fit], X32[tested], codes[tested], semantics)


@cache
def _characters() -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64], list[str]]:
    """HOG of every image, its character and drawer; signatures of the characters from the first drawers' strokes."""
    data = load("omniglot")
    ink = np.unpackbits(data["images"], axis=1)[:, : 105 * 105].reshape(-1, 105, 105).astype(np.float32)
    # 105 = 3.75 x 28: interpolated to 112, then averaged over 4 x 4.
    at = (np.arange(112) + 0.5) * 105 / 112 - 0.5
    low = np.clip(np.floor(at).astype(int), 0, 103)
    part = np.clip(at - low, 0, 1).astype(np.float32)
    wide = ink[:, low] * (1 - part)[:, None] + ink[:, low + 1] * part[:, None]
    wide = wide[:, :, low] * (1 - part) + wide[:, :, low + 1] * part
    small = wide.reshape(-1, 28, 4, 28, 4).mean(axis=(2, 4))
    character, drawer = data["character"].astype(np.intp), data["drawer"].astype(np.intp)
    signatures = np.zeros((242, 81))
    for row in range(242):
        drawn = [_strokes(data, image) for image in np.flatnonzero((character == row) & (drawer <= _SIGNING)).tolist()]
        signatures[row] = np.mean([stroke_signature(strokes) for strokes in drawn], axis=0)
    return gradient_histograms(small), character, drawer, signatures, [str(name) for name in data["character_names"]]


def _strokes(data: dict[str, NDArray[np.float32]], image: int) -> list[NDArray[np.float64]]:
    first, last = data["image_stroke_offsets"][image : image + 2]
    cuts = data["stroke_offsets"]
    return [
        data["points"][cuts[s] : cuts[s + 1], :2].astype(np.float64) * (1, -1) / 105
        for s in range(int(first), int(last))
    ]


def gradient_histograms(images: NDArray[np.float32], cells: int = 7, bins: int = 8) -> NDArray[np.float32]:
    """Histograms of oriented gradients: ``cells`` x ``cells`` cells of ``bins`` directions, one unit row an image.

    Examples
    --------
    >>> gradient_histograms(np.eye(28, dtype=np.float32)[None]).shape
    (1, 392)
    """
    dy, dx = np.gradient(images, axis=(1, 2))
    size = np.hypot(dx, dy)
    which = np.floor((np.arctan2(dy, dx) + np.pi) / (2 * np.pi) * bins).astype(int) % bins
    n, height, width = images.shape
    cell = (np.arange(height) * cells // height)[:, None] * cells + np.arange(width) * cells // width
    slot = (np.arange(n)[:, None, None] * cells**2 + cell) * bins + which
    counted = np.bincount(slot.ravel(), size.ravel(), minlength=n * cells**2 * bins)
    return unit_rows(counted.reshape(n, -1).astype(np.float32))


def stroke_signature(strokes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Describe a drawing by 81 numbers of its pen's path (points in the unit square).

    Strokes, length, turning; box (2); first and last point (4); share of the ink in 8 directions, and in 4 x 4 places
    by 4 directions.

    Examples
    --------
    >>> stroke_signature([np.array([[0.1, 0.1], [0.9, 0.1]])]).shape
    (81,)
    """
    moves = [np.diff(stroke, axis=0) for stroke in strokes]
    middles = np.vstack([(stroke[1:] + stroke[:-1]) / 2 for stroke in strokes if len(stroke) > 1] or [np.zeros((1, 2))])
    steps = np.vstack([move for move in moves if len(move)] or [np.zeros((1, 2))])
    lengths = np.hypot(*steps.T)
    angles = np.arctan2(steps[:, 1], steps[:, 0])
    turning = sum(_turning(move) for move in moves)
    points = np.vstack(strokes)
    box = points.max(axis=0) - points.min(axis=0)
    ink = max(lengths.sum(), 1e-9)
    eighths = np.floor((angles + np.pi) / (2 * np.pi) * 8).astype(int) % 8
    quarters = np.floor((angles + np.pi + np.pi / 4) / (2 * np.pi) * 4).astype(int) % 4
    column, row = np.clip(np.floor(middles * 4).astype(int), 0, 3).T
    directions = np.bincount(eighths, lengths, minlength=8) / ink
    places = np.bincount((row * 4 + column) * 4 + quarters, lengths, minlength=64) / ink
    return np.concatenate([[len(strokes), ink, turning], box, strokes[0][0], strokes[-1][-1], directions, places])


def _turning(move: NDArray[np.float64]) -> float:
    """Total change of direction along a stroke, in radians; pauses do not count."""
    going = move[np.hypot(*move.T) > 0]
    if len(going) < 2:
        return 0.0
    change = np.diff(np.unwrap(np.arctan2(going[:, 1], going[:, 0])))
    return float(np.abs(change).sum())


def _animals(place: NDArray[np.intp], seen: NDArray[np.bool_], rng: np.random.Generator) -> ZeroShotSplit:
    data = load("awa1")
    codes = place[data["label"].astype(np.intp)]
    usable = codes >= 0
    # Square roots of frequencies: the inner product of two images is then their Hellinger affinity.
    parts = [
        np.sqrt(unit_sum(data[key][usable].astype(np.float32))) for key in ("surf_counts", "rgsift_counts", "phog")
    ]
    X, codes = np.hstack(parts), codes[usable]
    held = np.zeros(len(codes), dtype=bool)
    for code in np.flatnonzero(seen):
        rows = rng.permutation(np.flatnonzero(codes == code))
        held[rows[: max(round(_SEEN_TEST * len(rows)), 1)]] = True
    fit = seen[codes] & ~held
    tested = ~seen[codes] | held
    pca = PCA(min(_WORDS, int(fit.sum()) - 1), svd_solver="full").fit(X[fit])
    X32 = pca.transform(X).astype(np.float32)
    kept = np.flatnonzero(place >= 0)
    # -1 stands for "not asked"; 0 is the honest reading of it.
    attributes = np.clip(data["attributes_continuous"][kept], 0, 100) / 100
    semantics = ClassSemantics(
        tuple(str(data["class_names"][row]) for row in kept),
        attributes=attributes.astype(np.float32),
        attribute_names=tuple(str(name) for name in data["attribute_names"]),
        seen=seen,
    )
    return ZeroShotSplit(X32[fit], codes[fit], X32[tested], codes[tested], semantics)


def unit_sum(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of counts into shares; a row without any stays 0."""
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, np.where(total == 0, 1, total), dtype=np.float32)
