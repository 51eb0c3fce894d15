"""Every predictor on every data set at hand, with the same features, beside the simple things a user would do.

Prints one JSON line a data set, method and measure, with one value a seed; the comparison page of the documentation is
made from them. Tuned by each method's own means on seen classes; nothing is tuned on what is reported. Needs
THEATRUM_DATA; about half an hour on one core.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from theatrum.claims.encoded import encode_cached
from theatrum.claims.predict.unlabelled_texts import TEXT_SETS, text_pile
from theatrum.claims.predict.zero_shot_tracks import TRACKS, ZeroShotSplit, zero_shot_split
from theatrum.data import load
from theatrum.evaluate.generalized_zero_shot import generalized_accuracy, harmonic_mean, per_class_accuracy
from theatrum.predict.calibrated_stacking import CalibratedStacking
from theatrum.predict.class_name_cosine import ClassNameCosine
from theatrum.predict.classifier_injection import ClassifierInjector
from theatrum.predict.convex_combination import ConvexCombinationClassifier
from theatrum.predict.embedding_regression import EmbeddingRegressor
from theatrum.predict.frechet_mean import FrechetMeanClassifier
from theatrum.predict.incremental_discovery import IncrementalClassDiscovery
from theatrum.predict.label_propagation import ZeroShotLabelPropagation
from theatrum.predict.rank_axis import RankAxis
from theatrum.predict.semantic_relations import RelationPreservingClassifier
from theatrum.predict.semantic_ridge import SemanticRidge
from theatrum.predict.semantic_to_feature import SemanticToFeatureClassifier
from theatrum.text.minilm import MiniLM

SEEDS = 3
SHOTS = 5  # examples of each new class that the simple classifiers are given

ZERO_SHOT: dict[str, Callable[[], Any]] = {
    "semantic_ridge": SemanticRidge,
    "semantic_ridge(to_semantics)": lambda: SemanticRidge("to_semantics"),
    "semantic_to_feature": lambda: SemanticToFeatureClassifier(random_state=0),
    "semantic_relations": lambda: RelationPreservingClassifier(random_state=0),
    "convex_combination": ConvexCombinationClassifier,
    "frechet_mean": lambda: FrechetMeanClassifier(metric="euclidean"),
    "classifier_injection": lambda: ClassifierInjector("costa"),
}


def report(table: str, data: str, method: str, **measures: list[float]) -> None:
    for measure, values in measures.items():
        line = {"table": table, "data": data, "method": method, "measure": measure}
        print(json.dumps(line | {"values": [round(value, 4) for value in values]}), flush=True)


def calibrated(make: Callable[[], Any], split: ZeroShotSplit) -> tuple[float, float, float]:
    """Accuracy among unseen classes, and H without and with an automatic gamma, from one fit."""
    model = CalibratedStacking(make(), class_folds=3).fit(split.X, split.codes, split.semantics)
    scores, seen = model.base_.class_scores(split.X_test), split.semantics.seen
    plain = generalized_accuracy(scores, split.test_codes, seen)
    found = generalized_accuracy(scores - model.gamma_ * seen, split.test_codes, seen)
    return plain.unseen_only, plain.harmonic, found.harmonic


def few_shot(model: Any, split: ZeroShotSplit, seed: int) -> tuple[float, float, float]:
    """A plain classifier that is given some rows of each new class, judged on the others."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(split.unseen_rows)
    codes = split.test_codes[rows]
    shown = np.concatenate([rows[codes == code][:SHOTS] for code in np.unique(codes)])
    judged = np.setdiff1d(np.arange(len(split.test_codes)), shown)
    truth, seen = split.test_codes[judged], split.semantics.seen
    new = np.isin(truth, np.flatnonzero(~seen))
    alone = model.fit(split.X_test[shown], split.test_codes[shown]).predict(split.X_test[judged][new])
    X, y = np.vstack([split.X, split.X_test[shown]]), np.concatenate([split.codes, split.test_codes[shown]])
    both = model.fit(X, y).predict(split.X_test[judged])
    h = harmonic_mean(per_class_accuracy(truth[new], both[new]), per_class_accuracy(truth[~new], both[~new]))
    return per_class_accuracy(truth[new], alone), h, h


def zero_shot() -> None:
    for track in TRACKS:
        found: dict[str, list[tuple[float, float, float]]] = {}
        for seed in range(SEEDS):
            split = zero_shot_split(track, seed)
            methods = dict(ZERO_SHOT)
            if track == "T1":
                methods["cosine"] = ClassNameCosine
            for name, make in methods.items():
                found.setdefault(name, []).append(calibrated(make, split))
            if track == "T1":
                found.setdefault("label_propagation (sees the test rows)", []).append(propagated(split))
            simple = {
                f"5-NN, {SHOTS} examples a new class": KNeighborsClassifier(5, metric="cosine"),
                f"logistic regression, {SHOTS} examples a new class": LogisticRegression(C=10.0, max_iter=500),
            }
            for name, model in simple.items():
                found.setdefault(name, []).append(few_shot(model, split, seed))
        for name, values in found.items():
            unseen, plain, after = (list(column) for column in zip(*values, strict=True))
            report("zero-shot", track, name, **{"unseen": unseen, "H": plain, "H calibrated": after})


