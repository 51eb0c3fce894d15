"""The word weights that a lexical pipeline searches with, given out by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from theatrum.contracts import Role
from theatrum.pipelines.pipeline import Pipeline
from theatrum.serve.vectors import members
from theatrum.text import BM25, TfidfRetriever
from theatrum.text.tokens import ENGLISH_STOPWORDS, count_matrix, tfidf_rows, words


def bm25_rows(
    counts: csr_matrix, lengths: np.ndarray, frequencies: np.ndarray, n: int, average: float, *, k1: float, b: float
) -> csr_matrix:
    """Weigh words of new documents as BM25 would with the statistics of a corpus.

    ``ln(1 + (n - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * l / L))``

    Parameters
    ----------
    counts : csr_matrix, shape (m, V)
        Counts tf of the corpus's words in the new documents.
    lengths : ndarray, shape (m,)
        Words of each new document l, known or not.
    frequencies : ndarray, shape (V,)
        Documents df that have each word.
    n : int
        Documents of the corpus.
    average : float
        Words of its average document L.
    k1, b : float
        Of BM25.

    Returns
    -------
    csr_matrix of float32, shape (m, V)
        The weights.
    """
    weights = csr_matrix(counts, dtype=np.float64, copy=True)
    idf = np.log1p((n - frequencies + 0.5) / (frequencies + 0.5))
    saturation = np.repeat(k1 * (1 - b + b * lengths / average), np.diff(weights.indptr))
    weights.data = idf[weights.indices] * weights.data / (weights.data + saturation)
    return csr_matrix(weights, dtype=np.float32)


class WordWeights:
    """Texts -> weights of the words that a lexical retriever knows.

    The product of a query's and a document's weights is the retriever's score.

    Parameters
    ----------
    retriever : BM25 or TfidfRetriever
        Fitted.
    corpus : callable
        Gives the texts that it was fitted on (BM25 weighs a new document by its length against their average); an
        empty list where they are not there.
    """

    def __init__(self, retriever: BM25 | TfidfRetriever, corpus: Callable[[], Sequence[str]]) -> None:
        self.retriever = retriever
        self._corpus = corpus

    def rows(self, texts: Sequence[str], role: Role) -> csr_matrix:
        """Weigh the words of texts.

        Returns
        -------
        csr_matrix of float32, shape (n, V)
            Columns sorted; words that the corpus does not have are left out.

        Raises
        ------
        ValueError
            BM25 weights of documents without the corpus's texts.
        """
        index = self.retriever.index_
        split = [self._words(text) for text in texts]
        counts = count_matrix(split, index.columns)
        if isinstance(self.retriever, TfidfRetriever):
            return tfidf_rows(counts, self.retriever.idf_)
        if role == "query":
            return counts
        if self._average_length is None:
            raise ValueError(
                "BM25 weighs a document by its length against the corpus's average, and this pipeline was saved "
                'without its documents; only weights of queries can be given (input_type "query")'
            )
        lengths = np.array([len(one) for one in split], dtype=np.float64)
        frequencies = np.diff(index.postings.indptr)
        settings = {"k1": self.retriever.k1, "b": self.retriever.b}
        return bm25_rows(counts, lengths, frequencies, len(index), self._average_length, **settings)

    @cached_property
    def vocabulary(self) -> list[str]:
        """Word of each column."""
        return list(self.retriever.index_.columns)

    @cached_property
    def _average_length(self) -> float | None:
        texts = self._corpus()
        return sum(len(self._words(text)) for text in texts) / len(texts) if texts else None

    def _words(self, text: str) -> list[str]:
        return words(text, stopwords=ENGLISH_STOPWORDS if self.retriever.stopwords else frozenset())


def lexical_retriever(pipeline: Pipeline) -> BM25 | TfidfRetriever | None:
    """Find the first lexical retriever inside a pipeline."""
    if isinstance(pipeline.retriever, (BM25, TfidfRetriever)):
        return pipeline.retriever
    return next((found for member in members(pipeline) if (found := lexical_retriever(member)) is not None), None)
