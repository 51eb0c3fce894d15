"""The atlas: 119 published methods as data, and what is true of each today."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.atlas.entries import (
        Entry,
        Status,
        as_json,
        as_markdown,
        entry,
        ledger_folder,
        load_entries,
        status,
    )

__all__ = [
    "Entry",
    "Status",
    "as_json",
    "as_markdown",
    "entry",
    "ledger_folder",
    "load_entries",
    "status",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("theatrum.atlas.entries"), name)
    raise AttributeError(f"module 'theatrum.atlas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
