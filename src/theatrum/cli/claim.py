"""``theatrum claim``: measures a claim again and says whether it holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from rich.console import Console

from theatrum.claims.outcome import Scale
from theatrum.claims.runner import measure, write_record
from theatrum.cli.streams import print_json, remarks


def run_claim(number: int, scale: str, write: bool, as_json: bool) -> bool:
    """Measure, print, and write into the ledger when asked; returns whether the claim holds."""
    with remarks.status(f"measuring the claim of row {number} at scale {scale}"):
        record = measure(number, cast("Scale", scale))
    if as_json:
        print_json(asdict(record))
    else:
        console = Console(highlight=False)
        console.print(f"{record.number:03d} {record.title}", style="bold", markup=False)
        for one in record.inequalities:
            mark = "holds" if one["holds"] else "DOES NOT HOLD"
            low = "" if one["low"] is None else f", 95% interval from {one['low']:+.4f}"
            console.print(f"  {mark:<14} {one['says']}: {one['mean']:+.4f}{low}", markup=False)
        verdict = "The claim holds" if record.holds else "The claim does not hold"
        console.print(f"{verdict} at scale {record.scale} ({record.seconds:.0f} s).")
    if write:
        remarks.print(f"written to {write_record(record)}", markup=False)
    return record.holds
