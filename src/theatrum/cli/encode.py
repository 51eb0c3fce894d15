"""``theatrum encode``: a corpus into vectors on disk."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from theatrum.cli.source import Columns, open_source, tell_source
from theatrum.cli.streams import remarks
from theatrum.data import Collection, CorpusReader, Document, cache_folder, is_collection, load
from theatrum.encoding import encode_corpus
from theatrum.store import VectorStore
from theatrum.store.block_encoding import open_engine


def run_encode(
    source: str, pipeline: str, out: Path, store: str | None, engine: Literal["local", "ray"], columns: Columns
) -> None:
    """Read, encode, write, print the account."""
    rejects = out.with_suffix(".rejects.jsonl")
    bar = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} documents"), TimeElapsedColumn())
    with tempfile.TemporaryDirectory(prefix="theatrum-") as scratch:
        if source == "-":
            # An encoder that learns from the corpus reads it twice, and standard input can be read once.
            first = next((line for line in sys.stdin.buffer if line.strip()), b"")
            spool = Path(scratch) / ("stdin.jsonl" if first.lstrip().startswith(b"{") else "stdin.txt")
            with spool.open("wb") as file:
                file.write(first)
                shutil.copyfileobj(sys.stdin.buffer, file)
            source = str(spool)
        readers: list[CorpusReader] = []

        def documents() -> Iterable[Document]:
            if is_collection(source):
                found: Collection = load(source)
                return found.documents
            readers.append(open_source(source, columns, rejects))
            return readers[-1]

        with open_engine(engine) as encoding, Progress(*bar, console=remarks, transient=True) as progress:
            task = progress.add_task(f"encoding with {pipeline}", total=None)
            done = encode_corpus(
                documents,
                pipeline,
                out,
                VectorStore(store or cache_folder() / "store", encoding),
                on_progress=lambda n: progress.advance(task, n),
            )
    if readers:
        tell_source(readers[-1], rejects)
    cut = f", {done.cut:,} cut at the encoder's limit" if done.cut else ""
    remarks.print(
        f"{done.rows:,} rows of width {done.dim} in {out}; {done.encoded:,} encoded now, the rest from the store{cut}",
        markup=False,
    )
