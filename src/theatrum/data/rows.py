"""Rows out of files: one reader a format, streamed, each row with its place and what is wrong with it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

csv.field_size_limit(2**31 - 1)  # the default of 128 kB refuses a long document

TEXT_SUFFIXES = (".txt", ".md")


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Parameters
    ----------
    line : int
        Line of the file (row of a parquet file, place in a folder), from 1.
    values : dict or None
        Column -> value; None when the row cannot be read.
    problem : str
        Why it cannot.
    raw : str
        The row as it stands, for the list of rejects.
    """

    line: int
    values: dict[str, Any] | None
    problem: str = ""
    raw: str = ""


@contextmanager
def open_bytes(source: str) -> Iterator[BinaryIO]:
    """Open a file, or ``-`` for standard input, unpacking ``.gz`` and ``.zst``.

    Raises
    ------
    FileNotFoundError
        No such file.
    """
    with ExitStack() as stack:
        if source == "-":
            yield sys.stdin.buffer
            return
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"{source} does not exist")
        if path.suffix == ".gz":
            yield cast("BinaryIO", stack.enter_context(gzip.open(path, "rb")))
        elif path.suffix == ".zst":
            import zstandard

            file = stack.enter_context(path.open("rb"))
            stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            yield stack.enter_context(io.BufferedReader(cast("io.RawIOBase", stream)))
        else:
            yield stack.enter_context(path.open("rb"))


def suffix_of(source: str) -> str:
    """Ending that says the format, without ``.gz`` or ``.zst``.

    Examples
    --------
    >>> suffix_of("news/articles.JSONL.gz")
    '.jsonl'
    """
    path = Path(source)
    if path.suffix.lower() in (".gz", ".zst"):
        path = path.with_suffix("")
    return path.suffix.lower()


def read_rows(source: str) -> Iterator[Row]:
    """Go through the rows of a file, a folder, or standard input.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    ValueError
        An ending that says no known format, or a file that is damaged as a whole.
    """
    if source != "-" and Path(source).is_dir():
        yield from _folder_rows(Path(source))
        return
    suffix = suffix_of(source)
    reader = _READERS.get("-" if source == "-" else suffix)
    if reader is None:
        raise ValueError(
            f"{source}: the ending {suffix or '(none)'!r} is no known format; "
            f"use {', '.join(sorted(_READERS.keys() - {'-'}))}, each also as .gz or .zst, a folder of .txt/.md, or '-'"
        )
    try:
        with open_bytes(source) as file:
            yield from reader(file)
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{source} is damaged or cut short: {error}") from None
    except Exception as error:
        # zstandard's own error, without importing zstandard for files that need none.
        if type(error).__name__ != "ZstdError":
            raise
        raise ValueError(f"{source} is damaged or cut short: {error}") from None


def _decoded(lines: Iterable[bytes]) -> Iterator[tuple[int, str | None, str]]:
    """Number lines and decode each by itself: (line, text or None if not UTF-8, raw)."""
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip(b"\r\n")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            yield number, line.decode("utf-8"), ""
        except UnicodeDecodeError:
            yield number, None, line.decode("utf-8", "replace")


def _json_rows(lines: Iterable[bytes]) -> Iterator[Row]:
    for number, text, raw in _decoded(lines):
        if text is None:
            yield Row(number, None, "not UTF-8", raw)
        elif text.strip():
            yield _json_row(number, text)


def _json_row(number: int, text: str) -> Row:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Row(number, None, f"broken JSON ({error})" if isinstance(error, ValueError) else "broken JSON", text)
    if not isinstance(values, dict):
        return Row(number, None, "not a JSON object", text)
    return Row(number, values, raw=text)


def _line_rows(lines: Iterable[bytes]) -> Iterator[Row]:
    """One text a line."""
    for number, text, raw in _decoded(lines):
        if text is None:
            yield Row(number, None, "not UTF-8", raw)
        elif text.strip():
            yield Row(number, {"text": text}, raw=text)


def _stdin_rows(file: BinaryIO) -> Iterator[Row]:
    """JSON lines if the first line opens an object, else one text a line."""
    first = file.readline()
    while first and not first.strip():
        first = file.readline()
    lines = _chained(first, file)
    yield from _json_rows(lines) if first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else _line_rows(lines)


def _chained(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _delimited_rows(delimiter: str, quoting: bool) -> Callable[[BinaryIO], Iterator[Row]]:
    def rows(file: BinaryIO) -> Iterator[Row]:
        # surrogateescape lets the CSV parser see every byte; a row that held a bad one is told apart afterwards.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(
            text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE, strict=False
        )
        head = next(reader, None)
        if head is None:
            return
        previous = reader.line_num
        for cells in reader:
            line, previous = previous + 1, reader.line_num
            raw = delimiter.join(cells)
            if not any(cells):
                continue
            try:
                raw.encode("utf-8")
            except UnicodeEncodeError:
                yield Row(line, None, "not UTF-8", raw.encode("utf-8", "replace").decode())
                continue
            if len(cells) != len(head):
                yield Row(line, None, f"{len(cells)} cells, the header has {len(head)}", raw)
            else:
                yield Row(line, dict(zip(head, cells, strict=True)), raw=raw)

    return rows


def _parquet_rows(file: BinaryIO) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Parquet is read from its end: what is not a plain file has to be whole in memory.
        plain = isinstance(getattr(file, "raw", None), io.FileIO)
        table = pq.ParquetFile(file if plain else io.BytesIO(file.read()))
    except pa.ArrowInvalid as error:
        raise ValueError(f"not a readable parquet file: {error}") from None
    number = 0
    for batch in table.iter_batches(batch_size=4096):
        for values in batch.to_pylist():
            number += 1
            yield Row(number, values, raw=str(values)[:400])


def _folder_rows(folder: Path) -> Iterator[Row]:
    """One document a file; its id is its path below the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in TEXT_SUFFIXES and path.is_file())
    for number, path in enumerate(paths, start=1):
        name = path.relative_to(folder).as_posix()
        raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        try:
            yield Row(number, {"id": name, "text": raw.decode("utf-8")}, raw=name)
        except UnicodeDecodeError:
            yield Row(number, None, "not UTF-8", name)


_READERS: dict[str, Callable[[BinaryIO], Iterator[Row]]] = {
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".csv": _delimited_rows(",", quoting=True),
    ".tsv": _delimited_rows("\t", quoting=False),
    ".parquet": _parquet_rows,
    ".txt": _line_rows,
    "-": _stdin_rows,
}
