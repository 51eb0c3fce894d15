"""Routes about the documents: /search, /documents, /pipelines, /map."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from theatrum.data import Document
from theatrum.serve.corpus_map import Colouring, colourings
from theatrum.serve.errors import ApiError, whole
from theatrum.serve.highlighting import Reason, nearest_sentence, sentence_texts, word_reason
from theatrum.serve.served import View
from theatrum.serve.service import Service
from theatrum.serve.worker import Hits, Worker

_FIRST_DEPTH = 100  # what a first page is cut from, so that paging does not change the ranking of a fusion
_SENTENCES = 100  # encoded to explain one page of hits
_MOST_IDS = 100
Name = Annotated[str | None, Field(description="Name of a pipeline, see /pipelines; the first one if none is given.")]
NameParameter = Annotated[str | None, Query(description="Name of a pipeline; the first one if none is given.")]


class SearchRequest(BaseModel):
    """A question to the corpus."""

    model_config = ConfigDict(strict=True, extra="forbid")
    query: Annotated[str, Field(min_length=1, max_length=10_000)]
    pipeline: Name = None
    offset: Annotated[int, Field(ge=0, le=1_000_000), whole] = 0
    limit: Annotated[int, Field(ge=1, le=100), whole] = 10
    where: dict[str, Any] | str | None = Field(
        None, description='A filter on attributes: {"year": {"gte": 1965}}, or as text: year >= 1965.'
    )
    reasons: Literal["none", "words", "sentences"] = Field(
        "none",
        description="Say why each hit was found: by its words, or also by its nearest sentence (slower).",
    )


class DocumentEntry(BaseModel):
    """A document; title and text are empty where the pipeline was saved without its documents."""

    id: str
    title: str
    text: str
    attributes: dict[str, Any]


class Hit(DocumentEntry):
    """A document that was found."""

    rank: int
    score: float
    reason: Reason | None = None


class SearchAnswer(BaseModel):
    """A page of hits."""

    pipeline: str
    documents: int = Field(description="Documents searched, before any filter.")
    offset: int
    limit: int
    more: bool = Field(description="Whether there is a next page.")
    milliseconds: float
    hits: list[Hit]


class DocumentAnswer(BaseModel):
    """Documents asked for by id, in that order."""

    documents: list[DocumentEntry]


class FacetValue(BaseModel):
    """A value and how many documents have it."""

    value: Any
    count: int


class FacetEntry(BaseModel):
    """An attribute to filter by."""

    name: str
    kind: Literal["values", "lists", "range"]
    values: list[FacetValue]
    distinct: int
    low: float | None
    high: float | None


class PipelineEntry(BaseModel):
    """A pipeline that can be named in a search."""

    name: str
    notation: str
    documents: int
    texts: bool = Field(description="Whether the documents' texts are here.")
    vectors: bool
    words: bool
    facets: list[FacetEntry]


class MapAnswer(BaseModel):
    """The map, or how far it is."""

    state: Literal["working", "ready", "failed"]
    progress: float
    message: str
    ids: list[str]
    labels: list[str]
    x: list[float]
    y: list[float]
    colours: list[Colouring]


def search_router(service: Service) -> APIRouter:
    """Make the routes of a service."""
    router = APIRouter(tags=["search"])

    @router.post("/search")
    async def search(request: SearchRequest) -> SearchAnswer:
        """Find documents."""
        start = time.perf_counter()
        view, worker = service.view(request.pipeline)
        if not request.query.strip():
            raise ApiError(400, "query: it is empty; write what to look for", param="query", code="invalid_value")
        most, end = service.settings.max_hits, request.offset + request.limit
        if end > most:
            raise ApiError(
                400,
                f"offset: hits beyond {most:,} are not shown ({end:,} were asked for); narrow the query or filter",
                param="offset",
                code="too_deep",
            )
        depth = _FIRST_DEPTH if end < _FIRST_DEPTH else most + 1
        found = await _found(worker, view, request, depth)
        page = found[request.offset : end]
        documents = await asyncio.to_thread(view.documents.get, [name for name, _ in page])
        shown = [document or Document(name, "") for document, (name, _) in zip(documents, page, strict=True)]
        reasons = await _reasons(worker, view, request, shown)
        hits = [
            Hit(rank=rank, score=score, reason=reason, **_fields(document))
            for rank, (document, (_, score), reason) in enumerate(
                zip(shown, page, reasons, strict=True), start=request.offset + 1
            )
        ]
        return SearchAnswer(
            pipeline=view.name,
            documents=len(view.pipeline),
            offset=request.offset,
            limit=request.limit,
            more=len(found) > end,
            milliseconds=round(1000 * (time.perf_counter() - start), 2),
            hits=hits,
        )

    @router.get("/documents")
    def documents(
        id: Annotated[list[str], Query(min_length=1, max_length=_MOST_IDS, description="Ids, one a parameter.")],
        pipeline: NameParameter = None,
    ) -> DocumentAnswer:
        """Give documents by id."""
        view, _ = service.view(pipeline)
        found = view.documents.get(id)
        missing = next((name for name, document in zip(id, found, strict=True) if document is None), None)
        if missing is not None:
            raise ApiError(404, f"id: there is no document {missing!r}", param="id", code="not_found")
        return DocumentAnswer(documents=[DocumentEntry(**_fields(one)) for one in found if one is not None])

    @router.get("/pipelines")
    async def pipelines() -> list[PipelineEntry]:
        """List the pipelines that a search can name, and what each can be filtered by."""
        return [await service.workers[name].run(_entry, view) for name, view in service.views.items()]

    @router.get("/map")
    async def corpus_map(pipeline: NameParameter = None) -> MapAnswer:
        """Give the documents as points in the plane; the first call begins to make them."""
        view, worker = service.view(pipeline)
        if not len(view.documents):
            raise ApiError(404, "this pipeline was saved without its documents; there is nothing to draw")
        worker.map.start()
        return await asyncio.to_thread(_map_answer, worker, view)

    return router


async def _found(worker: Worker, view: View, request: SearchRequest, depth: int) -> Hits:
    try:
        return await worker.search(view, request.query, depth, request.where)
    except UnicodeEncodeError:
        raise ApiError(400, "where: it holds half of a surrogate pair", param="where", code="invalid_value") from None
    except RecursionError:
        raise ApiError(400, "where: the filter is nested too deeply", param="where", code="invalid_value") from None
    except ValueError as error:
        if request.where is None:
            raise
        # The query was checked; what can be wrong is the filter.
        raise ApiError(400, f"where: {error}", param="where", code="invalid_value") from None


async def _reasons(
    worker: Worker, view: View, request: SearchRequest, documents: Sequence[Document]
) -> Sequence[Reason | None]:
    """Explain hits: by words, and by the nearest sentence where the pipeline has vectors."""
    if request.reasons == "none":
        return [None] * len(documents)
    query = request.query
    reasons = await asyncio.to_thread(
        lambda: [word_reason(query, document.title, document.text) for document in documents]
    )
    if request.reasons == "words" or view.space is None or not documents:
        return reasons
    most = max(3, _SENTENCES // len(documents))
    sentences = [sentence_texts(document.text)[:most] for document in documents]
    flat = [sentence for one in sentences for sentence in one]
    if not flat:
        return reasons
    asked, vectors = await asyncio.gather(
        worker.vectors(view, [query], "query"), worker.vectors(view, flat, "document")
    )
    explained, start = [], 0
    for reason, document, own in zip(reasons, documents, sentences, strict=True):
        explained.append(nearest_sentence(reason, document.text, asked[0], vectors[start : start + len(own)]))
        start += len(own)
    return explained


def _fields(document: Document) -> dict[str, Any]:
    return {name: getattr(document, name) for name in DocumentEntry.model_fields}


def _entry(view: View) -> PipelineEntry:
    made = [
        FacetEntry(**vars(facet) | {"values": [FacetValue(value=value, count=count) for value, count in facet.values]})
        for facet in view.facets
    ]
    return PipelineEntry(
        name=view.name,
        notation=str(view.pipeline),
        documents=len(view.pipeline),
        texts=len(view.documents) > 0,
        vectors=view.space is not None,
        words=view.words is not None,
        facets=made,
    )


def _map_answer(worker: Worker, view: View) -> MapAnswer:
    drawn = worker.map
    empty: Mapping[str, Any] = {"ids": [], "labels": [], "x": [], "y": [], "colours": []}
    if drawn.failed:
        return MapAnswer(state="failed", progress=0, message=drawn.failed, **empty)
    if drawn.points is None:
        return MapAnswer(state="working", progress=round(drawn.progress, 3), message=drawn.step, **empty)
    documents = drawn.documents.rows(drawn.rows)
    return MapAnswer(
        state="ready",
        progress=1,
        message=drawn.caption,
        ids=[document.id for document in documents],
        labels=[document.title or document.text[:80] for document in documents],
        x=[round(float(value), 4) for value in drawn.points[:, 0]],
        y=[round(float(value), 4) for value in drawn.points[:, 1]],
        colours=colourings(view.facets, drawn.documents.columns, drawn.rows),
    )
