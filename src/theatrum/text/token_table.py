"""From raw token vectors to a table whose plain mean is a good text vector: frequencies, weights, principal axes."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from theatrum.refine.whitening import ZipfianWhitening, principal_axes

_UNUSED = re.compile(r"\[unused\d+\]")  # room that BERT's vocabularies leave for new words
_NEGLIGIBLE = 1e-6  # of the largest eigenvalue: directions in which the tokens do not differ
SIF_CONSTANT = 1e-4
# A token's vector out of context counts as this many occurrences in context.
ALONE = 1.0
# The general law counts as this many tokens of the corpus, so that a small corpus does not decide alone.
GENERAL_TOKENS = 1000.0


def real_tokens(vocabulary: Mapping[str, int], special: set[int], size: int) -> NDArray[np.bool_]:
    """Mark the tokens that stand for text: neither special nor kept free.

    Parameters
    ----------
    vocabulary : mapping of str to int
        Token to number.
    special : set of int
        Numbers of the special tokens.
    size : int
        Rows of the table.

    Returns
    -------
    ndarray of bool, shape (size,)
        True where the number belongs to a token of text.

    Examples
    --------
    >>> real_tokens({"[PAD]": 0, "[unused0]": 1, "wing": 2}, {0}, 4).tolist()
    [False, False, True, False]
    """
    real = np.zeros(size, dtype=bool)
    for token, number in vocabulary.items():
        real[number] = number not in special and not _UNUSED.fullmatch(token)
    return real


def zipf_law(real: NDArray[np.bool_], last: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Guess frequencies from ranks: learnt vocabularies are sorted by frequency, and frequency falls as 1 / rank.

    Parameters
    ----------
    real : ndarray of bool, shape (V,)
        Tokens of text, in the order of their numbers.
    last : ndarray of bool, shape (V,), optional
        Tokens ranked after all others, such as `single_characters`.

    Returns
    -------
    ndarray of float64, shape (V,)
        Frequencies 1 / (rank + 1), rank from 1, scaled to sum 1; 0 for the others.

    Examples
    --------
    >>> zipf_law(np.array([False, True, True])).round(3).tolist()
    [0.0, 0.6, 0.4]
    >>> zipf_law(np.array([False, True, True]), np.array([False, True, False])).round(3).tolist()
    [0.0, 0.4, 0.6]
    """
    numbers = np.flatnonzero(real)
    if last is not None:
        numbers = numbers[np.argsort(last[numbers], kind="stable")]
    law = np.zeros(len(real))
    law[numbers] = 1.0 / np.arange(2, len(numbers) + 2)
    return law / max(law.sum(), np.finfo(float).tiny)


def single_characters(vocabulary: Mapping[str, int], size: int) -> NDArray[np.bool_]:
    """Mark the tokens of one character: they open a learnt vocabulary, however rare they are.

    Parameters
    ----------
    vocabulary : mapping of str to int
        Token to number.
    size : int
        Rows of the table.

    Returns
    -------
    ndarray of bool, shape (size,)
        True for ``a``, and for ``##a`` inside a word.

    Examples
    --------
    >>> single_characters({"a": 0, "##a": 1, "an": 2, "##an": 3}, 4).tolist()
    [True, True, False, False]
    """
    single = np.zeros(size, dtype=bool)
    for token, number in vocabulary.items():
        single[number] = len(token.removeprefix("##")) == 1
    return single


def frequencies(counts: NDArray[np.int64], real: NDArray[np.bool_], law: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies of the tokens in a corpus, with a little of the general law: (n_i + m q_i) / (n + m), m = 1,000.

    Parameters
    ----------
    counts : ndarray of int64, shape (V,)
        Occurrences in the corpus.
    real : ndarray of bool, shape (V,)
        Tokens of text; the others get 0.
    law : ndarray of float64, shape (V,)
        General frequencies, sum 1.

    Returns
    -------
    ndarray of float64, shape (V,)
        Sum 1.
    """
    mass = np.where(real, counts, 0) + GENERAL_TOKENS * law
    return mass / mass.sum()


def sif_weights(p: NDArray[np.float64], a: float = SIF_CONSTANT) -> NDArray[np.float64]:
    """Smooth inverse frequency, a / (a + p): near 1 for rare tokens, small for frequent ones.

    Examples
    --------
    >>> sif_weights(np.array([0.0, 1e-4, 0.0999])).tolist()
    [1.0, 0.5, 0.001]

    References
    ----------
    S. Arora, Y. Liang, T. Ma: A simple but tough-to-beat baseline for sentence embeddings, ICLR 2017.
    """
    return a / (a + p)


def in_context(alone: NDArray[np.float32], sums: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of a token's vectors in context and, counted `ALONE` times, its vector out of context.

    Parameters
    ----------
    alone : ndarray of float32, shape (V, d)
        Vectors of the tokens out of context.
    sums : ndarray of float32, shape (V, d)
        Sums of their vectors in context.
    counts : ndarray of int64, shape (V,)
        Vectors in each sum.

    Returns
    -------
    ndarray of float64, shape (V, d)
        Tokens never seen keep their vector.

    Examples
    --------
    >>> in_context(np.zeros((2, 1)), np.array([[12.0], [0.0]]), np.array([2, 0])).tolist()
    [[4.0], [0.0]]
    """
    return (sums + ALONE * alone.astype(np.float64)) / (counts[:, None] + ALONE)


def whitened(table: NDArray[np.float64], p: NDArray[np.float64], n_components: int) -> NDArray[np.float64]:
    """Zipfian whitening: make the table white when each token counts as often as it occurs.

    Parameters
    ----------
    table : ndarray of float64, shape (V, d)
        Token vectors.
    p : ndarray of float64, shape (V,)
        Frequencies, sum 1.
    n_components : int
        Directions kept, those of the largest variance; fewer where the table has no more.

    Returns
    -------
    ndarray of float64, shape (V, m)
        Rows w with sum_i p_i w_i = 0 and sum_i p_i w_i w_i' = I. Frequent tokens are short, rare ones long.

    References
    ----------
    S. Yokoi, H. Bao, H. Kurita, H. Shimodaira: Zipfian Whitening, NeurIPS 2024. Atlas 089.
    """
    white: NDArray[np.float64] = ZipfianWhitening(frequencies=p, eps=_NEGLIGIBLE).fit_transform(table)
    return white[:, :n_components]


def sif_principal(
    table: NDArray[np.float64], p: NDArray[np.float64], n_components: int, real: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Principal components of the tokens of text, each row times its smooth inverse frequency: model2vec's recipe."""
    q = real / real.sum()
    centred = table - q @ table
    axes = principal_axes((centred.T * q) @ centred, _NEGLIGIBLE)[1][:, :n_components]
    return (centred @ axes) * sif_weights(p)[:, None]


def rotated(table: NDArray[np.float64], n_components: int, real: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Coordinates on the principal axes through the origin; with all of them, every cosine stays as it was."""
    return table @ principal_axes((table.T * (real / real.sum())) @ table, _NEGLIGIBLE)[1][:, :n_components]
