"""BM25: the word-matching baseline that every dense pipeline has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from theatrum.checks import Constraint, Options, Range, check_ids, check_parameters, check_texts
from theatrum.contracts import Attributes, Ids, Scores, Where
from theatrum.text.sparse_index import SparseIndex
from theatrum.text.tokens import ENGLISH_STOPWORDS, count_matrix, vocabulary, words


def bm25_weights(documents: Sequence[Sequence[str]], columns: Mapping[str, int], *, k1: float, b: float) -> csr_matrix:
    """Weight of every word in every document, in Lucene's form of BM25.

    With tf the count of a word in a document of length l, average length L, and df of n documents having the word:
    ``ln(1 + (n - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * l / L))``.

    Parameters
    ----------
    documents : sequence of sequence of str
        Words of each document.
    columns : mapping of str to int
        Word to column; every word must be there.
    k1 : float
        How slowly repetitions stop counting.
    b : float
        How much long documents are marked down, 0 to 1.

    Returns
    -------
    csr_matrix of float32, shape (n, V)
        The weights.

    Examples
    --------
    >>> bm25_weights([["wing", "wing"], ["flow", "heat"]], {"flow": 0, "heat": 1, "wing": 2}, k1=1.0, b=0.5).shape
    (2, 3)
    """
    shape = (len(documents), len(columns))
    if not columns:
        return csr_matrix(shape, dtype=np.float32)
    import bm25s

    engine = bm25s.BM25(k1=k1, b=b, method="lucene")
    numbered = [[columns[word] for word in document] for document in documents]
    engine.index((numbered, dict(columns)), create_empty_token=False, show_progress=False)
    parts = engine.scores
    return csr_matrix(csc_matrix((parts["data"], parts["indices"], parts["indptr"]), shape=shape))


class BM25:
    """Ranks documents by the words that they share with the query; keeps the Retriever contract.

    Needs no model and no training and is hard to beat on names, numbers and rare words; it finds nothing where query
    and document say the same in other words. Words are not stemmed. Take ``stopwords=None`` for languages other than
    English.

    Parameters
    ----------
    k1 : float, default=1.2
        How slowly repetitions of a word stop counting, at least 0.
    b : float, default=0.75
        How much long documents are marked down, 0 to 1. Both defaults are those of Lucene and the search servers
        built on it, so that the baseline is what a user would get there.
    stopwords : "english" or None, default="english"
        Lucene's 33 English function words are left out, or nothing is. A query of stop words alone has no hits.

    Attributes
    ----------
    index_ : SparseIndex
        Word weights of the documents.

    Examples
    --------
    >>> bm25 = BM25().fit(["a", "b"], ["swept wings in shock waves", "heat in thin plates"])
    >>> ids, scores = bm25.search(["shock of a wave", "the"], k=2)
    >>> ids.tolist()
    [['a', ''], ['', '']]

    References
    ----------
    S. Robertson, H. Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
    C. Kamphuis, A. de Vries, L. Boytsov, J. Lin: Which BM25 Do You Mean?, ECIR 2020.
    X. H. Lù: BM25S: Orders of magnitude faster lexical search via eager sparse scoring, 2024.
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "k1": [Range(float, 0)],
        "b": [Range(float, 0, 1)],
        "stopwords": [Options(("english",)), None],
    }

    def __init__(self, *, k1: float = 1.2, b: float = 0.75, stopwords: str | None = "english") -> None:
        self.k1 = k1
        self.b = b
        self.stopwords = stopwords

    def fit(self, ids: Sequence[str], texts: Sequence[str], attributes: Attributes | None = None) -> BM25:
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
        BM25
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
        self.index_ = SparseIndex(names, bm25_weights(documents, columns, k1=self.k1, b=self.b), columns, attributes)
        return self

    def search(self, queries: Sequence[str], k: int, where: Where | None = None) -> tuple[Ids, Scores]:
        """Find the best k documents for every query.

        Parameters
        ----------
        queries : sequence of str
            Texts; a word that comes twice counts twice.
        k : int
            Documents wanted; cut to the size of the corpus.
        where : mapping, optional
            Filter on attributes, applied before ranking.

        Returns
        -------
        ids : ndarray of str, shape (q, k)
            Best first, ties in the order of the corpus; ``""`` after the last document with a word in common.
        scores : ndarray of float32, shape (q, k)
            BM25 scores; ``-inf`` after the last hit.
        """
        index = self._fitted()
        rows = check_texts(queries, name="queries")
        return index.search(count_matrix([self._words(text) for text in rows], index.columns), k, where)

    def __len__(self) -> int:
        """Documents held."""
        return len(self.index_) if hasattr(self, "index_") else 0

    @property
    def memory_bytes(self) -> int:
        """Bytes that must be in memory to search (ids and words are not counted)."""
        return self._fitted().memory_bytes

    def save_state(self, folder: Path) -> None:
        """Write the index into an existing, empty folder."""
        self._fitted().save(folder)

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote."""
        self.index_ = SparseIndex.open(folder)

    def _words(self, text: str) -> list[str]:
        return words(text, stopwords=ENGLISH_STOPWORDS if self.stopwords else frozenset())

    def _fitted(self) -> SparseIndex:
        if not hasattr(self, "index_"):
            raise ValueError("BM25 holds no documents yet; call fit(ids, texts) first")
        return self.index_
