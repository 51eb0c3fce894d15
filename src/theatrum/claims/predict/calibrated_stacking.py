"""Claim 119: one calibrated number makes new classes answerable, better than novelty detection does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from theatrum.claims.outcome import Inequality, Outcome, Scale
from theatrum.claims.predict.zero_shot_tracks import Track, ZeroShotSplit, zero_shot_split
from theatrum.evaluate.generalized_zero_shot import harmonic_mean, seen_unseen_curve
from theatrum.predict.calibrated_stacking import CalibratedStacking, generalized_report, ideal_semantics
from theatrum.predict.classifier_injection import ClassifierInjector
from theatrum.predict.convex_combination import ConvexCombinationClassifier
from theatrum.predict.semantic_ridge import SemanticRidge
from theatrum.predict.semantic_to_feature import SemanticToFeatureClassifier
from theatrum.predict.semantics import seen_mask

_SEEDS, _FOLDS = 5, 3
_SHOTS = (1, 2, 5, 10, None)  # rows a class of the ideal semantics; None for all
_NETWORK, _CONSE = "semantic to feature", "ConSE"
_BASES: Mapping[str, Callable[[], Any]] = {
    "ridge": lambda: SemanticRidge(alpha=1.0),
    _NETWORK: lambda: SemanticToFeatureClassifier(alpha=1e-4, max_epochs=40, validation_classes=0.0, random_state=0),
    _CONSE: lambda: ConvexCombinationClassifier(LogisticRegression(C=10.0, max_iter=200)),
    "classifier injection": lambda: ClassifierInjector("weighted_average"),
}


def calibrated(split: ZeroShotSplit, make: Callable[[], Any]) -> dict[str, float]:
    """Figures of one base on one class split: plain, calibrated without unseen rows, at best, and gated."""
    names = np.asarray(split.semantics.names)
    stacked = CalibratedStacking(make(), class_folds=_FOLDS).fit(split.X, split.codes, split.semantics)
    report = generalized_report(
        stacked.base_, split.X_test, names[split.test_codes], X_train=split.X, y_train=split.codes,
        gates=("gaussian", "loop"),
    )  # fmt: skip
    curve = report.stacking
    u, s = curve.at(0.0)
    gated = {f"AUSUC, {name} gate": found.ausuc for name, found in report.gates.items()}
    return {
        "H plain": curve.h_at_zero,
        "u plain": u,
        "s plain": s,
        "H calibrated": harmonic_mean(*curve.at(stacked.gamma_)),
        "H at best": curve.best_h,
        "U->U": float(curve.unseen_accuracy[-1]),
        "AUSUC": curve.ausuc,
        **gated,
    }


def ideal(split: ZeroShotSplit, seed: int) -> dict[str, float]:
    """AUSUC of ridge with class means as descriptions: half of the test rows describe, the other half is judged."""
    rng = np.random.default_rng(seed)
    names = np.asarray(split.semantics.names)
    order = rng.permutation(len(split.test_codes))
    # Halves a class: every class has rows on both sides.
    order = order[np.argsort(split.test_codes[order], kind="stable")]
    describing, judged = order[::2], order[1::2]
    # A text without a known word is a zero row, which describes nothing.
    describing = describing[split.X_test[describing].any(axis=1)]
    figures = {}
    for shots in _SHOTS:
        rows = _first_of_each(split.test_codes[describing], shots)
        told = ideal_semantics(
            split.semantics, split.X_test[describing][rows], names[split.test_codes[describing][rows]]
        )
        figures[f"{shots or 'all'} rows a class"] = _area(split, judged, told)
    figures["given descriptions"] = _area(split, judged, split.semantics)
    return figures


def _first_of_each(codes: np.ndarray, shots: int | None) -> np.ndarray:
    kept = [np.flatnonzero(codes == code)[:shots] for code in np.unique(codes)]
    return np.concatenate(kept)


def _area(split: ZeroShotSplit, judged: np.ndarray, semantics: Any) -> float:
    model = SemanticRidge(alpha=1.0).fit(split.X, split.codes, semantics)
    scores = model.class_scores(split.X_test[judged])
    return seen_unseen_curve(scores, split.test_codes[judged], seen_mask(semantics)).ausuc


def claim_119(scale: Scale) -> Outcome:
    """Calibration raises H on every track, stacking beats gates, and better descriptions would help more."""
    smoke = scale == "smoke"
    tracks: tuple[Track, ...] = ("I",) if smoke else ("T1", "T2", "I")
    bases = ("ridge", _CONSE) if smoke else tuple(_BASES)
    measurements: dict[str, dict[str, list[float]]] = {}
    for track in tracks:
        for seed in range(2 if smoke else _SEEDS):
            split = zero_shot_split(track, seed, n_classes=48 if smoke else None)
            for name in bases:
                for metric, value in calibrated(split, _BASES[name]).items():
                    measurements.setdefault(f"{track}, {name}", {}).setdefault(metric, []).append(value)
            for metric, value in ideal(split, seed).items():
                measurements.setdefault(f"{track}, ideal semantics", {}).setdefault(metric, []).append(value)
    return Outcome(
        measurements,
        _inequalities(measurements, tracks, bases),
        notes=(
            "Ridge has alpha 1, the network 40 epochs, ConSE and the layer of classifier injection a softmax "
            "regression (C = 10): nothing is tuned, so that a base is fitted once a fold (3 folds of classes). "
            "Classifier injection uses its weighted average. Seen classes' test rows were never trained on; accuracies "
            "are means over classes. Ideal semantics describe by half of the test rows and are judged on the other "
            "half: an analysis, no method."
        ),
    )


def _inequalities(
    measured: Mapping[str, Mapping[str, list[float]]], tracks: tuple[Track, ...], bases: tuple[str, ...]
) -> list[Inequality]:
    found: list[Inequality] = []
    gains: dict[str, list[np.ndarray]] = {"gaussian": [], "loop": []}
    for track in tracks:
        for base in (_NETWORK, _CONSE):
            if base not in bases:
                continue
            arm = {metric: np.array(values) for metric, values in measured[f"{track}, {base}"].items()}
            gain = (arm["H calibrated"] - arm["H plain"]).tolist()
            found.append(Inequality(f"{track}, {base}: calibrated H >= plain H + 0.05", gain, "seeds", 0.05))
            near = (arm["H calibrated"] - 0.9 * arm["H at best"]).tolist()
            found.append(Inequality(f"{track}, {base}: calibrated H >= 0.9 x best H", near, "seeds", 0.0, None))
        for gate, kept in gains.items():
            gain = np.mean(
                [
                    np.array(measured[f"{track}, {base}"]["AUSUC"])
                    - np.array(measured[f"{track}, {base}"][f"AUSUC, {gate} gate"])
                    for base in bases
                ],
                axis=0,
            )
            kept.append(gain)
            says = f"{track}: AUSUC of stacking >= {gate} gate (mean over bases)"
            found.append(Inequality(says, gain.tolist(), "seeds", 0.0, None))
        if track != "T1":
            shots = {metric: np.array(values) for metric, values in measured[f"{track}, ideal semantics"].items()}
            gap = (shots["all rows a class"] - shots["given descriptions"]).tolist()
            found.append(Inequality(f"{track}: ideal semantics >= given ones + 0.05 (AUSUC)", gap, "seeds", 0.05))
            steps = np.array([shots[f"{n or 'all'} rows a class"].mean() for n in _SHOTS])
            says = f"{track}: AUSUC does not fall with more rows a class (least step of the means)"
            found.append(Inequality(says, [float(np.diff(steps).min())], "seeds", -0.005, None))
    for gate, kept in gains.items():
        says = f"mean over tracks: AUSUC of stacking >= {gate} gate + 0.02"
        found.append(Inequality(says, np.mean(kept, axis=0).tolist(), "seeds", 0.02))
    return found
