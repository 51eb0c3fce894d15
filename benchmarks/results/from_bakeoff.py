"""Keep the outcome of a bake-off as a small JSON file, from which the README's table is made.

Use: python benchmarks/results/from_bakeoff.py demo-out/results.parquet benchmarks/results/cranfield.json
"""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq


def main(source: Path, target: Path) -> None:
    """Write everything but the values of single queries."""
    rows = pq.read_table(source).to_pylist()
    for row in rows:
        halves = [one["half"] for one in row.pop("per_query")]
    kept = {
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "dev_queries": halves.count("dev"),
        "test_queries": halves.count("test"),
        "pipelines": sorted(rows, key=lambda row: -row["ndcg_at_10_test"]),
    }
    target.write_text(json.dumps(kept, indent=1).replace("NaN", "null") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
