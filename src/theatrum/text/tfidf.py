"""TF-IDF with cosine: the classical vector space of words, searched exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import Constraint, Options, check_ids, check_parameters, check_texts
from theatrum.contracts import Attributes, Ids, Scores, Where
from theatrum.persistence import load_arrays, save_arrays
from theatrum.text.sparse_index import SparseIndex
from theatrum.text.tokens import (
    ENGLISH_STOPWORDS,
    count_matrix,
    inverse_document_frequency,
    tfidf_rows,
    vocabulary,
    words,
)

_IDF = "idf.safetensors"


class TfidfRetriever:
    """Ranks documents by the cosine of log-scaled TF-IDF vectors; keeps the Retriever contract.

    Scores lie between 0 and 1, which makes a threshold easier to choose than with BM25; BM25 usually ranks better.

    Parameters
    ----------
    stopwords : "english" or None, default="english"
        Lucene's 33 English function words are left out, or nothing is.

    Attributes
    ----------
    idf_ : ndarray of float32, shape (V,)
        Weight of each word, ln((1 + n) / (1 + df)) + 1.
    index_ : SparseIndex
        Unit rows of (1 + ln tf) * idf.

    Examples
    --------
    >>> tfidf = TfidfRetriever().fit(["a", "b"], ["swept wings in shock waves", "heat in thin plates"])
    >>> ids, scores = tfidf.search(["thin plates"], k=2)
    >>> ids.tolist(), scores.round(3).tolist()
    ([['b', '']], [[0.8159999847412109, -inf]])

    References
    ----------
    G. Salton, C. Buckley: Term-weighting approaches in automatic text retrieval, 1988.
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {"stopwords": [Options(("english",)), None]}

    def __init__(self, *, stopwords: str | None = "english") -> None:
        self.stopwords = stopwords

    def fit(self, ids: Sequence[str], texts: Sequence[str], attributes: Attributes | None = None) -> TfidfRetriever:
        """Index a corpus.

        Parameters
        ----------
        ids : sequence of str
            Unique, non-empty.
        texts : sequence of str
            One text an id; an empty text is kept and never found.
        attributes : mapping of str to sequence, optional
            Columns to filter on.

        Returns
        -------
        TfidfRetriever
            Itself.

        Raises
        ------
        ValueError
            Empty corpus, doubtful ids, a text that is none, a column of another length.
        """
        check_parameters(self, self.constraints)
        rows = check_texts(texts, name="texts")
        names = check_ids(ids, len(rows))
        if not rows:
            raise ValueError("texts: the corpus is empty; there is nothing to index")
        documents = [self._words(text) for text in rows]
        columns = vocabulary(documents)
        counts = count_matrix(documents, columns)
        self.idf_: NDArray[np.float32] = inverse_document_frequency(counts)
        self.index_ = SparseIndex(names, tfidf_rows(counts, self.idf_), columns, attributes)
        return self

    def search(self, queries: Sequence[str], k: int, where: Where | None = None) -> tuple[Ids, Scores]:
        """Find the best k documents for every query.

        Parameters
        ----------
        queries : sequence of str
            Texts.
        k : int
            Documents wanted; cut to the size of the corpus.
        where : mapping, optional
            Filter on attributes, applied before ranking.

        Returns
        -------
        ids : ndarray of str, shape (q, k)
            Best first, ties in the order of the corpus; ``""`` after the last document with a word in common.
        scores : ndarray of float32, shape (q, k)
            Cosines; ``-inf`` after the last hit.
        """
        index = self._fitted()
        rows = check_texts(queries, name="queries")
        counts = count_matrix([self._words(text) for text in rows], index.columns)
        return index.search(tfidf_rows(counts, self.idf_), k, where)

    def __len__(self) -> int:
        """Documents held."""
        return len(self.index_) if hasattr(self, "index_") else 0

    @property
    def memory_bytes(self) -> int:
        """Bytes that must be in memory to search (ids and words are not counted)."""
        return self._fitted().memory_bytes + self.idf_.nbytes

    def save_state(self, folder: Path) -> None:
        """Write the index into an existing, empty folder."""
        self._fitted().save(folder)
        save_arrays({"idf": self.idf_}, folder / _IDF)

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote."""
        self.index_ = SparseIndex.open(folder)
        self.idf_ = load_arrays(folder / _IDF)["idf"]

    def _words(self, text: str) -> list[str]:
        return words(text, stopwords=ENGLISH_STOPWORDS if self.stopwords else frozenset())

    def _fitted(self) -> SparseIndex:
        if not hasattr(self, "index_"):
            raise ValueError("TfidfRetriever holds no documents yet; call fit(ids, texts) first")
        return self.index_
