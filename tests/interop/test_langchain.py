"""LangChain's own ways of calling: invoke, batch, async, chains, a vector store over our embeddings."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

import theatrum
from theatrum.bakeoffs.documents import write_documents
from theatrum.data import Document
from theatrum.interop.langchain import TheatrumEmbeddings, TheatrumRetriever


@pytest.fixture(scope="module")
def pipeline(corpus):
    ids, texts = corpus
    return theatrum.pipeline("lsa(dim=24) | int8").fit(ids, texts, {"number": list(range(300))})


@pytest.fixture(scope="module")
def texts(corpus):
    return dict(zip(*corpus, strict=True))


def test_a_retriever_like_any_other(pipeline, texts):
    retriever = TheatrumRetriever.of(pipeline, texts, k=4, tags=["ours"])
    assert isinstance(retriever, BaseRetriever)
    query = "supersonic shock waves"
    ids, scores = pipeline.search([query], 4)
    found = retriever.invoke(query)
    assert [one.id for one in found] == ids[0].tolist()
    assert [one.page_content for one in found] == [texts[name] for name in ids[0]]
    assert np.allclose([one.metadata["score"] for one in found], scores[0])
    assert retriever.batch([query, query]) == [found, found]
    assert asyncio.run(retriever.ainvoke(query)) == found
    chain = retriever | RunnableLambda(lambda documents: len(documents))
    assert chain.invoke(query) == 4


def test_filters_pass_through(pipeline, texts):
    where = {"number": {"lt": 20}}
    retriever = TheatrumRetriever.of(pipeline, texts, k=5, where=where)
    expected = pipeline.search(["shock waves"], 5, where)[0][0].tolist()
    assert [one.id for one in retriever.invoke("shock waves")] == expected
    free = TheatrumRetriever.of(pipeline, texts, k=5)
    assert [one.id for one in free.invoke("shock waves", where=where)] == expected
    assert [one.id for one in free.invoke("shock waves", where=where, k=2)] == expected[:2]
    assert [one.id for one in asyncio.run(free.ainvoke("shock waves", where=where, k=2))] == expected[:2]
    with pytest.raises(ValueError, match="nothing_of_this_name"):
        free.invoke("shock waves", where={"nothing_of_this_name": 1})


def test_a_winner_folder(pipeline, texts, tmp_path):
    pipeline.save(tmp_path)
    write_documents([Document(name, text, "T") for name, text in texts.items()], tmp_path)
    found = TheatrumRetriever.open(tmp_path, k=2).invoke("shock waves")
    assert [one.page_content for one in found] == [texts[one.id] for one in found]
    assert found[0].metadata["title"] == "T"


def test_attributes_of_documents_are_metadata(pipeline, texts):
    documents = {name: Document(name, text, "T", {"topic": "x"}) for name, text in texts.items()}
    found = TheatrumRetriever.of(pipeline, documents, k=1).invoke("shock waves")
    assert (found[0].metadata["title"], found[0].metadata["topic"]) == ("T", "x")


def test_embeddings_in_a_store_of_theirs(pipeline, texts):
    embeddings = TheatrumEmbeddings(pipeline)
    store = InMemoryVectorStore(embeddings)
    store.add_texts(list(texts.values()), ids=list(texts))
    query = "supersonic shock waves"
    found = store.similarity_search_with_score(query, k=5)
    plain = theatrum.pipeline("lsa(dim=24)").fit(list(texts), list(texts.values()))
    # Equal scores may change places.
    assert np.allclose([score for _, score in found], plain.search([query], 5)[1][0], atol=1e-5)
    assert all(one.page_content == texts[one.id] for one, _ in found)
    assert asyncio.run(embeddings.aembed_query(query)) == embeddings.embed_query(query)


def test_roles_are_told_apart():
    class Roles:
        dim = 2

        def encode(self, items, *, role="document", batch_size=64, show_progress=False):
            return np.array([[1, 0] if role == "query" else [0, 1]] * len(items), dtype=np.float32)

        def fingerprint(self):
            return "roles"

    embeddings = TheatrumEmbeddings(Roles())
    assert embeddings.embed_documents(["x"]) == [[0.0, 1.0]]
    assert embeddings.embed_query("x") == [1.0, 0.0]
    assert embeddings.embed_documents([]) == []
