"""Fusion of rankings: several retrievers asked, one list answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from theatrum.checks import Constraint, Range, check_parameters
from theatrum.contracts import Ids, Scores


class ReciprocalRankFusion:
    """Merges rankings by the sum of ``1 / (k + rank)``; keeps the Fusion contract.

    The robust way to combine BM25 with vectors: it looks at ranks only, so scores of different kinds need no
    calibration, and there is nothing to train.

    Parameters
    ----------
    k : int, default=60
        Damps the first ranks; the value of the paper.
    weights : sequence of float or None, default=None
        One a ranking; equal by default.
    candidates : int, default=100
        How deep each retriever is asked.

    References
    ----------
    Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods",
    SIGIR 2009.

    Examples
    --------
    >>> words = (np.array([["a", "b"]], dtype=object), np.zeros((1, 2), dtype=np.float32))
    >>> vectors = (np.array([["b", "c"]], dtype=object), np.zeros((1, 2), dtype=np.float32))
    >>> ids, scores = ReciprocalRankFusion().fuse([words, vectors], k=3)
    >>> ids.tolist()
    [['b', 'a', 'c']]
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "k": [Range(int, 0)],
        "weights": [list, tuple, None],
        "candidates": [Range(int, 1)],
    }

    def __init__(self, *, k: int = 60, weights: Sequence[float] | None = None, candidates: int = 100) -> None:
        self.k = k
        self.weights = weights
        self.candidates = candidates

    def fuse(self, rankings: Sequence[tuple[Ids, Scores]], k: int) -> tuple[Ids, Scores]:
        """Merge rankings of the same queries.

        Parameters
        ----------
        rankings : sequence of (ids (q, k_i), scores (q, k_i))
            Best first; ``""`` where a ranking ended.
        k : int
            Hits wanted.

        Returns
        -------
        ids : ndarray of str, shape (q, k)
            Best first; equal sums in the order in which the rankings name them.
        scores : ndarray of float32, shape (q, k)
            The sums.

        Raises
        ------
        ValueError
            Another number of weights than rankings, or a weight that is not a positive number.
        """
        check_parameters(self, self.constraints)
        weights = [1.0] * len(rankings) if self.weights is None else list(self.weights)
        if len(weights) != len(rankings) or not all(isinstance(w, (int, float)) and w > 0 for w in weights):
            raise ValueError(f"weights must be {len(rankings)} positive numbers, one a ranking, got {self.weights!r}")
        q = len(rankings[0][0])
        ids = np.full((q, k), "", dtype=object)
        scores = np.full((q, k), -np.inf, dtype=np.float32)
        for row in range(q):
            sums: dict[str, float] = {}
            for weight, (ranked, _) in zip(weights, rankings, strict=True):
                for rank, name in enumerate(ranked[row], start=1):
                    if name:
                        sums[name] = sums.get(name, 0.0) + weight / (self.k + rank)
            best = sorted(sums.items(), key=lambda item: -item[1])[:k]  # stable: equal sums keep their order
            ids[row, : len(best)] = [name for name, _ in best]
            scores[row, : len(best)] = [score for _, score in best]
        return ids, scores
