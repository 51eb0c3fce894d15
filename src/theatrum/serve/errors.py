"""Errors in the shape that OpenAI's clients read: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, Field
from starlette.exceptions import HTTPException

from theatrum.serve.batching import Overloaded

# JSON has one kind of number: 10.0 is as whole as 10, and some clients write it so.
whole = BeforeValidator(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value)


class ErrorDetail(BaseModel):
    """What was wrong."""

    message: str = Field(description="What was wrong, where, and what to do.")
    type: str = Field(description="invalid_request_error, authentication_error, rate_limit_error or server_error.")
    param: str | None = Field(description="The field to blame, if there is one.")
    code: str | None = Field(description="A word for programs.")


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class ApiError(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
        What was wrong and what to do.
    param, code : str, optional
        The field to blame, and a word for programs.
    headers : mapping, optional
        Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})


def error_response(error: ApiError) -> JSONResponse:
    """Make the answer of an error."""
    kinds = {401: "authentication_error", 403: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    detail = ErrorDetail(message=error.message, type=kind, param=error.param, code=error.code)
    # A message may quote half a surrogate pair, which UTF-8 cannot carry.
    content = {name: _sendable(value) for name, value in detail.model_dump().items()}
    return JSONResponse({"error": content}, status_code=error.status, headers=error.headers)


def validation_error(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """Turn what pydantic found into one sentence; the value itself is not repeated.

    Examples
    --------
    >>> found = [{"type": "missing", "loc": ("body", "input"), "msg": "Field required"}]
    >>> validation_error(found).message
    'input: Field required'
    """
    first = errors[0]
    places = [str(place) for place in first["loc"][1:]]
    if first["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON", code="invalid_json")
    if not places:
        return ApiError(400, "the body must be a JSON object, sent with Content-Type: application/json")
    if places[0] == "input":
        kinds = "a text, a list of texts, a list of token ids, or a list of lists of token ids, none of them empty"
        message = "Field required" if first["type"] == "missing" else f"expected {kinds}"
        return ApiError(400, f"input: {message}", param="input", code="invalid_value")
    return ApiError(400, f"{'.'.join(places)}: {first['msg']}", param=places[0], code="invalid_value")


def install_handlers(app: FastAPI) -> None:
    """Let every error of an application leave in this shape."""

    @app.exception_handler(ApiError)
    async def _api(request: Request, error: ApiError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(Overloaded)
    async def _overloaded(request: Request, error: Overloaded) -> JSONResponse:
        headers = {"Retry-After": str(error.retry_after)}
        busy = ApiError(429, f"the service is busy: {error}", code="rate_limit_exceeded", headers=headers)
        return error_response(busy)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(validation_error(error.errors()))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        status = 400 if error.status_code == 422 else error.status_code
        if status == 404:
            message = f"there is nothing at {request.url.path}; /docs lists what there is"
        elif status == 405:
            message = f"{request.method} is not for {request.url.path}; /docs lists what there is"
        else:
            message = str(error.detail or HTTPStatus(status).phrase)
        return error_response(ApiError(status, message, headers=error.headers))


def _sendable(value: str | None) -> str | None:
    return None if value is None else value.encode("utf-8", "replace").decode("utf-8")
