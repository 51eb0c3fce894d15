"""Known sets: found where they should be, checked, and clear when they are nowhere."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import json
import threading

import numpy as np
import pytest

from theatrum.data import Collection, LabelledTexts, PlainText, SentencePairs, datasets, describe, load, names
from theatrum.data.upstream import cranfield, smart_records

RAW = {
    "corpus": b".I 1\n.T\nthin\nplates .\n.A\nwho\n.W\nthin\nplates .\n  they buckle .\n.I 2\n.T\n.A\n.W\n",
    "queries": b".I 001\n.W\nwhy do plates\nbuckle .\n.I 004\n.W\nheat .\n",
    "qrels": b"1 1 2 \n1 2 -1\n2 2 4\n",
}


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.delenv("THEATRUM_DATA", raising=False)
    monkeypatch.setenv("THEATRUM_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def manifest(monkeypatch):
    """Replace the manifest by one of the test's own."""

    def use(entries):
        monkeypatch.setattr(datasets, "_manifest", lambda: entries)

    return use


def entry(kind, path, content, **more):
    file = {"path": path, "sha256": hashlib.sha256(content).hexdigest()}
    return {
        "kind": kind,
        "files": more.pop("files", {"texts": file}),
        "licence": "",
        "citation": "",
        "source": "x",
        **more,
    }


def test_the_bundled_set_needs_nothing(no_data):
    found = load("xquad-en")
    assert isinstance(found, Collection)
    assert (len(found.documents), len(found.queries), sum(map(len, found.qrels.values()))) == (240, 1190, 1190)
    known = {document.id for document in found.documents}
    assert all(known.issuperset(grades) for grades in found.qrels.values())
    assert found.licence == "CC BY-SA 4.0"


def test_every_entry_says_where_it_is_from():
    for name in names():
        found = describe(name)
        assert found["licence"] and found["source"] and found["citation"]
        assert all(len(file["sha256"]) == 64 for file in found["files"].values())
        assert not found.get("bundled") or "CC BY" in found["licence"]


def test_unknown_name():
    with pytest.raises(ValueError, match="did you mean 'cranfield'"):
        load("cranfeld")
    with pytest.raises(ValueError, match=r"names\(\) lists them"):
        load("qqqqqq")


def test_nowhere_says_where_it_looked_and_what_to_do(no_data):
    with pytest.raises(FileNotFoundError, match="Set THEATRUM_DATA to a folder") as caught:
        load("cisi")
    assert "cache" in str(caught.value)


def test_the_data_folder_comes_before_the_cache(no_data, monkeypatch, manifest):
    content = b"split\tlabel\ttext\ntrain\ta\tone\ntest\tb\ttwo\n"
    manifest({"small": entry("labelled", "t/small.tsv", content)})
    (no_data / "t").mkdir()
    (no_data / "t" / "small.tsv").write_bytes(content)
    monkeypatch.setenv("THEATRUM_DATA", str(no_data))
    found = load("small")
    assert isinstance(found, LabelledTexts)
    assert found.split("test") == LabelledTexts(("two",), ("b",), ("test",))
    with pytest.raises(ValueError, match="no split is called 'dev'; there are: test, train"):
        found.split("dev")


def test_a_changed_file_is_refused(no_data, monkeypatch, manifest):
    manifest({"small": entry("labelled", "small.tsv", b"other")})
    (no_data / "small.tsv").write_bytes(b"changed")
    monkeypatch.setenv("THEATRUM_DATA", str(no_data))
    with pytest.raises(ValueError, match=r"small\.tsv is not the file that the manifest names"):
        load("small")


