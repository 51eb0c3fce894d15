"""Known data sets by name: bundled, in ``$THEATRUM_DATA``, in the cache, or downloaded, and always checked."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.cache import cache_folder
from theatrum.data.collection import Collection, Document, LabelledImages, LabelledTexts, PlainText, SentencePairs
from theatrum.data.interactions import Interactions

DATA = "THEATRUM_DATA"
_LOG = ("user", "item", "rating", "timestamp")


@cache
def _manifest() -> dict[str, dict[str, Any]]:
    return tomllib.loads((files("theatrum.data") / "manifest.toml").read_text(encoding="utf-8"))


def names() -> list[str]:
    """List the names that `load` knows.

    Examples
    --------
    >>> {"cranfield", "xquad-en", "stsbenchmark"} <= set(names())
    True
    """
    return sorted(_manifest())


def is_collection(name: str) -> bool:
    """Whether a name is a known retrieval collection (and not a file that happens to be called so).

    Examples
    --------
    >>> is_collection("cranfield"), is_collection("stsbenchmark"), is_collection("corpus.jsonl")
    (True, False, False)
    """
    return _manifest().get(name, {}).get("kind") == "retrieval" and not Path(name).exists()


def describe(name: str) -> dict[str, Any]:
    """Return what the manifest says of a set: kind, licence, source, citation, files with their SHA-256.

    Raises
    ------
    ValueError
        No such set; the nearest name is given.

    Examples
    --------
    >>> describe("xquad-en")["licence"]
    'CC BY-SA 4.0'
    """
    if name not in _manifest():
        near = difflib.get_close_matches(name, _manifest(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "theatrum.data.names() lists them"
        raise ValueError(f"no data set is called {name!r}; {hint}")
    return dict(_manifest()[name])


def load(name: str) -> Any:
    """Load a data set.

    The files are looked for in the package, in ``$THEATRUM_DATA``, in the cache, and then downloaded where the
    publisher's copy has a fixed address. Each is checked against its SHA-256.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    Collection, SentencePairs, LabelledTexts, PlainText, Interactions, dict of arrays or dict of LabelledImages
        By the kind of the set; arrays by name, images by split.

    Raises
    ------
    ValueError
        No such set, or a file whose content is not the one that the manifest names.
    FileNotFoundError
        Found nowhere; says where was looked and what to do.

    Examples
    --------
    >>> collection = load("xquad-en")
    >>> len(collection.documents), len(collection.queries)
    (240, 1190)
    """
    entry = describe(name)
    try:
        found = {role: _packed(entry, file) for role, file in entry["files"].items()}
    except FileNotFoundError:
        if "download" not in entry:
            raise
        return _download(name, entry)
    return _READERS[entry["kind"]](name, entry, found)


def _packed(entry: Mapping[str, Any], file: Mapping[str, str]) -> bytes:
    """Bytes of one packed file, unpacked."""
    places = [cache_folder() / "data" / file["path"]]
    if root := os.environ.get(DATA):
        places.insert(0, Path(root) / file["path"])
    if entry.get("bundled"):
        places.insert(0, Path(str(files("theatrum.data") / "bundled" / Path(file["path"]).name)))
    for path in places:
        if path.is_file():
            raw = path.read_bytes()
            if hashlib.sha256(raw).hexdigest() != file["sha256"]:
                raise ValueError(f"{path} is not the file that the manifest names (its SHA-256 differs); replace it")
            return _unzstd(raw) if path.suffix == ".zst" else raw
    looked = " and ".join(str(path) for path in places)
    raise FileNotFoundError(
        f"the data file {file['path']} was not found; looked at {looked}. Set {DATA} to a folder that has it "
        f"(source: {entry['source']})"
    )


def _unzstd(raw: bytes) -> bytes:
    import zstandard

    unpacked: bytes = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw)).read()
    return unpacked


def _download(name: str, entry: Mapping[str, Any]) -> Any:
    """Fetch the publisher's own files into the cache and convert them."""
    import pooch

    from theatrum.data.upstream import CONVERTERS, REPACKERS

    folder = cache_folder() / "upstream" / name
    raw = {}
    for role, file in entry["download"].items():
        try:
            path = pooch.retrieve(
                file["url"], known_hash=f"sha256:{file['sha256']}", path=folder, fname=role, progressbar=False
            )
        except OSError as error:
            raise FileNotFoundError(
                f"{name} is not on this machine and could not be downloaded from {file['url']} ({error}); set {DATA} "
                "to a folder that has it, or try again with a network"
            ) from error
        raw[role] = Path(path).read_bytes()
    if name in REPACKERS:
        return _READERS[entry["kind"]](name, entry, REPACKERS[name](raw))
    documents, queries, qrels = CONVERTERS[name](raw)
    return Collection(name, documents, queries, qrels, entry["citation"], entry["licence"])


