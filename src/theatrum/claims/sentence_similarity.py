"""The seven sets of sentence similarity that the claims report on, and the paired bootstrap over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from theatrum.data import SentencePairs, load
from theatrum.evaluate import bootstrap_spearman_difference, cosine_scores, spearman

SETS = ("stsbenchmark", "sts12", "sts13", "sts14", "sts15", "sts16", "sick")
_TEST_SPLITS = {"stsbenchmark": "test", "sick": "test"}  # the others are test sets as a whole


def similarity_sets(names: Sequence[str] = SETS) -> dict[str, SentencePairs]:
    """Load the test pairs of each set."""
    return {name: load(name).split(_TEST_SPLITS[name]) if name in _TEST_SPLITS else load(name) for name in names}


def unique_sentences(sets: Mapping[str, SentencePairs]) -> list[str]:
    """Every sentence of all sets once, so that each is encoded once."""
    return list(dict.fromkeys(text for pairs in sets.values() for text in (*pairs.first, *pairs.second)))


def predictions(
    sets: Mapping[str, SentencePairs], encode: Callable[[Sequence[str]], NDArray[np.floating]]
) -> dict[str, NDArray[np.float64]]:
    """Cosine of every pair of each set."""
    return {name: cosine_scores(encode(pairs.first), encode(pairs.second)) for name, pairs in sets.items()}


def spearmans(sets: Mapping[str, SentencePairs], scores: Mapping[str, NDArray[np.float64]]) -> dict[str, list[float]]:
    """Spearman correlation of each set, times 100 as in the papers, and their mean."""
    found = {name: [100 * spearman(scores[name], pairs.scores)] for name, pairs in sets.items()}
    return {**found, "mean": [float(np.mean(list(found.values())))]}


def bootstrap(
    sets: Mapping[str, SentencePairs],
    method: Mapping[str, NDArray[np.float64]],
    baseline: Mapping[str, NDArray[np.float64]],
    n_resamples: int,
) -> NDArray[np.float64]:
    """Resampled differences of the mean over the sets, times 100; pairs are drawn within each set."""
    differences = [
        bootstrap_spearman_difference(
            method[name], baseline[name], pairs.scores, n_resamples=n_resamples, random_state=number
        ).resamples
        for number, (name, pairs) in enumerate(sets.items())
    ]
    return 100 * np.mean(differences, axis=0)
