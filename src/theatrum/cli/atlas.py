"""``theatrum atlas``: the table of methods, and one of them."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.table import Table

from theatrum.atlas import as_json as entries_as_json
from theatrum.atlas import entry, ledger_folder, load_entries, status
from theatrum.cli.streams import print_json


def list_atlas(room: str | None, as_json: bool) -> None:
    """Print all entries, or those of one room."""
    entries = load_entries()
    if room is not None:
        rooms = sorted({one.room for one in entries})
        entries = tuple(one for one in entries if one.room == room)
        if not entries:
            raise ValueError(f"no room is called {room!r}; the rooms are: {', '.join(rooms)}")
    if as_json:
        typer.echo(entries_as_json(entries))
        return
    table = Table(box=None, pad_edge=False)
    for head in ("no.", "room", "method", "what you get", "works"):
        table.add_column(head, justify="right" if head == "no." else "left", no_wrap=head in ("no.", "room"))
    works = 0
    for one in entries:
        state = status(one)
        works += state.works
        table.add_row(
            str(one.number), one.room, one.method, one.gives, "yes" if state.works else state.claim, style=None
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{works} of {len(entries)} work: symbol there, tested, claim measured and holding.")


def show_entry(number: int, as_json: bool) -> None:
    """Print one entry."""
    one = entry(number)
    if as_json:
        print_json(json.loads(entries_as_json((one,)))[0])
        return
    state = status(one)
    console = Console(highlight=False)
    console.print(f"{one.number:03d} {one.method}", style="bold", markup=False)
    arxiv = f", arXiv {one.arxiv}" if one.arxiv else ""
    console.print(f"{one.title}. {one.authors}. {one.venue} {one.year}{arxiv}", markup=False)
    console.print(one.gives, markup=False)
    console.print(f"room {one.room}, symbol {one.symbol}", markup=False)
    console.print(
        f"imports: {'yes' if state.imports else 'not yet'}   tested: {'yes' if state.tested else 'not yet'}   "
        f"claim: {state.claim}"
    )
    folder = ledger_folder()
    record = folder / f"{number:03d}.json" if folder else None
    if record and record.is_file():
        for inequality in json.loads(record.read_text(encoding="utf-8"))["inequalities"]:
            mark = "holds" if inequality["holds"] else "DOES NOT HOLD"
            console.print(f"  {mark:<14} {inequality['says']}: {inequality['mean']:+.4f}", markup=False)
