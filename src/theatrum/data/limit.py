"""LIMIT: made-up people and what they like, a test on which single-vector encoders fail although words suffice."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import combinations, islice
from typing import Literal, TypeAlias, get_args

import numpy as np

from theatrum.data.collection import Collection, Document

Pattern: TypeAlias = Literal["dense", "random", "cycle", "disjoint"]


def dense_corpus_size(n_queries: int, *, k: int = 2) -> int:
    """Fewest documents that have ``n_queries`` different k-subsets.

    Examples
    --------
    >>> dense_corpus_size(1_000)
    46
    """
    n = k
    while math.comb(n, k) < n_queries:
        n += 1
    return n


def answer_sets(
    pattern: Pattern, n_docs: int, n_queries: int, k: int, rng: np.random.Generator
) -> Iterator[tuple[int, ...]]:
    """Positions of the documents that answer each query, by pattern.

    ``dense`` takes the first k-subsets of as few documents as have enough of them, ``random`` any k documents each
    time, ``cycle`` a window of k that moves on by one, ``disjoint`` k new documents each time.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> list(answer_sets("dense", 9, 4, 2, rng))
    [(0, 1), (0, 2), (0, 3), (1, 2)]
    >>> list(answer_sets("cycle", 3, 4, 2, rng))
    [(0, 1), (1, 2), (2, 0), (0, 1)]
    >>> list(answer_sets("disjoint", 9, 3, 2, rng))
    [(0, 1), (2, 3), (4, 5)]
    """
    if pattern == "dense":
        yield from islice(combinations(range(dense_corpus_size(n_queries, k=k)), k), n_queries)
        return
    for query in range(n_queries):
        if pattern == "random":
            yield tuple(rng.choice(n_docs, size=k, replace=False).tolist())
        elif pattern == "cycle":
            yield tuple((query + step) % n_docs for step in range(k))
        else:
            yield tuple(range(query * k, (query + 1) * k))


def make_limit(
    n_docs: int = 50_000,
    *,
    n_queries: int = 1_000,
    k: int = 2,
    pattern: Pattern = "dense",
    items_per_doc: int = 46,
    random_state: int = 0,
) -> Collection:
    """Make a LIMIT test: people, each with a list of things they like, and one question for each of many things.

    Pick it to see the ceiling of an encoder: the language is trivial, but the answers combine the same few people in
    every way. It is no general quality benchmark. The other patterns ask for fewer combinations of the same kind of
    text and are the comparison. With ``n_docs=46`` it is the small set of the paper, with 50,000 the full one.

    Documents read "Ada Ashford likes figs, chess and yurts.", queries "Who likes chess?". Every query owns one thing
    that only its answers like; everybody is filled up to ``items_per_doc`` with things that no query asks for. People
    who are in more answers than that keep all of theirs. A person's filling depends on the seed and the person only,
    so that the same seed gives the same bystanders under every pattern.

    Parameters
    ----------
    n_docs : int, default=50_000
        People.
    n_queries : int, default=1_000
        Questions.
    k : int, default=2
        Answers of each.
    pattern : {"dense", "random", "cycle", "disjoint"}, default="dense"
        How answers combine; see `answer_sets`.
    items_per_doc : int, default=46
        Things each person likes.
    random_state : int, default=0
        Seed of names, things and order.

    Returns
    -------
    Collection
        Documents in random order, with full names as ids, the queries, and the judgements (grade 1).

    Raises
    ------
    ValueError
        k not below ``n_docs``, more queries than there are k-subsets (``dense``) or documents for (``disjoint``), or
        too few names or words in the lists for the people and things asked for.

    References
    ----------
    Weller, Boratko, Naim and Lee, "On the Theoretical Limitations of Embedding-Based Retrieval", 2025,
    arXiv 2508.21038. Atlas 006.

    Examples
    --------
    >>> limit = make_limit(5, n_queries=10, items_per_doc=6)
    >>> document = limit.documents[0]
    >>> document.text
    'Bruno Fairton likes steppes, fluorite, sculling, sunrises, hagfish and parasols.'
    >>> [text for query, text in limit.queries.items() if document.id in limit.qrels[query]]
    ['Who likes sculling?', 'Who likes parasols?', 'Who likes hagfish?', 'Who likes steppes?']
    """
    _check(n_docs, n_queries, k, pattern, items_per_doc)
    words = _words()
    for_people, for_things, for_order, for_answers = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(random_state).spawn(4)
    )
    names = _names(n_docs, for_people)
    things = [words["things"][row] for row in for_things.permutation(len(words["things"]))]
    asked, filling = things[:n_queries], things[n_queries:]
    answers = list(answer_sets(pattern, n_docs, n_queries, k, for_answers))
    own: list[list[str]] = [[] for _ in range(n_docs)]
    for thing, people in zip(asked, answers, strict=True):
        for person in people:
            own[person].append(thing)
    documents = []
    for person in for_order.permutation(n_docs).tolist():
        rng = np.random.default_rng((random_state, person))
        more = max(items_per_doc - len(own[person]), 0)
        liked = own[person] + [filling[row] for row in rng.choice(len(filling), size=more, replace=False)]
        liked = [liked[row] for row in rng.permutation(len(liked))]
        listed = f"{', '.join(liked[:-1])} and {liked[-1]}" if len(liked) > 1 else liked[0]
        documents.append(Document(names[person], f"{names[person]} likes {listed}."))
    return Collection(
        name=f"limit-{pattern}-{n_docs}",
        documents=tuple(documents),
        queries={f"query-{row}": f"Who likes {thing}?" for row, thing in enumerate(asked)},
        qrels={f"query-{row}": {names[person]: 1 for person in people} for row, people in enumerate(answers)},
        citation="Generated after Weller et al. 2025, On the theoretical limitations of embedding-based retrieval",
        licence="Apache-2.0",
    )


@cache
def _words() -> dict[str, list[str]]:
    lists = tomllib.loads((files("theatrum.data") / "limit_words.toml").read_text(encoding="utf-8"))
    return {name: [word.strip() for word in text.replace("\n", " ").split(",")] for name, text in lists.items()}


def _names(n: int, rng: np.random.Generator) -> list[str]:
    words = _words()
    surnames = [first + last for first in words["surname_beginnings"] for last in words["surname_endings"]]
    given = words["first_names"]
    chosen = rng.choice(len(given) * len(surnames), size=n, replace=False)
    return [f"{given[row % len(given)]} {surnames[row // len(given)]}" for row in chosen.tolist()]


def _check(n_docs: int, n_queries: int, k: int, pattern: str, items_per_doc: int) -> None:
    if pattern not in get_args(Pattern):
        raise ValueError(f"pattern must be one of {', '.join(get_args(Pattern))}, got {pattern!r}")
    if not 1 <= k < n_docs:
        raise ValueError(f"k must be at least 1 and below the number of documents, got k={k} of n_docs={n_docs}")
    if n_queries < 1 or items_per_doc < 1:
        raise ValueError(f"n_queries and items_per_doc must be at least 1, got {n_queries} and {items_per_doc}")
    if pattern == "dense" and n_queries > math.comb(n_docs, k):
        raise ValueError(
            f"n_queries={n_queries}, but {n_docs} documents have only {math.comb(n_docs, k)} subsets of {k}"
        )
    if pattern == "disjoint" and n_queries * k > n_docs:
        raise ValueError(
            f"pattern 'disjoint' needs {n_queries * k} documents for {n_queries} queries of {k}, got n_docs={n_docs}"
        )
    words = _words()
    things = len(words["things"])
    if n_queries + items_per_doc > things:
        raise ValueError(
            f"{n_queries} queries and {items_per_doc} other things per document need {n_queries + items_per_doc} "
            f"things, the list has {things}"
        )
    names = len(words["first_names"]) * len(words["surname_beginnings"]) * len(words["surname_endings"])
    if n_docs > names:
        raise ValueError(f"n_docs={n_docs}, but there are only {names} names")
