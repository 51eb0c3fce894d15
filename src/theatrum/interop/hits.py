"""Hits with their texts, for libraries whose retrievers hand out documents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from theatrum.bakeoffs.documents import FILE, read_documents
from theatrum.contracts import Retriever, Where
from theatrum.data import Document
from theatrum.pipelines.pipeline import open_pipeline

Texts = Mapping[str, str | Document]


class Hit(NamedTuple):
    """A document that was found.

    Parameters
    ----------
    document : Document
        Id, text and title.
    score : float
        Larger is better.
    """

    document: Document
    score: float


class TextSearch:
    """A retriever and the documents that its ids stand for.

    Parameters
    ----------
    retriever : Retriever
        Fitted: a pipeline or one of its kind.
    documents : mapping of str to str or Document, or Path
        Texts by id, or the winner folder of a bake-off, which carries them.

    Examples
    --------
    >>> import theatrum
    >>> texts = {"a": "swept wings in shock waves", "b": "heat in thin plates"}
    >>> search = TextSearch(theatrum.pipeline("bm25").fit(list(texts), list(texts.values())), texts)
    >>> [(hit.document.text, round(hit.score, 2)) for hit in search.find("plates", k=1)]
    [('heat in thin plates', 0.33)]
    """

    def __init__(self, retriever: Retriever, documents: Texts | Path) -> None:
        if isinstance(documents, Path) and not (documents / FILE).is_file():
            raise FileNotFoundError(
                f"{documents} has no {FILE}; only the winner folder of a bake-off carries its documents. "
                "Give the texts of a pipeline that was saved by itself"
            )
        self.retriever = retriever
        self.documents = documents

    @classmethod
    def open(cls, folder: str | Path, documents: Texts | None = None) -> TextSearch:
        """Open a saved pipeline with the documents of its folder, or with those given."""
        path = Path(folder)
        return cls(open_pipeline(path), path if documents is None else documents)

    def find(self, query: str, k: int, where: Where | None = None) -> list[Hit]:
        """Find at most k documents, best first.

        Raises
        ------
        ValueError
            An id without a text, or a filter that does not fit.
        """
        ids, scores = self.retriever.search([query], k, where)
        found = [(str(name), float(score)) for name, score in zip(ids[0], scores[0], strict=True) if name]
        if isinstance(self.documents, Path):
            texts: Texts = read_documents(self.documents, [name for name, _ in found])
        else:
            texts = self.documents
        missing = next((name for name, _ in found if name not in texts), None)
        if missing is not None:
            raise ValueError(f"documents: there is no text for the id {missing!r}; give the texts of the whole corpus")
        return [Hit(_document(name, texts[name]), score) for name, score in found]


def _document(name: str, text: str | Document) -> Document:
    return text if isinstance(text, Document) else Document(name, text)
