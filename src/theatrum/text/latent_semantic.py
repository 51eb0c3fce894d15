"""Latent semantic analysis: dense vectors from the corpus itself, without a model."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import Constraint, Options, Range, check_parameters, check_texts, unit_rows
from theatrum.contracts import Role, Vectors
from theatrum.text.tokens import (
    ENGLISH_STOPWORDS,
    count_matrix,
    inverse_document_frequency,
    tfidf_rows,
    vocabulary,
    words,
)

_NEGLIGIBLE = 1e-5  # of the largest singular value: below float32's resolution of the product


class LatentSemanticEncoder:
    """Encodes texts as truncated SVD of their TF-IDF rows.

    Learns which words go together from the corpus that it is fitted on: a dense baseline that needs no download, runs
    thousands of texts a second and knows the words of the domain. A pretrained encoder is better where documents are
    few or where paraphrase matters.

    Parameters
    ----------
    n_components : int, default=256
        Dimensions wanted (``dim`` in the pipeline notation). Cut, with a warning, to the rank of the corpus.
    min_count : int, default=2
        Documents that a word must be in; a word of one document cannot go together with others.
    stopwords : "english" or None, default="english"
        Lucene's 33 English function words are left out, or nothing is.
    random_state : int, default=0
        Seed of the randomised SVD.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        Word to column.
    idf_ : ndarray of float32, shape (V,)
        Weight of each word.
    components_ : ndarray of float32, shape (dim, V)
        Right singular vectors, strongest first.
    fingerprint_ : str
        Hex digest of the three.

    Examples
    --------
    >>> texts = ["wing in flow", "flow over a wing", "heat in plates", "plates under heat"]
    >>> lsa = LatentSemanticEncoder(2).fit(texts)
    >>> X = lsa.encode(["the wing", "hot plates", "nothing known"])
    >>> X.shape, (X @ X.T).round(2).tolist()
    ((3, 2), [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])

    References
    ----------
    S. Deerwester, S. T. Dumais, G. W. Furnas, T. K. Landauer, R. Harshman: Indexing by Latent Semantic Analysis, 1990.
    N. Halko, P. G. Martinsson, J. A. Tropp: Finding Structure with Randomness, 2011.
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_components": [Range(int, 1)],
        "min_count": [Range(int, 1)],
        "stopwords": [Options(("english",)), None],
        "random_state": [Range(int, 0)],
    }

    def __init__(
        self,
        n_components: int = 256,
        *,
        min_count: int = 2,
        stopwords: str | None = "english",
        random_state: int = 0,
    ) -> None:
        self.n_components = n_components
        self.min_count = min_count
        self.stopwords = stopwords
        self.random_state = random_state

    @property
    def dim(self) -> int:
        """Number of dimensions: those found once fitted, those wanted before."""
        return int(self.components_.shape[0]) if hasattr(self, "components_") else self.n_components

    def fit(self, items: Sequence[str]) -> LatentSemanticEncoder:
        """Learn the words and the map from a corpus.

        Parameters
        ----------
        items : sequence of str
            The texts that will be searched.

        Returns
        -------
        LatentSemanticEncoder
            Itself.

        Raises
        ------
        ValueError
            No word is in ``min_count`` documents.
        """
        from sklearn.decomposition import TruncatedSVD

        check_parameters(self, self.constraints)
        documents = [self._words(text) for text in check_texts(items, name="items")]
        columns = vocabulary(documents, min_count=self.min_count)
        if not columns:
            raise ValueError(
                f"items: no word is in {self.min_count} of the {len(documents)} texts; "
                "lower min_count or give more texts"
            )
        counts = count_matrix(documents, columns)
        idf = inverse_document_frequency(counts)
        X = tfidf_rows(counts, idf)  # (n, V)
        svd = TruncatedSVD(min(self.n_components, *X.shape), random_state=self.random_state).fit(X)
        # Directions without weight are noise that only queries would fall into.
        rank = int(np.count_nonzero(svd.singular_values_ > _NEGLIGIBLE * svd.singular_values_[0]))
        if rank < self.n_components:
            warnings.warn(
                f"LatentSemanticEncoder: the corpus ({X.shape[0]} texts, {X.shape[1]} words) has {rank} dimensions; "
                f"{self.n_components} were asked for",
                stacklevel=2,
            )
        self.vocabulary_ = columns
        self.idf_ = idf
        self.components_: NDArray[np.float32] = np.ascontiguousarray(svd.components_[:rank], dtype=np.float32)
        digest = hashlib.sha256(json.dumps([list(columns), self.stopwords]).encode())
        digest.update(self.idf_.tobytes())
        digest.update(self.components_.tobytes())
        self.fingerprint_ = digest.hexdigest()
        return self

    def encode(
        self, items: Sequence[str], *, role: Role = "document", batch_size: int = 64, show_progress: bool = False
    ) -> Vectors:
        """Encode texts.

        Parameters
        ----------
        items : sequence of str
            Texts.
        role : {"document", "query"}, default="document"
            Both are encoded alike.
        batch_size : int, default=64
            Kept for the contract; one sparse product encodes all.
        show_progress : bool, default=False
            Kept for the contract; this takes no time worth showing.

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Unit rows; a text without a known word is a zero row.
        """
        self._check_fitted()
        documents = [self._words(text) for text in check_texts(items, name="items")]
        X = tfidf_rows(count_matrix(documents, self.vocabulary_), self.idf_)
        return unit_rows(np.asarray(X @ self.components_.T, dtype=np.float32))

    def fingerprint(self) -> str:
        """Hex digest of words, weights and map."""
        self._check_fitted()
        return self.fingerprint_

    def _words(self, text: str) -> list[str]:
        return words(text, stopwords=ENGLISH_STOPWORDS if self.stopwords else frozenset())

    def _check_fitted(self) -> None:
        if not hasattr(self, "components_"):
            raise ValueError("LatentSemanticEncoder has seen no corpus yet; call fit(items) first")
