"""The command line as a user meets it: real processes, exit codes, streams."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

THEATRUM = Path(sys.executable).with_name("theatrum")


def run(*arguments, stdin=None, code=0):
    with tempfile.TemporaryDirectory() as folder:  # relative paths, such as that of rejects.jsonl, end up in here
        done = subprocess.run(
            [THEATRUM, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            cwd=folder,
        )
    assert done.returncode == code, done.stderr + done.stdout
    return done


@pytest.fixture(scope="module")
def source(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "plates.jsonl"
    rows = [
        json.dumps({"doc": text, "key": name, "number": row})
        for row, (name, text) in enumerate(zip(*corpus, strict=True))
    ]
    path.write_text("\n".join([rows[0], "{broken", *rows[1:], rows[0]]) + "\n")
    return path


@pytest.fixture(scope="module")
def out(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    (folder / "field.txt").write_text("tfidf\nlsa(dim=24) | int8\n")
    done = run(
        "bakeoff",
        source,
        "--text",
        "doc",
        "--id",
        "key",
        "--pipelines",
        folder / "field.txt",
        "--out",
        folder / "out",
        "--store",
        folder / "store",
    )
    assert "recommended" in done.stdout
    assert "proxies" in done.stdout
    assert "rejected 2 of 302 rows" in done.stderr
    return folder / "out"


def test_bakeoff_writes_everything(out):
    assert {path.name for path in out.iterdir()} == {"report.html", "results.parquet", "winner", "rejects.jsonl"}
    assert len((out / "rejects.jsonl").read_text().splitlines()) == 2


def test_search_prints_hits(out, corpus):
    done = run("search", out / "winner", "supersonic shock waves", "-k", "3")
    assert done.stdout.startswith("1. shock-")
    hits = json.loads(run("search", out / "winner", "supersonic shock waves", "-k", "3", "--json").stdout)
    assert len(hits) == 3
    assert hits[0]["text"] == dict(zip(*corpus, strict=True))[hits[0]["id"]]
    few = ("search", out / "winner", "supersonic shock waves", "--json", "--where")
    numbers = [corpus[0].index(hit["id"]) for hit in hits]
    found = json.loads(run(*few, f"number in ({numbers[1]}, {numbers[2]})").stdout)
    assert [hit["id"] for hit in found] == [hit["id"] for hit in hits[1:]]
    assert "colour" in run(*few, "colour = 'red'", code=2).stderr
    assert "column 10" in run(*few, "number = = 3", code=2).stderr


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".lance"])
def test_encode(source, tmp_path, suffix):
    target = tmp_path / f"vectors{suffix}"
    columns = ("--text", "doc", "--id", "key")
    run(
        "encode", source, *columns, "--pipeline", "lsa(dim=24) | pca(dim=8)", "--out", target, "--store", tmp_path / "s"
    )
    if suffix == ".npy":
        X = np.load(target)
        assert (X.shape, X.dtype) == ((300, 8), np.float32)
        assert len((tmp_path / "vectors.ids.txt").read_text().split()) == 300
        return
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(target)
    else:
        import lancedb

        table = lancedb.connect(tmp_path).open_table("vectors").to_arrow()
    assert table.column_names == ["id", "vector"]
    assert table.num_rows == 300
    assert b"theatrum.fingerprint" in table.schema.field("vector").metadata


def test_encode_from_standard_input(corpus, tmp_path):
    lines = "\n".join(corpus[1])
    arguments = ("--pipeline", "lsa(dim=16) | int8", "--out", tmp_path / "v.npy", "--store", tmp_path / "s")
    run("encode", "-", *arguments, stdin=lines)
    assert np.load(tmp_path / "v.npy").dtype == np.uint8


def test_eval(source, tmp_path):
    columns = ("--text", "doc", "--id", "key", "--store", tmp_path)
    found = json.loads(run("eval", source, *columns, "--pipeline", "bm25", "--json").stdout)
    assert 0 < found["ndcg_at_10"] <= 1
    assert found["questions"] == "sentences"


def test_atlas():
    assert len(json.loads(run("atlas", "--json").stdout)) == 119
    assert "Zipfian" in run("atlas", "--room", "refine").stdout
    assert "2411.00680" in run("atlas", "show", "89").stdout
    assert json.loads(run("atlas", "show", "89", "--json").stdout)["number"] == 89


def test_parts():
    assert "zipf_whiten" in run("parts").stdout
    assert {"name", "kind", "target", "package"} <= json.loads(run("parts", "--json").stdout)[0].keys()


def test_version():
    assert run("--version").stdout.strip().count(".") == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bakeoff", "missing.jsonl"), "missing.jsonl"),
        (("bakeoff", "cranfeld"), "neither a file nor a folder nor a known collection (cacm, "),
        (("bakeoff", "{empty}"), "empty"),
        (("bakeoff", "{rejects}"), "none of"),
        (("bakeoff", "{source}", "--text", "doc", "--queries", "{source}"), "go together"),
        (("bakeoff", "{source}", "--text", "doc", "--budget", "kg=3"), "write limits as"),
        (("bakeoff", "{source}", "--text", "nothing"), "nothing"),
        (("search", "{empty}", "x"), "not a saved part"),
        (
            ("encode", "{source}", "--text", "doc", "--pipeline", "bm25", "--out", "v.npy"),
            "makes rankings, not vectors",
        ),
        (("encode", "{source}", "--text", "doc", "--pipeline", "lsa", "--out", "v.txt"), "must be one of .npy"),
        (("eval", "{source}", "--text", "doc", "--pipeline", "lsa | int9"), "did you mean 'int8'"),
        (("atlas", "show", "120"), "120"),
        (("atlas", "--room", "cellar"), "no room is called 'cellar'"),
        (("claim", "115"), "no claim yet"),
    ],
)
def test_mistakes_end_with_one_sentence(arguments, sentence, source, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "rejects.jsonl.bad.jsonl").write_text("{\n{\n")
    names = {"{source}": source, "{empty}": tmp_path / "empty.jsonl", "{rejects}": tmp_path / "rejects.jsonl.bad.jsonl"}
    done = run(*[names.get(argument, argument) for argument in arguments], code=2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
