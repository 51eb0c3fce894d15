"""Principal components for retrieval: the directions of the largest variance, without moving the origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from theatrum.checks import Constraint, Range, check_parameters
from theatrum.refine.whitening import principal_axes, weighted_moments


class PrincipalComponents(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Reduces vectors to their directions of largest variance; a scikit-learn transformer.

    The first thing to try for smaller vectors. Unlike ``sklearn.decomposition.PCA`` it does not subtract the mean when
    it transforms, unless asked to: queries lie elsewhere than documents, and cosines taken from the documents' mean
    rank worse (MiniLM on Cranfield at 128 of 384 dimensions: nDCG@10 0.373 without, 0.353 with).

    Parameters
    ----------
    n_components : int, default=128
        Dimensions to keep; at most as many as there are.
    center : bool, default=False
        Whether to subtract the mean, as classical principal component analysis does.

    Attributes
    ----------
    mean_ : ndarray of float64, shape (d,)
        Mean of the rows.
    components_ : ndarray of float64, shape (m, d)
        Axes of unit length, of the largest variance first.
    explained_variance_ratio_ : ndarray of float64, shape (m,)
        Share of the variance along each.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 3)) * [5.0, 1.0, 0.1]
    >>> reduction = PrincipalComponents(2).fit(X)
    >>> reduction.transform(X).shape, bool(reduction.explained_variance_ratio_.sum() > 0.99)
    ((100, 2), True)
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {"n_components": [Range(int, 1)], "center": [bool]}

    def __init__(self, n_components: int = 128, *, center: bool = False) -> None:
        self.n_components = n_components
        self.center = center

    def fit(self, X: Any, y: Any = None) -> PrincipalComponents:
        """Learn the axes from X (n, d).

        Raises
        ------
        ValueError
            Fewer dimensions than are to be kept, one row only, or NaN.
        """
        check_parameters(self, self.constraints)
        rows = validate_data(self, X, dtype=["float64", "float32"], ensure_min_samples=2)
        d = rows.shape[1]
        if self.n_components > d:
            raise ValueError(f"PrincipalComponents: cannot keep {self.n_components} of {d} dimensions")
        self.mean_ = rows.mean(axis=0, dtype=np.float64)
        total, _, second = weighted_moments(rows - self.mean_, np.ones(len(rows)))
        values, axes = principal_axes(second / total, -1.0)
        self.explained_variance_ratio_ = (values / max(values.sum(), np.finfo(float).tiny))[: self.n_components]
        self.components_ = axes[:, : self.n_components].T
        return self

    def transform(self, X: Any) -> Any:
        """Map X (n, d) to (n, m); float32 stays float32."""
        check_is_fitted(self, "components_")
        rows = validate_data(self, X, dtype=["float64", "float32"], reset=False)
        moved = rows - self.mean_ if self.center else rows
        return (moved @ self.components_.T).astype(rows.dtype, copy=False)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)
