"""Write the README's tables between their markers: the atlas from its entries, Cranfield from a recorded bake-off."""

from __future__ import annotations

import json
import re
from pathlib import Path

from theatrum.atlas import as_markdown, load_entries, status

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def atlas_table() -> str:
    """The rows that work, and how many there are in all."""
    entries = load_entries()
    working = [entry for entry in entries if status(entry).works]
    return f"{len(working)} of {len(entries)} work so far; `theatrum atlas` lists all.\n\n{as_markdown(working)}\n"


def cranfield_table() -> str:
    """The field of `make demo`, best first."""
    record = json.loads((ROOT / "benchmarks" / "results" / "cranfield.json").read_text(encoding="utf-8"))
    lines = [
        f"nDCG@10 of {record['test_queries']} test queries; the choice was made on {record['dev_queries']} others. "
        f"Measured on {record['date']}, {record['machine']}.",
        "",
        "| pipeline | nDCG@10 | bytes in memory | on disk | ms a query (p95) | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in record["pipelines"]:
        mark = "recommended" if row["recommended"] else "tied" if row["tied"] else ""
        name = row["pipeline"].replace("|", "\\|")
        lines.append(
            f"| `{name}` | {row['ndcg_at_10_test']:.3f} | {row['memory_bytes_per_document']:,.0f} | "
            f"{row['disk_bytes_per_document']:,.0f} | {row['p95_ms']:.1f} | {mark} |"
        )
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """Return the README's text with both tables made again."""
    for name, table in (("atlas", atlas_table()), ("cranfield", cranfield_table())):
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = between.sub(lambda found, table=table: found[1] + table + found[2], text)
    return text


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
