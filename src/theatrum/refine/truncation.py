"""Truncation: keep the first dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from theatrum.checks import Constraint, Range, check_parameters


class Truncation(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Keeps the first dimensions and drops the rest; a scikit-learn transformer.

    Right for models trained for it (Matryoshka), whose first dimensions carry the most. For other models it shows what
    a plain cut costs; take ``pca`` instead.

    Parameters
    ----------
    n_components : int, default=128
        Dimensions to keep; at most as many as there are.

    Attributes
    ----------
    n_features_in_ : int
        Dimensions seen in ``fit``.

    References
    ----------
    Kusupati et al., "Matryoshka representation learning", NeurIPS 2022.

    Examples
    --------
    >>> Truncation(2).fit_transform([[1.0, 2.0, 3.0]]).tolist()
    [[1.0, 2.0]]
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {"n_components": [Range(int, 1)]}

    def __init__(self, n_components: int = 128) -> None:
        self.n_components = n_components

    def fit(self, X: Any, y: Any = None) -> Truncation:
        """Check that X (n, d) has enough dimensions.

        Raises
        ------
        ValueError
            Fewer dimensions than are to be kept.
        """
        check_parameters(self, self.constraints)
        rows = validate_data(self, X, dtype=["float32", "float64"])
        if self.n_components > rows.shape[1]:
            raise ValueError(f"Truncation: cannot keep {self.n_components} of {rows.shape[1]} dimensions")
        self._n_features_out = self.n_components
        return self

    def transform(self, X: Any) -> Any:
        """Return the first columns of X (n, d)."""
        check_is_fitted(self, "n_features_in_")
        return validate_data(self, X, dtype=["float32", "float64"], reset=False)[:, : self.n_components]
