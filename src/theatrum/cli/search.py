"""``theatrum search``: hits of a saved pipeline, readably."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.console import Console

from theatrum.bakeoffs.documents import read_documents
from theatrum.cli.streams import print_json
from theatrum.data import Document
from theatrum.pipelines.pipeline import open_pipeline

_LINES = 3


def run_search(winner: Path, query: str, k: int, where: str | None, as_json: bool) -> None:
    """Open, search, print."""
    if not query.strip():
        raise ValueError("the query is empty; write what to look for")
    ids, scores = open_pipeline(winner).search([query], k, where)
    hits = [(name, float(score)) for name, score in zip(ids[0].tolist(), scores[0], strict=True) if name]
    try:
        documents = read_documents(winner, [name for name, _ in hits])
    except FileNotFoundError:
        documents = {}  # a pipeline saved by itself has ids and no texts
    found = [(documents.get(name, Document(name, "")), score) for name, score in hits]
    if as_json:
        print_json([{"id": one.id, "score": score, "title": one.title, "text": one.text} for one, score in found])
        return
    console = Console(highlight=False)
    if not found:
        console.print("nothing found")
    for place, (one, score) in enumerate(found, start=1):
        console.print(f"{place}. {one.title or one.id}", style="bold", markup=False)
        console.print(f"   {one.id}  {score:.4f}", style="dim", markup=False)
        width = max(console.width - 3, 20)
        lines = textwrap.wrap(one.text, width)
        if len(lines) > _LINES:
            lines = [*lines[: _LINES - 1], lines[_LINES - 1][: width - 2] + " …"]
        console.print(textwrap.indent("\n".join(lines), "   "), markup=False)
