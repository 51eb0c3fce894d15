"""Routes that give out vectors: /v1/embeddings, /v1/rerank, /v1/models, /sparse, /multi."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from theatrum.registry import name_of
from theatrum.search.max_sim import chamfer
from theatrum.serve.errors import ApiError
from theatrum.serve.served import View
from theatrum.serve.service import Service
from theatrum.serve.vector_shapes import (
    EmbeddingAnswer,
    EmbeddingRequest,
    ModelEntry,
    ModelList,
    RerankAnswer,
    RerankRequest,
    TokenVectorAnswer,
    TokenVectorRequest,
    WordAnswer,
    WordRequest,
    is_token_input,
    token_lists,
    written,
)
from theatrum.serve.vectors import VectorSpace, shortened, token_counts
from theatrum.serve.worker import Worker

Part = TypeVar("Part")
_NO_VECTORS = "searches by words and makes no vectors; /v1/models lists those that do"
_NO_WORDS = "has neither BM25 nor TF-IDF, so it weighs no words"
_NO_TOKENS = "has no encoder of token vectors, such as minilm_tokens"


def vector_router(service: Service) -> APIRouter:
    """Make the routes of a service."""
    router = APIRouter(tags=["vectors"])

    @router.get("/v1/models")
    async def models() -> ModelList:
        """List the pipelines that make vectors."""
        found = [(view, service.workers[name]) for name, view in service.views.items() if view.space is not None]
        return ModelList(data=[await worker.run(_model_entry, view) for view, worker in found])

    @router.post("/v1/embeddings", response_model=EmbeddingAnswer)
    async def embeddings(request: EmbeddingRequest) -> JSONResponse:
        """Turn texts into unit vectors; any OpenAI client can call this."""
        view, worker, space = _able(service, request.model, lambda view: view.space, _NO_VECTORS)
        texts = await _texts(request.input, space, worker, service)
        made = await worker.counted_vectors(view, texts, request.input_type)
        X = np.stack([vector for vector, _ in made])
        counts = [count for _, count in made]
        if request.dimensions is not None:
            _check_dimensions(space, X.shape[1], request.dimensions)
            X = shortened(X, request.dimensions)
        total, limit = sum(counts), space.max_tokens
        data = [
            {"object": "embedding", "index": index, "embedding": written(row, request.encoding_format)}
            for index, row in enumerate(X)
        ]
        # Written as it is: checking thousands of numbers against the model above would take longer than making them.
        return JSONResponse(
            {
                "object": "list",
                "model": view.name,
                "data": data,
                "usage": {"prompt_tokens": total, "total_tokens": total},
                "truncated": sum(count > limit for count in counts) if limit is not None else 0,
            }
        )

    @router.post("/v1/rerank", response_model=RerankAnswer, response_model_exclude_none=True)
    async def rerank(request: RerankRequest) -> dict[str, Any]:
        """Put documents into the order of a query: by token vectors, else by vectors, else by words."""
        view, worker = service.view(request.model, field="model")
        texts = [one if isinstance(one, str) else one.text for one in request.documents]
        _check_count(texts, service, "documents")
        encoder = view.tokens or (view.space.encoder if view.space is not None else None)
        if encoder is not None:
            await _check_tokens([request.query, *texts], encoder, worker, service, "documents")
        if view.tokens is not None:
            asked, found = await asyncio.gather(
                worker.token_vectors(view, [request.query], "query"), worker.token_vectors(view, texts, "document")
            )
            scores = chamfer(asked[0], found)
            scored_by = f"MaxSim of {name_of(view.tokens)}"
        elif view.space is not None:
            query, vectors = await asyncio.gather(
                worker.vectors(view, [request.query], "query"), worker.vectors(view, texts, "document")
            )
            scores = vectors @ query[0]
            scored_by = f"cosine of {view.space.notation}"
        else:
            scores = await _word_scores(view, worker, request.query, texts)
            scored_by = str(view.pipeline)
        order = np.argsort(-scores, kind="stable")[: request.top_n]
        results = [
            {
                "index": int(place),
                "relevance_score": float(scores[place]),
                "document": {"text": texts[place]} if request.return_documents else None,
            }
            for place in order
        ]
        return {"model": view.name, "scored_by": scored_by, "results": results}

    @router.post("/sparse")
    async def sparse(request: WordRequest) -> WordAnswer:
        """Weigh the words of texts as BM25 or TF-IDF does; a query's weights times a document's are the score."""
        view, worker, weights = _able(service, request.model, lambda view: view.words, _NO_WORDS)
        texts = [request.input] if isinstance(request.input, str) else request.input
        _check_count(texts, service, "input")
        try:
            rows = await worker.words(view, texts, request.input_type)
        except ValueError as error:
            raise ApiError(404, str(error), param="input_type", code="not_available") from None
        data = [
            {
                "index": index,
                "words": [weights.vocabulary[column] for column in row.indices],
                "indices": row.indices.tolist(),
                "values": row.data.tolist(),
            }
            for index, row in enumerate(rows)
        ]
        return WordAnswer.model_validate({"model": view.name, "data": data})

    @router.post("/multi", response_model=TokenVectorAnswer)
    async def multi(request: TokenVectorRequest) -> JSONResponse:
        """Turn texts into one vector a token, where the pipeline's encoder has them."""
        view, worker, tokens = _able(service, request.model, lambda view: view.tokens, _NO_TOKENS)
        texts = [request.input] if isinstance(request.input, str) else request.input
        _check_count(texts, service, "input")
        await _check_tokens(texts, tokens, worker, service, "input")
        matrices = await worker.token_vectors(view, texts, request.input_type)
        data = [
            {
                "object": "multi_embedding",
                "index": index,
                "shape": list(matrix.shape),
                "embedding": written(matrix, request.encoding_format),
            }
            for index, matrix in enumerate(matrices)
        ]
        return JSONResponse({"object": "list", "model": view.name, "data": data})

    return router


