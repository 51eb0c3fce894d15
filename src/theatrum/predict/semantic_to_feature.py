"""A network from class semantics into the space of the features: zero-shot answers by the nearest mapped class."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from theatrum.checks import Constraint, Options, Range, check_parameters, unit_rows
from theatrum.contracts import ClassSemantics, Vectors
from theatrum.extras import require
from theatrum.persistence import load_arrays, save_arrays
from theatrum.predict import semantic_map
from theatrum.predict.semantic_map import MapProblem, MapSettings, mapped, new_network
from theatrum.predict.semantic_ridge import cosines
from theatrum.predict.semantics import pseudo_unseen, seen_mask
from theatrum.predict.zero_shot_predictor import Rows, ZeroShotClassifier

Semantics: TypeAlias = ClassSemantics | Sequence[ClassSemantics]  # several of the same classes: one branch each
_ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2)
_UNTUNED = 1e-4  # where there is nothing to tune alpha on
_LOUD = 3.0  # weight tried for one branch of several, the others at 1; that of the paper
_NETWORK = "network.safetensors"
_PUBLISHED = {"AwA": (300, 1e-4, 20_000), "CUB": (700, 1e-5, 100_000)}  # hidden width, learning rate, steps


class SemanticToFeatureClassifier(ZeroShotClassifier):
    """Maps class semantics by a small network into the space of the features and takes the nearest class.

    For features of any frozen encoder and descriptions that live in another space: attributes, name vectors, or
    several fused. Where the encoder can embed the class names itself, try `ClassNameCosine` first (``fit`` warns when
    that was better); `SemanticRidge`, the linear map, fits in milliseconds and is hard to beat with few classes.

    Parameters
    ----------
    hidden_dim : int, default=512
        Width of the hidden layer.
    output_activation : {"auto", "relu", "linear"}, default="auto"
        After the last layer; "auto" is "relu" where no (scaled) feature is negative.
    metric : {"auto", "cosine", "euclidean"}, default="auto"
        How rows and mapped classes are compared; "auto" is "cosine" unless ``feature_scaling="none"``.
    alpha : float, sequence of float, or "auto", default="auto"
        L2 penalty, relative to a loss that is a mean over dimensions; one a branch (the first counts for the last
        layer too). "auto" takes the best of four on held-out seen classes (1e-4 where nothing is held out).
    learning_rate : float, default=3e-3
        Of Adam.
    max_epochs : int, default=200
        Steps at most; every step sees all rows.
    validation_classes : float, default=0.25
        Share of the seen classes that play the unseen ones, for ``alpha`` and the number of steps; the last fit is on
        all of them again. 0 holds out none.
    patience : int, default=25
        Steps without a better score after which a trial stops.
    feature_scaling : {"l2", "centered", "none"}, default="l2"
        Rows of length ``sqrt(d)``, so that numbers are about 1 as ``alpha`` and the first weights expect; the same
        after the mean of unit rows is taken out; or features as they are.
    branch_weights : sequence of float, optional
        Of several semantics; by default the best on held-out classes of all equal and each in turn three times as
        loud.
    random_state : int, RandomState or None, default=None
        Draws weights and held-out classes.

    Attributes
    ----------
    class_prototypes_ : ndarray of float32, shape (C, d)
        Mapped classes, among scaled features.
    alpha_, branch_weights_ : ndarray of float64, shape (number of branches,)
        As tuned.
    n_epochs_ : int
        Steps of the last fit.
    validation_score_ : float
        Accuracy on the held-out classes among themselves; -1 where none were held out.
    network_ : dict of str to ndarray
        Weights.

    Notes
    -----
    The mean over rows of ``|f(s_y) - x|^2`` equals the mean of ``|f(s_c) - mean_c|^2``, weighted by the classes'
    sizes, plus a constant. So a step costs the same for any number of rows, and takes the exact gradient of all.

    References
    ----------
    Zhang, Xiang and Gong, "Learning a deep embedding model for zero-shot learning", CVPR 2017. Atlas 007.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> S = rng.normal(size=(12, 4)); y = np.repeat(np.arange(10), 20)
    >>> X = (S @ rng.normal(size=(4, 8)))[y] + 0.1 * rng.normal(size=(200, 8))
    >>> letters = ClassSemantics(tuple("abcdefghijkl"), vectors=S)
    >>> model = SemanticToFeatureClassifier(64, random_state=0).fit(X, y, letters)
    >>> model.predict(model.class_prototypes_[10:], candidates="unseen").tolist()
    ['k', 'l']
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "hidden_dim": [Range(int, 1)],
        "output_activation": [Options(("auto", "relu", "linear"))],
        "metric": [Options(("auto", "cosine", "euclidean"))],
        "alpha": [Range(float, 0), Options(("auto",)), tuple, list],
        "learning_rate": [Range(float, 0, open_low=True)],
        "max_epochs": [Range(int, 1)],
        "validation_classes": [Range(float, 0, 0.9)],
        "patience": [Range(int, 1)],
        "feature_scaling": [Options(("l2", "centered", "none"))],
        "branch_weights": [tuple, list, None],
    }

    def __init__(
        self,
        hidden_dim: int = 512,
        *,
        output_activation: Literal["auto", "relu", "linear"] = "auto",
        metric: Literal["auto", "cosine", "euclidean"] = "auto",
        alpha: float | Sequence[float] | Literal["auto"] = "auto",
        learning_rate: float = 3e-3,
        max_epochs: int = 200,
        validation_classes: float = 0.25,
        patience: int = 25,
        feature_scaling: Literal["l2", "centered", "none"] = "l2",
        branch_weights: Sequence[float] | None = None,
        random_state: Any = None,
    ) -> None:
        self.hidden_dim = hidden_dim
        self.output_activation = output_activation
        self.metric = metric
        self.alpha = alpha
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.validation_classes = validation_classes
        self.patience = patience
        self.feature_scaling = feature_scaling
        self.branch_weights = branch_weights
        self.random_state = random_state

    @classmethod
    def paper(cls, dataset: Literal["AwA", "CUB"], **others: Any) -> Any:
        """Make one with the published settings for features of a convolutional network; slow on purpose.

        The published scripts take batches of 64 and 100 rows; here every step sees all rows.
        """
        if dataset not in _PUBLISHED:
            raise ValueError(f"dataset must be one of {', '.join(_PUBLISHED)}, got {dataset!r}")
        hidden_dim, rate, steps = _PUBLISHED[dataset]
        settings = {"learning_rate": rate, "max_epochs": steps, "patience": steps // 20, "alpha": 1e-2}
        return cls(hidden_dim, **{**settings, "output_activation": "relu", "feature_scaling": "none", **others})

    def fit(self, X: Any, y: Any, semantics: Semantics | None = None) -> SemanticToFeatureClassifier:
        """Train the map on rows of seen classes.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,)
            Names of seen classes, or their positions in the semantics' ``names``.
        semantics : ClassSemantics or sequence of ClassSemantics, optional
            Of all classes; several, with the same names, are fused. Without any, classes are described by nothing
            but which is which, and nothing is held out.

        Raises
        ------
        ValueError
            Labels that the semantics do not know or call unseen, seen classes without rows, one class only, fewer
            than 4 seen classes with ``validation_classes`` above 0, branches that do not fit together, or NaN.

        Warns
        -----
        UserWarning
            Plain cosine between rows and class vectors was better on the held-out classes; a class was mapped to 0.
        """
        check_parameters(self, self.constraints)
        told = [semantics] if isinstance(semantics, ClassSemantics) else list(semantics or [])
        start = self._start_settings(max(len(told), 1))
        rows, codes = self._start(X, y, semantic_map.first_of(told))
        seen = seen_mask(self.semantics_)
        if told and self.validation_classes and seen.sum() < 4:
            raise ValueError(
                f"holding out classes needs at least 4 seen classes, got {seen.sum()}; set validation_classes=0"
            )
        features = self._learn_scaling(rows.astype(np.float32, copy=False))
        self.activation_ = self._activation(features)
        rng = check_random_state(self.random_state)
        self._seed = int(rng.randint(2**31 - 1))
        signatures = [one.signature() for one in told] or [self.semantics_.signature()]
        place = np.cumsum(seen) - 1  # codes among the seen classes alone
        of_seen = [matrix[seen] for matrix in signatures]
        settings, self.n_epochs_, self.validation_score_ = start, self.max_epochs, -1.0
        if told and self.validation_classes:
            fold = pseudo_unseen(self.semantics_, codes, share=self.validation_classes, random_state=rng)
            settings = self._tuned(start, of_seen, features, place[codes], fold)
            self._compare_with_cosine(of_seen, rows, place[codes], fold)
        problem = MapProblem.of(of_seen, features, place[codes])
        self._keep(self._train(problem, settings, self.n_epochs_)[0], settings, problem)
        self.class_prototypes_ = self._map(signatures)
        self._warn_of_zeros(self.class_prototypes_, self.semantics_.names)
        return self

    def class_scores(self, X: Any) -> Rows:
        """Cosine of each row with every mapped class, or minus their squared distance, (n, C)."""
        features = self._scaled(self._rows(X).astype(np.float32, copy=False))
        if self._metric == "cosine":
            return cosines(features, self.class_prototypes_)
        lengths = (features**2).sum(axis=1)[:, None] + (self.class_prototypes_**2).sum(axis=1)
        return 2 * features @ self.class_prototypes_.T - lengths

    def add_classes(self, semantics: Semantics) -> SemanticToFeatureClassifier:
        """Make unseen classes known; the network stays as it is. Several semantics where it was fitted on several."""
        told = [semantics] if isinstance(semantics, ClassSemantics) else list(semantics)
        first = semantic_map.first_of(told)
        widths = [len(self.network_[f"w_{branch}"]) for branch in range(len(self.branch_weights_))]
        signatures = [one.signature() for one in told]
        if first is None or [matrix.shape[1] for matrix in signatures] != widths:
            raise ValueError(
                f"the network was fitted on signatures {', '.join(map(str, widths))} wide, those of the new classes "
                f"are {', '.join(str(matrix.shape[1]) for matrix in signatures) or 'missing'}"
            )
        prototypes = self._map(signatures)
        self._add(first)
        self.class_prototypes_ = np.vstack([self.class_prototypes_, prototypes])
        self._warn_of_zeros(prototypes, first.names)
        return self

    # What a method with further losses writes anew: settings, their search, and the losses.

    def _start_settings(self, n_branches: int) -> MapSettings:
        """Settings as given, with plain values in the place of what is tuned."""
        given = [self.alpha] if isinstance(self.alpha, float | int) else list(self.alpha)
        alpha: tuple[Any, ...] = (_UNTUNED,) * n_branches if self.alpha == "auto" else tuple(given)
        alpha = alpha * n_branches if len(alpha) == 1 else alpha
        weights = (1.0,) * n_branches if self.branch_weights is None else tuple(self.branch_weights)
        for name, values in (("alpha", alpha), ("branch_weights", weights)):
            numbers = all(Range(float, 0).allows(value) for value in values)
            if len(values) != n_branches or not numbers or (name == "branch_weights" and not any(values)):
                raise ValueError(f"{name}: {n_branches} number(s) of at least 0, not all 0, are needed, got {values}")
        return MapSettings(alpha, weights)

    def _search(self, start: MapSettings, attempt: Callable[[MapSettings], float]) -> MapSettings:
        """Choose settings by the accuracy that ``attempt`` reaches on held-out classes; the first of equal ones."""
        n = len(start.branch_weights)
        offered = [replace(start, alpha=(alpha,) * n) for alpha in _ALPHAS] if self.alpha == "auto" else [start]
        best = max(offered, key=attempt)
        if n == 1 or self.branch_weights is not None:
            return best
        louder = [tuple(_LOUD if k == branch else 1.0 for k in range(n)) for branch in range(n)]
        return max([best, *(replace(best, branch_weights=weights) for weights in louder)], key=attempt)

    def _network(self, problem: MapProblem, settings: MapSettings) -> Any:
        widths = [matrix.shape[1] for matrix in problem.signatures]
        return new_network(widths, self.hidden_dim, problem.means.shape[1])

    def _loss(self, network: Any, problem: MapProblem, settings: MapSettings) -> Callable[[Any], Any]:
        """Give the loss of mapped classes, without the L2 penalty."""
        return lambda prototypes: problem.shares @ ((prototypes - problem.means) ** 2).mean(dim=1)

    def _keep(self, network: Any, settings: MapSettings, problem: MapProblem) -> None:
        """Set fitted attributes."""
        from theatrum.nn.mlp import network_arrays

        self.network_ = network_arrays(network)
        self.alpha_ = np.array(settings.alpha, dtype=np.float64)
        self.branch_weights_ = np.array(settings.branch_weights, dtype=np.float64)

    # The rest is the same for all of them.

    def _train(
        self, problem: MapProblem, settings: MapSettings, steps: int, validate: Callable[[Any], float] | None = None
    ) -> tuple[Any, Any]:
        torch = require("torch", "torch")
        from theatrum.nn.mlp import seeded, train

        with seeded(self._seed):
            network = self._network(problem, settings)
            loss = self._loss(network, problem, settings)
            adam = torch.optim.Adam(semantic_map.penalised(network, settings.alpha), lr=self.learning_rate)
            done = train(
                network,
                lambda _: loss(mapped(network, problem.signatures, settings.branch_weights, self.activation_)),
                1,
                optimizer=adam,
                batch_size=1,
                max_epochs=steps,
                validate=None if validate is None else lambda: validate(network),
                patience=self.patience,
            )
        return network, done

    def _tuned(
        self,
        start: MapSettings,
        signatures: list[Vectors],
        features: Vectors,
        codes: NDArray[np.intp],
        fold: tuple[NDArray[np.intp], NDArray[np.intp], ClassSemantics],
    ) -> MapSettings:
        torch = require("torch", "torch")
        fit_rows, held_rows, inner = fold
        kept = seen_mask(inner)
        place = np.where(kept, np.cumsum(kept), np.cumsum(~kept)) - 1  # each side has its own numbers
        problem = MapProblem.of([matrix[kept] for matrix in signatures], features[fit_rows], place[codes[fit_rows]])
        held = torch.from_numpy(features[held_rows])
        truth = torch.from_numpy(place[codes[held_rows]])
        described = [torch.from_numpy(matrix[~kept]) for matrix in signatures]
        done: dict[MapSettings, Any] = {}

        def attempt(settings: MapSettings) -> float:
            def accuracy(network: Any) -> float:
                prototypes = mapped(network, described, settings.branch_weights, self.activation_)
                return semantic_map.nearest_hits(held, truth, prototypes, self._metric)

            if settings not in done:
                done[settings] = self._train(problem, settings, self.max_epochs, accuracy)[1]
            return float(done[settings].scores.max())

        settings = self._search(start, attempt)
        self.n_epochs_ = int(done[settings].best_epoch)
        self.validation_score_ = attempt(settings)
        return settings

    def _compare_with_cosine(
        self,
        signatures: list[Vectors],
        rows: Rows,
        codes: NDArray[np.intp],
        fold: tuple[NDArray[np.intp], NDArray[np.intp], ClassSemantics],
    ) -> None:
        torch = require("torch", "torch")
        _, held_rows, inner = fold
        held = ~seen_mask(inner)
        truth = torch.from_numpy((np.cumsum(held) - 1)[codes[held_rows]])
        queries = torch.from_numpy(rows[held_rows].astype(np.float32, copy=False))
        for matrix in signatures:
            if matrix.shape[1] != rows.shape[1]:
                continue
            plain = semantic_map.nearest_hits(queries, truth, torch.from_numpy(matrix[held]), "cosine")
            if plain > self.validation_score_:
                warnings.warn(
                    f"plain cosine to the class vectors was better on the held-out classes ({plain:.3f} against "
                    f"{self.validation_score_:.3f}); if one encoder makes both, use ClassNameCosine",
                    stacklevel=3,
                )

    def _learn_scaling(self, rows: Vectors) -> Vectors:
        self.feature_mean_ = np.zeros(rows.shape[1], dtype=np.float32)
        if self.feature_scaling == "centered":
            self.feature_mean_ = unit_rows(rows).mean(axis=0)
        return self._scaled(rows)

    def _scaled(self, rows: Vectors) -> Vectors:
        if self.feature_scaling == "none":
            return np.ascontiguousarray(rows)
        features = unit_rows(rows)
        if self.feature_scaling == "centered":
            features = unit_rows(features - self.feature_mean_)
        return features * np.float32(np.sqrt(rows.shape[1]))

    def _activation(self, features: Vectors) -> str:
        if self.output_activation != "auto":
            return self.output_activation
        return "relu" if features.min() >= 0 else "linear"

    @property
    def _metric(self) -> str:
        if self.metric != "auto":
            return self.metric
        return "euclidean" if self.feature_scaling == "none" else "cosine"

    def _map(self, signatures: Sequence[Vectors]) -> Vectors:
        torch = require("torch", "torch")
        network = {name: torch.from_numpy(array) for name, array in self.network_.items()}
        told = [torch.from_numpy(matrix) for matrix in signatures]
        return np.asarray(mapped(network, told, self.branch_weights_.tolist(), self.activation_).numpy())

    def _warn_of_zeros(self, prototypes: Vectors, names: Sequence[str]) -> None:
        zero = np.flatnonzero(~prototypes.any(axis=1))
        if zero.size:
            warnings.warn(
                f"{zero.size} class(es) were mapped to 0, the first is {names[zero[0]]!r}; use a smaller alpha or "
                "output_activation='linear'",
                stacklevel=3,
            )

    def save_state(self, folder: Path) -> None:
        """Write semantics, fitted attributes and the network."""
        super().save_state(folder)
        save_arrays(self.network_, folder / _NETWORK)

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote."""
        super().open_state(folder)
        self.network_ = load_arrays(folder / _NETWORK)

    def _saved_apart(self) -> Sequence[str]:
        return ("network_",)
