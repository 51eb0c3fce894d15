"""TLDR: reduction by twin learning, where a vector and a near neighbour must get the same code."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from theatrum.checks import Constraint, Options, Range, check_parameters, unit_rows
from theatrum.extras import require
from theatrum.refine.neighbors import knn
from theatrum.refine.principal_components import PrincipalComponents

_FEWEST_ROWS = 64  # below, batch statistics are noise and the axes of largest variance are the honest answer
_SMALL = 50_000  # rows up to which Adam with smaller batches is the better optimiser
_WARM_UP, _FINAL = 0.1, 1e-3  # share of the epochs to warm up, and of the peak rate at the end
_PATIENCE, _CHANGE = 5, 1e-3  # stop after so many epochs in which both parts of the loss change less than this share


def cross_correlation(z: Any, z2: Any) -> Any:
    """Correlate two batches (B, h) whose columns are standardised: ``C = z' z2 / B``, (h, h)."""
    return z.T @ z2 / len(z)


def twin_loss(correlation: Any, redundancy_weight: float) -> tuple[Any, Any]:
    """Two parts of the loss: how far the diagonal is from 1, and the weighted rest.

    Parameters
    ----------
    correlation : Tensor of shape (h, h)
        Between the projections of the two sides.
    redundancy_weight : float
        Lambda of the paper.

    Returns
    -------
    tuple of Tensor
        ``sum_i (C_ii - 1)^2`` and ``lambda sum_{i != j} C_ij^2``.
    """
    diagonal = correlation.diagonal()
    alike = ((diagonal - 1) ** 2).sum()
    return alike, redundancy_weight * ((correlation**2).sum() - (diagonal**2).sum())


def learning_rate_at(progress: float) -> float:
    """Share of the peak rate at a share of the training: linear warm-up, then a cosine down to a thousandth.

    Examples
    --------
    >>> [round(learning_rate_at(share), 3) for share in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.001]
    """
    if progress < _WARM_UP:
        return progress / _WARM_UP
    cosine = 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))
    return _FINAL + (1 - _FINAL) * cosine


