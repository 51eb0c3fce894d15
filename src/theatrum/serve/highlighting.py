"""Why a hit is a hit: the words of the query in it, and its sentence that comes nearest."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from pydantic import BaseModel, Field

from theatrum.contracts import Vectors
from theatrum.text.tokens import ENGLISH_STOPWORDS, words

Span = tuple[int, int]

# A run of letters, digits and marks; narrower than what `words` takes apart again (Han, Kana), which is done below.
_RUN = re.compile(r"[^\W_]+(?:[\u0300-\u036f]|\w)*")
# Not after an initial ("Y. pestis"), nor before a small letter ("approx. half"); a stop between blanks is always one.
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)[\"'”’)\]]*\s+(?![a-z])|(?<=\s[.!?])\s+|\n+|(?<=[。！？])"  # noqa: RUF001
)
_MOST_SENTENCES = 40  # of a document; the rest of a long one is not looked at
_LONGEST = 1000  # characters of a sentence that are encoded


def query_words(query: str) -> frozenset[str]:
    """Words of a query that say something; all of them if none does.

    Examples
    --------
    >>> sorted(query_words("The flow over a wing"))
    ['flow', 'over', 'wing']
    >>> sorted(query_words("to be"))
    ['be', 'to']
    """
    every = frozenset(words(query))
    return every - ENGLISH_STOPWORDS or every


def matched_spans(text: str, wanted: frozenset[str]) -> list[Span]:
    """Find where words stand in a text, as (start, end) in characters.

    Examples
    --------
    >>> matched_spans("The Wing's flow.", frozenset({"wing", "flow"}))
    [(4, 8), (11, 15)]
    """
    spans: list[Span] = []
    for run in _RUN.finditer(text):
        if unicodedata.normalize("NFKC", run.group()).lower() in wanted:
            spans.append(run.span())
        elif not run.group().isascii():
            # Characters that are words by themselves: each is looked up alone.
            spans += [
                (run.start() + place, run.start() + place + 1)
                for place, character in enumerate(run.group())
                if character in wanted and words(character + character) == [character, character]
            ]
    return spans


def sentence_spans(text: str) -> list[Span]:
    """Cut a text into sentences, as (start, end) in characters, without blanks at their ends.

    Examples
    --------
    >>> text = "Plates bend. Do they?  They do"
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['Plates bend.', 'Do they?', 'They do']
    """
    spans: list[Span] = []
    start = 0
    for cut in [match.end() for match in _SENTENCE_END.finditer(text)] + [len(text)]:
        part = text[start:cut]
        left = start + len(part) - len(part.lstrip())
        if part.strip():
            spans.append((left, left + len(part.strip())))
        start = cut
    return spans[:_MOST_SENTENCES]


class Reason(BaseModel):
    """Why a document was found; spans are (start, end) in characters (Unicode code points)."""

    title_words: list[Span] = Field(description="Words of the query in the title.")
    text_words: list[Span] = Field(description="Words of the query in the text.")
    matched: list[str] = Field(description="Which words these are.")
    sentence: Span | None = Field(description="The sentence nearest to the query; null where none is near.")
    similarity: float | None = Field(description="Its cosine; null where the pipeline compares words only.")


def word_reason(query: str, title: str, text: str) -> Reason:
    """Explain a hit by words alone: the sentence is the one with the most words of the query.

    Examples
    --------
    >>> reason = word_reason("wing flow", "Plates", "Plates bend. A wing in flow. Flow.")
    >>> reason.matched, reason.sentence
    (['flow', 'wing'], (13, 28))
    """
    wanted = query_words(query)
    spans, in_title = matched_spans(text, wanted), matched_spans(title, wanted)
    counts = []
    sentences = sentence_spans(text)
    for start, end in sentences:
        inside = {_word(text, span) for span in spans if start <= span[0] and span[1] <= end}
        counts.append(len(inside))
    best = int(np.argmax(counts)) if counts else 0
    found = {_word(text, span) for span in spans} | {_word(title, span) for span in in_title}
    sentence = sentences[best] if counts and counts[best] else None
    return Reason(title_words=in_title, text_words=spans, matched=sorted(found), sentence=sentence, similarity=None)


def sentence_texts(text: str) -> list[str]:
    """Sentences of a text as they are encoded to be compared with a query."""
    return [text[start:end][:_LONGEST] for start, end in sentence_spans(text)]


def nearest_sentence(reason: Reason, text: str, query: Vectors, sentences: Vectors) -> Reason:
    """Replace the sentence of a reason by the one whose vector is nearest to the query's.

    Parameters
    ----------
    reason : Reason
        By words.
    text : str
        The document's.
    query : ndarray of float32, shape (d,)
        Unit vector of the query.
    sentences : ndarray of float32, shape (s, d)
        Unit vectors of `sentence_texts`.
    """
    if not len(sentences):
        return reason
    similarities = sentences @ query
    best = int(np.argmax(similarities))
    if similarities[best] <= 0:
        return reason
    nearest = {"sentence": sentence_spans(text)[best], "similarity": float(similarities[best])}
    return reason.model_copy(update=nearest)


def _word(text: str, span: Span) -> str:
    return unicodedata.normalize("NFKC", text[slice(*span)]).lower()
