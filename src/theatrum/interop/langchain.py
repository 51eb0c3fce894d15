"""LangChain: a pipeline as its retriever, an encoder as its embeddings. Needs ``theatrum[langchain]``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from theatrum.contracts import Encoder, Retriever, Where
from theatrum.extras import require
from theatrum.interop.dense_vectors import DenseVectors
from theatrum.interop.hits import Texts, TextSearch
from theatrum.pipelines.pipeline import Pipeline

require("langchain_core", "langchain")

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun  # noqa: E402
from langchain_core.documents import Document  # noqa: E402  # after the check that names the extra
from langchain_core.embeddings import Embeddings  # noqa: E402
from langchain_core.retrievers import BaseRetriever  # noqa: E402
from langchain_core.runnables.config import run_in_executor  # noqa: E402


class TheatrumRetriever(BaseRetriever):
    """A fitted pipeline as a LangChain retriever.

    Made by ``open`` from a winner folder, or by ``of`` from a pipeline in memory and its texts. Documents carry the
    text as ``page_content``, the id, and as metadata their attributes, ``title`` and ``score``. ``k`` and ``where`` may
    be given with each ``invoke`` too.

    Parameters
    ----------
    search : TextSearch
        The pipeline and its documents.
    k : int, default=10
        Hits a query.
    where : mapping, optional
        Filter on attributes; see `theatrum.search.filters`.

    Examples
    --------
    >>> import theatrum
    >>> texts = {"a": "swept wings in shock waves", "b": "heat in thin plates"}
    >>> wings = theatrum.pipeline("bm25").fit(list(texts), list(texts.values()), {"year": [1958, 1962]})
    >>> retriever = TheatrumRetriever.of(wings, texts, k=1)
    >>> [document.id for document in retriever.invoke("thin plates or wings")]
    ['b']
    >>> retriever.invoke("thin plates or wings", where={"year": {"lt": 1960}})[0].page_content
    'swept wings in shock waves'
    """

    search: TextSearch
    k: int = 10
    where: dict[str, Any] | None = None

    @classmethod
    def open(cls, folder: str | Path, documents: Texts | None = None, **settings: Any) -> TheatrumRetriever:
        """Open the winner folder of a bake-off, or a saved pipeline with its texts; settings are k, where, tags, ..."""
        return cls(search=TextSearch.open(folder, documents), **settings)

    @classmethod
    def of(cls, retriever: Retriever, documents: Texts, **settings: Any) -> TheatrumRetriever:
        """Take a fitted pipeline and the texts of its ids."""
        return cls(search=TextSearch(retriever, documents), **settings)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        where: Where | None = None,
    ) -> list[Document]:
        return [
            Document(id=one.id, page_content=one.text, metadata={**one.attributes, "title": one.title, "score": score})
            for one, score in self.search.find(query, k or self.k, self.where if where is None else where)
        ]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        where: Where | None = None,
    ) -> list[Document]:
        # The inherited one would not hand k and where on.
        return await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), k=k, where=where
        )


class TheatrumEmbeddings(Embeddings):
    """An encoder or a dense pipeline as LangChain embeddings, for its vector stores.

    Parameters
    ----------
    source : Encoder, Pipeline or str
        What learns from a corpus must have been fitted. Vectors are refined, and not quantized: that is the store's
        part.
    batch_size : int, default=64
        Texts that the encoder handles at a time.

    Examples
    --------
    >>> import theatrum
    >>> texts = ["swept wings in shock waves", "heat in thin plates", "wings and plates"]
    >>> embeddings = TheatrumEmbeddings(theatrum.pipeline("lsa(dim=2)").fit(["a", "b", "c"], texts))
    >>> len(embeddings.embed_documents(texts)), len(embeddings.embed_query("wings"))
    (3, 2)
    """

    def __init__(self, source: Encoder | Pipeline | str, *, batch_size: int = 64) -> None:
        self.vectors = DenseVectors(source)
        self.batch_size = batch_size

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Encode documents."""
        return self.vectors.encode(texts, role="document", batch_size=self.batch_size).tolist()

    def embed_query(self, text: str) -> list[float]:
        """Encode a query."""
        return self.vectors.encode([text], role="query").tolist()[0]
