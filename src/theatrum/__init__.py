"""Theatrum, the atlas of embeddings: published embedding methods as parts of one toolkit.

The names below are imported when they are first used; ``import theatrum`` itself loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.bakeoffs import bakeoff
    from theatrum.pipelines.folders import open, save
    from theatrum.pipelines.pipeline import Pipeline, pipeline

__version__ = "0.1.0"

_EXPORTS = {
    "Pipeline": "theatrum.pipelines.pipeline",
    "bakeoff": "theatrum.bakeoffs",
    "open": "theatrum.pipelines.folders",
    "pipeline": "theatrum.pipelines.pipeline",
    "save": "theatrum.pipelines.folders",
}
_ROOMS = (
    "atlas",
    "claims",
    "compress",
    "data",
    "evaluate",
    "interop",
    "predict",
    "refine",
    "search",
    "serve",
    "store",
    "text",
)

__all__ = ["Pipeline", "__version__", "bakeoff", "open", "pipeline", "save"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name in _ROOMS:
        return import_module(f"theatrum.{name}")
    raise AttributeError(f"module 'theatrum' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
