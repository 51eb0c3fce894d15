"""Relations between class descriptions: similar and dissimilar pairs, and the losses that keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theatrum.checks import unit_rows
from theatrum.contracts import ClassSemantics, Vectors
from theatrum.predict.semantic_map import MapSettings
from theatrum.predict.semantic_ridge import cosines

Threshold: TypeAlias = float | tuple[Literal["quantile"], float]
IDENTICAL, SIMILAR, DISSIMILAR = 0, 1, 2


@dataclass(frozen=True)
class RelationSettings(MapSettings):
    """What is tuned besides the map: the threshold, and the weights of the losses."""

    tau: Threshold
    similar: float
    dissimilar: float
    reconstruction: float


def class_similarities(signatures: Vectors, mean: Vectors | None = None) -> NDArray[np.float32]:
    """Cosine of every two classes after the mean signature is taken out, (C, C): ``delta``.

    Name vectors of a text encoder lie close together; without their mean the cosines spread.

    Parameters
    ----------
    signatures : ndarray of float32, shape (C, s)
        Unit rows.
    mean : ndarray of float32, shape (s,), optional
        Taken out; that of the rows by default.

    Examples
    --------
    >>> class_similarities(np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)).round(3).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    centred = unit_rows(signatures - (signatures.mean(axis=0) if mean is None else mean))
    return centred @ centred.T


def threshold(delta: NDArray[np.float32], tau: Threshold) -> float:
    """Give tau itself, or that quantile of the similarities of different classes.

    Examples
    --------
    >>> threshold(np.array([[1.0, 0.2], [0.2, 1.0]]), ("quantile", 0.5))
    0.2
    """
    if isinstance(tau, float | int):
        return float(tau)
    return float(np.quantile(delta[~np.eye(len(delta), dtype=bool)], tau[1]))


def class_relations(delta: NDArray[np.float32], tau: float) -> NDArray[np.int8]:
    """Relation of every two classes: 0 identical, 1 similar (``delta >= tau``), 2 dissimilar.

    Examples
    --------
    >>> class_relations(np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.4], [0.1, 0.4, 1.0]]), 0.4).tolist()
    [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    """
    relations = np.where(delta >= tau, SIMILAR, DISSIMILAR).astype(np.int8)
    np.fill_diagonal(relations, IDENTICAL)
    return relations


def pair_weights(relations: NDArray[np.int8], similar: float, dissimilar: float) -> NDArray[np.float32]:
    """Weigh each pair by its loss's weight over how many such pairs the class has, (C, C); 0 for the class itself.

    So a sum over a row is a mean over similar classes plus one over dissimilar ones, for any number of classes.

    Examples
    --------
    >>> pair_weights(np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]]), 1.0, 3.0).tolist()
    [[0.0, 1.0, 3.0], [0.5, 0.0, 0.5], [3.0, 1.0, 0.0]]
    """
    weights = np.zeros(relations.shape, dtype=np.float32)
    for relation, weight in ((SIMILAR, similar), (DISSIMILAR, dissimilar)):
        of_kind = relations == relation
        weights += weight * of_kind / np.maximum(of_kind.sum(axis=1, keepdims=True), 1)
    return weights


def hinges(cosine: Any, delta: Any, relations: Any) -> Any:
    """How far each cosine is on the wrong side of ``delta``, for tensors of one shape.

    Similar classes must be at least as similar as their descriptions, dissimilar ones at most.

    Examples
    --------
    >>> import torch
    >>> delta, relations = torch.tensor([0.5, 0.5, 0.1, 0.1]), torch.tensor([1, 1, 2, 2])
    >>> hinges(torch.tensor([0.25, 0.75, 0.35, -0.5]), delta, relations).tolist()
    [0.25, 0.0, 0.25, 0.0]
    """
    return (relations.eq(SIMILAR).mul(2).sub(1) * (delta - cosine)).relu()


def relation_agreement(
    prototypes: ArrayLike, semantics: ClassSemantics, tau: Threshold, *, among: ArrayLike | None = None
) -> dict[str, float]:
    """Measure how well prototypes keep the relations of the class descriptions.

    Parameters
    ----------
    prototypes : array-like of shape (C, d)
        One a class.
    semantics : ClassSemantics
        Of the same classes. The mean of seen classes is taken out of the signatures (of all, where none is marked).
    tau : float or ("quantile", q)
        From which similarity on two classes are similar; or the quantile of it, among the classes measured.
    among : array-like of bool, shape (C,), or of int, optional
        Classes to measure; all by default. Take the unseen ones to see what was learnt rather than fitted.

    Returns
    -------
    dict
        ``similar`` and ``dissimilar``: shares of such pairs with a cosine at least, or at most, that of their
        descriptions (NaN without such a pair); ``spearman``: rank correlation of the two, over all pairs.

    Raises
    ------
    ValueError
        Numbers of prototypes and classes differ, or fewer than 3 classes.

    References
    ----------
    Annadani and Biswas, "Preserving semantic relations for zero-shot learning", CVPR 2018. Atlas 062.

    Examples
    --------
    >>> S = np.random.default_rng(0).normal(size=(6, 3))
    >>> relation_agreement(S - (S / np.linalg.norm(S, axis=1)[:, None]).mean(0), ClassSemantics(tuple("abcdef"),
    ...     vectors=S), ("quantile", 0.5))["spearman"] > 0.8
    True
    """
    from scipy.stats import spearmanr

    found = np.asarray(prototypes, dtype=np.float32)
    signatures = semantics.signature()
    if found.ndim != 2 or len(found) != len(signatures):
        raise ValueError(f"prototypes: one row for each of the {len(signatures)} classes is needed, got {found.shape}")
    seen = semantics.seen if semantics.seen is not None and semantics.seen.any() else np.ones(len(found), dtype=bool)
    chosen = np.arange(len(found)) if among is None else np.arange(len(found))[np.asarray(among)]
    if len(chosen) < 3:
        raise ValueError(f"among: a rank correlation needs at least 3 classes, got {len(chosen)}")
    delta = class_similarities(signatures[chosen], signatures[seen].mean(axis=0))
    cosine = cosines(found[chosen], found[chosen])
    similar = class_relations(delta, threshold(delta, tau)) == SIMILAR
    pairs = np.triu_indices(len(chosen), 1)
    told, learnt, similar = delta[pairs], cosine[pairs], similar[pairs]
    return {
        "similar": float((learnt >= told)[similar].mean()) if similar.any() else float("nan"),
        "dissimilar": float((learnt <= told)[~similar].mean()) if not similar.all() else float("nan"),
        "spearman": float(spearmanr(told, learnt).statistic),
    }
