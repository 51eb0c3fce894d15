"""Claim 117: single linkage scaling keeps chains that metric scaling smears, and LUMAP keeps up with UMAP."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.manifold import smacof as peer_smacof
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

from theatrum.claims.outcome import Inequality, Outcome, Scale
from theatrum.data import load
from theatrum.evaluate.embedding_stability import stability_bound
from theatrum.extras import require
from theatrum.refine.linkage_distances import linkage_distance, single_linkage_distance
from theatrum.refine.linkage_scaling import LinkageScaling
from theatrum.refine.pairwise_distances import distances_between
from theatrum.refine.pairwise_losses import smacof

Measured: TypeAlias = dict[str, dict[str, list[float]]]
_LENGTH, _START_STEPS, _BASES = 1000, 100, 4  # of a sequence; substitutions that make a start; letters
_CELLS = ((100, 10), (100, 20), (200, 10), (200, 20))  # starts, mutations of a chain
_TRAIN, _TEST = 1875, 625  # points a set, as in the data sets about three to one
_LSA_DIM = 100
_MARGIN = 0.15


def mutated(sequence: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Substitute one letter, at random, by another."""
    changed = sequence.copy()
    place = rng.integers(len(changed))
    changed[place] = (changed[place] + rng.integers(1, _BASES)) % _BASES
    return changed


