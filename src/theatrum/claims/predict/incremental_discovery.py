"""Claim 047: heads trained stage by stage on frozen vectors find new classes and keep the earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from theatrum.checks import unit_rows
from theatrum.claims.encoded import encode_cached
from theatrum.claims.outcome import Inequality, Outcome, Scale
from theatrum.claims.predict.zero_shot_tracks import intents
from theatrum.contracts import Vectors
from theatrum.evaluate.class_discovery import discovery_report, matched_accuracy
from theatrum.predict.incremental_discovery import IncrementalClassDiscovery, learning_rate, swapped
from theatrum.refine.neighbors import knn
from theatrum.text.minilm import MiniLM

_SEEDS, _EPOCHS = 3, 50
_LWF_TEMPERATURE, _EWC_WEIGHT = 2.0, 100.0
_STARTS = 10  # of k-means

Forgetful = Literal["fine-tuned head", "fine-tuned head, all rows balanced", "LwF", "EWC"]
FORGETFUL: tuple[Forgetful, ...] = ("fine-tuned head", "fine-tuned head, all rows balanced", "LwF", "EWC")
Predictions = NDArray[np.int64]  # (T, m): cluster of each test row after each stage


@dataclass(frozen=True)
class Stages:
    """Unlabelled rows of each stage, and test rows of all.

    Parameters
    ----------
    X : sequence of ndarray, each (n_t, d)
        To discover classes in.
    X_test, y_test, stage_test : ndarray, shape (m, d), (m,), (m,)
        For scores only.
    n_new : int
        Classes of a stage.
    """

    X: Sequence[Vectors]
    X_test: Vectors
    y_test: NDArray[np.intp]
    stage_test: NDArray[np.intp]
    n_new: int

    @property
    def stage_of_class(self) -> NDArray[np.intp]:
        """Stage of each cluster, where every stage finds ``n_new``."""
        return np.repeat(np.arange(len(self.X)), self.n_new)


def clinc150(seed: int, n_stages: int, n_classes: int) -> Stages:
    """Intents in an order drawn by the seed, cut into stages."""
    names, train, test = intents()
    order = np.random.default_rng(seed).permutation(len(names))[:n_classes]
    stage_of = np.full(len(names), -1)
    stage_of[order] = np.arange(n_classes) // (n_classes // n_stages)
    code = {name: row for row, name in enumerate(names)}
    y, y_test = (np.array([code[label] for label in part.labels]) for part in (train, test))
    kept, kept_test = np.flatnonzero(stage_of[y] >= 0), np.flatnonzero(stage_of[y_test] >= 0)
    encoder = MiniLM()
    X = unit_rows(encode_cached(encoder, [train.texts[row] for row in kept]))
    X_test = unit_rows(encode_cached(encoder, [test.texts[row] for row in kept_test]))
    stage = stage_of[y[kept]]
    parts = [X[stage == t] for t in range(n_stages)]
    return Stages(parts, X_test, y_test[kept_test], stage_of[y_test[kept_test]], n_classes // n_stages)


def discovered(data: Stages, method: Literal["concat", "replay"], epochs: int, seed: int) -> Predictions:
    """The method."""
    model = IncrementalClassDiscovery(data.n_new, method=method, epochs=epochs, random_state=seed)
    return np.stack([model.partial_fit(X).predict(data.X_test) for X in data.X])


def kept_centroids(data: Stages, seed: int) -> Predictions:
    """K-means in each stage, the unit centroids of all stages put together."""
    centroids: list[Vectors] = []
    found = []
    for X in data.X:
        fitted = KMeans(data.n_new, n_init=_STARTS, random_state=seed).fit(X)
        centroids.append(unit_rows(fitted.cluster_centers_.astype(np.float32)))
        found.append((data.X_test @ np.concatenate(centroids).T).argmax(axis=1))
    return np.stack(found)


def growing_head(data: Stages, kind: Forgetful, epochs: int, seed: int) -> Predictions:
    """One cosine head that grows by each stage's classes, all of it trained on each stage with the method's loss.

    Rows are assigned to the classes of the stage in equal shares ("all rows balanced": to all rows of the head), and
    the softmax is over all classes so far. LwF holds the softmax over earlier classes to what the head said before the
    stage, EWC holds earlier rows where the loss was steep.
    """
    import torch
    from torch.nn.functional import kl_div, normalize, one_hot

    from theatrum.nn.sinkhorn import sinkhorn

    draw = torch.Generator().manual_seed(seed)
    W = torch.empty((0, data.X_test.shape[1]))
    fisher = torch.empty_like(W)
    X_test = torch.from_numpy(data.X_test)
    found = []
    for X in data.X:
        rows, near = torch.from_numpy(X), torch.from_numpy(knn(X, 5)[0].astype(np.int64))
        before, old = W.clone(), len(W)
        W = torch.cat([W, normalize(torch.randn((data.n_new, X.shape[1]), generator=draw))]).requires_grad_()
        first = 0 if kind == "fine-tuned head, all rows balanced" else old

        def assign(cosines: torch.Tensor, first: int = first) -> torch.Tensor:
            new = sinkhorn(cosines[:, first:])
            return torch.cat([torch.zeros(len(cosines), first), new], dim=1)

        sgd = torch.optim.SGD([W], lr=0.1, momentum=0.9)
        an_epoch = max(len(X) // 256, 1)
        for step in range(epochs * an_epoch):
            if step % an_epoch == 0:
                batches = torch.randperm(len(X), generator=draw).tensor_split(an_epoch)
            chosen = batches[step % an_epoch]
            neighbor = near[chosen, torch.randint(near.shape[1], (len(chosen),), generator=draw)]
            V = rows[torch.cat([chosen, neighbor])]
            V = normalize(V * torch.empty_like(V).bernoulli_(0.9, generator=draw))
            cosines = V @ W.T
            targets = swapped(assign)(cosines.detach())
            loss = -(targets * (cosines / 0.1).log_softmax(dim=1)).sum(dim=1).mean()
            if old and kind == "LwF":
                soft = 0.1 * _LWF_TEMPERATURE
                said = (V @ before.T / soft).softmax(dim=1)
                says = (cosines[:, :old] / soft).log_softmax(dim=1)
                loss = loss + _LWF_TEMPERATURE**2 * kl_div(says, said, reduction="batchmean")
            if old and kind == "EWC":
                loss = loss + _EWC_WEIGHT / 2 * (fisher * (W[:old] - before).square()).sum()
            sgd.param_groups[0]["lr"] = learning_rate(step, epochs * an_epoch, 0.1)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            with torch.no_grad():
                W.copy_(normalize(W))
        W = W.detach()
        softmax = (rows @ W.T / 0.1).softmax(dim=1)
        slopes = (softmax - one_hot(softmax.argmax(dim=1), len(W))) / 0.1
        # Mean squared slope of each weight, added up over the stages.
        squared = slopes.square().T @ rows.square() / len(rows)
        squared[:old] += fisher
        fisher = squared
        found.append((X_test @ W.T).argmax(dim=1).numpy())
    return np.stack(found)


def at_once(data: Stages, epochs: int, seed: int) -> dict[str, Predictions]:
    """Clusters of the test rows where all stages are there at once: k-means, and the head of the method."""
    X, n_classes = np.concatenate(data.X), len(data.stage_of_class)
    kmeans = KMeans(n_classes, n_init=_STARTS, random_state=seed).fit(X)
    joint = IncrementalClassDiscovery(n_classes, epochs=epochs, random_state=seed).fit(X)
    return {"k-means at once": kmeans.predict(data.X_test), "joint training": joint.predict(data.X_test)}


def arms(data: Stages, epochs: int, seed: int) -> dict[str, Predictions]:
    """Predictions of the method and of everything that works stage by stage."""
    made: dict[str, Callable[[], Predictions]] = {
        "concat": lambda: discovered(data, "concat", epochs, seed),
        "replay": lambda: discovered(data, "replay", epochs, seed),
        "k-means a stage": lambda: kept_centroids(data, seed),
    }
    found = {name: make() for name, make in made.items()}
    return found | {kind: growing_head(data, kind, epochs, seed) for kind in FORGETFUL}


def claim_047(scale: Scale) -> Outcome:
    """Heads put side by side tell all classes apart, without forgetting and as well as clustering everything."""
    smoke = scale == "smoke"
    seeds, epochs = (1, 40) if smoke else (_SEEDS, _EPOCHS)
    splits, n_classes = ((2,), 10) if smoke else ((5, 10), 150)
    measurements: dict[str, dict[str, list[float]]] = {}
    for seed in range(1, seeds + 1):
        reference = at_once(clinc150(seed, splits[0], n_classes), epochs, seed)
        for n_stages in splits:
            data = clinc150(seed, n_stages, n_classes)
            for name, predictions in arms(data, epochs, seed).items():
                report = discovery_report(predictions, data.y_test, data.stage_test, data.stage_of_class)
                figures = {
                    "all classes at the end": report.all_seen[-1],
                    "new classes, mean of the stages": report.per_stage.mean(),
                    "largest loss of a stage": report.forgetting,
                    "NMI": report.nmi,
                    "ARI": report.ari,
                }
                for figure, value in figures.items():
                    arm = measurements.setdefault(f"{n_stages} stages, {name}", {})
                    arm.setdefault(figure, []).append(float(value))
        for name, found in reference.items():
            value = matched_accuracy(found, data.y_test)
            measurements.setdefault(name, {}).setdefault("all classes at the end", []).append(value)
    return Outcome(measurements, _inequalities(measurements, splits), notes=_NOTES)


def _inequalities(found: Mapping[str, Mapping[str, Sequence[float]]], splits: Sequence[int]) -> list[Inequality]:
    def values(arm: str, figure: str = "all classes at the end") -> NDArray[np.float64]:
        return np.asarray(found[arm][figure])

    inequalities = []
    for n in splits:
        for ours in ("concat", "replay"):
            for kind in FORGETFUL:
                gain = values(f"{n} stages, {ours}") - values(f"{n} stages, {kind}")
                says = f"{n} stages, all classes: {ours} >= {kind} + 0.10"
                inequalities.append(Inequality(says, gain.tolist(), "seeds", 0.10))
        gain = values(f"{n} stages, concat") - values("k-means at once")
        says = f"{n} stages, all classes: concat >= k-means on everything at once - 0.02"
        inequalities.append(Inequality(says, gain.tolist(), "seeds", -0.02, None))
        new = "new classes, mean of the stages"
        gain = values(f"{n} stages, concat", new) - values(f"{n} stages, k-means a stage", new)
        says = f"{n} stages, new classes: concat >= k-means a stage - 0.02"
        inequalities.append(Inequality(says, gain.tolist(), "seeds", -0.02, None))
    if len(splits) == 2:
        for ours in ("concat", "replay"):
            gain = values(f"{splits[1]} stages, {ours}") - values(f"{splits[0]} stages, {ours}")
            says = f"all classes: {ours} in {splits[1]} stages >= in {splits[0]} stages - 0.05"
            inequalities.append(Inequality(says, gain.tolist(), "seeds", -0.05, None))
    return inequalities


_NOTES = (
    "CLINC150 by MiniLM: 50 unlabelled training rows a class for discovery, all 4,500 test rows for scores; 3 orders "
    "of the classes (seeds 1 to 3; order 0 was looked at while the code was written). Clusters are matched to classes "
    "once, right after their stage, and all classes so far are candidates. The number of new classes is given to "
    "every arm. All trained arms get 50 epochs instead of the paper's 200, fixed before the run to keep it short. "
    "Views are neighbours, since there are no images to augment. The paper's competitors also train a part of the "
    "encoder; here it is frozen for all, and only a head can forget. The fine-tuned head assigns rows to the new "
    "classes (the stronger form, as LwF and EWC do) or, with all rows balanced, to the whole head, which is the "
    "method's loss taken literally. LwF (T = 2, weight 1) and EWC (weight 100) were not tuned, as nothing else was. "
    "20 Newsgroups and images were not measured."
)
