"""Print the atlas numbers that have a claim, one a line (for scripts that measure them all)."""

from __future__ import annotations

import sys

from theatrum.atlas import load_entries
from theatrum.claims.runner import find_claim


def written() -> list[int]:
    """Return the numbers of all rows whose claim is written."""
    found = []
    for entry in load_entries():
        try:
            find_claim(entry.number)
        except ValueError:
            continue
        found.append(entry.number)
    return found


if __name__ == "__main__":
    sys.stdout.write("".join(f"{number}\n" for number in written()))
