"""Semantic textual similarity: whether cosines of sentence vectors rank pairs as people do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_vectors
from theatrum.contracts import Encoder
from theatrum.evaluate.significance import BootstrapDifference, blocks, check_paired


def cosine_scores(A: Any, B: Any) -> NDArray[np.float64]:
    """Cosine of each row of A with the same row of B; 0 where either is a zero vector.

    Parameters
    ----------
    A, B : array-like of float, shape (n, d)
        Vectors; they need not have length 1.

    Returns
    -------
    ndarray of float64, shape (n,)
        Between -1 and 1.

    Raises
    ------
    ValueError
        Bad vectors, or A and B of different shapes.

    Examples
    --------
    >>> cosine_scores([[1, 0], [3, 4], [0, 0]], [[2, 0], [4, -3], [1, 1]]).tolist()
    [1.0, 0.0, 0.0]
    """
    first, second = check_vectors(A, name="A"), check_vectors(B, name="B")
    if first.shape != second.shape:
        raise ValueError(f"A and B: shapes {first.shape} and {second.shape} differ; row i of both is one pair")
    left, right = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    dots = np.einsum("ij,ij->i", left, right)
    cosines = np.zeros(len(dots))
    np.divide(dots, lengths, out=cosines, where=lengths > 0)
    return np.clip(cosines, -1.0, 1.0)


def spearman(x: Any, y: Any) -> float:
    """Rank correlation of two rows of numbers; ties share their mean rank.

    Parameters
    ----------
    x, y : array-like of float, shape (n,)
        Numbers, paired.

    Returns
    -------
    float
        Between -1 and 1; 0 when all of x or all of y are equal, as they then rank nothing.

    Raises
    ------
    ValueError
        Empty, not finite or not paired.

    Examples
    --------
    >>> round(spearman([1, 2, 3, 4], [10, 20, 40, 30]), 6)
    0.8
    """
    first, second = check_paired(x=x, y=y)
    once = np.ones((1, len(first)), dtype=np.int64)
    return float(_correlation(once, _Ranker.of(first).ranks(once), _Ranker.of(second).ranks(once))[0])


def sts_scores(
    encoder: Encoder | Callable[[list[str]], Any], pairs: Sequence[tuple[str, str, float]]
) -> NDArray[np.float64]:
    """Cosine of the two texts of each pair; every distinct text is encoded once.

    Parameters
    ----------
    encoder : Encoder or callable
        Something with ``encode(list of str) -> (n, d)``, or such a function itself.
    pairs : sequence of (text, text, gold score)
        The gold score is not used here.

    Returns
    -------
    ndarray of float64, shape (n,)
        Cosines, in the order of the pairs.

    Raises
    ------
    ValueError
        No pairs, or an encoder that returns something else than one finite vector a text.

    Examples
    --------
    >>> def letters(texts):
    ...     return [[text.count(letter) for letter in "abc"] for text in texts]
    >>> sts_scores(letters, [("ab", "ba", 5.0), ("a", "c", 0.0)]).round(6).tolist()
    [1.0, 0.0]
    """
    if len(pairs) == 0:
        raise ValueError("pairs: none given; at least one (text, text, gold score) is needed")
    texts = list(dict.fromkeys(text for first, second, _ in pairs for text in (first, second)))
    encode: Any = getattr(encoder, "encode", None) or encoder
    vectors = check_vectors(encode(texts), name="encoded texts")
    if len(vectors) != len(texts):
        raise ValueError(f"encoded texts: {len(vectors)} vectors for {len(texts)} texts; one row a text is needed")
    row_of = {text: row for row, text in enumerate(texts)}
    left = [row_of[first] for first, _, _ in pairs]
    right = [row_of[second] for _, second, _ in pairs]
    return cosine_scores(vectors[left], vectors[right])


def sts_spearman(encoder: Encoder | Callable[[list[str]], Any], pairs: Sequence[tuple[str, str, float]]) -> float:
    """Rank correlation between the cosines of an encoder and people's scores, over pairs of texts.

    Parameters
    ----------
    encoder : Encoder or callable
        Something with ``encode(list of str) -> (n, d)``, or such a function itself.
    pairs : sequence of (text, text, gold score)
        Such as a test set of STS-B.

    Returns
    -------
    float
        Between -1 and 1 (papers print it times 100).

    Raises
    ------
    ValueError
        No pairs, a gold score that is not finite, gold scores that are all equal, or a bad encoder.

    References
    ----------
    Cer, Diab, Agirre, Lopez-Gazpio and Specia, "SemEval-2017 Task 1", 2017, arXiv 1708.00055.

    Examples
    --------
    >>> def letters(texts):
    ...     return [[text.count(letter) for letter in "abc"] for text in texts]
    >>> round(sts_spearman(letters, [("ab", "ba", 5.0), ("ab", "ac", 3.0), ("a", "c", 0.0)]), 6)
    1.0
    """
    cosines = sts_scores(encoder, pairs)
    gold = _check_gold([score for _, _, score in pairs])
    return spearman(cosines, gold)


def bootstrap_spearman_difference(
    scores_a: Any, scores_b: Any, gold: Any, *, n_resamples: int = 1000, random_state: int = 0
) -> BootstrapDifference:
    """Put a 95% interval around the difference of two encoders' rank correlations, by drawing pairs with replacement.

    Ranks are made anew in every resample, so each one is exactly the correlation that ``spearman`` gives for the
    pairs drawn (0 for an encoder whose drawn scores are all equal).

    Parameters
    ----------
    scores_a, scores_b : array-like of float, shape (n,)
        Cosines of the two encoders on the same pairs, as from ``sts_scores``.
    gold : array-like of float, shape (n,)
        People's scores.
    n_resamples : int, default=1000
        Number of resamples.
    random_state : int, default=0
        Seed.

    Returns
    -------
    BootstrapDifference
        Spearman of a minus Spearman of b, the interval (percentiles), and the resampled differences.

    Raises
    ------
    ValueError
        Scores that are empty, not finite or not paired, gold scores that are all equal, or no resamples.

    Examples
    --------
    >>> gold = [0, 1, 2, 3, 4, 5, 6, 7]
    >>> found = bootstrap_spearman_difference(gold, [0, 2, 1, 3, 5, 4, 7, 6], gold)
    >>> round(found.difference, 4), found.low >= 0
    (0.0714, True)
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")
    first, second, truth = check_paired(scores_a=scores_a, scores_b=scores_b, gold=gold)
    _check_gold(truth)
    rankers = [_Ranker.of(row) for row in (first, second, truth)]
    n = len(truth)
    rng = np.random.default_rng(random_state)
    differences = np.empty(n_resamples)
    for start, stop in blocks(n_resamples, n):
        drawn = rng.integers(n, size=(stop - start, n))
        # How often each pair was drawn; a resample is fully described by these counts.
        drawn += np.arange(stop - start)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        of_first, of_second, of_gold = (ranker.ranks(counts) for ranker in rankers)
        differences[start:stop] = _correlation(counts, of_first, of_gold) - _correlation(counts, of_second, of_gold)
    return BootstrapDifference.of(spearman(first, truth) - spearman(second, truth), differences)


