"""Scores of class discovery over stages: clusters are matched to classes once, where they were found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from theatrum.extras import require


def match_clusters(predicted: ArrayLike, y: ArrayLike) -> dict[int, Any]:
    """Pair clusters with classes so that as many rows as possible are right (the Hungarian method).

    Parameters
    ----------
    predicted : array-like of int, shape (n,)
        Cluster of each row.
    y : array-like, shape (n,)
        Class of each row.

    Returns
    -------
    dict of int to label
        One class a cluster and one cluster a class; what is left over on one side has no partner.

    Examples
    --------
    >>> match_clusters([7, 7, 7, 2, 2], ["a", "a", "b", "a", "b"])
    {2: 'b', 7: 'a'}
    """
    clusters, rows = np.unique(np.asarray(predicted), return_inverse=True)
    classes, columns = np.unique(np.asarray(y), return_inverse=True)
    together = np.zeros((len(clusters), len(classes)), dtype=np.int64)
    np.add.at(together, (rows, columns), 1)
    pairs = zip(*linear_sum_assignment(together, maximize=True), strict=True)
    return {int(clusters[row]): classes[column].item() for row, column in pairs}


def matched_accuracy(predicted: ArrayLike, y: ArrayLike) -> float:
    """Share of rows whose cluster is matched to their class, with the best matching of these rows.

    Examples
    --------
    >>> matched_accuracy([7, 7, 7, 2, 2], ["a", "a", "b", "a", "b"])
    0.6
    """
    return float((_translated(np.asarray(predicted), match_clusters(predicted, y)) == np.asarray(y)).mean())


def _translated(predicted: NDArray[Any], names: dict[int, Any]) -> NDArray[np.object_]:
    """Class of each row's cluster, None where it has no partner."""
    return np.array([names.get(cluster) for cluster in predicted.tolist()], dtype=object)


@dataclass(frozen=True)
class DiscoveryReport:
    """How well classes were found, and whether they are still known later.

    Parameters
    ----------
    accuracy : ndarray of float64, shape (T, T)
        Of the rows of stage s (column) after stage t (row), with all classes found so far as candidates; NaN for
        s > t.
    per_stage : ndarray of float64, shape (T,)
        Its diagonal: the rows of a stage right after it.
    all_seen : ndarray of float64, shape (T,)
        Of all rows of the stages so far, after each stage.
    forgetting : float
        Largest loss of a stage, from its best accuracy to the one at the end; 0 for one stage. Later classes take
        some rows even where nothing is forgotten.
    nmi, ari : float
        Normalised mutual information and adjusted Rand index of all rows at the end; they need no matching.
    kmeans_reference : float or None
        Accuracy of a clustering of everything at once, where one was given.
    """

    accuracy: NDArray[np.float64]
    per_stage: NDArray[np.float64]
    all_seen: NDArray[np.float64]
    forgetting: float
    nmi: float
    ari: float
    kmeans_reference: float | None

    def plot(self) -> Any:
        """Draw the accuracy of new and of all classes over the stages; a matplotlib Figure."""
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        stages = np.arange(1, len(self.all_seen) + 1)
        axes.plot(stages, self.all_seen, "o-", color="#0b3954", label="all classes so far")
        axes.plot(stages, self.per_stage, "D--", color="#bf1a2f", label="new classes of the stage")
        if self.kmeans_reference is not None:
            axes.axhline(self.kmeans_reference, color="#f4a261", linestyle=":", label="clustering everything at once")
        axes.set(xlabel="stage", ylabel="accuracy (share of rows)", xticks=stages, ylim=(0, 1.02))
        axes.set_title(f"largest loss of a stage: {self.forgetting:.2f}")
        axes.legend(frameon=False)
        return figure


