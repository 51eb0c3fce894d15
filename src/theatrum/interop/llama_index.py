"""LlamaIndex: a pipeline as its retriever, an encoder as its embedding. Needs ``theatrum[llamaindex]``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from theatrum.contracts import Encoder, Retriever, Where
from theatrum.extras import require
from theatrum.interop.dense_vectors import DenseVectors
from theatrum.interop.hits import Texts, TextSearch
from theatrum.pipelines.pipeline import Pipeline

require("llama_index.core", "llamaindex")

from llama_index.core.base.embeddings.base import BaseEmbedding  # noqa: E402  # after the check that names the extra
from llama_index.core.bridge.pydantic import PrivateAttr  # noqa: E402
from llama_index.core.retrievers import BaseRetriever  # noqa: E402
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode  # noqa: E402


class TheatrumRetriever(BaseRetriever):
    """A fitted pipeline as a LlamaIndex retriever.

    Made from a pipeline in memory and its texts, or by ``open`` from a winner folder. Nodes carry the text, the id, the
    score, and their attributes and ``title`` as metadata.

    Parameters
    ----------
    retriever : Retriever
        A fitted pipeline.
    documents : mapping of str to str or Document, or Path
        Texts by id, or the winner folder that carries them.
    k : int, default=10
        Hits a query.
    where : mapping, optional
        Filter on attributes; see `theatrum.search.filters`.
    **settings
        Handed to ``BaseRetriever``, such as ``callback_manager``.

    Examples
    --------
    >>> import theatrum
    >>> texts = {"a": "swept wings in shock waves", "b": "heat in thin plates"}
    >>> wings = theatrum.pipeline("bm25").fit(list(texts), list(texts.values()))
    >>> [(node.node_id, node.text) for node in TheatrumRetriever(wings, texts, k=1).retrieve("plates")]
    [('b', 'heat in thin plates')]
    """

    def __init__(
        self,
        retriever: Retriever,
        documents: Texts | Path,
        *,
        k: int = 10,
        where: Where | None = None,
        **settings: Any,
    ) -> None:
        self.search = TextSearch(retriever, documents)
        self.k = k
        self.where = where
        super().__init__(**settings)

    @classmethod
    def open(cls, folder: str | Path, documents: Texts | None = None, **settings: Any) -> TheatrumRetriever:
        """Open the winner folder of a bake-off, or a saved pipeline with its texts; settings are k, where, ..."""
        found = TextSearch.open(folder, documents)
        return cls(found.retriever, found.documents, **settings)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [
            NodeWithScore(
                node=TextNode(id_=one.id, text=one.text, metadata={**one.attributes, "title": one.title}), score=score
            )
            for one, score in self.search.find(query_bundle.query_str, self.k, self.where)
        ]


class TheatrumEmbedding(BaseEmbedding):
    """An encoder or a dense pipeline as a LlamaIndex embedding, for its vector stores.

    Parameters
    ----------
    source : Encoder, Pipeline or str
        What learns from a corpus must have been fitted. Vectors are refined, and not quantized: that is the store's
        part.
    **settings
        Handed to ``BaseEmbedding``, such as ``embed_batch_size``.

    Examples
    --------
    >>> import theatrum
    >>> texts = ["swept wings in shock waves", "heat in thin plates", "wings and plates"]
    >>> embedding = TheatrumEmbedding(theatrum.pipeline("lsa(dim=2)").fit(["a", "b", "c"], texts))
    >>> len(embedding.get_text_embedding_batch(texts)), len(embedding.get_query_embedding("wings"))
    (3, 2)
    """

    _vectors: DenseVectors = PrivateAttr()

    def __init__(self, source: Encoder | Pipeline | str, **settings: Any) -> None:
        vectors = DenseVectors(source)
        super().__init__(**{"model_name": vectors.name, **settings})
        self._vectors = vectors

    @classmethod
    def class_name(cls) -> str:
        """Name in LlamaIndex's traces."""
        return "TheatrumEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vectors.encode([query], role="query").tolist()[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._vectors.encode(texts, role="document", batch_size=self.embed_batch_size).tolist()
