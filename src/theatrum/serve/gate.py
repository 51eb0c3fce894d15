"""What every request passes before it is answered: name, key and size; and what every answer carries."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from theatrum.serve.access import key_allowed, local_name
from theatrum.serve.errors import ApiError, error_response
from theatrum.serve.metrics import Metrics
from theatrum.serve.request_log import log

# What people and load balancers must reach without a key; none of it tells anything of the documents.
OPEN_PATHS = frozenset(
    {"/", "/page.css", "/page.js", "/map.js", "/icon.svg", "/docs", "/openapi.json", "/health", "/ready"}
)
_PROBES = frozenset({"/health", "/ready", "/metrics"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class Gate:
    """Counts, logs, refuses, and hands on; the outermost layer of a service.

    Parameters
    ----------
    app : ASGI application
        What is behind the gate.
    metrics : Metrics
        Where requests are counted.
    keys : sequence of str
        API keys; without any only this machine is answered.
    max_body_bytes : int
        Largest body.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, keys: Sequence[str], max_body_bytes: int) -> None:
        self.app = app
        self.metrics = metrics
        self.keys = tuple(keys)
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        name = uuid.uuid4().hex[:16]
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = name
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Content-Security-Policy"] = _POLICY
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._pass(scope, receive, sending)
        except Exception as error:
            log("failed", level=logging.ERROR, error=error, id=name, path=_route(scope))
            if not status:
                answer = ApiError(500, f"something went wrong here; the log has it under {name}", code="internal_error")
                await error_response(answer)(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - start
            self.metrics.answered(_method(scope), _route(scope), status, seconds)
            # Probes come every few seconds; what they find is in the counters.
            log(
                "answered",
                level=logging.DEBUG if _route(scope) in _PROBES else logging.INFO,
                id=name,
                method=_method(scope),
                route=_route(scope),
                status=status,
                milliseconds=round(1000 * seconds, 2),
            )

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["path"], headers)
        body = b"" if refusal else await self._body(headers, receive)
        if body is None:
            refusal = ApiError(
                413, f"the body is larger than {self.max_body_bytes:,} bytes; send less at a time", code="too_large"
            )
        if refusal is not None:
            # The rest of a refused body is not read, so the connection cannot be used again.
            answer = error_response(refusal)
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)

    def _refusal(self, path: str, headers: Headers) -> ApiError | None:
        if self.keys:
            if path in OPEN_PATHS or key_allowed(headers.get("authorization"), self.keys):
                return None
            return ApiError(
                401,
                "an API key is needed: send the header Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if local_name(headers.get("host")):
            return None
        return ApiError(
            403,
            "without API keys this service answers only to the names localhost and 127.0.0.1; to serve under another "
            "name, start it with --keys",
            code="host_not_allowed",
        )

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        """Read the body, or None when it is too large."""
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self.max_body_bytes:
            return None
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"".join(parts)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.max_body_bytes:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)


def _route(scope: Scope) -> str:
    """The route's own path, so that the log and the counters hold nothing that a client made up."""
    return getattr(scope.get("route"), "path", "other")


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "POST", "HEAD", "OPTIONS") else "other"