def dna_chains(n_starts: int, n_mutations: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Chains of mutated sequences, (n_starts * n_mutations, 1000): those of a start follow each other."""
    root = rng.integers(0, _BASES, _LENGTH).astype(np.uint8)
    rows = []
    for _ in range(n_starts):
        sequence = root
        for _ in range(_START_STEPS):
            sequence = mutated(sequence, rng)
        for _ in range(n_mutations):
            sequence = mutated(sequence, rng)
            rows.append(sequence)
    return np.array(rows)


def origin_found(embedding: NDArray[np.floating], n_mutations: int) -> float:
    """Share of the chains whose last place is nearest to its own first one, among all first ones."""
    first, last = embedding[::n_mutations], embedding[n_mutations - 1 :: n_mutations]
    return float((cdist(last, first).argmin(axis=1) == np.arange(len(first))).mean())


def chain_scores(n_starts: int, n_mutations: int, n_components: int, seed: int) -> dict[str, dict[str, float]]:
    """Score of both linkages from the classical and from a random start; the random one is the same for both."""
    rng = np.random.default_rng([seed, n_starts, n_mutations])
    rows = dna_chains(n_starts, n_mutations, rng)
    D = distances_between(rows, rows, "hamming")
    random = rng.normal(size=(len(D), n_components)) * D.mean()
    scores: dict[str, dict[str, float]] = {"classical start": {}, "random start": {}}
    for name in ("single", "maximal"):
        scaling = LinkageScaling(n_components, linkage=name, metric="precomputed", random_state=seed).fit(D)
        scores["classical start"][name] = origin_found(scaling.embedding_, n_mutations)
        scores["random start"][name] = origin_found(smacof(scaling.dissimilarity_, random)[0], n_mutations)
    return scores


def chains(
    cells: Sequence[tuple[int, int]], dims: Sequence[int], seeds: Sequence[int]
) -> tuple[Measured, list[Inequality]]:
    """Part (a): single linkage scaling against metric scaling; two dimensions decide, others are told."""
    measured: Measured = {}
    inequalities = []
    for n_starts, n_mutations in cells:
        for dim in dims:
            found = [chain_scores(n_starts, n_mutations, dim, seed) for seed in seeds]
            for start in ("classical start", "random start"):
                arm = f"{n_starts} chains of {n_mutations}, {dim}-d, {start}"
                scores = {name: [one[start][name] for one in found] for name in ("single", "maximal")}
                measured[arm] = scores
                if dim == 2:
                    gains = np.subtract(scores["single"], scores["maximal"]).tolist()
                    says = f"{arm}: origins found by single linkage >= metric scaling + {_MARGIN}"
                    inequalities.append(Inequality(says, gains, "seeds", _MARGIN))
    return measured, inequalities


def image_points(seed: int) -> tuple[NDArray[np.floating], NDArray[Any]]:
    """Fashion-MNIST, rows of the training part first."""
    images = load("fashion-mnist")
    rng = np.random.default_rng(seed)
    parts = [images["train"], images["test"]]
    drawn = [rng.permutation(len(part.labels))[:n] for part, n in zip(parts, (_TRAIN, _TEST), strict=True)]
    X = np.concatenate([part.images[rows].reshape(len(rows), -1) for part, rows in zip(parts, drawn, strict=True)])
    return X.astype(np.float32), np.concatenate([part.labels[rows] for part, rows in zip(parts, drawn, strict=True)])


def text_points(seed: int) -> tuple[NDArray[np.floating], NDArray[Any]]:
    """20 Newsgroups as LSA of TF-IDF, fitted on these texts; rows of the training part first."""
    texts = load("20newsgroups")
    rng = np.random.default_rng(seed)
    parts = [texts.split("train"), texts.split("test")]
    drawn = [rng.permutation(len(part.labels))[:n] for part, n in zip(parts, (_TRAIN, _TEST), strict=True)]
    chosen = [part.texts[row] for part, rows in zip(parts, drawn, strict=True) for row in rows]
    labels = [part.labels[row] for part, rows in zip(parts, drawn, strict=True) for row in rows]
    weights = TfidfVectorizer().fit_transform(chosen)
    return TruncatedSVD(_LSA_DIM, random_state=seed).fit_transform(weights), np.array(labels)


def classified(Z: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, float]:
    """Accuracy of 5 nearest neighbours, and macro AUC of their answers as the paper takes it (answers, not shares)."""
    answers = KNeighborsClassifier(5).fit(Z[:_TRAIN], labels[:_TRAIN]).predict(Z[_TRAIN:])
    true, classes = labels[_TRAIN:], np.unique(labels[_TRAIN:])
    auc = roc_auc_score(true[:, None] == classes, answers[:, None] == classes, average="macro")
    return {"accuracy": float((answers == true).mean()), "macro AUC": float(auc)}


def layouts(X: NDArray[np.floating], dim: int, seed: int) -> dict[str, NDArray[np.floating]]:
    """All points together by the three methods."""
    umap = require("umap", "umap")
    with warnings.catch_warnings():
        # UMAP says that a seed takes its threads away.
        warnings.simplefilter("ignore", UserWarning)
        peer = umap.UMAP(n_components=dim, n_neighbors=15, min_dist=0.1, random_state=seed).fit_transform(X)
    lumap = LinkageScaling(dim, linkage="fuzzy", loss="spectral", n_neighbors=15, random_state=seed).fit_transform(X)
    return {"LUMAP": lumap, "UMAP": peer, "PCA": PCA(dim, random_state=seed).fit_transform(X)}


def classification(
    sets: Mapping[str, Callable[[int], tuple[NDArray[np.floating], NDArray[Any]]]],
    dims: Sequence[int],
    seeds: Sequence[int],
) -> tuple[Measured, list[Inequality]]:
    """Part (b): LUMAP against UMAP, as neighbours see them; unit rows decide as in the paper, plain ones are told."""
    measured: Measured = {}
    inequalities = []
    for name, points in sets.items():
        drawn = [points(seed) for seed in seeds]
        for dim in dims:
            for seed, (X, labels) in zip(seeds, drawn, strict=True):
                for method, Z in layouts(X, dim, seed).items():
                    arm = measured.setdefault(f"{name}, {dim}-d, {method}", {})
                    for rows, suffix in ((normalize(Z), ""), (Z, ", rows not scaled")):
                        for metric, value in classified(rows, labels).items():
                            arm.setdefault(metric + suffix, []).append(value)
            for metric in ("accuracy", "macro AUC"):
                ours, peer = (measured[f"{name}, {dim}-d, {method}"][metric] for method in ("LUMAP", "UMAP"))
                says = f"{name}, {dim}-d: LUMAP >= UMAP - 0.01 ({metric})"
                inequalities.append(Inequality(says, np.subtract(ours, peer).tolist(), "seeds", -0.01, None))
    return measured, inequalities


def exact(n_spaces: int) -> list[Inequality]:
    """Part (c): what must hold for every space; the worst of all is what counts."""
    rng = np.random.default_rng(0)
    slack: dict[str, list[float]] = {}

    def note(says: str, value: Any) -> None:
        slack.setdefault(says, []).append(float(np.min(value)))

    for _ in range(n_spaces):
        n, d = int(rng.integers(5, 60)), int(rng.integers(1, 6))
        pairs = pdist(rng.normal(size=(n, d)))
        D = squareform(pairs)
        error = np.triu(rng.uniform(-0.3, 0.3, size=(n, n)), 1)
        noisy = np.abs(D + error + error.T)
        u, path = single_linkage_distance(D), linkage_distance(D, "path")
        u_noisy = single_linkage_distance(noisy)
        embedding, _, _ = smacof(noisy, rng.normal(size=(n, 2)))
        note("u equals scipy's cophenetic distance", -np.abs(u - squareform(cophenet(linkage(pairs, "single")))))
        note("u <= path metric <= d", np.minimum(path - u, D - path))
        note("max |u_X - u_Y| <= max |d_X - d_Y|", np.abs(D - noisy).max() - np.abs(u - u_noisy).max())
        for clean, off in ((D, noisy), (u, u_noisy)):
            bound = stability_bound(clean, off, embedding)
            assert bound.root_stress_clean is not None
            inside = min(bound.root_stress_clean - bound.clean_low, bound.clean_high - bound.root_stress_clean)
            note("the root stress against the clean distances lies in the certified interval", inside)
        start = rng.normal(size=(n, 2))
        ours, stress, _ = smacof(D, start)
        peer, peer_stress = peer_smacof(D, init=start, n_init=1, eps=1e-6, max_iter=300, normalized_stress=False)
        note("maximal linkage and stress equal scikit-learn's MDS", -np.abs(ours - peer).max())
        note("so does its stress (as a share)", -abs(stress - peer_stress) / max(peer_stress, 1e-12))
    return [
        Inequality(f"{says}, worst of {n_spaces} spaces >= -1e-6", [min(values)], "seeds", -1e-6, None)
        for says, values in slack.items()
    ]


def claim_117(scale: Scale) -> Outcome:
    """Single linkage finds the origin of chains in two dimensions, and LUMAP is within 0.01 of UMAP."""
    if scale == "smoke":
        measured, inequalities = chains([(20, 10)], [2], [0])
        return Outcome(measured, [*inequalities, *exact(10)], notes="Twenty chains.")
    measured, inequalities = chains(_CELLS, [2, 5], range(5))
    sets = {"Fashion-MNIST": image_points, "20 Newsgroups": text_points}
    more, others = classification(sets, [25, 50], range(3))
    return Outcome({**measured, **more}, [*inequalities, *others, *exact(100)], notes=_NOTES)


_NOTES = (
    "(a) As in the paper: a root of 1,000, starts by 100 substitutions, Hamming distances; both sides by the same "
    "SMACOF (300 iterations at most, one start). Two kinds of start, of which both must hold: the classical one, which "
    "is this library's own, and one drawn at random, the same for both sides. The paper's runs are of the random kind "
    "(best of four). Two dimensions decide; five are told. From the classical start the members of a chain, equal in "
    "their single linkage distances, begin side by side (apart by noise of 1%), which makes the task easy for single "
    "linkage; the random start does not. "
    "(b) 2,500 points a set instead of 5,000 (1,875 to learn from, 625 asked for), since UMAP of more takes too long "
    "here; all embedded together, as in the paper's code, then 5 nearest neighbours. Three draws of points and seeds. "
    "Rows scaled to unit length before, as in that code, decide; the plain ones are told too. UMAP is umap-learn with "
    "its default epochs (500), not the unoptimised start that n_epochs=0 gives today. "
    "(c) On 100 random spaces with errors up to 0.3; the path metric has p = 4."
)