def discovery_report(
    predictions: ArrayLike,
    y: ArrayLike,
    stages: ArrayLike,
    stage_of_cluster: ArrayLike,
    *,
    reference: ArrayLike | None = None,
) -> DiscoveryReport:
    """Score predictions made after each stage of class discovery.

    The clusters of a stage are matched to the classes of the stage once, right after it, on the rows of the stage.
    Matching again after every stage would hide forgetting.

    Parameters
    ----------
    predictions : array-like of int, shape (T, n)
        Cluster of each row as predicted after each stage; ``predictions[t]`` is not looked at for rows of later
        stages than t.
    y : array-like, shape (n,)
        Class of each row; used for scoring only.
    stages : array-like of int, shape (n,)
        Stage of each row, from 0 to T - 1. A class belongs to one stage.
    stage_of_cluster : array-like of int, shape (C,)
        Stage in which each cluster was found.
    reference : array-like of int, shape (n,), optional
        Clusters of all rows by a clustering of everything at once, to compare with.

    Raises
    ------
    ValueError
        Shapes that do not fit, a stage without rows, a class in two stages, or a cluster with no stage.

    References
    ----------
    Liu, Roy, Zhong, Sebe and Ricci, "Large-scale pre-trained models are surprisingly strong in incremental novel class
    discovery", ICPR 2024. Atlas 047.

    Examples
    --------
    >>> predictions = [[0, 0, 1, 1, 0, 0], [0, 2, 1, 1, 2, 2]]  # a row of class a is lost to the new cluster
    >>> report = discovery_report(predictions, list("aabbcc"), [0, 0, 0, 0, 1, 1], [0, 0, 1])
    >>> report.per_stage.tolist(), report.all_seen.round(2).tolist(), report.forgetting
    ([1.0, 1.0], [1.0, 0.83], 0.25)
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    found, truth, stage, of_cluster = (np.asarray(value) for value in (predictions, y, stages, stage_of_cluster))
    _check(found, truth, stage, of_cluster)
    n_stages = len(found)
    partner: dict[int, Any] = {}
    accuracy = np.full((n_stages, n_stages), np.nan)
    all_seen = np.empty(n_stages)
    for t in range(n_stages):
        # A row that went to an earlier cluster tells nothing about the new ones.
        new = (stage == t) & (of_cluster[np.where(stage == t, found[t], 0)] == t)
        partner |= match_clusters(found[t][new], truth[new])
        seen = stage <= t
        right = _translated(found[t][seen], partner) == truth[seen].astype(object)
        all_seen[t] = right.mean()
        accuracy[t, : t + 1] = [right[stage[seen] == s].mean() for s in range(t + 1)]
    lost = [float(np.nanmax(accuracy[:, s]) - accuracy[-1, s]) for s in range(n_stages)]
    return DiscoveryReport(
        accuracy=accuracy,
        per_stage=accuracy.diagonal().copy(),
        all_seen=all_seen,
        forgetting=max(lost),
        nmi=float(normalized_mutual_info_score(truth, found[-1])),
        ari=float(adjusted_rand_score(truth, found[-1])),
        kmeans_reference=None if reference is None else matched_accuracy(reference, truth),
    )


def _check(found: NDArray[Any], truth: NDArray[Any], stage: NDArray[Any], of_cluster: NDArray[Any]) -> None:
    if found.ndim != 2 or truth.shape != found.shape[1:] or stage.shape != truth.shape or of_cluster.ndim != 1:
        raise ValueError(
            "predictions (T, n), y (n,), stages (n,) and stage_of_cluster (C,) are needed; got "
            f"{found.shape}, {truth.shape}, {stage.shape} and {of_cluster.shape}"
        )
    n_stages = len(found)
    if not (np.issubdtype(found.dtype, np.integer) and np.issubdtype(stage.dtype, np.integer)):
        raise ValueError("predictions and stages: whole numbers are needed")
    absent = np.setdiff1d(np.arange(n_stages), stage)
    if absent.size or (stage >= n_stages).any() or (stage < 0).any():
        raise ValueError(
            f"stages: every stage from 0 to {n_stages - 1} needs rows, and there are no others; predictions has "
            f"{n_stages} of them, stages names {np.unique(stage).tolist()}"
        )
    looked_at = found[np.arange(n_stages)[:, None] >= stage[None]]
    if (looked_at < 0).any() or (looked_at >= len(of_cluster)).any():
        bad = looked_at[(looked_at < 0) | (looked_at >= len(of_cluster))][0]
        raise ValueError(f"predictions: cluster {bad} has no stage; stage_of_cluster has {len(of_cluster)} clusters")
    classes, codes = np.unique(truth, return_inverse=True)
    first = np.full(len(classes), n_stages)
    np.minimum.at(first, codes, stage)
    twice = np.flatnonzero(first[codes] != stage)
    if twice.size:
        raise ValueError(f"class {truth[twice[0]].item()!r} is in more than one stage; give its rows one stage")
