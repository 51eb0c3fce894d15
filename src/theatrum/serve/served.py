"""A pipeline folder that is served: the pipeline, its members by name, and its documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from theatrum.contracts import TokenEncoder
from theatrum.data import Document
from theatrum.pipelines.pipeline import Pipeline, open_pipeline
from theatrum.serve.documents import DocumentTable
from theatrum.serve.facets import Facet, facets
from theatrum.serve.vectors import VectorSpace, members, token_encoder, vector_space
from theatrum.serve.word_weights import WordWeights, lexical_retriever


@dataclass(frozen=True, eq=False)
class View:
    """One pipeline that requests can name: a served one, or a member of its fusion.

    Parameters
    ----------
    name : str
        What requests call it.
    pipeline : Pipeline
        Fitted.
    documents : DocumentTable
        What its ids stand for.
    """

    name: str
    pipeline: Pipeline
    documents: DocumentTable

    @cached_property
    def space(self) -> VectorSpace | None:
        """Its vectors: those of its first dense retriever."""
        return vector_space(self.pipeline)

    @cached_property
    def tokens(self) -> TokenEncoder | None:
        """Its encoder of token vectors."""
        return token_encoder(self.pipeline)

    @cached_property
    def words(self) -> WordWeights | None:
        """Its word weights: those of its first lexical retriever."""
        retriever = lexical_retriever(self.pipeline)
        return WordWeights(retriever, self._contents) if retriever is not None else None

    @cached_property
    def facets(self) -> list[Facet]:
        """Facets that it can filter by; a pipeline may have been indexed without attributes."""
        return [facet for facet in facets(self.documents.columns) if self._filters_by(facet)]

    def warm_up(self) -> None:
        """Load what is loaded at first use, so that the first request does not wait for it."""
        if self.space is not None:
            _ = self.space.dim
        self.pipeline.search(["warm up"], 1)
        _ = self.facets

    def _filters_by(self, facet: Facet) -> bool:
        try:
            self.pipeline.search(["warm up"], 1, facet.example())
        except ValueError:
            return False
        return True

    def _contents(self) -> list[str]:
        return [document.content for document in self.documents.rows(range(len(self.documents)))]


class ServedPipeline:
    """A pipeline with its documents under a name; the members of a fusion can be named too.

    Parameters
    ----------
    name : str
        What requests call it.
    pipeline : Pipeline
        Fitted.
    documents : sequence of Document or DocumentTable
        Its documents; may be empty, and then hits have ids only.

    Examples
    --------
    >>> from theatrum.pipelines.pipeline import pipeline
    >>> texts = ["wing in flow", "flow over a wing", "heat in plates", "plates under heat"]
    >>> fused = pipeline("rrf(bm25, lsa(dim=2))").fit(list("abcd"), texts)
    >>> ServedPipeline("plates", fused, []).views.keys()
    dict_keys(['plates', 'plates/bm25', 'plates/lsa(dim=2)'])
    """

    def __init__(self, name: str, pipeline: Pipeline, documents: Sequence[Document] | DocumentTable) -> None:
        self.name = name
        self.documents = documents if isinstance(documents, DocumentTable) else DocumentTable.of(documents)
        self.views = {name: View(name, pipeline, self.documents)}
        for member in members(pipeline):
            inside = f"{name}/{member}"
            self.views[inside] = View(inside, member, self.documents)

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline itself."""
        return self.views[self.name].pipeline

    def warm_up(self) -> None:
        """Load everything that is loaded at first use."""
        for view in self.views.values():
            view.warm_up()


def open_served(folder: Path, name: str | None = None) -> ServedPipeline:
    """Open a winner folder or a saved pipeline to be served.

    Parameters
    ----------
    folder : Path
        As written by a bake-off or by ``Pipeline.save``.
    name : str, optional
        What to call it; the folder's name by default.

    Raises
    ------
    FileNotFoundError
        Not a saved pipeline.
    ValueError
        Damaged.
    """
    return ServedPipeline(name or folder.resolve().name, open_pipeline(folder), DocumentTable.open(folder))
