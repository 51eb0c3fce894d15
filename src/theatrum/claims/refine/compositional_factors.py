"""Claim 086: phrases are nearly sums of ideal words, which beat real words and take a spurious factor out."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from theatrum.checks import unit_rows
from theatrum.claims.encoded import encode_cached
from theatrum.claims.outcome import Inequality, Outcome, Scale
from theatrum.contracts import Vectors
from theatrum.data import load
from theatrum.evaluate.compositionality import compositionality_score
from theatrum.refine.compositional_factors import IdealWords

_SEEDS = 5
_HELD = 0.2
_TOPICS = 8
_ALIGNED = 0.95  # of the sentences of a topic have its style: a correlation of 0.9 between topic's style and style
_PERMUTATIONS = 199
_MAIN = "adjective x noun"  # the grid of the check's "rank 1 of 900"


def encode(texts: Sequence[str]) -> Vectors:
    """MiniLM, its vectors kept between runs."""
    from theatrum.text.minilm import MiniLM

    return encode_cached(MiniLM(), texts)


@cache
def words() -> Mapping[str, Any]:
    """Grids, styles and forms of the claim."""
    text = files("theatrum.claims.refine").joinpath("compositional_factors.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def drawn(grid: Mapping[str, Any], seed: int, sizes: Sequence[int]) -> list[list[str]]:
    """Values of both factors for one seed."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(grid[name])[:size].tolist() for name, size in zip(("first", "second"), sizes, strict=True)]


def measure_grid(grid: Mapping[str, Any], seed: int, sizes: Sequence[int]) -> dict[str, dict[str, float]]:
    """Every arm on one draw of one grid."""
    values = drawn(grid, seed, sizes)
    cells = [(a, b) for a in values[0] for b in values[1]]
    labels = cells * len(grid["templates"])
    phrases = [template.format(*cell) for template in grid["templates"] for cell in cells]
    vectors = encode(phrases)
    score = compositionality_score(vectors, labels, _PERMUTATIONS, _HELD, seed)
    bags = TfidfVectorizer(token_pattern=r"\S+").fit_transform(phrases).toarray()

    held = np.random.default_rng(seed).permutation(len(cells))[: round(_HELD * len(cells))]
    seen = np.setdiff1d(np.arange(len(cells)), held)
    by_template = vectors.reshape(len(grid["templates"]), len(cells), -1)
    ideal = IdealWords().fit(np.concatenate(by_template[:, seen]), [cells[i] for i in seen] * len(by_template))
    alone = zip(grid["alone"], values, strict=True)
    first, second = (encode([prompt.format(value) for value in known]) for prompt, known in alone)
    made = {
        "phrases themselves": by_template.mean(axis=0),
        "ideal words": ideal.compose(cells),
        # The paper averages real words; for a cosine the sum is the same. Cells run through the second factor fastest.
        "real words": (first[:, None] + second).reshape(len(cells), -1),
    }
    made = {name: unit_rows(queries) for name, queries in made.items()}
    found = {name: foretold(queries[held], made["phrases themselves"], held) for name, queries in made.items()}
    if "contexts" in grid:
        said = [(context.format(*cells[i]), i) for context in grid["contexts"] for i in held]
        sentences, cell = encode([text for text, _ in said]), np.array([i for _, i in said])
        for name, candidates in made.items():
            found[name]["sentences"] = float(((sentences @ candidates.T).argmax(axis=1) == cell).mean())
    found["ideal words"] |= {"R2": score.r2, "p": score.p_value}
    found["labels permuted"] = {"R2": score.permuted_r2}
    found["bag of words"] = {"R2": compositionality_score(bags, labels, 1, _HELD, seed).r2}
    return found


def foretold(queries: Vectors, phrases: Vectors, own: NDArray[np.int64]) -> dict[str, float]:
    """Retrieve phrases by vectors made for them: share at rank 1 among all, and mean cosine with the own one."""
    similarity = queries @ phrases.T
    wanted = similarity[np.arange(len(own)), own]
    return {"rank 1": float((similarity.max(axis=1) <= wanted).mean()), "cosine": float(wanted.mean())}


