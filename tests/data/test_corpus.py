"""Users' files: every format, every kind of bad row, nothing lost."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tracemalloc
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from theatrum.data import Document, read_corpus

ROWS = [
    {"id": "a", "title": "Plates", "text": "thin plates, they buckle"},
    {"id": "b", "title": "", "text": "shells \u2028 with odd line ends"},
    {"id": "c", "title": "Größe", "text": "ünïcode"},
]
EXPECTED = [Document(row["id"], row["text"], row["title"]) for row in ROWS]


def jsonl(rows=ROWS):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def delimited(delimiter):
    out = io.StringIO()
    writer = csv.DictWriter(out, ROWS[0].keys(), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(ROWS)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def parquet():
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


FORMATS = {".jsonl": jsonl(), ".csv": delimited(","), ".tsv": delimited("\t"), ".parquet": parquet()}
PACKED = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_documents(tmp_path, suffix, packing):
    path = write(tmp_path / f"corpus{suffix}{packing}", PACKED[packing](FORMATS[suffix]))
    reader = read_corpus(path)
    assert list(reader) == EXPECTED
    assert reader.columns == {"id": "id", "title": "title", "text": "text"}
    assert list(reader) == EXPECTED  # a second time from the start


def test_a_folder_of_texts(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path / "b.md", b"second")
    write(tmp_path / "sub" / "a.txt", b"third")
    write(tmp_path / "a.txt", b"first")
    write(tmp_path / "image.png", b"\x89PNG")
    assert [(d.id, d.text) for d in read_corpus(tmp_path)] == [
        ("a.txt", "first"),
        ("b.md", "second"),
        ("sub/a.txt", "third"),
    ]


@pytest.mark.parametrize(
    ("content", "texts"),
    [(jsonl(), [row["text"] for row in ROWS]), (b"\none text\n\nanother\n", ["one text", "another"]), ]
)  # fmt: skip
def test_standard_input_is_lines_or_json(monkeypatch, content, texts):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert [document.text for document in read_corpus("-")] == texts


def test_named_columns_and_attributes(tmp_path):
    path = write(tmp_path / "c.jsonl", b'{"key": 7, "body": "text", "summary": "short", "year": 1970}\n')
    (guessed,) = read_corpus(path)
    assert (guessed.id, guessed.text, dict(guessed.attributes)) == ("7", "text", {"summary": "short", "year": 1970})
    (named,) = read_corpus(path, text_column="summary", title_column="body", id_column="year")
    assert (named.id, named.text, named.title) == ("1970", "short", "text")
    with pytest.raises(ValueError, match="there is no column 'story' for the text; the columns are: key, body"):
        list(read_corpus(path, text_column="story"))


BAD = b"""{"id": "1", "text": "good"}
{broken
["a list"]
{"id": "2"}
{"id": "3", "text": "   "}
{"id": "4", "text": 5}
{"id": "1", "text": "again"}
\xff\xfe not utf-8
{"id": "5", "text": "half \\ud800 pair"}

{"id": "6", "text": "also good"}
"""


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"name": "svd", "kind": "two words", "docstring": "Singular values of a matrix."}, ("name", "docstring")),
        ({"name": "svd", "path": "linalg/svd.py"}, ("name", None)),  # no prose: the title is the document
        ({"remark": "a longer text than the body", "body": "short"}, (None, "body")),
    ],
)
def test_a_text_column_of_unknown_name_is_the_longest_prose(tmp_path, row, columns):
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps(row) + "\n")
    reader = read_corpus(path)
    list(reader)
    assert (reader.columns.get("title"), reader.columns.get("text")) == columns


def test_bad_rows_are_listed_and_the_run_goes_on(tmp_path):
    reader = read_corpus(write(tmp_path / "bad.jsonl", BAD), rejects=tmp_path / "out" / "rejects.jsonl")
    assert [document.id for document in reader] == ["1", "6"]
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [2, 3, 4, 5, 6, 7, 8, 9]
    for reject, reason in zip(
        rejects,
        [
            "broken JSON",
            "not a JSON object",
            "no text",
            "no text",
            "not a string",
            "duplicate id (1)",
            "not UTF-8",
            "surrogate",
        ],
        strict=True,
    ):
        assert reason in reject["reason"]
    assert rejects[0]["row"] == "{broken"
    summary = reader.summary
    assert (summary.read, summary.kept, summary.rejected) == (10, 2, 8)
    assert summary.reasons["no text"] == 2


def test_no_rejects_no_file(tmp_path):
    reader = read_corpus(write(tmp_path / "good.jsonl", jsonl()), rejects=tmp_path / "rejects.jsonl")
    assert len(list(reader)) == 3
    assert not (tmp_path / "rejects.jsonl").exists()


def test_ragged_and_undecodable_csv_rows(tmp_path):
    path = write(tmp_path / "c.csv", b'id,text\n1,good\n2,too,many\n3,\xff\n4,"two\nlines"\n5,last\n')
    reader = read_corpus(path, rejects=tmp_path / "r.jsonl")
    assert [(d.id, d.text) for d in reader] == [("1", "good"), ("4", "two\nlines"), ("5", "last")]
    assert [json.loads(line)["line"] for line in (tmp_path / "r.jsonl").read_text().splitlines()] == [3, 4]


def test_rows_without_an_id_are_called_by_their_line(tmp_path):
    path = write(tmp_path / "c.txt", b"first\n\nthird\n")
    assert [document.id for document in read_corpus(path)] == ["row-1", "row-3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "the file is empty"),
        ("head.tsv", b"id\ttext\n", "no rows below the line that names its columns"),
        ("blank.txt", b"\n\n", "the file is empty"),
        ("all-bad.jsonl", b"{\n{\n", "none of its 2 rows can be used .2 broken JSON"),
        ("c.xlsx", b"x", "the ending '.xlsx' is no known format"),
        ("c", b"x", r"the ending '\(none\)' is no known format"),
        ("c.jsonl.gz", b"not packed", "damaged or cut short"),
        ("c.jsonl.zst", b"not packed", "damaged or cut short"),
        ("c.parquet", b"not parquet", "not a readable parquet file"),
        ("c.jsonl", b'{"year": 1}\n', "no column looks like a text; name one with --text. The columns are: year"),
    ],
)
def test_hopeless_files_are_one_clear_sentence(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        list(read_corpus(write(tmp_path / name, content)))


def test_missing_files_and_empty_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        list(read_corpus(tmp_path / "none.jsonl"))
    with pytest.raises(ValueError, match=r"the folder has no .txt or .md files"):
        list(read_corpus(tmp_path))


def test_a_megabyte_is_a_document(tmp_path):
    path = write(tmp_path / "c.csv", b"id,text\n1," + b"word " * 200_000 + b"\n")
    assert len(next(iter(read_corpus(path))).text) == 10**6


def test_reading_streams(tmp_path):
    path = tmp_path / "many.jsonl"
    with path.open("w") as file:
        for number in range(60_000):
            file.write(json.dumps({"id": str(number), "text": "word " * 60}) + "\n")
    tracemalloc.start()
    assert sum(1 for _ in read_corpus(path)) == 60_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6  # the texts alone are 18 MB; what is kept is one digest a row