def test_pairs_and_text(no_data, monkeypatch, manifest):
    pairs = b"split\tscore\tone\ttwo\ntest\t2.5\ta\tb \xe2\x80\xa8 c\ndev\t1\tc\td\n"
    lines = b"first\n\nthird\n"
    columns = {"first": "one", "second": "two", "score": "score", "split": "split"}
    file = {"path": "p.tsv", "sha256": hashlib.sha256(pairs).hexdigest()}
    text = {"path": "t.txt", "sha256": hashlib.sha256(lines).hexdigest()}
    manifest(
        {
            "pairs": entry("pairs", "", b"", files={"pairs": file}, columns=columns),
            "text": entry("text", "", b"", files={"train": text}),
        }
    )
    (no_data / "p.tsv").write_bytes(pairs)
    (no_data / "t.txt").write_bytes(lines)
    monkeypatch.setenv("THEATRUM_DATA", str(no_data))
    found = load("pairs")
    assert isinstance(found, SentencePairs)
    assert (found.split("test").second, found.scores.tolist()) == (("b \u2028 c",), [2.5, 1.0])
    with pytest.raises(ValueError, match="no split is called 'train'"):
        found.split("train")
    plain = load("text")
    assert isinstance(plain, PlainText)
    assert plain.lines["train"] == ("first", "", "third")


def test_cranfield_as_published():
    documents, queries, qrels = cranfield(RAW)
    assert [(d.id, d.title, d.text) for d in documents] == [("1", "thin plates .", "they buckle ."), ("2", "", "")]
    assert queries == {"1": "why do plates buckle .", "2": "heat ."}
    assert qrels == {"1": {"1": 3, "2": 0}, "2": {"2": 1}}


def test_a_field_opened_twice_is_joined():
    assert smart_records(".I 7\n.W\none\n.W\ntwo\n") == [("7", {"W": "one two"})]


def test_download_is_checked_and_kept(no_data, manifest, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    for role, raw in RAW.items():
        (served / role).write_bytes(raw)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    handler.log_message = lambda *arguments: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        download = {
            role: {"url": f"{url}/{role}", "sha256": hashlib.sha256(raw).hexdigest()} for role, raw in RAW.items()
        }
        manifest({"cranfield": entry("retrieval", "none.zst", b"", download=download)})
        assert len(load("cranfield").documents) == 2
        (served / "corpus").unlink()
        assert len(load("cranfield").documents) == 2  # from the cache this time
        download["qrels"] = {"url": f"{url}/qrels", "sha256": "0" * 64}
        with pytest.raises(ValueError, match="hash"):
            load("cranfield")
        server.shutdown()


def test_a_failed_download_says_what_to_do(no_data, manifest):
    download = {"corpus": {"url": "http://127.0.0.1:9/corpus", "sha256": "0" * 64}}
    manifest({"cranfield": entry("retrieval", "none.zst", b"", download=download)})
    with pytest.raises(FileNotFoundError, match="could not be downloaded"):
        load("cranfield")


def test_a_file_with_the_name_of_a_set_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert datasets.is_collection("cranfield")
    (tmp_path / "cranfield").write_text(json.dumps({"text": "a"}))
    assert not datasets.is_collection("cranfield")


def test_arrays_and_images(manifest, tmp_path, monkeypatch):
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    packed = io.BytesIO()
    np.savez(packed, a=images, names=np.array(["x", "yy"]))
    idx = {
        "images": gzip.compress(bytes([0, 0, 8, 3]) + np.array([2, 3, 4], ">u4").tobytes() + images.tobytes()),
        "labels": gzip.compress(bytes([0, 0, 8, 1]) + np.array([2], ">u4").tobytes() + bytes([7, 9])),
    }
    contents = {"some.npz": packed.getvalue(), **{f"{key}.gz": raw for key, raw in idx.items()}}
    for path, raw in contents.items():
        (tmp_path / path).write_bytes(raw)
    files = {path: {"path": path, "sha256": hashlib.sha256(raw).hexdigest()} for path, raw in contents.items()}
    pictures = {"test_images": files["images.gz"], "test_labels": files["labels.gz"]}
    manifest(
        {
            "some": entry("arrays", "", b"", files={"arrays": files["some.npz"]}),
            "pictures": entry("images", "", b"", files=pictures),
        }
    )
    monkeypatch.setenv("THEATRUM_DATA", str(tmp_path))
    found = load("some")
    assert (found["a"] == images).all()
    assert found["names"].tolist() == ["x", "yy"]
    test = load("pictures")["test"]
    assert (test.images == images).all()
    assert test.labels.tolist() == [7, 9]
