"""The questions of a bake-off: the user's own, or honest proxies made from the documents."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from theatrum.bakeoffs.results import Questions
from theatrum.data import Document

MAX_PROXIES = 500
_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_MIN_QUERY_WORDS, _MAX_QUERY_WORDS = 3, 60  # a proxy outside this reads like no question that people ask


@dataclass(frozen=True)
class QuestionSet:
    """Queries, their relevant documents, and the corpus that they are asked of.

    Parameters
    ----------
    kind : {"judged", "titles", "sentences"}
        The last two are proxies.
    queries : mapping of str to str
        Id -> text.
    qrels : mapping of str to mapping of str to int
        Query id -> document id -> grade (0 is judged not relevant).
    texts : sequence of str
        What is indexed of each document, in corpus order; proxies take their question out of it.
    """

    kind: Questions
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    texts: Sequence[str]


def judged_questions(
    documents: Sequence[Document], queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]]
) -> QuestionSet:
    """Use the user's queries and judgements; queries without a relevant document are left out.

    Raises
    ------
    ValueError
        No query is left: query or document ids do not match the judgements.
    """
    known = {document.id for document in documents}
    usable = {
        query: text
        for query, text in queries.items()
        if any(grade > 0 and document in known for document, grade in qrels.get(query, {}).items())
    }
    if not usable:
        raise ValueError(
            f"none of {len(queries)} queries has a relevant document among {len(known)} documents; "
            "do the ids of queries, judgements and corpus match?"
        )
    return QuestionSet("judged", usable, {query: qrels[query] for query in usable}, [d.content for d in documents])


def proxy_questions(documents: Sequence[Document], *, limit: int = MAX_PROXIES) -> QuestionSet:
    """Make questions from the documents: titles that must find their body, or sentences cut out of their document.

    Titles are used when at least half of the documents have a title and a body. What becomes a question is taken out
    of what is indexed, so no question finds itself word by word.

    Parameters
    ----------
    documents : sequence of Document
        The corpus.
    limit : int, default=500
        Most questions; documents are drawn by the hash of their id, so the draw does not depend on their order.

    Raises
    ------
    ValueError
        Too few documents are long enough to make questions.

    Examples
    --------
    >>> from theatrum.data import Document
    >>> plates = [Document(str(i), f"Plates {i} bend. Thin plates of kind {i} buckle early.") for i in range(8)]
    >>> made = proxy_questions(plates)
    >>> made.kind, len(made.queries)
    ('sentences', 8)
    """
    titled = [row for row, d in enumerate(documents) if _askable(d.title) and d.text.strip()]
    if len(titled) * 2 >= len(documents):
        rows = _draw(documents, titled, limit)
        queries = {f"title-{documents[row].id}": documents[row].title for row in rows}
        texts = [document.text if document.text.strip() else document.title for document in documents]
        kind: Questions = "titles"
    else:
        texts = [document.content for document in documents]
        crops = {row: crop for row, text in enumerate(texts) if (crop := _crop(text, documents[row].id))}
        rows = _draw(documents, list(crops), limit)
        queries = {f"sentence-{documents[row].id}": crops[row][0] for row in rows}
        for row in rows:
            texts[row] = crops[row][1]
        kind = "sentences"
    if len(rows) < 4:
        raise ValueError(
            f"only {len(rows)} of {len(documents)} documents are long enough to make questions; "
            "give your own with --queries and --qrels"
        )
    qrels = {query: {documents[row].id: 1} for query, row in zip(queries, rows, strict=True)}
    return QuestionSet(kind, queries, qrels, texts)


def split_queries(queries: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Split query ids into a dev and a test half by their hash: the same split on every machine and in every order.

    Raises
    ------
    ValueError
        Fewer than four queries.

    Examples
    --------
    >>> dev, test = split_queries({str(i): "" for i in range(9)})
    >>> len(dev), len(test)
    (4, 5)
    """
    if len(queries) < 4:
        raise ValueError(f"{len(queries)} queries cannot be split into halves to choose on and to report on; give 4")
    ordered = sorted(queries, key=_hash)
    middle = len(ordered) // 2
    return ordered[:middle], ordered[middle:]


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _draw(documents: Sequence[Document], rows: list[int], limit: int) -> list[int]:
    return sorted(sorted(rows, key=lambda row: _hash(documents[row].id))[:limit])


def _askable(text: str) -> bool:
    return _MIN_QUERY_WORDS <= len(_WORD.findall(text)) <= _MAX_QUERY_WORDS


def _crop(text: str, name: str) -> tuple[str, str] | None:
    """One sentence, drawn by the hash of the id, and the text without it."""
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]
    askable = [number for number, sentence in enumerate(sentences) if _askable(sentence)]
    if len(sentences) < 2 or not askable:
        return None
    chosen = askable[int.from_bytes(_hash(name), "big") % len(askable)]
    return sentences[chosen].strip(), " ".join(sentences[:chosen] + sentences[chosen + 1 :])