def _model_entry(view: View) -> ModelEntry:
    assert view.space is not None
    return ModelEntry(id=view.name, dimensions=view.space.dim, max_tokens=view.space.max_tokens)


def _able(
    service: Service, name: str | None, part: Callable[[View], Part | None], lack: str
) -> tuple[View, Worker, Part]:
    """Find the pipeline that a request names, or the first that has a part, and the part."""
    if name is None:
        name = next((one for one, view in service.views.items() if part(view) is not None), None)
    view, worker = service.view(name, field="model")
    found = part(view)
    if found is None:
        raise ApiError(404, f"{view.name!r} ({view.pipeline}) {lack}", param="model", code="not_available")
    return view, worker, found


async def _texts(value: Any, space: VectorSpace, worker: Worker, service: Service) -> list[str]:
    """Texts of an input, decoded where it is token ids, within the limits."""
    if is_token_input(value):
        tokens = token_lists(value)
        _check_count(tokens, service, "input")
        try:
            texts = await worker.run(space.decode, tokens)
        except ValueError as error:
            raise ApiError(400, f"input: {error}", param="input", code="invalid_tokens") from None
    else:
        texts = [value] if isinstance(value, str) else list(value)
        _check_count(texts, service, "input")
    await _check_tokens(texts, space.encoder, worker, service, "input")
    return texts


def _check_count(rows: Sequence[Any], service: Service, field: str) -> None:
    limit = service.settings.max_inputs
    if len(rows) > limit:
        raise ApiError(400, f"{field}: {len(rows)} texts, at most {limit} a request", param=field, code="too_many")


async def _check_tokens(texts: Sequence[str], encoder: Any, worker: Worker, service: Service, field: str) -> None:
    limit = service.settings.max_tokens
    # A token is at least a byte long, so most requests need no counting; a few more frame each text.
    if sum(len(text.encode()) + 8 for text in texts) <= limit:
        return
    total = int((await worker.run(token_counts, encoder, texts)).sum())
    if total > limit:
        raise ApiError(400, f"{field}: {total:,} tokens, at most {limit:,} a request", param=field, code="too_many")


def _check_dimensions(space: VectorSpace, there: int, dimensions: int) -> None:
    if dimensions == there or (space.nested and dimensions < there):
        return
    reason = f"the vectors of {space.notation} have {there}"
    if not space.nested:
        reason += (
            ", and their first ones do not stand by themselves; a pipeline with | pca(dim=...) makes vectors that can "
            "be cut"
        )
    raise ApiError(400, f"dimensions: {dimensions} cannot be had, {reason}", param="dimensions", code="invalid_value")


async def _word_scores(view: View, worker: Worker, query: str, texts: list[str]) -> np.ndarray:
    if view.words is None:
        raise ApiError(
            404, f"{view.name!r} has neither vectors nor word weights to rerank by", param="model", code="not_available"
        )
    try:
        asked = (await worker.words(view, [query], "query"))[0]
        rows = await worker.words(view, texts, "document")
    except ValueError as error:
        raise ApiError(404, str(error), param="model", code="not_available") from None
    return np.array([float((row @ asked.T).sum()) for row in rows])
