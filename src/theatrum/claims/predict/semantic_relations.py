"""Claim 062: prototypes that keep the relations of the descriptions recognise unseen classes better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from theatrum.claims.outcome import Inequality, Outcome, Scale
from theatrum.claims.predict.zero_shot_tracks import Track, ZeroShotSplit, zero_shot_split
from theatrum.evaluate.generalized_zero_shot import generalized_accuracy
from theatrum.predict.class_relations import relation_agreement
from theatrum.predict.semantic_relations import RelationPreservingClassifier
from theatrum.predict.semantic_ridge import SemanticRidge, cosines
from theatrum.predict.semantic_to_feature import SemanticToFeatureClassifier
from theatrum.predict.semantics import seen_mask

# Split 0 was looked at while the code was written, so it is not reported.
_SEEDS: dict[Track, Sequence[int]] = {track: range(1, 11) for track in ("T1", "T2", "I")}
_HIDDEN = 300
# Twelve trials, as many as the method has: four penalties at each of three widths.
_BASELINE_HIDDEN = (150, 300, 600)
_QUANTILE = ("quantile", 0.85)  # from which on unseen classes count as similar in what is recorded
_ENOUGH = 0.8  # share of the splits in which relations are kept better
_OURS, _BASE = "relations kept", "without relations"


def baseline(split: ZeroShotSplit, seed: int, hidden: Sequence[int], epochs: int) -> SemanticToFeatureClassifier:
    """Fit the same network without relations, its width tuned with the trials that the method spends on relations."""
    fitted = [
        SemanticToFeatureClassifier(
            width, max_epochs=epochs, output_activation="linear", feature_scaling="centered", random_state=seed
        ).fit(split.X, split.codes, split.semantics)
        for width in hidden
    ]
    return max(fitted, key=lambda one: one.validation_score_)


def measured(split: ZeroShotSplit, scores: NDArray[np.floating], prototypes: NDArray[np.floating]) -> dict[str, float]:
    """Accuracies, and how well prototypes of unseen classes keep the relations of their descriptions."""
    seen = seen_mask(split.semantics)
    accuracy = generalized_accuracy(scores, split.test_codes, seen)
    agreement = relation_agreement(prototypes, split.semantics, _QUANTILE, among=~seen)  # type: ignore[arg-type]
    return {
        "unseen accuracy": accuracy.unseen_only,
        "H": accuracy.harmonic,
        "AUSUC": accuracy.ausuc,
        "Spearman of unseen relations": agreement["spearman"],
        "unseen similar pairs kept": agreement["similar"],
        "unseen dissimilar pairs kept": agreement["dissimilar"],
    }


def arms(track: Track, split: ZeroShotSplit, seed: int, *, smoke: bool) -> tuple[dict[str, dict[str, float]], float]:
    """Figures of every method on one split, and the weight that the relations were given."""
    epochs = 20 if smoke else 200
    ours = RelationPreservingClassifier(
        32 if smoke else _HIDDEN, max_epochs=epochs, output_activation="linear", random_state=seed
    ).fit(split.X, split.codes, split.semantics)
    base = baseline(split, seed, (32,) if smoke else _BASELINE_HIDDEN, epochs)
    ridge = SemanticRidge(random_state=seed).fit(split.X, split.codes, split.semantics)
    found = {
        name: measured(split, model.class_scores(split.X_test), model.class_prototypes_)
        for name, model in ((_OURS, ours), (_BASE, base), ("ridge", ridge))
    }
    if track == "T1":
        signatures = split.semantics.signature()
        found["plain cosine"] = measured(split, cosines(split.X_test, signatures), signatures)
    return found, ours.similar_weight_


def claim_062(scale: Scale) -> Outcome:
    """Relation losses carry the structure of descriptions over to unseen classes, and recognise them better."""
    smoke = scale == "smoke"
    seeds: Mapping[Track, Sequence[int]] = {"T1": (1,)} if smoke else _SEEDS
    measurements: dict[str, dict[str, list[float]]] = {}
    weights: dict[str, list[float]] = {}
    for track, drawn in seeds.items():
        for seed in drawn:
            split = zero_shot_split(track, seed, n_classes=40 if smoke else None)
            found, weight = arms(track, split, seed, smoke=smoke)
            weights.setdefault(track, []).append(weight)
            for name, figures in found.items():
                for figure, value in figures.items():
                    measurements.setdefault(f"{track}, {name}", {}).setdefault(figure, []).append(value)
    recorded = {"weight of the relation losses chosen on held-out classes": weights}
    return Outcome(measurements, _inequalities(measurements, list(seeds)), recorded=recorded, notes=_NOTES)


def _inequalities(found: Mapping[str, Mapping[str, Sequence[float]]], tracks: Sequence[str]) -> list[Inequality]:
    def difference(track: str, figure: str) -> NDArray[np.float64]:
        return np.asarray(found[f"{track}, {_OURS}"][figure]) - np.asarray(found[f"{track}, {_BASE}"][figure])

    inequalities = []
    for track in tracks:
        better = (difference(track, "Spearman of unseen relations") > 0).astype(float)
        says = f"{track}: share of the splits where unseen prototypes keep relations better >= {_ENOUGH}"
        inequalities.append(Inequality(says, better.tolist(), "seeds", _ENOUGH, None))
    accuracy, area = (
        np.mean([difference(track, figure) for track in tracks], axis=0).tolist()
        for figure in ("unseen accuracy", "AUSUC")
    )
    inequalities.append(Inequality("mean of the tracks: unseen accuracy >= baseline + 0.005", accuracy, "seeds", 0.005))
    inequalities.append(Inequality("mean of the tracks: AUSUC >= baseline", area, "seeds", 0.0, None))
    return inequalities


_NOTES = (
    "Tracks: T1 CLINC150 utterances and intent names by MiniLM, T2 the same utterances by LSA, I Omniglot characters "
    "described by other people's strokes; 40, 40 and 60 unseen classes in each of 10 random class splits (1 to 10; "
    "split 0 was used while the code was written: there the decoder's loss had drowned all others until its targets "
    "got the scale of the features). The baseline is the same network without relation and reconstruction losses (row "
    "007), features centred for both. Both are tuned on the same held-out quarter of the seen classes with 12 trials: "
    "the method by 4 penalties, then 4 thresholds, then 3 more weights (0 is among the choices), then reconstruction; "
    "the baseline by 4 penalties at each of 3 widths. Relations are those between signatures whose mean over seen "
    "classes is taken out. Of 'H or AUSUC' AUSUC was chosen before the run, since H without calibration is mostly the "
    "bias to seen classes. The hard variants of the check (relatives of each unseen class present, whole domains "
    "unseen) were not measured. Ridge and plain cosine are reported and decide nothing."
)
