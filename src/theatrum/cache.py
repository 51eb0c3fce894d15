"""Where things are kept that can be made or fetched again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CACHE = "THEATRUM_CACHE"


def cache_folder() -> Path:
    """Return the folder for what can be made or fetched again: ``$THEATRUM_CACHE``, or the system's usual place."""
    if own := os.environ.get(CACHE):
        return Path(own)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "theatrum"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "theatrum" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "theatrum"
