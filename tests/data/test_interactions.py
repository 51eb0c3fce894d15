"""Logs of interactions: what is refused, choosing users, and MovieLens from either kind of file."""

from __future__ import annotations

import hashlib

import pytest

from theatrum.data import Document, Interactions, datasets, load
from theatrum.data.upstream import movielens_100k

FILMS = (Document("1", "War", "Alien", {"year": 1979}), Document("2", "", "Alien"))
ITEM = "{}|{}|01-Jan-1995||http://x|{}"
FLAGS = {name: "|".join("1" if place in name else "0" for place in range(19)) for name in [(0,), (5, 8), (18,), ()]}
U_ITEM = "\n".join(
    [
        ITEM.format(1, "Café (1995)", FLAGS[5, 8]),
        ITEM.format(2, "unknown", FLAGS[(0,)]),
        ITEM.format(3, "Two Friends (1986) ", FLAGS[(18,)]),
        ITEM.format(4, "Land (1995) (V)", FLAGS[()]),
    ]
)
U_DATA = b"7\t1\t4\t880\n8\t3\t1.5\t870\n"


def log(users=("u", "u", "v"), items=("1", "2", "2"), ratings=(5, 2, 4), times=(30, 10, 20), films=FILMS):
    return Interactions("small", films, users, items, ratings, times)


def test_texts_and_columns():
    found = log()
    assert found.item_texts == ["Alien. War", "Alien"]
    assert found.item_attributes == {"year": [1979, None]}
    assert (len(found), found.item_ids, found.times.dtype, found.ratings.dtype) == (3, ["1", "2"], "int64", "float64")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": ("u", "u")}, r"differ in length: \[2, 3\]"),
        ({"items": ("1", "2", "3")}, "row 2 is about the item '3'"),
        ({"films": (FILMS[0], FILMS[0])}, "'1' \\(row 1\\) is there already"),
    ],
)
def test_bad_logs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        log(**change)


def test_some_users():
    found = log().of_users(["u"])
    assert (found.items.tolist(), found.times.tolist(), found.ratings.tolist()) == (["1", "2"], [30, 10], [5, 2])
    assert found.catalogue == FILMS
    with pytest.raises(ValueError, match="'w' has no interaction"):
        log().of_users(["u", "w"])


def test_movielens_as_published():
    tables = movielens_100k({"items": U_ITEM.encode("latin-1"), "ratings": U_DATA})
    assert tables["ratings"] == b"user\titem\trating\ttimestamp\n" + U_DATA
    assert tables["items"].decode().split("\n") == [
        "item\ttitle\tyear\tgenres",
        "1\tCafé (1995)\t1995\tComedy|Drama",
        "2\tunknown\t\tunknown",
        "3\tTwo Friends (1986) \t1986\tWestern",
        "4\tLand (1995) (V)\t\t",
        "",
    ]


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    monkeypatch.delenv("THEATRUM_DATA", raising=False)
    monkeypatch.setenv("THEATRUM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def manifest_of(tables):
    files = {role: {"path": f"{role}.tsv", "sha256": hashlib.sha256(raw).hexdigest()} for role, raw in tables.items()}
    return {"kind": "interactions", "licence": "research", "citation": "H", "source": "G", "files": files}


def check(found):
    assert isinstance(found, Interactions)
    assert found.item_texts == [
        "Café (1995). Comedy, Drama",
        "unknown",
        "Two Friends (1986). Western",
        "Land (1995) (V)",
    ]
    assert found.item_attributes == {
        "year": [1995, None, 1986, None],
        "genres": [["Comedy", "Drama"], [], ["Western"], []],
    }
    assert (found.users.tolist(), found.items.tolist()) == (["7", "8"], ["1", "3"])
    assert (found.ratings.tolist(), found.times.tolist()) == ([4.0, 1.5], [880, 870])
    assert (found.licence, found.citation) == ("research", "H")


def test_loaded_from_the_data_folder(nowhere, monkeypatch):
    tables = movielens_100k({"items": U_ITEM.encode("latin-1"), "ratings": U_DATA})
    for role, raw in tables.items():
        (nowhere / f"{role}.tsv").write_bytes(raw)
    monkeypatch.setattr(datasets, "_manifest", lambda: {"movielens-100k": manifest_of(tables)})
    monkeypatch.setenv("THEATRUM_DATA", str(nowhere))
    check(load("movielens-100k"))


def test_downloaded_from_the_publisher(nowhere, monkeypatch):
    raw = {"items": U_ITEM.encode("latin-1"), "ratings": U_DATA}
    entry = manifest_of({"items": b"", "ratings": b""})
    entry["download"] = {
        role: {"url": f"https://publisher.example/{role}", "sha256": hashlib.sha256(content).hexdigest()}
        for role, content in raw.items()
    }
    monkeypatch.setattr(datasets, "_manifest", lambda: {"movielens-100k": entry})

    def retrieve(url, known_hash, path, fname, progressbar):
        content = raw[url.rpartition("/")[2]]
        assert known_hash == "sha256:" + hashlib.sha256(content).hexdigest()
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_bytes(content)
        return path / fname

    monkeypatch.setattr("pooch.retrieve", retrieve)
    check(load("movielens-100k"))


def test_movielens_is_known_and_not_bundled():
    entry = datasets.describe("movielens-100k")
    assert "no redistribution" in entry["licence"]
    assert not entry.get("bundled")
    assert entry["download"].keys() == entry["files"].keys() == {"items", "ratings"}
    assert not datasets.is_collection("movielens-100k")
