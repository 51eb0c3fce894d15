"""Reading what the user pointed at, and telling what was understood."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from theatrum.cli.streams import remarks
from theatrum.data import Collection, CorpusReader, is_collection, load, names, read_corpus, read_qrels, read_queries

Columns = Mapping[str, str | None]


def open_source(source: str, columns: Columns, rejects: Path) -> CorpusReader:
    """Open a user's file; nothing is read yet."""
    return read_corpus(
        source,
        text_column=columns["text"],
        title_column=columns["title"],
        id_column=columns["id"],
        rejects=rejects,
    )


def tell_source(reader: CorpusReader, rejects: Path) -> None:
    """Print which columns were used and what was rejected."""
    if reader.columns:
        used = ", ".join(f"{role}={name}" for role, name in reader.columns.items() if name)
        remarks.print(f"columns: {used}" if used else "columns: none; every row is a text")
    summary = reader.summary
    if summary.rejected:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary.reasons.items())
        remarks.print(f"rejected {summary.rejected} of {summary.read} rows ({reasons}); see {rejects}")


def read_collection(
    source: str, queries: Path | None, qrels: Path | None, columns: Columns, rejects: Path
) -> tuple[Collection, int]:
    """Read a known data set, or a user's files with or without questions; returns it with the rows rejected.

    Raises
    ------
    ValueError
        Only one of queries and judgements is given, or there is no such source.
    """
    if (queries is None) != (qrels is None):
        raise ValueError("--queries and --qrels go together: give both, or neither for proxy questions")
    if is_collection(source):
        found = load(source)
        if not isinstance(found, Collection):
            raise ValueError(f"{source!r} is no retrieval collection; a bake-off needs documents")
        return found, 0
    if source != "-" and not Path(source).suffix and not Path(source).exists():
        known = ", ".join(name for name in names() if is_collection(name))
        raise ValueError(f"{source!r} is neither a file nor a folder nor a known collection ({known})")
    reader = open_source(source, columns, rejects)
    documents = tuple(reader)
    tell_source(reader, rejects)
    collection = Collection(
        name="standard input" if source == "-" else Path(source).name,
        documents=documents,
        queries=read_queries(queries) if queries else {},
        qrels=read_qrels(qrels) if qrels else {},
        citation="",
        licence="",
    )
    return collection, reader.summary.rejected
