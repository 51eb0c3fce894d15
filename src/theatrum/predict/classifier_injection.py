"""ICIS: rows of a linear classifier for new classes, predicted from descriptions, with no data at all."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state

from theatrum.checks import Constraint, Options, Range, check_parameters
from theatrum.contracts import ClassSemantics
from theatrum.predict.semantic_ridge import cosines
from theatrum.predict.semantics import seen_mask
from theatrum.predict.zero_shot_predictor import Rows, ZeroShotClassifier

Matrix = NDArray[np.float64]

_ALPHAS = np.geomspace(1e-3, 1e3, 13)
_SHARPNESS = 5.0  # of the weighted average, as published


def costa(A_new: Matrix, A: Matrix, W: Matrix) -> Matrix:
    """Weights of seen classes, averaged by the inner products of descriptions (COSTA).

    Parameters
    ----------
    A_new, A : ndarray of float64, shape (n, s), (C, s)
        Descriptions of new and of seen classes, unit rows.
    W : ndarray of float64, shape (C, d + 1)
        Weight rows of seen classes.
    """
    shares = np.maximum(A_new @ A.T, 0)
    total = shares.sum(axis=1, keepdims=True)
    return shares / np.where(total == 0, 1, total) @ W


def weighted_average(A_new: Matrix, A: Matrix, W: Matrix) -> Matrix:
    """Weights of seen classes, averaged by ``exp(-5 |a_new - a|)``; parameters as in `costa`."""
    apart = np.sqrt(np.maximum((A_new**2).sum(1)[:, None] - 2 * A_new @ A.T + (A**2).sum(1), 0))
    shares = np.exp(-_SHARPNESS * apart)
    return shares / shares.sum(axis=1, keepdims=True) @ W


def convex_fit(A_new: Matrix, A: Matrix, W: Matrix) -> Matrix:
    """Weights mixed as the seen descriptions that come nearest to the new one (SMO); parameters as in `costa`."""
    mixed = np.empty((len(A_new), W.shape[1]))
    for row, wanted in enumerate(A_new):

        def loss(logits: Matrix, wanted: Matrix = wanted) -> tuple[float, Matrix]:
            shares = np.exp(logits - logits.max())
            shares /= shares.sum()
            off = shares @ A - wanted
            pull = 2 * (A @ off)
            return float(off @ off), shares * (pull - shares @ pull)

        found = minimize(loss, 10 * (A @ wanted), jac=True, method="L-BFGS-B").x
        shares = np.exp(found - found.max())
        mixed[row] = shares / shares.sum() @ W
    return mixed


def ridge(A_new: Matrix, A: Matrix, W: Matrix) -> Matrix:
    """Map descriptions linearly to weights, with the penalty of the best leave-one-class-out cosine; see `costa`."""
    centre = A.mean(axis=0)
    U, s, Vt = np.linalg.svd(A - centre, full_matrices=False)
    UW = U.T @ W
    best, best_alpha = -np.inf, _ALPHAS[0]
    for alpha in _ALPHAS * max(float((s**2).mean()), 1e-12):
        left_out = left_out_rows(U, s**2 / (s**2 + alpha), W)
        score = float(np.diag(cosines(left_out, W)).mean())
        if score > best:
            best, best_alpha = score, alpha
    return (A_new - centre) @ (Vt.T * (s / (s**2 + best_alpha))) @ UW


def left_out_rows(U: Matrix, shrink: Matrix, W: Matrix) -> Matrix:
    """What the smoother ``U diag(shrink) U'`` says of each row of W when that row is left out, in closed form."""
    fitted = (U * shrink) @ (U.T @ W)
    leverage = np.minimum(((U**2) * shrink).sum(axis=1), 1 - 1e-9)[:, None]
    return (fitted - leverage * W) / (1 - leverage)


_CLOSED_FORMS = {"ridge": ridge, "costa": costa, "weighted_average": weighted_average, "convex_fit": convex_fit}


