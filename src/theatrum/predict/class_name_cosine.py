"""Cosine to the class vectors: zero-shot classification without any training."""

from __future__ import annotations

from typing import Any

import numpy as np

from theatrum.contracts import ClassSemantics
from theatrum.predict.semantic_ridge import class_means, cosines
from theatrum.predict.zero_shot_predictor import Rows, ZeroShotClassifier


class ClassNameCosine(ZeroShotClassifier):
    """Takes the class whose vector is nearest: the plain thing to do where one encoder reads texts and class names.

    Learns nothing, needs no examples, and is the baseline that every trained method has to beat. Rows and class vectors
    must come from the same encoder.

    References
    ----------
    The honest baseline of atlas 007, 039, 062, 063 and 108.

    Examples
    --------
    >>> fruit = ClassSemantics(("apple", "car"), vectors=np.eye(2))
    >>> ClassNameCosine().fit(semantics=fruit).predict([[0.9, 0.1], [0.2, 0.7]]).tolist()
    ['apple', 'car']
    """

    def fit(self, X: Any = None, y: Any = None, semantics: ClassSemantics | None = None) -> ClassNameCosine:
        """Keep the class vectors; examples only say which classes are seen.

        Parameters
        ----------
        X, y : array-like of shape (n, d), (n,), optional
            Examples, where there are any. Without semantics, class vectors are the means of their rows.
        semantics : ClassSemantics, optional
            With ``vectors`` as wide as the rows.

        Raises
        ------
        ValueError
            Neither examples nor semantics, vectors of another width, or whatever is wrong with the labels.
        """
        if X is None:
            if semantics is None:
                raise ValueError("give class semantics, or examples X and y")
            nobody = np.zeros(len(semantics.names), dtype=bool)
            self.semantics_ = semantics if semantics.seen is not None else semantics.with_seen(nobody)
            self.classes_ = np.array(semantics.names)
            self.class_prototypes_: Rows = semantics.signature()
            self.n_features_in_ = self.class_prototypes_.shape[1]
            return self
        rows, codes = self._start(X, y, semantics)
        self.class_prototypes_ = (
            class_means(rows, codes, len(self.classes_))[0] if semantics is None else semantics.signature()
        )
        if self.class_prototypes_.shape[1] != rows.shape[1]:
            raise ValueError(
                f"class vectors have {self.class_prototypes_.shape[1]} columns and X has {rows.shape[1]}; plain cosine "
                "needs both from one encoder (SemanticRidge does not)"
            )
        return self

    def class_scores(self, X: Any) -> Rows:
        """Cosine of each row with every class vector, (n, C)."""
        return cosines(self._rows(X), self.class_prototypes_)

    def add_classes(self, semantics: ClassSemantics) -> ClassNameCosine:
        """Make unseen classes known."""
        if semantics.signature().shape[1] != self.class_prototypes_.shape[1]:
            raise ValueError(
                f"new class vectors have {semantics.signature().shape[1]} columns, the known ones "
                f"{self.class_prototypes_.shape[1]}"
            )
        self.class_prototypes_ = np.vstack([self.class_prototypes_, semantics.signature()])
        self._add(semantics)
        return self
