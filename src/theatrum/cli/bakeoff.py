"""``theatrum bakeoff``: shows how it goes on, and prints the table."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from theatrum.bakeoffs import BakeoffResult, Listener, Measurement, bakeoff, read_field
from theatrum.bakeoffs.field import parse_budget
from theatrum.bakeoffs.report.page import smallest_sentences
from theatrum.cli.source import Columns, read_collection
from theatrum.cli.streams import remarks
from theatrum.extras import require


class _Screen(Listener):
    """Shows a bar while encoding and a line a pipeline."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bars: dict[str, TaskID] = {}

    def encoding(self, encoder: str, done: int, total: int) -> None:
        if encoder not in self.bars:
            self.bars[encoder] = self.progress.add_task(f"encoding with {encoder}", total=total)
        self.progress.advance(self.bars[encoder], done)

    def measuring(self, pipeline: str, number: int, total: int) -> None:
        if "field" not in self.bars:
            self.bars["field"] = self.progress.add_task("pipelines", total=total)
        self.progress.update(self.bars["field"], completed=number - 1, description=f"measuring {pipeline}")

    def measured(self, measurement: Measurement) -> None:
        self.progress.advance(self.bars["field"])

    def left_out(self, pipeline: str, reason: str) -> None:
        self.progress.console.print(f"left out: {pipeline}: {reason}", markup=False)
        self.progress.advance(self.bars["field"])


def run_bakeoff(
    source: str,
    queries: Path | None,
    qrels: Path | None,
    budget: str | None,
    pipelines: Path | None,
    out: Path,
    store: str | None,
    engine: Literal["local", "ray"],
    columns: Columns,
) -> None:
    """Read, measure, write, print."""
    # Before minutes of work, not after them: without these there is no report.
    require("altair", "report")
    require("vl_convert", "report")
    limits = parse_budget(budget)
    field = read_field(pipelines) if pipelines else None
    out.mkdir(parents=True, exist_ok=True)
    collection, rejected = read_collection(source, queries, qrels, columns, out / "rejects.jsonl")
    bar = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*bar, console=remarks, transient=True) as progress:
        result = bakeoff(
            collection,
            budget=limits,
            pipelines=field,
            out=out,
            store=store,
            engine=engine,
            rejected=rejected,
            listener=_Screen(progress),
        )
    # Piped output has no width of its own; it gets room for the whole table.
    print_result(result, Console(highlight=False, width=shutil.get_terminal_size((140, 24)).columns))


# The last ones are left out where the window is narrow; the report has them all.
_COLUMNS: tuple[tuple[str, Callable[[Measurement], str]], ...] = (
    ("nDCG@10", lambda one: f"{one.test_ndcg:.3f}"),
    ("B memory", lambda one: f"{one.memory_bytes:,.0f}"),
    ("p95 ms", lambda one: f"{one.p95_ms:.1f}"),
    ("B disk", lambda one: f"{one.disk_bytes:,.0f}"),
    ("queries/s", lambda one: f"{one.queries_per_second:,.0f}"),
    ("docs/s", lambda one: "stored" if math.isnan(one.documents_per_second) else f"{one.documents_per_second:,.0f}"),
)
_NARROW = 110


def print_result(result: BakeoffResult, console: Console) -> None:
    """Print the table in order of quality, then the recommendation."""
    columns = _COLUMNS[:3] if console.width < _NARROW else _COLUMNS
    table = Table(box=None, pad_edge=False)
    table.add_column("pipeline", overflow="fold")
    for head, _ in columns:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for verdict in result.judgement.verdicts:
        one = result.measurement(verdict.pipeline)
        chosen = verdict.pipeline == result.judgement.recommended
        mark = "recommended" if chosen else "tied" if verdict.tied else ""
        cells = [show(one) for _, show in columns]
        table.add_row(Text(one.pipeline), *cells, mark, style="bold" if chosen else None)
    console.print(table)
    console.print()
    console.print(result.judgement.reason, markup=False)
    for line in smallest_sentences(result):
        console.print(line, markup=False)
    for encoder in result.encoders:
        if encoder.cut:
            console.print(
                f"{encoder.encoder}: {encoder.cut} documents are longer than {encoder.max_tokens} tokens and were cut.",
                markup=False,
            )
    if result.out is not None:
        console.print(f"Report: {result.out / 'report.html'}    Winner: {result.out / 'winner'}", markup=False)
        console.print(f'Try it: theatrum search {result.out / "winner"} "your question" -k 5', markup=False)
