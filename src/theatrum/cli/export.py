"""``theatrum export``: the vectors of a saved pipeline or index, in another library's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import theatrum
from theatrum.cli.streams import remarks
from theatrum.interop import to_faiss, to_hnswlib, to_table, to_usearch
from theatrum.interop.held import held
from theatrum.pipelines.pipeline import Pipeline
from theatrum.pipelines.retrievers import DenseRetriever, FusedRetriever

_WRITERS = {"faiss": to_faiss, "usearch": to_usearch, "hnswlib": to_hnswlib}
_TABLES = ("parquet", "npy", "lance")


def run_export(source: Path, target: str, out: Path) -> None:
    """Open, write, tell."""
    if target not in _WRITERS and target not in _TABLES:
        raise ValueError(f"--to {target}: must be one of {', '.join([*_WRITERS, *_TABLES])}")
    if target in _TABLES and out.suffix != f".{target}":
        raise ValueError(f"--out {out}: for --to {target} the path must end in .{target}")
    opened = theatrum.open(source)
    index = _index(source, opened.retriever) if isinstance(opened, Pipeline) else opened
    with remarks.status(f"writing {out}"):
        if target in _WRITERS:
            written = _WRITERS[target](index, out)
        else:
            dropped = sorted(held(index).attributes) if target == "npy" else []
            written = to_table(index, out, attributes=target != "npy")
            if dropped:
                remarks.print(f"left out, since .npy has no place for them: {', '.join(dropped)}", markup=False)
    told = f"{written.rows:,} vectors of {written.dim} dimensions, compared by {written.metric}, in {written.path}"
    remarks.print(told + ("" if written.ids == written.path else f", ids in {written.ids}"), markup=False)


def _index(source: Path, retriever: Any) -> Any:
    """The one index of vectors in a pipeline."""
    found = list(_dense(retriever))
    if len(found) != 1:
        says = f"has {len(found)} indexes of vectors" if found else "ranks without vectors"
        hint = "; export one of its members, saved by itself" if found else "; there is nothing to export"
        raise ValueError(f"{source} {says}{hint}")
    return found[0]


def _dense(retriever: Any) -> list[Any]:
    if isinstance(retriever, FusedRetriever):
        return [index for member in retriever.members for index in _dense(member)]
    return [retriever.index] if isinstance(retriever, DenseRetriever) else []