@dataclass(frozen=True)
class _Ranker:
    """Ranks of a fixed row of numbers under repetition: sorted once, so that a resample costs no sort."""

    order: NDArray[np.intp]  # (n,) positions in ascending order of value
    starts: NDArray[np.intp]  # (m,) where each distinct value begins in that order
    group: NDArray[np.intp]  # (n,) which distinct value each position has

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> _Ranker:
        _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
        return cls(np.argsort(group, kind="stable"), np.cumsum(sizes) - sizes, group)

    def ranks(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean rank (rows, n) of each position when it is there ``counts`` (rows, n) times."""
        together = np.add.reduceat(counts[:, self.order], self.starts, axis=1)
        shared = np.cumsum(together, axis=1) - (together - 1) / 2  # last rank of the group, minus half its width
        ranks: NDArray[np.float64] = shared[:, self.group]
        return ranks


def _correlation(counts: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation of ranks, each counted as often as it was drawn; 0 where one side does not vary."""
    middle = (counts.shape[1] + 1) / 2  # the mean of n ranks, whatever the ties
    x, y = x - middle, y - middle
    weighted = counts * x
    covariance = np.einsum("ij,ij->i", weighted, y)
    scale = np.sqrt(np.einsum("ij,ij->i", weighted, x) * np.einsum("ij,ij,ij->i", counts, y, y))
    correlation = np.zeros(len(scale))
    np.divide(covariance, scale, out=correlation, where=scale > 0)
    return np.clip(correlation, -1.0, 1.0)


def _check_gold(gold: Any) -> NDArray[np.float64]:
    (checked,) = check_paired(gold=gold)
    if np.ptp(checked) == 0:
        raise ValueError("gold: all scores are equal, so they rank nothing; at least two different ones are needed")
    return checked