class TwinLearningReduction(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Reduces vectors so that neighbourhoods stay; a scikit-learn transformer.

    Trains a map under which a vector and one of its nearest neighbours agree while the dimensions of what they agree
    on stay decorrelated. No labels. Best at strong compression (a quarter of the dimensions or less) and where near
    vectors really are alike; for exact reconstruction, or for fewer than about 2,000 vectors, take ``pca``.

    Parameters
    ----------
    n_components : int, default=64
        Dimensions to keep; at most as many as there are.
    n_neighbors : int, default=3
        Neighbours of a row, of which each step draws one; results hardly change from 3 to 100.
    encoder : {"linear", "factorized", "mlp"}, default="linear"
        One matrix; two matrices with normalisation between them, folded into one after training; or a network.
    hidden_dim : int or "auto", default="auto"
        Width of the projector that is thrown away after training; 512 up to 50,000 rows, 2,048 above.
    n_hidden : int, default=1
        Its hidden layers.
    redundancy_weight : float, default=0.0039
        Weight of the decorrelation.
    epochs : int, default=100
        Passes over the rows at most; training stops when the loss does not move any more.
    batch_size : int or "auto", default="auto"
        512 up to 50,000 rows, 1,024 above.
    optimizer : {"auto", "adam", "lars"}, default="auto"
        Adam up to 50,000 rows, LARS above.
    learning_rate : float or "auto", default="auto"
        1e-3 for Adam, 0.2 a 256 rows of the batch for LARS.
    init : {"pca", "random"}, default="pca"
        Where the matrix of the linear encoder starts.
    normalize : bool, default=True
        Whether ``transform`` gives unit rows.
    random_state : int, RandomState or None, default=0
        Draws of batches, neighbours and weights.

    Attributes
    ----------
    components_ : ndarray of float32, shape (m, d)
        The map of a linear or factorised encoder; the last layer of a network.
    intercept_ : ndarray of float32, shape (m,)
        Added after it.
    hidden_components_, hidden_intercept_ : ndarray of float32
        The first layer of a network, followed by a ReLU; (0, d) and (0,) where there is none.
    loss_curve_ : ndarray of float64, shape (epochs, 2)
        Both parts of the loss, a row an epoch.

    References
    ----------
    Kalantidis, Lassance, Almazán and Larlus, "TLDR: Twin learning for dimensionality reduction", TMLR 2022. Atlas 082.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    >>> reduction = TwinLearningReduction(4, epochs=5, random_state=0).fit(X)
    >>> reduction.transform(X).shape
    (300, 4)
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_components": [Range(int, 1)],
        "n_neighbors": [Range(int, 1)],
        "encoder": [Options(("linear", "factorized", "mlp"))],
        "hidden_dim": [Range(int, 1), Options(("auto",))],
        "n_hidden": [Range(int, 1)],
        "redundancy_weight": [Range(float, 0)],
        "epochs": [Range(int, 1)],
        "batch_size": [Range(int, 2), Options(("auto",))],
        "optimizer": [Options(("auto", "adam", "lars"))],
        "learning_rate": [Range(float, 0, open_low=True), Options(("auto",))],
        "init": [Options(("pca", "random"))],
        "normalize": [bool],
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        n_neighbors: int = 3,
        encoder: Literal["linear", "factorized", "mlp"] = "linear",
        hidden_dim: int | Literal["auto"] = "auto",
        n_hidden: int = 1,
        redundancy_weight: float = 0.0039,
        epochs: int = 100,
        batch_size: int | Literal["auto"] = "auto",
        optimizer: Literal["auto", "adam", "lars"] = "auto",
        learning_rate: float | Literal["auto"] = "auto",
        init: Literal["pca", "random"] = "pca",
        normalize: bool = True,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.encoder = encoder
        self.hidden_dim = hidden_dim
        self.n_hidden = n_hidden
        self.redundancy_weight = redundancy_weight
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.init = init
        self.normalize = normalize
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, pairs: tuple[Any, Any] | None = None) -> TwinLearningReduction:
        """Train the map.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Vectors. With fewer than 64 rows the map is that of the principal components, with a warning.
        y : ignored
            There for scikit-learn.
        pairs : (array-like of int (p,), array-like of int (p,)), optional
            Rows that belong together (duplicates, a question and its answer), instead of nearest neighbours.

        Returns
        -------
        TwinLearningReduction
            Itself.

        Raises
        ------
        ValueError
            More dimensions to keep than there are, not more rows than neighbours, pairs that name no rows, or NaN.
        ImportError
            torch is missing.
        """
        check_parameters(self, self.constraints)
        rows = validate_data(self, X, dtype=["float32", "float64"], ensure_min_samples=2).astype(np.float32)
        n, d = rows.shape
        if self.n_components > d:
            raise ValueError(f"TwinLearningReduction: cannot keep {self.n_components} of {d} dimensions")
        axes = PrincipalComponents(self.n_components).fit(rows)
        self.components_ = axes.components_.astype(np.float32)
        self.intercept_ = -(self.components_ @ rows.mean(axis=0))
        self.hidden_components_ = np.empty((0, d), dtype=np.float32)
        self.hidden_intercept_ = np.empty(0, dtype=np.float32)
        self.loss_curve_ = np.empty((0, 2))
        if n < _FEWEST_ROWS:
            warnings.warn(
                f"TwinLearningReduction: {n} rows are too few to train on (fewer than {_FEWEST_ROWS}); "
                "the map is that of the principal components",
                stacklevel=2,
            )
            return self
        first, second = self._pairs(rows) if pairs is None else _checked_pairs(pairs, n)
        self._train(rows, first, second)
        return self

    def transform(self, X: Any) -> Any:
        """Map X (n, d) to (n, m), unit rows if ``normalize``; needs no torch."""
        check_is_fitted(self, "components_")
        given = validate_data(self, X, dtype=["float32", "float64"], reset=False)
        rows = given.astype(np.float32, copy=False)
        if len(self.hidden_components_):
            rows = np.maximum(rows @ self.hidden_components_.T + self.hidden_intercept_, 0)
        reduced = rows @ self.components_.T + self.intercept_
        return (unit_rows(reduced) if self.normalize else reduced).astype(given.dtype, copy=False)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _pairs(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every row with each of its neighbours; zero rows have no direction and take no part."""
        alive = np.flatnonzero(rows.any(axis=1))
        if len(alive) < len(rows):
            warnings.warn(f"{len(rows) - len(alive)} zero rows take no part in the training", stacklevel=3)
        if len(alive) <= self.n_neighbors:
            raise ValueError(f"TwinLearningReduction: {self.n_neighbors} neighbours need more rows than {len(alive)}")
        neighbours, _ = knn(rows[alive], self.n_neighbors)
        return np.repeat(alive, self.n_neighbors), alive[neighbours.ravel()]

    def _train(self, rows: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
        torch = require("torch", "torch")
        rng = check_random_state(self.random_state)
        small = len(rows) <= _SMALL
        batch = int((512 if small else 1024) if self.batch_size == "auto" else self.batch_size)
        anchors, starts, counts = np.unique(first, return_index=True, return_counts=True)
        order = np.argsort(first, kind="stable")
        first, second = first[order], second[order]
        starts = np.searchsorted(first, anchors)
        if batch > len(anchors):
            if self.batch_size != "auto":
                warnings.warn(f"batch_size is lowered from {batch} to the {len(anchors)} rows there are", stacklevel=3)
            batch = len(anchors)
        steps = len(anchors) // batch  # the last partial batch is dropped: its statistics would be others
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.randint(2**31)))
            encoder, projector = self._networks(torch, rows.shape[1], small)
            optimizer, peak = self._optimizer(torch, [*encoder.parameters(), *projector.parameters()], small, batch)
            data = torch.from_numpy(rows)
            curve: list[tuple[float, float]] = []
            for epoch in range(self.epochs):
                shuffled = rng.permutation(len(anchors))
                drawn = second[starts + rng.randint(0, counts)]
                parts = np.zeros(2)
                for step in range(steps):
                    for group in optimizer.param_groups:
                        group["lr"] = peak * learning_rate_at((epoch + (step + 1) / steps) / self.epochs)
                    chosen = shuffled[step * batch : (step + 1) * batch]
                    z = projector(encoder(data[anchors[chosen]]))
                    z2 = projector(encoder(data[drawn[chosen]]))
                    alike, redundant = twin_loss(cross_correlation(z, z2), self.redundancy_weight)
                    optimizer.zero_grad()
                    ((alike + redundant) / 32).backward()  # 1/32: the scale of the published training
                    optimizer.step()
                    parts += alike.item(), redundant.item()
                curve.append((parts[0] / steps, parts[1] / steps))
                if _settled(curve):
                    break
            self.loss_curve_ = np.array(curve)
            self._fold(encoder.eval())

    def _networks(self, torch: Any, d: int, small: bool) -> tuple[Any, Any]:
        nn, m = torch.nn, self.n_components
        h = int((512 if small else 2048) if self.hidden_dim == "auto" else self.hidden_dim)
        if self.encoder == "linear":
            encoder = nn.Sequential(nn.Linear(d, m))
            if self.init == "pca":
                with torch.no_grad():
                    encoder[0].weight.copy_(torch.from_numpy(self.components_))
                    encoder[0].bias.copy_(torch.from_numpy(self.intercept_))
        elif self.encoder == "factorized":
            encoder = nn.Sequential(nn.Linear(d, d), nn.BatchNorm1d(d), nn.Linear(d, m))
        else:
            encoder = nn.Sequential(nn.Linear(d, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Linear(d, m))
        layers: list[Any] = []
        for width in (m, *[h] * (self.n_hidden - 1)):
            layers += [nn.Linear(width, h, bias=False), nn.BatchNorm1d(h), nn.ReLU()]
        # The last normalisation has no parameters: it makes the columns standard, as the correlation needs them.
        return encoder, nn.Sequential(*layers, nn.Linear(h, h, bias=False), nn.BatchNorm1d(h, affine=False))

    def _optimizer(self, torch: Any, parameters: list[Any], small: bool, batch: int) -> tuple[Any, float]:
        kind = ("adam" if small else "lars") if self.optimizer == "auto" else self.optimizer
        usual = 1e-3 if kind == "adam" else 0.2 * batch / 256
        peak = usual if self.learning_rate == "auto" else float(self.learning_rate)
        if kind == "adam":
            return torch.optim.Adam(parameters, lr=peak), peak
        from theatrum.refine.lars import LARS

        return LARS(parameters, lr=peak), peak

    def _fold(self, encoder: Any) -> None:
        """Keep the trained encoder as plain arrays, normalisation multiplied into the matrices."""
        weights = [(layer.weight, layer.bias) for layer in encoder if hasattr(layer, "in_features")]
        matrices = [(w.detach().numpy().copy(), b.detach().numpy().copy()) for w, b in weights]
        if len(matrices) == 1:
            ((self.components_, self.intercept_),) = matrices
            return
        norm = encoder[1]
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        shift = (norm.bias - norm.running_mean * (norm.weight / (norm.running_var + norm.eps).sqrt())).detach().numpy()
        (inner, inner_bias), (outer, outer_bias) = matrices
        inner, inner_bias = inner * scale[:, None], inner_bias * scale + shift
        if self.encoder == "factorized":
            self.components_, self.intercept_ = outer @ inner, outer @ inner_bias + outer_bias
        else:
            self.components_, self.intercept_ = outer, outer_bias
            self.hidden_components_, self.hidden_intercept_ = inner, inner_bias


def _settled(curve: Sequence[tuple[float, float]]) -> bool:
    """Whether both parts of the loss have hardly changed for some epochs."""
    if len(curve) <= _PATIENCE:
        return False
    recent = np.array(curve[-_PATIENCE - 1 :])
    return bool((np.abs(np.diff(recent, axis=0)) <= _CHANGE * np.abs(recent[:-1])).all())


def _checked_pairs(pairs: tuple[Any, Any], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, second = (np.asarray(side, dtype=np.int64) for side in pairs)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(f"pairs: two lists of rows of equal length are needed, got {first.shape} and {second.shape}")
    outside = np.flatnonzero((np.minimum(first, second) < 0) | (np.maximum(first, second) >= n))
    if outside.size:
        raise ValueError(f"pairs: entry {outside[0]} names a row outside 0 to {n - 1}")
    return first, second
