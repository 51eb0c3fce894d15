"""The service as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from theatrum import __version__
from theatrum.serve.errors import ErrorBody, install_handlers
from theatrum.serve.gate import OPEN_PATHS, Gate
from theatrum.serve.search_routes import search_router
from theatrum.serve.served import ServedPipeline
from theatrum.serve.service import Service
from theatrum.serve.service_routes import service_router
from theatrum.serve.settings import Settings
from theatrum.serve.vector_routes import vector_router

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "Something in the request is wrong; the message says what."},
    401: {"model": ErrorBody, "description": "No API key, or a wrong one."},
    403: {"model": ErrorBody, "description": "Asked under another name than localhost, without API keys."},
    404: {"model": ErrorBody, "description": "There is no such thing, or this pipeline cannot do that."},
    413: {"model": ErrorBody, "description": "The body is too large."},
    429: {
        "model": ErrorBody,
        "description": "Too much is waiting; Retry-After says for how many seconds to stay away.",
        "headers": {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}},
    },
}
_ABOUT = "Search over a corpus, and the vectors behind it; /v1/embeddings speaks OpenAI's language."


def create_app(pipelines: Sequence[ServedPipeline], settings: Settings | None = None) -> FastAPI:
    """Make the service.

    Parameters
    ----------
    pipelines : sequence of ServedPipeline
        The first is the one that requests get which name none; see `open_served`.
    settings : Settings, optional
        Limits and keys; without keys the service answers on this machine only.

    Returns
    -------
    FastAPI
        For any ASGI server; ``theatrum serve`` runs it with uvicorn.

    Raises
    ------
    ValueError
        No pipeline, or two of one name.

    Examples
    --------
    >>> from theatrum.pipelines.pipeline import pipeline
    >>> texts = ["swept wings", "thin plates"]
    >>> app = create_app([ServedPipeline("plates", pipeline("bm25").fit(["a", "b"], texts), [])])
    >>> "/search" in app.openapi()["paths"]
    True
    """
    chosen = settings or Settings()
    service = Service(pipelines, chosen)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="theatrum serve",
        version=__version__,
        description=_ABOUT,
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere; ours is made here
        redoc_url=None,
        lifespan=lifespan,
        responses=_ERRORS,
    )
    app.include_router(search_router(service))
    app.include_router(vector_router(service))
    app.include_router(service_router(service, app))
    install_handlers(app)
    app.add_middleware(Gate, metrics=service.metrics, keys=chosen.api_keys, max_body_bytes=chosen.max_body_bytes)
    app.openapi = lambda: _openapi(app, with_keys=bool(chosen.api_keys))  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI, *, with_keys: bool) -> dict[str, Any]:
    """Describe the service: FastAPI's description, with our errors in place of its own, and the keys."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            operation["responses"].pop("422", None)
            if with_keys and path not in OPEN_PATHS:
                operation["security"] = [{"key": []}]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    if with_keys:
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    app.openapi_schema = schema
    return schema
