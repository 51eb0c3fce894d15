"""Words of a text, and counts of words: one definition for everything that matches by words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

# The stop list of Lucene's English analyser: articles, prepositions and forms of "to be".
ENGLISH_STOPWORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with".split()
)

# Han and Kana are written without spaces, so each character is a word. The marks (combining accents, vowel signs of
# the Indic scripts and of Thai) belong to the letter before them, which Python's \w does not know.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e"
_WORD = re.compile(f"[{_UNSPACED}]|(?:[^\\W{_UNSPACED}]|[{_MARKS}])+")


def well_formed(text: str) -> str:
    r"""Put a question mark for every half of a surrogate pair, which has no UTF-8 and which tokenizers refuse.

    Examples
    --------
    >>> well_formed("wing"), well_formed("wi\ud800ng")
    ('wing', 'wi?ng')
    """
    return text.encode("utf-8", "replace").decode()


def words(text: str, *, stopwords: frozenset[str] = frozenset()) -> list[str]:
    """Split a text into lower-case words.

    Runs of letters and digits are words; a Han or Kana character is a word by itself. Compatible forms are made one
    (NFKC), so that a composed and a decomposed accent match.

    Parameters
    ----------
    text : str
        Any text.
    stopwords : frozenset of str, default=frozenset()
        Words to leave out.

    Returns
    -------
    list of str
        In order, with repetitions.

    Examples
    --------
    >>> words("The Mach-2 wing's flow")
    ['the', 'mach', '2', 'wing', 's', 'flow']
    >>> words("The flow of 空気", stopwords=ENGLISH_STOPWORDS)
    ['flow', '空', '気']
    """
    found: list[str] = _WORD.findall(unicodedata.normalize("NFKC", text).lower())
    return [word for word in found if word not in stopwords] if stopwords else found


def vocabulary(documents: Sequence[Sequence[str]], *, min_count: int = 1) -> dict[str, int]:
    """Number the words of a corpus in alphabetical order.

    Parameters
    ----------
    documents : sequence of sequence of str
        Words of each document.
    min_count : int, default=1
        Documents that a word must be in to be kept.

    Returns
    -------
    dict of str to int
        Word to column.

    Examples
    --------
    >>> vocabulary([["wing", "flow"], ["flow", "flow"]])
    {'flow': 0, 'wing': 1}
    >>> vocabulary([["wing", "flow"], ["flow", "flow"]], min_count=2)
    {'flow': 0}
    """
    frequencies = Counter(word for document in documents for word in set(document))
    kept = sorted(word for word, count in frequencies.items() if count >= min_count)
    return {word: column for column, word in enumerate(kept)}


def count_matrix(documents: Sequence[Sequence[str]], columns: Mapping[str, int]) -> csr_matrix:
    """Count the known words of each document.

    Parameters
    ----------
    documents : sequence of sequence of str
        Words of each document.
    columns : mapping of str to int
        Word to column; other words are passed over.

    Returns
    -------
    csr_matrix of float32, shape (n, V)
        Counts, columns sorted.

    Examples
    --------
    >>> count_matrix([["flow", "wing", "flow"], ["heat"]], {"flow": 0, "wing": 1}).toarray().tolist()
    [[2.0, 1.0], [0.0, 0.0]]
    """
    rows = [[columns[word] for word in document if word in columns] for document in documents]
    ends = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=ends[1:])
    flat = np.fromiter((column for row in rows for column in row), dtype=np.int32, count=int(ends[-1]))
    matrix = csr_matrix((np.ones(len(flat), dtype=np.float32), flat, ends), shape=(len(rows), len(columns)))
    matrix.sum_duplicates()
    return matrix


def inverse_document_frequency(counts: csr_matrix) -> NDArray[np.float32]:
    """Weigh words by how few documents have them: ln((1 + n) / (1 + df)) + 1.

    Parameters
    ----------
    counts : csr_matrix, shape (n, V)
        Word counts.

    Returns
    -------
    ndarray of float32, shape (V,)
        1 for a word of every document, more for rarer ones.

    Examples
    --------
    >>> inverse_document_frequency(csr_matrix([[1.0, 1.0], [2.0, 0.0]])).round(3).tolist()
    [1.0, 1.4049999713897705]
    """
    n, width = counts.shape
    df = np.bincount(counts.indices, minlength=width)
    idf: NDArray[np.float32] = (np.log((1.0 + n) / (1.0 + df)) + 1.0).astype(np.float32)
    return idf


def tfidf_rows(counts: csr_matrix, idf: NDArray[np.float32]) -> csr_matrix:
    """Turn counts into unit rows of (1 + ln tf) * idf.

    Parameters
    ----------
    counts : csr_matrix of float32, shape (n, V)
        Word counts.
    idf : ndarray of float32, shape (V,)
        Weight of each word.

    Returns
    -------
    csr_matrix of float32, shape (n, V)
        Rows of length 1; empty rows stay empty.

    Examples
    --------
    >>> tfidf_rows(csr_matrix([[1.0, 1.0], [0.0, 0.0]]), np.ones(2, dtype=np.float32)).toarray().round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377], [0.0, 0.0]]
    """
    weights = csr_matrix(counts, dtype=np.float32, copy=True)
    weights.data = (1.0 + np.log(weights.data)) * idf[weights.indices]
    lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1), dtype=np.float64).ravel())
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    weights.data = (weights.data * np.repeat(scale, np.diff(weights.indptr))).astype(np.float32)
    return weights


def check_tokens(tokens: Sequence[Sequence[int]], size: int) -> None:
    """Refuse token ids that a tokenizer of some size cannot have made.

    Examples
    --------
    >>> check_tokens([[5, 12]], size=10)
    Traceback (most recent call last):
    ...
    ValueError: token 12 (row 0) is none of this tokenizer's 10; are these the ids of another model's tokenizer?
    """
    for row, ids in enumerate(tokens):
        strange = next((one for one in ids if not 0 <= one < size), None)
        if strange is not None:
            raise ValueError(
                f"token {strange} (row {row}) is none of this tokenizer's {size}; are these the ids of another "
                "model's tokenizer?"
            )