class ClassifierInjector(ZeroShotClassifier):
    """Widens a trained linear classifier by classes that are only described; no training data is needed.

    Takes the weights of the classes that a linear softmax layer knows and descriptions of those and of new ones, learns
    how weights follow from descriptions, and predicts the missing rows. Answers among the old classes stay bit for bit
    what they were. Needs tens of known classes; with the data at hand, ``SemanticToFeatureClassifier`` is usually
    better.

    Parameters
    ----------
    decoder : {"weighted_average", "mlp", "ridge", "costa", "convex_fit"}, default="weighted_average"
        How weights follow: "mlp" is the paper's pair of autoencoders with a shared latent space, "ridge" a linear map
        in closed form; the others, the paper's baselines, mix the weights of known classes. The default is what did
        best in our measurement of the claim, which does not hold here.
    latent_dim : int, default=512
        Width of the networks (2,048 in the paper).
    learning_rate : float, default=1e-4
        Of Adam (1e-5 in the paper).
    batch_size : int, default=16
        Classes a step.
    max_epochs : int, default=1000
        Passes over the classes at most.
    use_unseen : bool, default=True
        Let the descriptions of new classes take part in the reconstruction of descriptions.
    stopping : {"slope", "class_cv"}, default="slope"
        Stop when the loss hardly falls any more (published), or where the weights of held-out known classes are met
        best.
    weight_norm : {"match", "raw"}, default="match"
        Give predicted rows the mean length of the known ones, or leave them. The paper leaves them; trained on
        cosines, their length is arbitrary.
    random_state : int, RandomState or None, default=0
        Draws of weights, batches and held-out classes.

    Attributes
    ----------
    coef_, intercept_ : ndarray of float64, shape (C, d), (C,)
        The widened classifier, in the order of the semantics.
    losses_ : ndarray of float64
        Mean loss of each epoch of the networks; empty for other decoders.

    References
    ----------
    Christensen et al., "Image-free classifier injection for zero-shot classification", ICCV 2023. Atlas 008.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> S = rng.normal(size=(40, 8)); W = S @ rng.normal(size=(8, 5))
    >>> known = np.arange(40) < 36
    >>> semantics = ClassSemantics(tuple(f"class {i}" for i in range(40)), vectors=S, seen=known)
    >>> model = ClassifierInjector().fit_weights(W[known], None, semantics)
    >>> model.coef_.shape
    (40, 5)
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "decoder": [Options(("weighted_average", "mlp", "ridge", "costa", "convex_fit"))],
        "latent_dim": [Range(int, 1)],
        "learning_rate": [Range(float, 0, open_low=True)],
        "batch_size": [Range(int, 1)],
        "max_epochs": [Range(int, 1)],
        "use_unseen": [bool],
        "stopping": [Options(("slope", "class_cv"))],
        "weight_norm": [Options(("match", "raw"))],
    }

    def __init__(
        self,
        decoder: Literal["weighted_average", "mlp", "ridge", "costa", "convex_fit"] = "weighted_average",
        *,
        latent_dim: int = 512,
        learning_rate: float = 1e-4,
        batch_size: int = 16,
        max_epochs: int = 1000,
        use_unseen: bool = True,
        stopping: Literal["slope", "class_cv"] = "slope",
        weight_norm: Literal["match", "raw"] = "match",
        random_state: Any = 0,
    ) -> None:
        self.decoder = decoder
        self.latent_dim = latent_dim
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.use_unseen = use_unseen
        self.stopping = stopping
        self.weight_norm = weight_norm
        self.random_state = random_state

    def fit(self, X: Any, y: Any, semantics: ClassSemantics | None = None) -> ClassifierInjector:
        """Train a linear classifier on seen classes, then forget the data and widen it; see `fit_weights`.

        Parameters
        ----------
        X, y : array-like, shape (n, d), (n,)
            Rows of seen classes, and their names.
        semantics : ClassSemantics, optional
            Of all classes.
        """
        check_parameters(self, self.constraints)
        rows, codes = self._start(X, y, semantics)
        layer = LogisticRegression(C=10.0, max_iter=1000).fit(rows, codes)
        W, b = layer.coef_.astype(np.float64), layer.intercept_.astype(np.float64)
        if len(W) == 1:
            # scikit-learn keeps one row for two classes; half of it each way gives the same softmax.
            W, b = np.vstack([-W, W]) / 2, np.concatenate([-b, b]) / 2
        return self._widen(W, b)

    def fit_weights(self, W: ArrayLike, b: ArrayLike | None, semantics: ClassSemantics) -> ClassifierInjector:
        """Widen a classifier that exists.

        Parameters
        ----------
        W : array-like of shape (C_seen, d)
            Weights, one row a seen class, in the order of the seen classes in ``semantics``.
        b : array-like of shape (C_seen,) or None
            Biases; 0 by default.
        semantics : ClassSemantics
            Of all classes, with ``seen``.

        Raises
        ------
        ValueError
            Numbers of rows and of seen names differ, fewer than two of them, NaN, or a zero row (named).
        """
        check_parameters(self, self.constraints)
        weights = np.asarray(W, dtype=np.float64)
        names = [name for name, seen in zip(semantics.names, seen_mask(semantics), strict=True) if seen]
        if weights.ndim != 2 or len(weights) != len(names):
            raise ValueError(f"W: {len(names)} rows are needed, one a seen class; got shape {weights.shape}")
        biases = np.zeros(len(weights)) if b is None else np.asarray(b, dtype=np.float64)
        if biases.shape != (len(weights),):
            raise ValueError(f"b: {len(weights)} numbers are needed, got shape {biases.shape}")
        if not np.isfinite(weights).all() or not np.isfinite(biases).all():
            raise ValueError("W and b must be finite; they hold NaN or infinity")
        zero = np.flatnonzero(~weights.any(axis=1))
        if zero.size:
            raise ValueError(f"W: the row of class {names[zero[0]]!r} is zero; it was never trained")
        if len(names) < 2:
            raise ValueError("W: the weights of two seen classes are the least to learn from")
        self.semantics_, self.classes_ = semantics, np.array(semantics.names)
        self.n_features_in_ = weights.shape[1]
        return self._widen(weights, biases)

    def _widen(self, W: Matrix, b: Matrix) -> ClassifierInjector:
        seen = seen_mask(self.semantics_)
        self.seen_coef_, self.seen_intercept_ = W, b
        self.seen_signature_ = self.semantics_.signature()[seen].astype(np.float64)
        rows = np.hstack([W, b[:, None]])
        # Softmax does not feel a row added to all rows; without their mean, nothing but differences is to be learnt.
        self.mean_row_ = rows.mean(axis=0)
        self._learn(rows - self.mean_row_)
        self._place()
        return self

    def _learn(self, rows: Matrix) -> None:
        self.row_length_ = float(np.linalg.norm(rows, axis=1).mean())
        self.losses_ = np.empty(0)
        if self.decoder != "mlp":
            return
        unseen = self.semantics_.signature()[~seen_mask(self.semantics_)].astype(np.float64)
        self._network = self._new_network()
        seed = int(check_random_state(self.random_state).randint(2**31))
        self.losses_ = self._network.fit(self.seen_signature_, rows, unseen if self.use_unseen else unseen[:0], seed)

    def _new_network(self) -> Any:
        from theatrum.predict.weight_autoencoder import WeightAutoencoder

        return WeightAutoencoder(self.latent_dim, self.learning_rate, self.batch_size, self.max_epochs, self.stopping)

    def predict_weights(self, semantics: ClassSemantics) -> tuple[Matrix, Matrix]:
        """Predict weights (n, d) and biases (n,) for classes that are described.

        Raises
        ------
        ValueError
            Descriptions of another width.
        """
        A = semantics.signature().astype(np.float64)
        if A.shape[1] != self.seen_signature_.shape[1]:
            raise ValueError(
                f"descriptions have {A.shape[1]} columns, those of the known classes {self.seen_signature_.shape[1]}"
            )
        if self.decoder == "mlp":
            rows = self._network.decode(A)
        else:
            known = np.hstack([self.seen_coef_, self.seen_intercept_[:, None]]) - self.mean_row_
            rows = _CLOSED_FORMS[self.decoder](A, self.seen_signature_, known)
        if self.weight_norm == "match":
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            rows = rows * (self.row_length_ / np.where(lengths == 0, 1, lengths))
        rows = rows + self.mean_row_
        return rows[:, :-1], rows[:, -1]

    def _place(self) -> None:
        seen = seen_mask(self.semantics_)
        d = self.seen_coef_.shape[1]
        self.coef_, self.intercept_ = np.empty((len(seen), d)), np.empty(len(seen))
        self.coef_[seen], self.intercept_[seen] = self.seen_coef_, self.seen_intercept_
        if not seen.all():
            self.coef_[~seen], self.intercept_[~seen] = self.predict_weights(self.semantics_.subset(~seen))

    def class_scores(self, X: Any) -> Rows:
        """Logits of all classes, (n, C); those of seen classes are the old classifier's to the last bit."""
        rows = self._rows(X)
        seen = seen_mask(self.semantics_)
        scores = np.empty((len(rows), len(seen)), dtype=np.float64)
        # Two products: one over all classes may round the old logits otherwise.
        scores[:, seen] = rows @ self.seen_coef_.T + self.seen_intercept_
        if not seen.all():
            scores[:, ~seen] = rows @ self.coef_[~seen].T + self.intercept_[~seen]
        return scores

    def add_classes(self, semantics: ClassSemantics) -> ClassifierInjector:
        """Predict rows for further classes and append them."""
        W, b = self.predict_weights(semantics)
        self._add(semantics)
        self.coef_, self.intercept_ = np.vstack([self.coef_, W]), np.concatenate([self.intercept_, b])
        return self

    def extended_linear(self) -> Any:
        """Give the widened classifier as a ``torch.nn.Linear(d, C)``."""
        import torch

        linear = torch.nn.Linear(self.coef_.shape[1], len(self.coef_))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(self.coef_))
            linear.bias.copy_(torch.from_numpy(self.intercept_))
        return linear

    def inject(self, module: Any, layer: str, semantics: ClassSemantics) -> Any:
        """Replace a linear layer of a network by a widened one; a copy comes back, with a plain state dict.

        Parameters
        ----------
        module : torch.nn.Module
            Left as it is.
        layer : str
            Name of its last layer, such as ``"classifier.out"``.
        semantics : ClassSemantics
            Of all classes; the seen ones in the order of the layer's outputs.

        Raises
        ------
        ValueError
            No such layer, or no ``torch.nn.Linear``.
        """
        import torch

        widened = copy.deepcopy(module)
        names = dict(widened.named_modules())
        found = names.get(layer)
        if not isinstance(found, torch.nn.Linear):
            linear = ", ".join(name for name, inner in names.items() if isinstance(inner, torch.nn.Linear)) or "none"
            raise ValueError(f"layer {layer!r} is no Linear of this module; those there are: {linear}")
        W = found.weight.detach().cpu().double().numpy()
        b = None if found.bias is None else found.bias.detach().cpu().double().numpy()
        self.fit_weights(W, b, semantics)
        linear_layer = self.extended_linear().to(found.weight.device, found.weight.dtype)
        parent, _, name = layer.rpartition(".")
        setattr(names[parent], name, linear_layer)
        return widened

    def save_state(self, folder: Any) -> None:
        """Write weights, and the networks where there are any."""
        from theatrum.persistence import save_arrays

        super().save_state(folder)
        if hasattr(self, "_network"):
            save_arrays(self._network.arrays(), folder / "networks.safetensors")

    def open_state(self, folder: Any) -> None:
        """Read back what `save_state` wrote."""
        super().open_state(folder)
        path = folder / "networks.safetensors"
        if path.is_file():
            from theatrum.persistence import load_arrays

            self._network = self._new_network()
            self._network.open(load_arrays(path))
