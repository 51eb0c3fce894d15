"""Routes about the service itself: the page, /docs, /health, /ready, /metrics."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from theatrum.serve.api_page import api_page
from theatrum.serve.errors import ApiError, ErrorBody
from theatrum.serve.metrics import CONTENT_TYPE
from theatrum.serve.service import Service

_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/map.js": ("map.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Status(BaseModel):
    """How the service is."""

    status: Literal["ok", "ready"]


def service_router(service: Service, app: FastAPI) -> APIRouter:
    """Make the routes of a service."""
    router = APIRouter(tags=["service"])

    @router.get("/health")
    async def health() -> Status:
        """Say that the process is alive."""
        return Status(status="ok")

    @router.get("/ready", responses={503: {"model": ErrorBody, "description": "Models are still being loaded."}})
    async def ready() -> Status:
        """Say whether everything is loaded; requests before that wait."""
        if service.problem:
            raise ApiError(503, f"loading failed: {service.problem}", code="not_ready")
        if not service.ready:
            raise ApiError(503, "models are being loaded", code="not_ready", headers={"Retry-After": "1"})
        return Status(status="ready")

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Count requests, times, batches and what waits, for Prometheus."""
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    @router.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(api_page(app.openapi()))

    folder = files("theatrum.serve") / "search_page"
    for path, (name, kind) in _PAGE.items():
        router.add_api_route(path, _static((folder / name).read_bytes(), kind), include_in_schema=False)
    return router


def _static(content: bytes, kind: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - FastAPI reads annotations
    async def answer() -> Response:
        # Looked at again each time: after an upgrade, an old script must not meet a new page.
        return Response(content, headers={"Content-Type": kind, "Cache-Control": "no-cache"})

    return answer
