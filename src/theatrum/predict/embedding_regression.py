"""Regression on text embeddings: values of things that strings or dictionaries of any shape describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, rankdata
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import RidgeCV
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from theatrum import registry
from theatrum.checks import Constraint, Options, Range, check_parameters, check_texts
from theatrum.contracts import Encoder
from theatrum.persistence import load_arrays, open_part, read_fitted, save_arrays, save_part, write_fitted
from theatrum.predict.regression_heads import fit_network, neighbor_means, network_values
from theatrum.predict.row_texts import row_text, value_kinds

Matrix: TypeAlias = NDArray[np.float64]

_RIDGE_STRENGTHS = np.logspace(-2, 6, 17)
_NEIGHBORS = (1, 2, 3, 5, 8, 13, 21, 34)
_MIN_ROWS = 3  # two to learn from, one to stop by
_FLOATS = ("float64", "float32")
_HEAD, _ENCODER = "head.safetensors", "encoder"


@cache
def _named_encoder(name: str) -> Any:
    """Make the encoder of that name once a process: a transformer takes seconds to load."""
    part = registry.part(name)
    if part.kind != "encoder":
        known = ", ".join(one.name for one in registry.parts(kind="encoder"))
        raise ValueError(f"encoder: {name!r} is a registered {part.kind}, not an encoder; the encoders are: {known}")
    return part.load()()


class EmbeddingRegressor(RegressorMixin, BaseEstimator):
    """Predicts numbers for things described by texts or dictionaries; a scikit-learn regressor.

    For configurations, product texts and mixed lists whose keys differ from row to row: each is written as one line,
    embedded by a frozen encoder, and a small head is fitted to the vectors. For an ordinary table of numbers take
    gradient boosting: with a small encoder the way through text loses there, the more the more columns there are.
    `theatrum.evaluate.lipschitz.lipschitz_factors` tells beforehand which representation suits the target.

    Parameters
    ----------
    encoder : str, Encoder or None, default="minilm"
        Registered name, or an object that keeps the Encoder contract (fitted, if it has to be). A named encoder that
        learns from texts is fitted here. None takes vectors only.
    head : {"mlp", "ridge", "knn"}, default="mlp"
        Network (two rates of learning by two of weight decay, stopped early), ridge regression, or mean of the nearest
        neighbours; each chooses its strength by itself.
    hidden : tuple of int, default=(256, 256)
        Widths of the network's hidden layers.
    serializer : "json" or callable, default="json"
        How a dictionary becomes a text: ``"x0: 0.32, kind: round"`` in the order in which keys first appeared, or a
        function of the dictionary, such as ``partial(row_text, number_format="spaced")`` (every digit a word: better
        than plain numbers with MiniLM in claim 081, for longer texts).
    precision : int, default=4
        Significant digits of numbers; fewer make shorter texts.
    scale_features : bool, default=True
        Whether coordinates are standardised over the rows given to ``fit``; constant ones are dropped either way.
    target_transform : "rank" or None, default=None
        Whether to learn y's rank instead of y, for heavy tails; predictions are turned back.
    validation_fraction : float, default=0.15
        Share of the rows by which the network stops and the number of neighbours is chosen.
    random_state : int, RandomState or None, default=None
        Draws these rows, the network's first weights and its batches.

    Attributes
    ----------
    encoder_ : Encoder or None
        What encodes; None for vectors.
    kinds_ : dict of str to str
        Key -> kind of value, in the order in which keys are written.
    mean_, inverse_scale_ : ndarray of float64, shape (d,)
        Features of the head: ``(vector - mean_) * inverse_scale_``; 0 for a constant coordinate.
    head_ : dict of str to ndarray
        What the head learnt.
    chosen_ : dict of str to float
        Settings that it chose.

    Warns
    -----
    TruncationWarning
        By encoders that cut long texts, with the share that was cut. Twenty-five numbers are about 200 tokens.

    References
    ----------
    Tang, Yang and Song, "Understanding LLM Embeddings for Regression", TMLR 2025, arXiv 2411.14708. Atlas 081.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> regressor = EmbeddingRegressor(encoder=None, head="ridge").fit(X, X @ [1.0, 2.0, 0.0])
    >>> regressor.predict([[1.0, 1.0, 5.0]]).round(1).tolist()
    [3.0]
    >>> flats = [{"rooms": 2, "town": "Lyon"}, {"rooms": 3, "town": "Paris", "lift": True}, {"rooms": 1}]
    >>> EmbeddingRegressor("minilm").fit(flats, [210, 640, 90])  # doctest: +SKIP
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "head": [Options(("mlp", "ridge", "knn"))],
        "hidden": [tuple, list],
        "precision": [Range(int, 1)],
        "scale_features": [bool],
        "target_transform": [Options(("rank",)), None],
        "validation_fraction": [Range(float, 0, 0.9, open_low=True)],
    }

    def __init__(
        self,
        encoder: str | Encoder | None = "minilm",
        head: Literal["mlp", "ridge", "knn"] = "mlp",
        *,
        hidden: Sequence[int] = (256, 256),
        serializer: Literal["json"] | Callable[[Mapping[str, Any]], str] = "json",
        precision: int = 4,
        scale_features: bool = True,
        target_transform: Literal["rank"] | None = None,
        validation_fraction: float = 0.15,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.encoder = encoder
        self.head = head
        self.hidden = hidden
        self.serializer = serializer
        self.precision = precision
        self.scale_features = scale_features
        self.target_transform = target_transform
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> EmbeddingRegressor:
        """Embed the rows and fit the head.

        Parameters
        ----------
        X : list of str, list of dict, DataFrame, or array-like of float, shape (n, d)
            At least 3 rows. A DataFrame is a list of dictionaries, and a matrix of vectors with ``encoder=None``.
        y : array-like of float, shape (n,)
            Values.

        Returns
        -------
        EmbeddingRegressor
            Itself.

        Raises
        ------
        ValueError
            A constant or missing y, NaN, rows of several kinds, a key whose kind of value changes (key and row are
            named), vectors that are all alike, a bad parameter.
        """
        self._check()
        items = self._items(X)
        self.kind_ = _kind_of(items)
        self.kinds_: dict[str, str] = {}
        self.encoder_: Any = None
        if items is not None:
            # Before the costly step: an error in y should not wait for it.
            y = _targets(y, len(items))
            if self.kind_ == "dictionaries" and self.serializer == "json":
                self.kinds_ = value_kinds(items)
            texts = self._texts(items)
            self.encoder_ = self._fitted_encoder(texts)
            X = self.encoder_.encode(texts)
        rows, target = validate_data(self, X, y, dtype=_FLOATS, y_numeric=True, ensure_min_samples=_MIN_ROWS)
        target = target.astype(np.float64)
        _check_varies(target)
        self._learn_scales(rows)
        self._fit_head(self._scaled(rows), self._standardised(target))
        return self

    def predict(self, X: Any) -> Matrix:
        """Predict values, float64 (n,), for rows of the kind that ``fit`` saw.

        Raises
        ------
        ValueError
            Rows of another kind, a key whose kind of value is not that of ``fit``, NaN.
        """
        check_is_fitted(self, "head_")
        items = self._items(X)
        if _kind_of(items) != self.kind_:
            raise ValueError(f"X: fit saw {self.kind_}, these are {_kind_of(items)}; give the same kind")
        if items is not None:
            X = self.encoder_.encode(self._texts(items))
        Z = self._scaled(validate_data(self, X, dtype=_FLOATS, reset=False))
        if self.head == "mlp":
            values = network_values(self.head_, Z)
        elif self.head == "ridge":
            values = Z @ self.head_["coefficients"] + self.head_["intercept"]
        else:
            values = neighbor_means(self.head_["rows"], self.head_["targets"], Z, [int(self.chosen_["n_neighbors"])])[0]
        values = values * self.target_scale_ + self.target_mean_
        if self.target_transform == "rank":
            values = np.interp(values, np.linspace(0, 1, len(self.quantiles_)), self.quantiles_)
        return values

    def kendall_tau(self, X: Any, y: ArrayLike) -> float:
        """Kendall's tau between predictions and y, -1 to 1; 0 where all predictions are the same."""
        return float(np.nan_to_num(kendalltau(np.asarray(y), self.predict(X)).statistic))

    def save_state(self, folder: Path) -> None:
        """Write what ``fit`` learnt; a named encoder is kept by its name, unless ``fit`` fitted it.

        Raises
        ------
        ValueError
            The encoder is an object that is no registered part, or the serializer is a function.
        """
        check_is_fitted(self, "head_")
        if callable(self.serializer):
            raise ValueError("serializer: a function cannot be saved; write the texts with it and fit on the texts")
        if not isinstance(self.encoder, (str, type(None))):
            try:
                registry.name_of(self.encoder)
            except ValueError as error:
                raise ValueError(f"encoder: it cannot be saved: {error}; or fit on its vectors") from None
        write_fitted(self, folder, leave=("head_", "encoder_"))
        save_arrays(self.head_, folder / _HEAD)
        if isinstance(self.encoder, str) and hasattr(self.encoder_, "fit"):
            (folder / _ENCODER).mkdir()
            save_part(self.encoder_, folder / _ENCODER)

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote."""
        read_fitted(self, folder)
        self.head_ = load_arrays(folder / _HEAD)
        self.encoder_ = open_part(folder / _ENCODER) if (folder / _ENCODER).is_dir() else self._found_encoder()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = self.encoder is not None
        return tags

    def _check(self) -> None:
        check_parameters(self, self.constraints)
        if any(
            isinstance(width, bool) or not isinstance(width, (int, np.integer)) or width < 1 for width in self.hidden
        ):
            raise ValueError(f"EmbeddingRegressor: hidden must be widths of at least 1, got {self.hidden!r}")
        if self.serializer != "json" and not callable(self.serializer):
            raise ValueError(f"EmbeddingRegressor: serializer must be 'json' or a function, got {self.serializer!r}")
        if not isinstance(self.encoder, (str, type(None))) and not hasattr(self.encoder, "encode"):
            raise ValueError(
                f"EmbeddingRegressor: encoder must be a registered name, an object with encode or None, got "
                f"{self.encoder!r}"
            )

    def _items(self, X: Any) -> list[Any] | None:
        """Texts or dictionaries as a list; None for a matrix."""
        if isinstance(X, (str, Mapping)) and not hasattr(X, "shape"):  # one kind of sparse matrix is a dictionary
            raise ValueError("X: expected a list of things, got a single one; put it in a list")
        if hasattr(X, "to_dict") and hasattr(X, "columns"):
            return None if self.encoder is None else X.to_dict("records")
        if not isinstance(X, (list, tuple)) and getattr(X, "ndim", None) != 1:
            return None
        items = list(X)
        if not items or not isinstance(items[0], (str, Mapping)):
            return None
        if self.encoder is None:
            raise ValueError(
                f"X: row 0 is {type(items[0]).__name__}; with encoder=None rows are vectors, name an encoder"
            )
        return items

    def _texts(self, items: list[Any]) -> list[str]:
        if self.kind_ == "texts":
            return check_texts(items, name="X")
        if callable(self.serializer):
            return check_texts([self.serializer(row) for row in items], name="what serializer gave")
        keys = value_kinds(items, self.kinds_)
        return [row_text({key: row[key] for key in keys if key in row}, self.precision) for row in items]

    def _found_encoder(self) -> Any:
        return _named_encoder(self.encoder) if isinstance(self.encoder, str) else self.encoder

    def _fitted_encoder(self, texts: list[str]) -> Any:
        encoder = self._found_encoder()
        if isinstance(self.encoder, str) and hasattr(encoder, "fit"):
            # One of its own: the shared one must not learn from these texts.
            encoder = type(encoder)()
            encoder.fit(texts)
        return encoder

    def _learn_scales(self, rows: NDArray[np.floating]) -> None:
        spread = rows.std(axis=0, dtype=np.float64)
        # Rounding gives a constant coordinate a spread of its own; its range is exactly 0.
        varies = (np.ptp(rows, axis=0) > 0) & (spread > 0)
        if not varies.any():
            raise ValueError("X: all rows are the same vector; there is nothing to learn from")
        d = rows.shape[1]
        self.mean_: Matrix = rows.mean(axis=0, dtype=np.float64) if self.scale_features else np.zeros(d)
        divisor = spread if self.scale_features else np.ones(d)
        self.inverse_scale_: Matrix = np.divide(1.0, divisor, out=np.zeros(d), where=varies)

    def _standardised(self, target: Matrix) -> Matrix:
        self.quantiles_: Matrix = np.sort(target) if self.target_transform == "rank" else np.empty(0)
        if self.target_transform == "rank":
            target = (rankdata(target) - 1) / (len(target) - 1)
        self.target_mean_, self.target_scale_ = float(target.mean()), float(target.std())
        return (target - self.target_mean_) / self.target_scale_

    def _scaled(self, rows: NDArray[np.floating]) -> Matrix:
        return (rows - self.mean_) * self.inverse_scale_

    def _fit_head(self, X: Matrix, y: Matrix) -> None:
        rng = check_random_state(self.random_state)
        n = len(X)
        if self.head == "ridge":
            found = RidgeCV(alphas=_RIDGE_STRENGTHS).fit(X, y)
            self.head_ = {"coefficients": found.coef_, "intercept": np.array(found.intercept_)}
            self.chosen_: dict[str, float] = {"alpha": float(found.alpha_)}
            return
        order = rng.permutation(n)
        held = min(max(1, round(self.validation_fraction * n)), n - 2)
        validation, learnt = np.split(order, [held])
        if self.head == "mlp":
            seed = int(rng.randint(np.iinfo(np.int32).max))
            self.head_, self.chosen_ = fit_network(X, y, learnt, validation, self.hidden, seed)
            return
        ks = [k for k in _NEIGHBORS if k <= len(learnt)]
        errors = ((neighbor_means(X[learnt], y[learnt], X[validation], ks) - y[validation]) ** 2).mean(axis=1)
        self.head_ = {"rows": X, "targets": y}
        self.chosen_ = {"n_neighbors": ks[int(errors.argmin())]}


def _kind_of(items: list[Any] | None) -> str:
    if items is None:
        return "vectors"
    return "texts" if isinstance(items[0], str) else "dictionaries"


def _targets(y: ArrayLike, n: int) -> Matrix:
    """Targets of n things, checked before these are encoded."""
    values = np.asarray(y, dtype=np.float64)
    if values.shape not in ((n,), (n, 1)):
        raise ValueError(f"y: expected {n} numbers, one for each row of X, got shape {values.shape}")
    values = values.reshape(n)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(f"y: row {bad[0]} is {values[bad[0]]}; remove the row or give it a value")
    _check_varies(values)
    return values


def _check_varies(target: Matrix) -> None:
    if len(target) and np.ptp(target) == 0:
        raise ValueError(f"y: all {len(target)} values are {target[0]:g}; there is nothing to learn")
