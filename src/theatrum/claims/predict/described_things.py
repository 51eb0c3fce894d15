"""Things described by texts or dictionaries, with a number to predict, for claim 081."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.data import load
from theatrum.predict.row_texts import row_text

Matrix = NDArray[np.float64]
_LEAST_RATINGS = 20


@dataclass(frozen=True)
class Things:
    """Texts, traditional features of the same things, and the target.

    Parameters
    ----------
    texts : list of str
        For the encoder and for TF-IDF.
    table : ndarray of float64, shape (n, k)
        Numbers scaled to [0, 1], one-hot categories, 0 for what is absent.
    target : ndarray of float64, shape (n,)
        Value of each.
    """

    texts: list[str]
    table: Matrix
    target: Matrix


def one_hot(values: Sequence[Any]) -> Matrix:
    """One column a distinct value, in sorted order; a list counts for each of its values."""
    rows = [value if isinstance(value, list) else [value] for value in values]
    names = sorted({one for row in rows for one in row})
    return np.array([[name in row for name in names] for row in rows], dtype=np.float64)


def unit_range(values: Any) -> Matrix:
    """Scale columns to [0, 1]."""
    columns = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    low, span = columns.min(axis=0), np.ptp(columns, axis=0)
    return (columns - low) / np.where(span > 0, span, 1)


def films(n: int, *, popularity: bool) -> Things:
    """MovieLens-100k: mean rating, or logarithm of the number of ratings, of films rated at least 20 times."""
    log = load("movielens-100k")
    place = {item: row for row, item in enumerate(log.item_ids)}
    rows = np.array([place[item] for item in log.items])
    counts = np.bincount(rows, minlength=len(place))
    rating = np.bincount(rows, weights=log.ratings, minlength=len(place)) / np.maximum(counts, 1)
    known = log.item_attributes
    kept = np.array(
        [row for row in np.flatnonzero(counts >= _LEAST_RATINGS) if known["year"][row] and known["genres"][row]]
    )
    kept = np.random.default_rng(0).permutation(kept)[:n]
    table = np.hstack(
        [one_hot([known["genres"][row] for row in kept]), unit_range([known["year"][row] for row in kept])]
    )
    target = np.log(counts[kept]) if popularity else rating[kept]
    return Things([log.item_texts[row] for row in kept], table, target)


def posts(n: int) -> Things:
    """20 Newsgroups: logarithm of a post's number of lines; the table has its group and shares of characters."""
    rows = load("20newsgroups").split("train")
    usable = [row for row, text in enumerate(rows.texts) if len(text.split()) >= 5]
    kept = np.random.default_rng(0).permutation(usable)[:n]
    texts = [rows.texts[row].strip() for row in kept]
    tests: tuple[Callable[[str], bool], ...] = (
        str.isupper,
        str.isdigit,
        str.isspace,
        lambda c: not (c.isalnum() or c.isspace()),
    )
    shares = [[sum(map(test, text)) / len(text) for test in tests] for text in texts]
    table = np.hstack([one_hot([rows.labels[row] for row in kept]), unit_range(shares)])
    return Things(texts, table, np.log([len(text.splitlines()) for text in texts]))


def sentence_pairs(n: int) -> Things:
    """STS-B: similarity of two sentences from one text; the table has source, lengths and shared words."""
    pairs = load("stsbenchmark")
    kept = np.random.default_rng(0).permutation(np.flatnonzero(np.asarray(pairs.splits) == "train"))[:n]
    first, second = ([side[row] for row in kept] for side in (pairs.first, pairs.second))
    bags = [(set(a.lower().split()), set(b.lower().split())) for a, b in zip(first, second, strict=True)]
    numbers = [[len(a), len(b), abs(len(a) - len(b)), len(a & b) / max(len(a | b), 1)] for a, b in bags]
    table = np.hstack([one_hot([str(pairs.subsets[row]) for row in kept]), unit_range(numbers)])
    texts = [f"{a} | {b}" for a, b in zip(first, second, strict=True)]
    return Things(texts, table, np.array([pairs.scores[row] for row in kept], dtype=np.float64))


_MODELS = (
    "decision tree",
    "random forest",
    "linear model",
    "convolutional network",
    "transformer",
    "nearest neighbours",
)
_OPTIMIZERS = ("sgd", "adam", "rmsprop", "adagrad")
_DATA = (
    "images of birds",
    "house prices",
    "film reviews",
    "heart sounds",
    "road traffic",
    "satellite photos",
    "emails",
)


def configurations(n: int, *, conditional: bool) -> Things:
    """Made-up training runs: effects of categories and numbers, and noise.

    With ``conditional`` some keys are there for some optimisers only, and effects of model and data interact.
    """
    rng = np.random.default_rng(int(conditional))
    of_model, of_optimizer, of_data = (rng.normal(size=len(names)) for names in (_MODELS, _OPTIMIZERS, _DATA))
    of_pair = rng.normal(size=(len(_MODELS), len(_DATA)))
    rows, features, target = [], [], []
    for _ in range(n):
        m, o, s = rng.integers(len(_MODELS)), rng.integers(len(_OPTIMIZERS)), rng.integers(len(_DATA))
        rate, layers, dropout, augmented = (
            rng.uniform(-4, 0),
            int(rng.integers(1, 13)),
            rng.uniform(0, 0.6),
            rng.random() < 0.5,
        )
        row: dict[str, Any] = {"model": _MODELS[m], "optimizer": _OPTIMIZERS[o], "data": _DATA[s]}
        row |= {"learning rate": 10**rate, "layers": layers, "dropout": dropout, "augmented": bool(augmented)}
        value = of_model[m] + of_optimizer[o] + of_data[s] - 0.5 * (rate + 2) ** 2 + 0.1 * layers + 0.5 * augmented
        inner = rng.random()
        if conditional:
            value += of_pair[m, s]
            if o == 0:
                row["momentum"] = inner
                value += 2 * inner
            if o == 1:
                row["warmup steps"] = int(1000 * inner)
                value -= 2 * inner
        rows.append(row)
        hot = [np.eye(len(names))[i] for names, i in ((_MODELS, m), (_OPTIMIZERS, o), (_DATA, s))]
        extra = [inner * (o == 0), inner * (o == 1)] if conditional else []
        features.append(np.concatenate([*hot, [(rate + 4) / 4, (layers - 1) / 11, dropout / 0.6, augmented], extra]))
        target.append(value + 0.3 * rng.normal())
    return Things([row_text(row, 3) for row in rows], np.array(features), np.array(target))


TEXT_TASKS: dict[str, Callable[[int], Things]] = {
    "films, mean rating": lambda n: films(n, popularity=False),
    "films, ratings given": lambda n: films(n, popularity=True),
    "posts, lines": posts,
    "sentence pairs, similarity": sentence_pairs,
    "configurations": lambda n: configurations(n, conditional=False),
    "conditional configurations": lambda n: configurations(n, conditional=True),
}
