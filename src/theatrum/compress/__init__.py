"""Compress: vectors into fixed-size byte codes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.compress.binary import BinaryQuantizer
    from theatrum.compress.product import OptimizedProductQuantizer, ProductQuantizer
    from theatrum.compress.scalar import Int8Quantizer

_EXPORTS = {
    "BinaryQuantizer": "theatrum.compress.binary",
    "Int8Quantizer": "theatrum.compress.scalar",
    "OptimizedProductQuantizer": "theatrum.compress.product",
    "ProductQuantizer": "theatrum.compress.product",
}

__all__ = ["BinaryQuantizer", "Int8Quantizer", "OptimizedProductQuantizer", "ProductQuantizer"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.compress' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
