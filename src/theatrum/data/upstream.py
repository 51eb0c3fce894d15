"""Converting a publisher's own files into ours, for sets that are downloaded from where they were published."""

from __future__ import annotations

import re
from collections.abc import Mapping

from theatrum.data.collection import Document

_RECORD = re.compile(r"^\.I\s+(\d+)\s*$", re.MULTILINE)
_FIELD = re.compile(r"^\.([A-Z])\s*$", re.MULTILINE)
_YEAR = re.compile(r"\((\d{4})\)\s*$")
_GENRES = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|Musical|"
    "Mystery|Romance|Sci-Fi|Thriller|War|Western"
).split("|")  # the last 19 columns of u.item


def smart_records(text: str) -> list[tuple[str, dict[str, str]]]:
    r"""Split a file of the SMART system into records: number, and field letter -> text with single spaces.

    Examples
    --------
    >>> smart_records(".I 1\n.T\nthin\nplates\n.W\nthey buckle .\n")
    [('1', {'T': 'thin plates', 'W': 'they buckle .'})]
    """
    pieces = _RECORD.split(text)
    records = []
    for number, body in zip(pieces[1::2], pieces[2::2], strict=True):
        fields: dict[str, str] = {}
        found = _FIELD.split(body)
        for name, value in zip(found[1::2], found[2::2], strict=True):
            # A few records open the same field twice; its parts belong together.
            fields[name] = " ".join([*fields.get(name, "").split(), *value.split()])
        records.append((number, fields))
    return records


def cranfield(
    files: Mapping[str, bytes],
) -> tuple[tuple[Document, ...], dict[str, str], dict[str, dict[str, int]]]:
    """Convert the Cranfield collection as it was published.

    Queries are numbered in file order, as the judgements are (the numbers printed in the file are others). The codes
    1 (complete answer) to 4 (minimum interest) become the grades 4 to 1, the code -1 becomes 0. The title, repeated
    at the start of each abstract, is taken out there.

    Parameters
    ----------
    files : mapping of str to bytes
        ``corpus``, ``queries`` and ``qrels``: cran.all.1400, cran.qry, cranqrel.

    Returns
    -------
    documents, queries, qrels
        As in `Collection`.
    """
    documents = []
    for number, fields in smart_records(files["corpus"].decode("latin-1")):
        title, body = fields.get("T", ""), fields.get("W", "")
        documents.append(Document(number, body.removeprefix(title).strip(), title))
    queries = {
        str(place): fields["W"]
        for place, (_, fields) in enumerate(smart_records(files["queries"].decode("latin-1")), start=1)
    }
    qrels: dict[str, dict[str, int]] = {}
    for line in files["qrels"].decode("latin-1").splitlines():
        query, document, code = line.split()
        qrels.setdefault(query, {})[document] = max(5 - int(code), 0) if int(code) > 0 else 0
    return tuple(documents), queries, qrels


def movielens_100k(files: Mapping[str, bytes]) -> dict[str, bytes]:
    r"""Repack MovieLens-100k as it was published: headers, UTF-8, genre flags as names, the year from the title.

    Parameters
    ----------
    files : mapping of str to bytes
        ``items`` and ``ratings``: u.item and u.data.

    Returns
    -------
    dict of str to bytes
        ``items`` and ``ratings`` as tables with a header.

    Examples
    --------
    >>> raw = {"items": b"1|Alien (1979)|x||u" + b"|0" * 15 + b"|1|0|1|0\n", "ratings": b"7\t1\t4\t880\n"}
    >>> movielens_100k(raw)["items"]
    b'item\ttitle\tyear\tgenres\n1\tAlien (1979)\t1979\tSci-Fi|War\n'
    """
    lines = ["item\ttitle\tyear\tgenres"]
    for line in files["items"].decode("latin-1").removesuffix("\n").split("\n"):
        item, title, _, _, _, *flags = line.split("|")
        year = _YEAR.search(title)
        genres = "|".join(name for name, flag in zip(_GENRES, flags, strict=True) if flag == "1")
        lines.append(f"{item}\t{title}\t{year[1] if year else ''}\t{genres}")
    return {
        "items": ("\n".join(lines) + "\n").encode(),
        "ratings": b"user\titem\trating\ttimestamp\n" + files["ratings"],
    }


CONVERTERS = {"cranfield": cranfield}
REPACKERS = {"movielens-100k": movielens_100k}  # into the files that the manifest names, to be read like those
