"""Zero-shot prototypes that keep the relations of the class descriptions: alike classes together, others apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import Constraint, Options, Range
from theatrum.contracts import Vectors
from theatrum.extras import require
from theatrum.predict.class_relations import (
    DISSIMILAR,
    SIMILAR,
    RelationSettings,
    Threshold,
    class_relations,
    class_similarities,
    hinges,
    pair_weights,
    threshold,
)
from theatrum.predict.semantic_map import MapProblem, MapSettings, mapped, new_network
from theatrum.predict.semantic_ridge import cosines
from theatrum.predict.semantic_to_feature import SemanticToFeatureClassifier

_QUANTILES = (0.5, 0.7, 0.85, 0.95)
_WEIGHTS = (0.1, 0.5, 1.0, 3.0)
_FIRST_WEIGHT = 0.5  # at which thresholds are compared
_RECONSTRUCTION = 0.1


@dataclass(frozen=True)
class Description:
    """What a row is like.

    Parameters
    ----------
    classes : tuple of (str, float)
        Most similar classes and their cosines, best first.
    attributes : tuple of (str, float)
        Attributes of the reconstructed signature, largest first; empty where there are no attributes or no decoder.
    """

    classes: tuple[tuple[str, float], ...]
    attributes: tuple[tuple[str, float], ...]


class RelationPreservingClassifier(SemanticToFeatureClassifier):
    """Maps class semantics into the features so that similar classes stay similar and unlike ones apart.

    `SemanticToFeatureClassifier` with three further losses. Worth a try when seen classes are few and unseen ones are
    close relatives of them; ``describe`` tells what rows of a class without any description are like. Where
    descriptions are noisy the weights are tuned to 0, and it is the class that it is made from.

    Parameters
    ----------
    hidden_dim : int, default=512
        Width of the hidden layer, of the decoder too.
    tau : float, ("quantile", q) or "auto", default="auto"
        Similarity of descriptions (after their mean is taken out) from which on two classes are similar. "auto" takes
        the best of four quantiles on held-out classes.
    similar_weight, dissimilar_weight : float or "auto", default="auto"
        Of the losses over similar and dissimilar classes; "auto" takes the best of 0 and four values, the same for
        both, on held-out classes, and is 0 where none are held out.
    reconstruction_weight : float or "auto", default="auto"
        Of the loss of a decoder back to the signatures; "auto" takes the better of 0 and 0.1 on held-out classes, and
        0.1 where none are held out.
    relation_on : {"samples", "prototypes"}, default="samples"
        What is compared with the prototypes of other classes: rows, or the prototype of their own class.
    identity_loss : {"l2", "cosine"}, default="l2"
        Between a row and its class.
    batch_size : int, default=512
        Rows drawn at each step for the losses over relations; the others see all rows.
    output_activation, metric, alpha, learning_rate, max_epochs, validation_classes, patience, branch_weights, \
