"""Whitening: zero mean and identity covariance, every row counted as often as it occurs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from theatrum.checks import Constraint, Options, Range, check_parameters

Matrix: TypeAlias = NDArray[np.float64]
_FLOATS = ("float64", "float32")


def weighted_moments(X: NDArray[np.floating], weights: Matrix) -> tuple[float, Matrix, Matrix]:
    """Sum up rows: total weight, weighted sum (d,), and weighted sum of outer products (d, d), in float64.

    Parameters
    ----------
    X : ndarray of float, shape (n, d)
        Rows.
    weights : ndarray of float64, shape (n,)
        At least 0.

    Examples
    --------
    >>> total, first, second = weighted_moments(np.array([[1.0], [3.0]]), np.array([2.0, 1.0]))
    >>> total, first.tolist(), second.tolist()
    (3.0, [5.0], [[11.0]])
    """
    rows = X.astype(np.float64, copy=False)
    return float(weights.sum()), weights @ rows, rows.T @ (rows * weights[:, None])


def principal_axes(covariance: Matrix, eps: float) -> tuple[Matrix, Matrix]:
    """Eigenvalues (largest first) and eigenvectors (columns), those below ``eps`` times the largest left out.

    The sign of each axis is chosen so that its largest entry is positive: the same data give the same axes.
    """
    values, axes = np.linalg.eigh(covariance)
    values, axes = values[::-1], axes[:, ::-1]
    keep = values > max(eps * values[0], np.finfo(np.float64).tiny)
    values, axes = values[keep], axes[:, keep]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return values, axes * signs


def shrunk(covariance: Matrix, amount: float) -> Matrix:
    """Move a covariance towards the sphere of equal variance: ``(1 - a) C + a mean(diag C) I``."""
    return (1 - amount) * covariance + amount * np.trace(covariance) / len(covariance) * np.eye(len(covariance))


class Whitening(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Makes vectors white: mean 0, covariance the identity; a scikit-learn transformer.

    Helps vectors whose few large directions drown all others: averaged word vectors, sentence vectors of models that
    were not tuned for similarity. It rarely helps models that were tuned contrastively. Unlike
    ``sklearn.decomposition.PCA(whiten=True)`` it takes a weight for every row, and it is fitted in float64.

    Parameters
    ----------
    n_components : int or None, default=None
        Directions to keep, of the largest variance first; all that have any by default.
    method : {"pca", "zca"}, default="pca"
        Coordinates along the principal axes, or turned back to lie as near the input as possible (all directions).
    center_only : bool, default=False
        Subtract the mean and stop.
    shrinkage : float or "auto", default=0.0
        Share of a sphere mixed into the covariance; "auto" estimates it (Ledoit and Wolf). For fewer than about five
        rows a dimension, "auto" is the better choice.
    eps : float, default=1e-6
        Directions with less than this share of the largest variance are dropped.

    Attributes
    ----------
    mean_ : ndarray of float64, shape (d,)
        Weighted mean.
    components_ : ndarray of float64, shape (m, d)
        The map: ``transform(X) = (X - mean_) @ components_.T``.
    explained_variance_ : ndarray of float64, shape (m,)
        Variance along each kept axis, largest first.
    effective_rank_ : int
        Directions that have any variance to speak of.

    References
    ----------
    Huang et al., "WhiteningBERT: An easy unsupervised sentence embedding approach", Findings of EMNLP 2021. Atlas 092.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) @ [[2.0, 0, 0], [1, 1, 0], [0, 0, 0.1]] + 5
    >>> Z = Whitening().fit_transform(X)
    >>> bool(np.allclose(Z.T @ Z / 500, np.eye(3)))
    True
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_components": [Range(int, 1), None],
        "method": [Options(("pca", "zca"))],
        "center_only": [bool],
        "shrinkage": [Range(float, 0, 1), Options(("auto",))],
        "eps": [Range(float, 0, 1)],
    }

    def __init__(
        self,
        n_components: int | None = None,
        *,
        method: Literal["pca", "zca"] = "pca",
        center_only: bool = False,
        shrinkage: float | Literal["auto"] = 0.0,
        eps: float = 1e-6,
    ) -> None:
        self.n_components = n_components
        self.method = method
        self.center_only = center_only
        self.shrinkage = shrinkage
        self.eps = eps

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Whitening:
        """Learn mean and map.

        Parameters
        ----------
        X : array-like of shape (n, d)
            At least two rows.
        y : ignored
            There for scikit-learn.
        sample_weight : array-like of shape (n,), optional
            How often each row counts; at least 0, not all 0. Equal by default.

        Returns
        -------
        Whitening
            Itself.

        Raises
        ------
        ValueError
            One row only, rows that are all alike, NaN, or a bad weight (with its row).
        """
        check_parameters(self, self.constraints)
        rows = validate_data(self, X, dtype=_FLOATS, ensure_min_samples=2)
        weights = self._weights(rows, sample_weight)
        amount = self._shrinkage(rows, weights)
        self._forget()
        self._learn(rows, weights, amount)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Whitening:
        """Go on learning from a further block of rows, for tables that do not fit in memory."""
        check_parameters(self, self.constraints)
        first = not hasattr(self, "total_weight_")
        rows = validate_data(self, X, dtype=_FLOATS, reset=first)
        if self.shrinkage == "auto":
            raise ValueError("shrinkage='auto' needs all rows at once; give a number, or use fit")
        self._learn(rows, self._weights(rows, sample_weight), float(self.shrinkage))
        return self

    def transform(self, X: Any) -> Any:
        """Map X (n, d) to (n, m); float32 stays float32."""
        check_is_fitted(self, "components_")
        rows = validate_data(self, X, dtype=_FLOATS, reset=False)
        return ((rows - self.mean_) @ self.components_.T).astype(rows.dtype, copy=False)

    def inverse_transform(self, X: Any) -> Any:
        """Map (n, m) back to (n, d); exact when no direction was dropped."""
        check_is_fitted(self, "components_")
        rows = np.asarray(X)
        return (rows @ np.linalg.pinv(self.components_).T + self.mean_).astype(rows.dtype, copy=False)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _weights(self, rows: NDArray[np.floating], sample_weight: ArrayLike | None) -> Matrix:
        weights = np.asarray(_check_sample_weight(sample_weight, rows, dtype=np.float64))
        bad = np.flatnonzero(weights < 0)
        if bad.size:
            raise ValueError(f"sample_weight: row {bad[0]} is {weights[bad[0]]}; weights are at least 0")
        if not weights.any():
            raise ValueError("sample_weight: all weights are 0; nothing counts")
        return weights

    def _shrinkage(self, rows: NDArray[np.floating], weights: Matrix) -> float:
        if self.shrinkage != "auto":
            return float(self.shrinkage)
        # Ledoit and Wolf count rows; rows without weight are not there, and the mean is the weighted one.
        counted = rows[weights > 0].astype(np.float64)
        centred = counted - np.average(counted, axis=0, weights=weights[weights > 0])
        return float(ledoit_wolf_shrinkage(centred, assume_centered=True))

    def _forget(self) -> None:
        for name in ("total_weight_", "first_moment_", "second_moment_"):
            self.__dict__.pop(name, None)

    def _learn(self, rows: NDArray[np.floating], weights: Matrix, amount: float) -> None:
        # Sums are kept about the first block's mean: far from the origin, the difference of two large sums is noise.
        if not hasattr(self, "total_weight_"):
            self.origin_: Matrix = np.average(rows.astype(np.float64), axis=0, weights=weights)
            self.total_weight_ = 0.0
            self.first_moment_: Matrix = np.zeros(rows.shape[1])
            self.second_moment_: Matrix = np.zeros((rows.shape[1], rows.shape[1]))
        total, first, second = weighted_moments(rows - self.origin_, weights)
        self.total_weight_ += total
        self.first_moment_ = self.first_moment_ + first
        self.second_moment_ = self.second_moment_ + second
        offset = self.first_moment_ / self.total_weight_
        self.mean_: Matrix = self.origin_ + offset
        self._solve(shrunk(self.second_moment_ / self.total_weight_ - np.outer(offset, offset), amount))

    def _solve(self, covariance: Matrix) -> None:
        d = len(covariance)
        if self.center_only:
            self.components_, self.explained_variance_, self.effective_rank_ = np.eye(d), np.diag(covariance), d
            return
        values, axes = principal_axes(covariance, self.eps)
        self.effective_rank_ = len(values)
        wanted = self.n_components or self.effective_rank_
        if self.effective_rank_ == 0:
            # Rows that are all alike: their difference from the mean is 0 in any coordinates.
            values, axes = np.ones(min(wanted or d, d)), np.eye(d)[:, : min(wanted or d, d)]
        elif wanted > self.effective_rank_:
            warnings.warn(
                f"{type(self).__name__}: the rows vary in {self.effective_rank_} directions only; "
                f"{wanted} were asked for, {self.effective_rank_} are given",
                stacklevel=4,
            )
        values, axes = values[:wanted], axes[:, :wanted]
        self.explained_variance_ = values
        scaled: Matrix = (axes / np.sqrt(values)).T
        self.components_ = axes @ scaled if self.method == "zca" else scaled


class ZipfianWhitening(Whitening):
    """Whitens a table of word vectors, each word counted as often as people use it; a scikit-learn transformer.

    The cheapest large gain for averaged word or token vectors: after it, a rare word's vector is long and a frequent
    one's short, so the plain mean of a sentence's words is a good sentence vector without further weights. Not for
    vectors of contrastively tuned models. In a pipeline over documents every document counts as often as it has words.

    Parameters
    ----------
    n_components, method, center_only, shrinkage, eps
        As in `Whitening`.
    frequencies : array-like of shape (V,) or mapping of str to float, optional
        How often each word occurs: aligned with the rows given to ``fit``, or by word for ``fit_words``.

    References
    ----------
    Yokoi, Bao, Kurita and Shimodaira, "Zipfian whitening", NeurIPS 2024. Atlas 089.

    Examples
    --------
    >>> X, p = np.random.default_rng(0).normal(size=(200, 4)), 1 / np.arange(1, 201)
    >>> Z = ZipfianWhitening(frequencies=p).fit_transform(X)
    >>> bool(np.allclose((Z.T * p / p.sum()) @ Z, np.eye(4))), bool(np.allclose(p @ Z, 0))
    (True, True)
    """

    # In a pipeline: see the Refiner contract.
    weight_by: ClassVar[str] = "length"
    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        **Whitening.constraints,
        "frequencies": [Mapping, Sequence, np.ndarray, None],
    }

    def __init__(
        self,
        n_components: int | None = None,
        *,
        method: Literal["pca", "zca"] = "pca",
        center_only: bool = False,
        shrinkage: float | Literal["auto"] = 0.0,
        eps: float = 1e-6,
        frequencies: ArrayLike | Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(n_components, method=method, center_only=center_only, shrinkage=shrinkage, eps=eps)
        self.frequencies = frequencies

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> ZipfianWhitening:
        """Learn mean and map; ``sample_weight`` stands in for ``frequencies`` where both are given."""
        if sample_weight is None and self.frequencies is not None:
            if isinstance(self.frequencies, Mapping):
                raise ValueError("frequencies by word need the words of the rows: use fit_words(words, X)")
            sample_weight = self.frequencies
        super().fit(X, sample_weight=sample_weight)
        return self

    def fit_words(self, words: Sequence[str], X: Any) -> ZipfianWhitening:
        """Learn from a table whose rows are named by words; words without a frequency count nothing.

        Raises
        ------
        ValueError
            ``frequencies`` is no mapping, or the numbers of words and rows differ.
        """
        if not isinstance(self.frequencies, Mapping):
            raise ValueError("fit_words needs frequencies by word: ZipfianWhitening(frequencies={'the': 120, ...})")
        if len(words) != len(X):
            raise ValueError(f"words: {len(words)} words for {len(X)} rows; one word a row is needed")
        return self.fit(X, sample_weight=np.array([self.frequencies.get(word, 0.0) for word in words]))


def word_counts(corpus: Iterable[str], tokenizer: Any) -> NDArray[np.int64]:
    """Count the tokens of a corpus with the tokenizer of a table.

    Parameters
    ----------
    corpus : iterable of str
        Texts; streamed.
    tokenizer : tokenizers.Tokenizer
        The table's own: counts by another tokenizer leave half of the table without any.

    Returns
    -------
    ndarray of int64, shape (V,)
        Occurrences of each token; special tokens are not counted.
    """
    counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for text in corpus:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        counts += np.bincount(ids, minlength=len(counts)) if ids else 0
    return counts


def whiten_static_embedding(embedding: Any, counts: ArrayLike, **parameters: Any) -> Any:
    """Whiten the table of a sentence-transformers ``StaticEmbedding``; what comes back loads anywhere that one does.

    Parameters
    ----------
    embedding : StaticEmbedding
        Left as it is.
    counts : array-like of shape (V,)
        Occurrences of each token, as from `word_counts`; tokens without any get the zero vector.
    **parameters
        Of `ZipfianWhitening`.

    Returns
    -------
    StaticEmbedding
        A new one with the same tokenizer.
    """
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    table = embedding.embedding.weight.detach().cpu().numpy()
    weights = np.asarray(counts, dtype=np.float64)
    whitened = ZipfianWhitening(**parameters).fit(table, sample_weight=weights).transform(table)
    whitened[weights == 0] = 0
    return StaticEmbedding(embedding.tokenizer, embedding_weights=whitened.astype(np.float32))
