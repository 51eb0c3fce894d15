"""Answer combinations: in how many different ways the judged answers put the same documents together."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AnswerCombinations:
    """How densely judged answers combine documents.

    Parameters
    ----------
    answers : int
        Different answers of two or more documents.
    documents : int
        Documents in them.
    core_documents, core_answers : int
        The group of documents that was found to have the most answers a document, and its answers (those that lie
        wholly inside it).
    core_length : float
        Documents of an answer of the core, on average.
    """

    answers: int
    documents: int
    core_documents: int
    core_answers: int
    core_length: float

    @property
    def density(self) -> float:
        """Answers a document of the core; 0.5 for disjoint pairs, (n - 1) / 2 for all pairs of n documents."""
        return self.core_answers / self.core_documents if self.core_documents else 0.0


def densest_core(answers: Sequence[Sequence[int]], n: int) -> list[int]:
    """Find a group of documents with many answers a document, taking away the least used document again and again.

    Parameters
    ----------
    answers : sequence of sequence of int
        Positions of the documents of each answer; no two answers alike.
    n : int
        Documents.

    Returns
    -------
    list of int
        Documents of the best group seen, rising. No group has more than r times as many answers a document, r being
        the length of the longest answer.

    References
    ----------
    Charikar, "Greedy approximation algorithms for finding dense components in a graph", APPROX 2000.

    Examples
    --------
    >>> densest_core([[0, 1], [0, 2], [1, 2], [2, 3], [3, 4]], 6)  # no denser than the triangle
    [0, 1, 2, 3, 4]
    """
    of_document: list[list[int]] = [[] for _ in range(n)]
    for row, answer in enumerate(answers):
        for document in answer:
            of_document[document].append(row)
    uses = [len(rows) for rows in of_document]
    # Entries of the heap are left behind when a count falls; they are told by the count.
    heap = [(count, document) for document, count in enumerate(uses)]
    heapq.heapify(heap)
    whole, there = [True] * len(answers), [True] * n
    left, best, best_left = len(answers), n, len(answers)
    gone: list[int] = []
    while n - len(gone) > 1:
        count, least = heapq.heappop(heap)
        if not there[least] or count != uses[least]:
            continue
        there[least] = False
        gone.append(least)
        for row in of_document[least]:
            if whole[row]:
                whole[row] = False
                left -= 1
                for document in answers[row]:
                    uses[document] -= 1
                    if there[document]:
                        heapq.heappush(heap, (uses[document], document))
        if left * best > best_left * (n - len(gone)):
            best, best_left = n - len(gone), left
    return sorted(set(range(n)).difference(gone[: n - best]))


def answer_combinations(qrels: Mapping[str, Mapping[str, int]]) -> AnswerCombinations:
    """Count how many different answers judgements make of the same documents.

    Cheap enough to look at before every comparison of encoders. Answers about topics hardly overlap (0.5 answers a
    document and less on Cranfield, CACM, CISI, NPL and NFCorpus); the LIMIT test combines 46 documents in 1,000 ways
    (21.7). It sees judgements only, no text, and what was not judged may be combined more densely.

    Parameters
    ----------
    qrels : mapping of str to mapping of str to int
        Query id -> document id -> grade; above 0 is relevant.

    Returns
    -------
    AnswerCombinations
        Counts, and the group of documents with the most answers a document.

    References
    ----------
    Weller, Boratko, Naim and Lee, "On the Theoretical Limitations of Embedding-Based Retrieval", 2025,
    arXiv 2508.21038. Atlas 006.

    Examples
    --------
    >>> pairs = {f"{i}-{j}": {f"d{i}": 1, f"d{j}": 1} for i in range(9) for j in range(i)}
    >>> found = answer_combinations({**pairs, "topic": {"x": 1, "y": 2, "z": 1, "no": 0}, "single": {"x": 1}})
    >>> found
    AnswerCombinations(answers=37, documents=12, core_documents=9, core_answers=36, core_length=2.0)
    >>> found.density
    4.0
    """
    places: dict[str, int] = {}
    answers = set()
    for grades in qrels.values():
        relevant = [document for document, grade in grades.items() if grade > 0]
        if len(relevant) > 1:
            answers.add(frozenset(places.setdefault(document, len(places)) for document in relevant))
    core = set(densest_core([tuple(answer) for answer in answers], len(places)))
    lengths = [len(answer) for answer in answers if core.issuperset(answer)]
    return AnswerCombinations(
        len(answers), len(places), len(core), len(lengths), sum(lengths) / len(lengths) if lengths else 0.0
    )