def _lines(raw: bytes) -> list[str]:
    # Not splitlines: that also splits at characters inside a text, such as U+2028.
    return raw.decode("utf-8").removesuffix("\n").split("\n")


def _table(raw: bytes) -> list[dict[str, str]]:
    """Rows of a file with a header and no quoting."""
    head, *rows = (line.split("\t") for line in _lines(raw))
    return [dict(zip(head, row, strict=True)) for row in rows]


def _collection(name: str, entry: Mapping[str, Any], found: Mapping[str, bytes]) -> Collection:
    documents = []
    for line in _lines(found["corpus"]):
        row = json.loads(line)
        documents.append(Document(row.pop("id"), row.pop("text"), row.pop("title", "") or "", row))
    queries = {row["id"]: row["text"] for row in map(json.loads, _lines(found["queries"]))}
    qrels: dict[str, dict[str, int]] = {}
    for row in _table(found["qrels"]):
        qrels.setdefault(row["query_id"], {})[row["doc_id"]] = int(row["score"])
    return Collection(name, tuple(documents), queries, qrels, entry["citation"], entry["licence"])


def _pairs(name: str, entry: Mapping[str, Any], found: Mapping[str, bytes]) -> SentencePairs:
    columns, rows = entry["columns"], _table(found["pairs"])
    return SentencePairs(
        tuple(row[columns["first"]] for row in rows),
        tuple(row[columns["second"]] for row in rows),
        np.array([float(row[columns["score"]]) for row in rows]),
        tuple(row.get(columns.get("split", ""), "") for row in rows),
        tuple(row.get(columns.get("subset", ""), "") for row in rows),
    )


def _labelled(name: str, entry: Mapping[str, Any], found: Mapping[str, bytes]) -> LabelledTexts:
    if ".jsonl" in entry["files"]["texts"]["path"]:
        rows = [json.loads(line) for line in _lines(found["texts"])]
    else:
        rows = _table(found["texts"])
    columns = ("text", "label", "split")
    texts, labels, splits = (tuple(row[column] for row in rows) for column in columns)
    return LabelledTexts(texts, labels, splits)


def _text(name: str, entry: Mapping[str, Any], found: Mapping[str, bytes]) -> PlainText:
    lines = {}
    for split, raw in found.items():
        rows = _lines(raw)
        is_json = ".jsonl" in entry["files"][split]["path"]
        lines[split] = tuple(json.loads(row)["text"] for row in rows) if is_json else tuple(rows)
    return PlainText(lines)


def _interactions(name: str, entry: Mapping[str, Any], found: Mapping[str, bytes]) -> Interactions:
    catalogue = []
    for row in _table(found["items"]):
        genres = [genre for genre in row["genres"].split("|") if genre not in ("", "unknown")]
        attributes = {"year": int(row["year"]) if row["year"] else None, "genres": genres}
        catalogue.append(Document(row["item"], ", ".join(genres), row["title"].strip(), attributes))
    rows = _table(found["ratings"])
    users, items, ratings, times = ([row[column] for row in rows] for column in _LOG)
    return Interactions(
        name,
        tuple(catalogue),
        np.array(users, dtype=object),
        np.array(items, dtype=object),
        np.array(ratings, dtype=np.float64),
        np.array(times, dtype=np.int64),
        entry["citation"],
        entry["licence"],
    )


def _arrays(name: str, entry: Mapping[str, Any], found: Mapping[str, bytes]) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(found["arrays"]), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _images(name: str, entry: Mapping[str, Any], found: Mapping[str, bytes]) -> dict[str, LabelledImages]:
    splits = {role.removesuffix("_images") for role in found if role.endswith("_images")}
    read = {role: _idx(raw) for role, raw in found.items()}
    return {split: LabelledImages(read[f"{split}_images"], read[f"{split}_labels"]) for split in sorted(splits)}


def _idx(raw: bytes) -> NDArray[np.uint8]:
    """An array in the IDX format of MNIST: the number of axes in byte 3, their lengths, then the bytes."""
    content = gzip.decompress(raw)
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


_READERS: dict[str, Callable[[str, Mapping[str, Any], Mapping[str, bytes]], Any]] = {
    "retrieval": _collection,
    "pairs": _pairs,
    "labelled": _labelled,
    "text": _text,
    "interactions": _interactions,
    "arrays": _arrays,
    "images": _images,
}
