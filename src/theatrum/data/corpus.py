"""Users' files as a stream of documents; rows that cannot be used are listed, never dropped silently."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from theatrum.data.collection import Document
from theatrum.data.rows import Row, read_rows, suffix_of

# In the order in which they are tried; compared without regard to case.
GUESSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "id": ("id", "_id", "doc_id", "docid", "document_id", "pid", "uid", "key", "url"),
        "text": ("text", "body", "content", "contents", "abstract", "passage", "document", "article", "description"),
        "title": ("title", "headline", "subject", "heading", "name"),
    }
)
_EXCERPT = 200  # characters of a rejected row that are kept


@dataclass
class CorpusSummary:
    """What became of the rows of a source.

    Parameters
    ----------
    read, kept : int
        Rows seen, and documents made of them.
    reasons : Counter
        Why the others were rejected, and how often.
    """

    read: int = 0
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """Rows that could not be used."""
        return self.reasons.total()


class CorpusReader:
    """A corpus on disk, read afresh each time that it is iterated over; made by `read_corpus`.

    Parameters
    ----------
    source : str
        Path, or ``-``.
    named : mapping of str to str or None
        Columns that the user named, by role.
    rejects : Path or None
        Where rejected rows are listed; the file is made with the first of them.

    Attributes
    ----------
    columns : dict of str to str
        Role (id, text, title) -> column used; known once reading has begun.
    summary : CorpusSummary
        Of the last reading.
    """

    def __init__(self, source: str, named: Mapping[str, str | None], rejects: Path | None) -> None:
        self.source = source
        self.named = named
        self.rejects = rejects
        self.columns: dict[str, str] = {}
        self.summary = CorpusSummary()

    def __iter__(self) -> Iterator[Document]:
        """Stream the documents.

        Raises
        ------
        FileNotFoundError
            No such file.
        ValueError
            Unknown format, a named column that is not there, an empty file, or a file without one usable row.
        """
        self.columns, self.summary = {}, CorpusSummary()
        seen: set[bytes] = set()
        if self.rejects is not None:
            self.rejects.unlink(missing_ok=True)
        with ExitStack() as stack:
            listing: TextIO | None = None
            for row in read_rows(self.source):
                self.summary.read += 1
                made = self._document(row, seen)
                if isinstance(made, Document):
                    self.summary.kept += 1
                    yield made
                    continue
                self.summary.reasons[made.partition(" (")[0]] += 1
                if self.rejects is not None:
                    if listing is None:
                        self.rejects.parent.mkdir(parents=True, exist_ok=True)
                        listing = stack.enter_context(self.rejects.open("w", encoding="utf-8", errors="replace"))
                    reject = {"line": row.line, "reason": made, "row": row.raw[:_EXCERPT]}
                    listing.write(json.dumps(reject, ensure_ascii=False) + "\n")
        self._check_any()

    def _document(self, row: Row, seen: set[bytes]) -> Document | str:
        """The document of a row, or the reason why there is none."""
        if row.values is None:
            return row.problem
        if not self.columns:
            self.columns = self._choose(row.values)
        values = dict(row.values)
        cells = {role: values.pop(column, None) for role, column in self.columns.items()}
        title = cells.get("title") or ""
        text = "" if cells.get("text") is None else cells["text"]
        if not isinstance(text, str) or not isinstance(title, str):
            return "text is not a string"
        if not text.strip() and not title.strip():
            return "no text"
        try:
            (text + title).encode("utf-8")
        except UnicodeEncodeError:
            return "not UTF-8 (half of a surrogate pair)"
        name = cells.get("id")
        identity = f"row-{row.line}" if name is None or name == "" else str(name)
        digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        if digest in seen:
            return f"duplicate id ({identity[:80]})"
        seen.add(digest)
        return Document(identity, text, title, values)

    def _choose(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Columns by role: those named, else the first guess that is there; the text also by its length."""
        chosen: dict[str, str] = {}
        named = {column for column in self.named.values() if column}
        lower = {str(column).lower(): str(column) for column in values}
        for role, guesses in GUESSES.items():
            name = self.named.get(role)
            if name is not None and name not in values:
                there = ", ".join(map(str, values)) or "none"
                raise ValueError(f"{self.source}: there is no column {name!r} for the {role}; the columns are: {there}")
            taken = named | set(chosen.values())
            found = name or next((lower[g] for g in guesses if g in lower and lower[g] not in taken), None)
            if found is not None:
                chosen[role] = found
        if "text" not in chosen:
            free = [str(column) for column in values if column not in named | set(chosen.values())]
            prose = [column for column in free if isinstance(values[column], str) and len(values[column].split()) > 1]
            if prose:
                chosen["text"] = max(prose, key=lambda column: len(values[column]))
        if "text" not in chosen and "title" not in chosen:
            raise ValueError(
                f"{self.source}: no column looks like a text; name one with --text. The columns are: "
                + ", ".join(map(str, values))
            )
        return chosen

    def _check_any(self) -> None:
        if not self.summary.read:
            if Path(self.source).is_dir():
                kind = "the folder has no .txt or .md files"
            elif suffix_of(self.source) in (".csv", ".tsv"):
                kind = "the file has no rows below the line that names its columns"
            else:
                kind = "the file is empty"
            raise ValueError(f"{self.source}: {kind}; there is nothing to read")
        if not self.summary.kept:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.summary.reasons.items())
            raise ValueError(f"{self.source}: none of its {self.summary.read} rows can be used ({reasons})")


def read_corpus(
    source: str | Path,
    *,
    text_column: str | None = None,
    title_column: str | None = None,
    id_column: str | None = None,
    rejects: str | Path | None = None,
) -> CorpusReader:
    r"""Open a corpus; nothing is read until it is iterated over.

    Parameters
    ----------
    source : str or Path
        jsonl, csv, tsv, parquet or txt (one text a line), each also ``.gz`` or ``.zst``; a folder of ``.txt`` and
        ``.md`` files; ``-`` for standard input (JSON lines, or one text a line).
    text_column, title_column, id_column : str, optional
        Columns; guessed from the first row if not named: by what columns are often called, and the text, where none
        of these is there, as the longest value of several words. Rows without an id are called by their line.
    rejects : str or Path, optional
        File for the rows that cannot be used: broken JSON, no text, not UTF-8, an id seen before.

    Returns
    -------
    CorpusReader
        Iterate over it for `Document`; it can be iterated over again, unless it is standard input.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "plates.jsonl"
    ...     _ = path.write_text('{"body": "thin plates"}\n{broken\n')
    ...     reader = read_corpus(path)
    ...     texts = [document.text for document in reader]
    >>> texts, reader.columns, reader.summary.rejected
    (['thin plates'], {'text': 'body'}, 1)
    """
    named = {"id": id_column, "text": text_column, "title": title_column}
    return CorpusReader(str(source), named, Path(rejects) if rejects is not None else None)