random_state
        As in `SemanticToFeatureClassifier`.
    feature_scaling : {"l2", "centered", "none"}, default="centered"
        As there; the losses compare cosines of two spaces, so both are centred.

    Attributes
    ----------
    relations_ : ndarray of int8, shape (S, S)
        Of the S seen classes: 0 identical, 1 similar, 2 dissimilar.
    tau_, similar_weight_, dissimilar_weight_, reconstruction_weight_ : float
        As tuned.

    Notes
    -----
    With weights of 0 it gives the very numbers of `SemanticToFeatureClassifier`. The exact form of the paper's hinges
    could not be checked; this one is what its three definitions imply.

    References
    ----------
    Annadani and Biswas, "Preserving semantic relations for zero-shot learning", CVPR 2018. Atlas 062.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> S = rng.random(size=(12, 4)); y = np.repeat(np.arange(10), 20)
    >>> X = (S @ rng.normal(size=(4, 8)))[y] + 0.1 * rng.normal(size=(200, 8))
    >>> from theatrum.contracts import ClassSemantics
    >>> letters = ClassSemantics(tuple("abcdefghijkl"), attributes=S, attribute_names=("big", "red", "old", "wet"))
    >>> model = RelationPreservingClassifier(64, tau=0.2, reconstruction_weight=0.1, random_state=0)
    >>> told = model.fit(X, y, letters).describe(X[:1], k=2)[0]
    >>> told.classes[0][0], len(told.attributes)
    ('a', 2)
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        **SemanticToFeatureClassifier.constraints,
        "tau": [Range(float, -1, 1, open_low=True), Options(("auto",)), tuple, list],
        "similar_weight": [Range(float, 0), Options(("auto",))],
        "dissimilar_weight": [Range(float, 0), Options(("auto",))],
        "reconstruction_weight": [Range(float, 0), Options(("auto",))],
        "relation_on": [Options(("samples", "prototypes"))],
        "identity_loss": [Options(("l2", "cosine"))],
        "batch_size": [Range(int, 1)],
    }

    def __init__(
        self,
        hidden_dim: int = 512,
        *,
        tau: Threshold | Literal["auto"] = "auto",
        similar_weight: float | Literal["auto"] = "auto",
        dissimilar_weight: float | Literal["auto"] = "auto",
        reconstruction_weight: float | Literal["auto"] = "auto",
        relation_on: Literal["samples", "prototypes"] = "samples",
        identity_loss: Literal["l2", "cosine"] = "l2",
        batch_size: int = 512,
        output_activation: Literal["auto", "relu", "linear"] = "auto",
        metric: Literal["auto", "cosine", "euclidean"] = "auto",
        alpha: float | Sequence[float] | Literal["auto"] = "auto",
        learning_rate: float = 3e-3,
        max_epochs: int = 200,
        validation_classes: float = 0.25,
        patience: int = 25,
        feature_scaling: Literal["l2", "centered", "none"] = "centered",
        branch_weights: Sequence[float] | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            hidden_dim,
            output_activation=output_activation,
            metric=metric,
            alpha=alpha,
            learning_rate=learning_rate,
            max_epochs=max_epochs,
            validation_classes=validation_classes,
            patience=patience,
            feature_scaling=feature_scaling,
            branch_weights=branch_weights,
            random_state=random_state,
        )
        self.tau = tau
        self.similar_weight = similar_weight
        self.dissimilar_weight = dissimilar_weight
        self.reconstruction_weight = reconstruction_weight
        self.relation_on = relation_on
        self.identity_loss = identity_loss
        self.batch_size = batch_size

    def describe(self, X: Any, k: int = 5) -> list[Description]:
        """Tell what rows are like, for rows of classes that have no description at all.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.
        k : int, default=5
            Classes and attributes to name; at most as many as there are.

        Raises
        ------
        ValueError
            k is below 1.
        """
        if not Range(int, 1).allows(k):
            raise ValueError(f"k must be a whole number of at least 1, got {k!r}")
        features = self._scaled(self._rows(X).astype(np.float32, copy=False))
        by_class = _largest(cosines(features, self.class_prototypes_), self.semantics_.names, k)
        if (
            self.semantics_.vectors is not None
            or not self.semantics_.attribute_names
            or not self.reconstruction_weight_
        ):
            return [Description(classes, ()) for classes in by_class]
        torch = require("torch", "torch")
        weights = {name: torch.from_numpy(array) for name, array in self.network_.items()}
        signatures = _decoded(weights, torch.from_numpy(features)).numpy() / len(self.semantics_.attribute_names) ** 0.5
        by_attribute = _largest(signatures, self.semantics_.attribute_names, k)
        return [Description(*both) for both in zip(by_class, by_attribute, strict=True)]

    def _start_settings(self, n_branches: int) -> RelationSettings:
        given = super()._start_settings(n_branches)
        tau: Any = ("quantile", _QUANTILES[2]) if self.tau == "auto" else self.tau
        if not isinstance(tau, float | int):
            tau = tuple(tau)
            if len(tau) != 2 or tau[0] != "quantile" or not Range(float, 0, 1).allows(tau[1]):
                raise ValueError(f"tau: a pair is ('quantile', q) with q between 0 and 1, got {tau}")
        elif tau >= 1:
            raise ValueError(f"tau must be between -1 and 1 (neither itself), got {tau}")
        return RelationSettings(
            given.alpha,
            given.branch_weights,
            tau,
            0.0 if self.similar_weight == "auto" else float(self.similar_weight),
            0.0 if self.dissimilar_weight == "auto" else float(self.dissimilar_weight),
            _RECONSTRUCTION if self.reconstruction_weight == "auto" else float(self.reconstruction_weight),
        )

    def _search(self, start: MapSettings, attempt: Callable[[MapSettings], float]) -> MapSettings:
        assert isinstance(start, RelationSettings)
        free = [name for name in ("similar", "dissimilar") if getattr(self, f"{name}_weight") == "auto"]
        decoded = self.reconstruction_weight == "auto"
        start = replace(start, reconstruction=0.0 if decoded else start.reconstruction)
        plain = super()._search(replace(start, similar=0.0, dissimilar=0.0), attempt)
        assert isinstance(plain, RelationSettings)

        def related(tau: Threshold, weight: float) -> RelationSettings:
            weights = dict.fromkeys(free, weight)
            return replace(start, alpha=plain.alpha, branch_weights=plain.branch_weights, tau=tau, **weights)

        taus: list[Threshold] = [("quantile", q) for q in _QUANTILES] if self.tau == "auto" else [start.tau]
        tau = max(taus, key=lambda one: attempt(related(one, _FIRST_WEIGHT)))
        weighted = [related(tau, weight) for weight in (_WEIGHTS if free else (_FIRST_WEIGHT,))]
        best = max([plain, *weighted] if len(free) == 2 else weighted, key=attempt)
        return max([best, replace(best, reconstruction=_RECONSTRUCTION)], key=attempt) if decoded else best

    def _network(self, problem: MapProblem, settings: MapSettings) -> Any:
        assert isinstance(settings, RelationSettings)
        network = super()._network(problem, settings)
        if settings.reconstruction:
            width = sum(matrix.shape[1] for matrix in problem.signatures)
            # Drawn after the map's weights, which are those of a map without a decoder.
            decoder = new_network([problem.means.shape[1]], self.hidden_dim, width)
            network.update({f"{name}_decoder": weight for name, weight in decoder.items()})
        return network

    def _loss(self, network: Any, problem: MapProblem, settings: MapSettings) -> Callable[[Any], Any]:
        assert isinstance(settings, RelationSettings)
        torch = require("torch", "torch")
        squared = super()._loss(network, problem, settings)
        length_one = torch.nn.functional.normalize
        rows = length_one(problem.rows, dim=1)
        n_classes = len(problem.means)
        centres = torch.zeros_like(problem.means).index_add_(0, problem.codes, rows)
        centres /= torch.bincount(problem.codes, minlength=n_classes)[:, None]
        told = torch.cat(problem.signatures, dim=1)
        loud = told * told.shape[1] ** 0.5  # rows of length sqrt(s), as those of the features: numbers are about 1
        delta, relations, weights = (torch.from_numpy(matrix) for matrix in _pairs(told.numpy(), settings))
        is_related = bool(weights.any())
        draws = torch.Generator().manual_seed(self._seed)

        def total(prototypes: Any) -> Any:
            directions = length_one(prototypes, dim=1)
            if self.identity_loss == "l2":
                loss = squared(prototypes)
            else:
                # The mean cosine of a class's rows with its prototype is that of their mean.
                loss = 1 - problem.shares @ (centres * directions).sum(dim=1)
            if is_related and self.relation_on == "prototypes":
                wrong = hinges(directions @ directions.T, delta, relations)
                loss = loss + problem.shares @ (weights * wrong).sum(dim=1)
            elif is_related:
                drawn = torch.randint(len(rows), (self.batch_size,), generator=draws)
                codes = problem.codes[drawn]
                wrong = hinges(rows[drawn] @ directions.T, delta[codes], relations[codes])
                loss = loss + (weights[codes] * wrong).sum() / self.batch_size
            if settings.reconstruction:
                loss = loss + settings.reconstruction * ((_decoded(network, prototypes) - loud) ** 2).mean()
            return loss

        return total

    def _keep(self, network: Any, settings: MapSettings, problem: MapProblem) -> None:
        assert isinstance(settings, RelationSettings)
        super()._keep(network, settings, problem)
        delta = class_similarities(np.hstack([matrix.numpy() for matrix in problem.signatures]))
        self.tau_ = threshold(delta, settings.tau)
        self.relations_ = class_relations(delta, self.tau_)
        self.similar_weight_ = settings.similar
        self.dissimilar_weight_ = settings.dissimilar
        self.reconstruction_weight_ = settings.reconstruction
        for kind, relation in (("similar", SIMILAR), ("dissimilar", DISSIMILAR)):
            if self.tau != "auto" and getattr(self, f"{kind}_weight") != 0 and not (self.relations_ == relation).any():
                warnings.warn(
                    f"tau = {self.tau_:.3f} leaves no {kind} classes, so their loss is dropped; the similarities of "
                    f"descriptions go up to {delta[~np.eye(len(delta), dtype=bool)].max():.3f}",
                    stacklevel=3,
                )


def _pairs(signatures: Vectors, settings: RelationSettings) -> tuple[NDArray[Any], ...]:
    """Similarities of descriptions, relations, and weights of pairs."""
    delta = class_similarities(signatures)
    relations = class_relations(delta, threshold(delta, settings.tau))
    return delta, relations, pair_weights(relations, settings.similar, settings.dissimilar)


def _decoded(network: Mapping[str, Any], features: Any) -> Any:
    """Signatures of features by the decoder, with rows of length ``sqrt(s)``."""
    weights = {name: network[f"{name}_decoder"] for name in ("w_0", "b_0", "w_out", "b_out")}
    return mapped(weights, [features], [1.0], "linear")


def _largest(values: NDArray[np.floating], names: Sequence[str], k: int) -> list[tuple[tuple[str, float], ...]]:
    """Names and values of the k largest of each row."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return [tuple((names[i], float(row[i])) for i in best) for row, best in zip(values, order, strict=True)]
