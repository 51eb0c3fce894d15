"""What a data set is, once loaded: documents with questions, pairs of sentences, labelled texts, plain text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Document:
    r"""One document of a corpus.

    Parameters
    ----------
    id : str
        Unique in its corpus.
    text : str
        The body.
    title : str, default=""
        The title, if there is one.
    attributes : mapping, default={}
        Further columns of its row.

    Examples
    --------
    >>> Document("d1", "They buckle.", "Thin plates").content
    'Thin plates\nThey buckle.'
    """

    id: str
    text: str
    title: str = ""
    attributes: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, compare=False)

    @property
    def content(self) -> str:
        """Title and body, as encoders read them."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True)
class Collection:
    """Documents, with queries and judgements if there are any.

    Parameters
    ----------
    name : str
        What to call it.
    documents : tuple of Document
        The corpus, in file order.
    queries : mapping of str to str
        Query id -> text.
    qrels : mapping of str to mapping of str to int
        Query id -> document id -> grade; 1 and above is relevant, 0 was judged not relevant.
    citation, licence : str
        Whom to cite, and on which terms it may be used.
    """

    name: str
    documents: tuple[Document, ...]
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    citation: str = ""
    licence: str = ""


@dataclass(frozen=True)
class SentencePairs:
    """Pairs of sentences with a score of how alike they are.

    Parameters
    ----------
    first, second : tuple of str
        The sentences.
    scores : ndarray of float64, shape (n,)
        As published; only their order counts in most measures.
    splits, subsets : tuple of str
        Split (such as ``"test"``) and subset of each pair; empty texts where the set has none.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float64]
    splits: tuple[str, ...]
    subsets: tuple[str, ...]

    def split(self, name: str) -> SentencePairs:
        """Return the pairs of one split.

        Raises
        ------
        ValueError
            No pair has this split; those there are named.
        """
        rows = [row for row, split in enumerate(self.splits) if split == name]
        if not rows:
            raise ValueError(f"no split is called {name!r}; there are: {', '.join(sorted(set(self.splits)))}")
        return SentencePairs(
            tuple(self.first[row] for row in rows),
            tuple(self.second[row] for row in rows),
            self.scores[rows],
            tuple(self.splits[row] for row in rows),
            tuple(self.subsets[row] for row in rows),
        )


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with a label each.

    Parameters
    ----------
    texts, labels, splits : tuple of str
        One entry a text.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]

    def split(self, name: str) -> LabelledTexts:
        """Return the texts of one split.

        Raises
        ------
        ValueError
            No text has this split; those there are named.
        """
        rows = [row for row, split in enumerate(self.splits) if split == name]
        if not rows:
            raise ValueError(f"no split is called {name!r}; there are: {', '.join(sorted(set(self.splits)))}")
        return LabelledTexts(
            tuple(self.texts[row] for row in rows),
            tuple(self.labels[row] for row in rows),
            tuple(self.splits[row] for row in rows),
        )


@dataclass(frozen=True)
class PlainText:
    """Running text, or a list of words with counts, line by line.

    Parameters
    ----------
    lines : mapping of str to tuple of str
        Split -> its lines, without line ends.
    """

    lines: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class LabelledImages:
    """Grey images with a label each.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height, width)
        0 is black.
    labels : ndarray of uint8, shape (n,)
        Class numbers.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
