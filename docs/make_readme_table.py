"""Write the atlas table into README.md, between its two markers."""

from __future__ import annotations

import re
from pathlib import Path

from theatrum.atlas import as_markdown, load_entries, status

README = Path(__file__).parents[1] / "README.md"
_BETWEEN = re.compile(r"(<!-- atlas -->\n).*?(<!-- /atlas -->)", re.DOTALL)


def with_table(text: str) -> str:
    """Return the README's text with the rows that work, and how many there are in all."""
    entries = load_entries()
    working = [entry for entry in entries if status(entry).works]
    table = f"{len(working)} of {len(entries)} work so far; `theatrum atlas` lists all.\n\n{as_markdown(working)}\n"
    return _BETWEEN.sub(lambda found: found[1] + table + found[2], text)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
