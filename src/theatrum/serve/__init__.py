"""Serve: a pipeline over HTTP, with the OpenAI shapes for vectors and a page for people."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.serve.app import create_app
    from theatrum.serve.served import ServedPipeline, open_served
    from theatrum.serve.settings import Settings

_EXPORTS = {
    "ServedPipeline": "theatrum.serve.served",
    "Settings": "theatrum.serve.settings",
    "create_app": "theatrum.serve.app",
    "open_served": "theatrum.serve.served",
}

__all__ = ["ServedPipeline", "Settings", "create_app", "open_served"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.serve' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