def spoken(texts: Sequence[str], styles: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Say each text in its style, in one of the style's ways."""
    ways = words()["styles"]
    return [ways[style][rng.integers(len(ways[style]))].format(text) for text, style in zip(texts, styles, strict=True)]


def debiasing(seed: int, intents: Sequence[str], limit: int | None) -> dict[str, dict[str, float]]:
    """Learn topics from sentences whose style goes with the topic, and test on sentences where it does not."""
    rng = np.random.default_rng(seed)
    topics = rng.permutation(intents)[:_TOPICS].tolist()
    usual = {topic: ("polite", "rude")[place % 2] for place, topic in enumerate(topics)}
    other = {"polite": "rude", "rude": "polite"}
    train, topic, style = [], [], []
    test, test_topic = [], []
    data = load("clinc150")
    by_topic = defaultdict(list)
    for text, label, split in zip(data.texts, data.labels, data.splits, strict=True):
        by_topic[label, split].append(text)
    for one in topics:
        mine = by_topic[one, "train"][:limit]
        against = rng.permutation(len(mine)) < max(1, round((1 - _ALIGNED) * len(mine)))
        train += mine
        topic += [one] * len(mine)
        style += [other[usual[one]] if turned else usual[one] for turned in against]
        new = [*by_topic[one, "test"], *by_topic[one, "val"]][:limit]
        test += new
        test_topic += [one] * len(new)
    X = encode(spoken(train, style, rng))
    tests = {name: encode(spoken(test, [name] * len(test), rng)) for name in other}
    ideal = IdealWords().fit(X, list(zip(topic, style, strict=True)))
    polite = np.array(style) == "polite"
    direction = unit_rows((X[polite].mean(axis=0) - X[~polite].mean(axis=0))[None])[0]
    arms: dict[str, Callable[[Vectors], Vectors]] = {
        "as they are": lambda V: V,
        "ideal words of the style removed": lambda V: ideal.remove(V, 1),
        "difference of the styles' means removed": lambda V: unit_rows(V - np.outer(V @ direction, direction)),
    }
    found = {}
    for name, clean in arms.items():
        search = GridSearchCV(LogisticRegression(max_iter=2000), {"C": [1.0, 10.0, 100.0]}, cv=3)
        model = search.fit(clean(X), topic).best_estimator_
        right = {said: model.predict(clean(V)) == np.array(test_topic) for said, V in tests.items()}
        groups = [hits[np.array(test_topic) == one].mean() for hits in right.values() for one in topics]
        found[name] = {"worst group": float(min(groups)), "average": float(np.mean(groups))}
    return found


def exactness(seed: int) -> tuple[float, float]:
    """Largest errors on a grid with gaps: of additive vectors recovered, and against dummy-coded least squares."""
    rng = np.random.default_rng(seed)
    sizes, d = (9, 7, 4), 32
    parts = [rng.normal(size=(size, d)) for size in sizes]
    grid = np.array(list(product(*map(range, sizes))))
    exact = rng.normal(size=d) + sum(part[column] for part, column in zip(parts, grid.T, strict=True))
    seen = rng.permutation(len(grid))[: len(grid) // 2]
    made = IdealWords(normalize=False).fit(exact[seen], grid[seen]).compose(grid)
    noisy = exact + 0.3 * rng.normal(size=exact.shape)
    words_of = IdealWords(normalize=False).fit(noisy[seen], grid[seen])
    dummies = np.hstack(
        [np.ones((len(grid), 1)), *(np.eye(n)[column][:, 1:] for n, column in zip(sizes, grid.T, strict=True))]
    )
    fitted = dummies @ np.linalg.lstsq(dummies[seen], noisy[seen], rcond=None)[0]
    return float(np.abs(made - exact).max()), float(np.abs(words_of.compose(grid) - fitted).max())


def hard_case(n_intents: int, seed: int) -> dict[str, dict[str, float]]:
    """Intent and form of questions to CLINC150, cells of many sentences each: paraphrases that share few words."""
    data = load("clinc150")
    form = {first: name for name, firsts in words()["forms"].items() for first in firsts}
    intents = set(sorted(set(data.labels) - {"oos"})[:n_intents])
    rows = [
        (text, (label, form[text.split()[0]]))
        for text, label, split in zip(data.texts, data.labels, data.splits, strict=True)
        if split == "train" and label in intents and text.split()[0] in form
    ]
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    score = compositionality_score(encode(texts), labels, _PERMUTATIONS, _HELD, seed)
    bags = compositionality_score(TfidfVectorizer().fit_transform(texts).toarray(), labels, 1, _HELD, seed)
    return {
        "ideal words": {
            "R2": score.r2, "p": score.p_value, "share of the intent": score.share[0],
            "share of the form": score.share[1], "rank 1": score.heldout_top1, "cells": score.n_cells,
        },
        "labels permuted": {"R2": score.permuted_r2},
        "bag of words": {"R2": bags.r2},
    }  # fmt: skip


def claim_086(scale: Scale) -> Outcome:
    """Phrases are closer to sums than shuffled ones; ideal words foretell unseen phrases and take a style out."""
    smoke = scale == "smoke"
    seeds = range(2 if smoke else _SEEDS)
    measurements: dict[str, dict[str, list[float]]] = {}
    inequalities, recorded = [], {}

    def keep(part: str, runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, NDArray[np.float64]]]:
        table = {arm: {name: np.array([run[arm][name] for run in runs]) for name in runs[0][arm]} for arm in runs[0]}
        for arm, metrics in table.items():
            measurements[f"{part}, {arm}"] = {name: values.tolist() for name, values in metrics.items()}
        return table

    for name, grid in words()["grids"].items():
        if smoke and name != _MAIN:
            continue
        found = keep(name, [measure_grid(grid, seed, (8, 8) if smoke else grid["sizes"]) for seed in seeds])
        ideal, real = found["ideal words"], found["real words"]
        above = (ideal["R2"] - found["labels permuted"]["R2"]).tolist()
        inequalities += [
            Inequality(f"{name}: R2 >= R2 of permuted labels + 0.3", above, "seeds", 0.3),
            Inequality(f"{name}: 0.01 - p >= 0", (0.01 - ideal["p"]).tolist(), "seeds", 0.0, None),
        ]
        recorded[f"{name}: ideal words - real words"] = {
            metric: round(float((ideal[metric] - real[metric]).mean()), 4) for metric in real
        }
        if name == _MAIN:
            better = (ideal["rank 1"] - real["rank 1"]).tolist()
            inequalities += [
                Inequality(f"{name}: unseen phrases at rank 1 >= 0.5", ideal["rank 1"].tolist(), "seeds", 0.5, 0.5),
                Inequality(f"{name}: ideal words >= real words + 0.1 (unseen phrases at rank 1)", better, "seeds", 0.1),
            ]
    # Every other intent; the rest served to try the sentences of the styles.
    intents = sorted(set(load("clinc150").labels) - {"oos"})[::2]
    found = keep("spurious style", [debiasing(seed, intents, 20 if smoke else None) for seed in seeds])
    raw, removed = found["as they are"], found["ideal words of the style removed"]
    worst = (removed["worst group"] - raw["worst group"]).tolist()
    average = (removed["average"] - raw["average"]).tolist()
    exact = [exactness(seed) for seed in seeds]
    measurements["additive vectors, ideal words"] = {
        "largest error": [one for one, _ in exact],
        "largest difference from least squares": [one for _, one in exact],
    }
    inequalities += [
        Inequality("style removed: worst group >= as they are + 0.05", worst, "seeds", 0.05),
        Inequality("style removed: average >= as they are - 0.02", average, "seeds", -0.02, None),
        Inequality("additive vectors, 1e-5 - error >= 0", [1e-5 - max(one) for one in exact], "seeds", 0.0, None),
    ]
    keep("CLINC150 intent x form", [hard_case(6 if smoke else 75, 0)])
    return Outcome(measurements, inequalities, recorded=recorded, notes=NOTES)


NOTES = (
    "MiniLM stands in for CLIP's text encoder; there are no images. The grids are written for this claim, and a seed "
    "draws its values (30 x 30, 12 x 12, 8 x 40 with 6 templates, 20 x 20). "
    "Ideal words at least 0.1 better than real words at finding an unseen phrase does NOT hold and cannot: among the "
    "900 phrases the plain sum of two real words finds the right one in every case, so both are at 1. The rule was "
    "fixed before the run and is left as it was; shorter grids or looser words were not tried to make it hold. The "
    "paper's own comparisons go the way that it says, and are recorded: ideal words lie nearer to phrases that they "
    "were not fitted on than averaged real words do (cosine), and as candidates for sentences that say an unseen pair "
    "in other words (column 'sentences', in the place of the paper's images) they are better than real words and no "
    "worse than the phrases' own vectors. That column was added after the first run and decides nothing. "
    "R2 must be read beside the bag of words: TF-IDF vectors of the same phrases have more than 0.99, so a high R2 "
    "says that the encoder adds short phrases up as a bag of words does, not that it understands them. The hard case, "
    "CLINC150's questions by intent and grammatical form (cells are means of paraphrases), is recorded: the form "
    "explains hardly anything that the intent does not, and the vector made for an unseen cell is nearest to it in a "
    "tenth of the cells. "
    "Spurious style: eight intents a seed, polite or rude wrappings, 95% of a topic's sentences in its own style "
    "(a correlation of 0.9), tested in both styles; regularisation is chosen by cross-validation on the training "
    "sentences for every arm; the sentences were tried on the other half of the intents. Where topics are far apart "
    "(seed 0) nothing is to be gained. With two styles both ways of removing take one direction; that of the ideal "
    "words is not mixed with the topics. Exactness is against least squares with dummy variables, written out."
)
