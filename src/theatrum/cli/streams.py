"""The two streams of a command: standard output is for results and may be piped, standard error for remarks."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

# Progress and remarks.
remarks = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Print for machines: one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