def propagated(split: ZeroShotSplit) -> tuple[float, float, float]:
    rows = split.unseen_rows
    new = np.flatnonzero(~split.semantics.seen)
    alone = ZeroShotLabelPropagation().fit(split.X_test[rows], semantics=split.semantics.subset(new))
    u = per_class_accuracy(split.test_codes[rows], new[alone.scores_.argmax(axis=1)])
    whole = ZeroShotLabelPropagation().fit(split.X_test, semantics=split.semantics)
    h = generalized_accuracy(whole.scores_, split.test_codes, split.semantics.seen).harmonic
    return u, h, h


def unlabelled() -> None:
    for name in TEXT_SETS:
        pile = text_pile(name)
        n_classes = len(pile.semantics.names)
        found: dict[str, list[float]] = {}
        for seed in range(SEEDS):
            order = np.random.default_rng(seed).permutation(len(pile.X))
            graph, later = np.split(order, [len(order) // 2])
            X, truth = pile.X[graph], pile.codes[graph]
            answers = {
                "cosine": (X @ pile.semantics.signature().T).argmax(axis=1),
                "label_propagation": ZeroShotLabelPropagation().fit(X, semantics=pile.semantics).scores_.argmax(axis=1),
                "incremental_discovery (groups named by the labels)": matched(
                    IncrementalClassDiscovery(n_classes, random_state=seed).fit(X).predict(X), truth
                ),
            }
            for shots in (1, SHOTS):
                shown = np.concatenate([later[pile.codes[later] == code][:shots] for code in range(n_classes)])
                for label, model in (
                    ("nearest neighbour", KNeighborsClassifier(1, metric="cosine")),
                    ("logistic regression", LogisticRegression(C=10.0, max_iter=500)),
                ):
                    fitted = model.fit(pile.X[shown], pile.codes[shown])
                    answers[f"{label}, {shots} labelled a class"] = fitted.predict(X)
            for method, codes in answers.items():
                found.setdefault(method, []).append(float((codes == truth).mean()))
        for method, values in found.items():
            report("no labels", name, method, accuracy=values)


def matched(clusters: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Call each group by the class that makes most answers right, one class a group."""
    together = np.zeros((clusters.max() + 1, truth.max() + 1))
    np.add.at(together, (clusters, truth), 1)
    rows, columns = linear_sum_assignment(-together)
    called = np.full(len(together), -1)
    called[rows] = columns
    return called[clusters]


def numbers() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    encoder = MiniLM()
    clinc = load("clinc150").split("test")
    X = encode_cached(encoder, clinc.texts)
    yield "words of an utterance (CLINC150)", X, np.array([len(text.split()) for text in clinc.texts], dtype=float)
    log = load("movielens-100k")
    rated = {document.id: [] for document in log.catalogue}
    for item, rating in zip(log.items, log.ratings, strict=True):
        rated[item].append(rating)
    kept = [document for document in log.catalogue if len(rated[document.id]) >= 20]
    means = np.array([np.mean(rated[document.id]) for document in kept])
    yield "mean rating of a film (MovieLens)", encode_cached(encoder, [d.content for d in kept]), means


def regression() -> None:
    methods: dict[str, Callable[[int], Any]] = {
        "rank_axis": lambda seed: RankAxis(),
        "rank_axis (two extremes)": lambda seed: RankAxis("extremes", random_state=seed),
        "embedding_regression": lambda seed: EmbeddingRegressor(random_state=seed),
        "ridge regression": lambda seed: RidgeCV(np.geomspace(1e-3, 1e3, 13)),
        "10-NN regression": lambda seed: KNeighborsRegressor(10, metric="cosine"),
    }
    for data, X, y in numbers():
        found: dict[str, list[float]] = {}
        for seed in range(SEEDS):
            order = np.random.default_rng(seed).permutation(len(X))
            train, test = order[:500], order[500:1500]
            for name, make in methods.items():
                predicted = make(seed).fit(X[train], y[train]).predict(X[test])
                found.setdefault(name, []).append(float(spearmanr(predicted, y[test]).statistic))
        for name, values in found.items():
            report("numbers", data, name, Spearman=values)


def main() -> None:
    wanted = sys.argv[1:] or ["zero_shot", "unlabelled", "regression"]
    for name in wanted:
        start = time.perf_counter()
        {"zero_shot": zero_shot, "unlabelled": unlabelled, "regression": regression}[name]()
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
