"""LlamaIndex's own ways of calling: retrieve, async, a query engine, a vector index over our embedding."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import TextNode

import theatrum
from theatrum.bakeoffs.documents import write_documents
from theatrum.data import Document
from theatrum.interop.llama_index import TheatrumEmbedding, TheatrumRetriever

QUERY = "supersonic shock waves"


@pytest.fixture(scope="module")
def pipeline(corpus):
    ids, texts = corpus
    return theatrum.pipeline("lsa(dim=24) | int8").fit(ids, texts, {"number": list(range(300))})


@pytest.fixture(scope="module")
def texts(corpus):
    return dict(zip(*corpus, strict=True))


def test_a_retriever_like_any_other(pipeline, texts):
    retriever = TheatrumRetriever(pipeline, texts, k=4)
    assert isinstance(retriever, BaseRetriever)
    ids, scores = pipeline.search([QUERY], 4)
    found = retriever.retrieve(QUERY)
    assert [node.node_id for node in found] == ids[0].tolist()
    assert [node.text for node in found] == [texts[name] for name in ids[0]]
    assert np.allclose([node.score for node in found], scores[0])
    assert [node.node_id for node in asyncio.run(retriever.aretrieve(QUERY))] == ids[0].tolist()


def test_filters_pass_through(pipeline, texts):
    where = {"number": {"lt": 20}}
    found = TheatrumRetriever(pipeline, texts, k=5, where=where).retrieve(QUERY)
    assert [node.node_id for node in found] == pipeline.search([QUERY], 5, where)[0][0].tolist()


def test_an_engine_of_theirs_answers_from_our_hits(pipeline, texts):
    engine = RetrieverQueryEngine.from_args(TheatrumRetriever(pipeline, texts, k=2), llm=MockLLM())
    answer = engine.query(QUERY)
    assert [node.node_id for node in answer.source_nodes] == pipeline.search([QUERY], 2)[0][0].tolist()
    assert texts[answer.source_nodes[0].node_id] in str(answer)


def test_a_winner_folder(pipeline, texts, tmp_path):
    pipeline.save(tmp_path)
    write_documents([Document(name, text, "T") for name, text in texts.items()], tmp_path)
    found = TheatrumRetriever.open(tmp_path, k=2).retrieve(QUERY)
    assert [node.text for node in found] == [texts[node.node_id] for node in found]
    assert found[0].metadata["title"] == "T"


def test_attributes_of_documents_are_metadata(pipeline, texts):
    documents = {name: Document(name, text, "T", {"topic": "x"}) for name, text in texts.items()}
    found = TheatrumRetriever(pipeline, documents, k=1).retrieve(QUERY)
    assert found[0].metadata == {"title": "T", "topic": "x"}


def test_an_embedding_in_an_index_of_theirs(pipeline, texts):
    embedding = TheatrumEmbedding(pipeline, embed_batch_size=32)
    assert isinstance(embedding, BaseEmbedding)
    assert (embedding.model_name, embedding.embed_batch_size) == ("lsa(dim=24) | int8", 32)
    nodes = [TextNode(id_=name, text=text) for name, text in texts.items()]
    index = VectorStoreIndex(nodes, embed_model=embedding)
    found = index.as_retriever(similarity_top_k=5).retrieve(QUERY)
    plain = theatrum.pipeline("lsa(dim=24)").fit(list(texts), list(texts.values()))
    # Equal scores may change places.
    assert np.allclose([node.score for node in found], plain.search([QUERY], 5)[1][0], atol=1e-5)
    assert asyncio.run(embedding.aget_query_embedding(QUERY)) == embedding.get_query_embedding(QUERY)
    assert len(embedding.get_text_embedding("wings")) == 24
