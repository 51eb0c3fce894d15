"""``theatrum export`` as a user meets it: files of other libraries, remarks, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import faiss
import pytest

import theatrum
from theatrum.store import read_vectors

THEATRUM = Path(sys.executable).with_name("theatrum")


def run(*arguments, code=0):
    done = subprocess.run(
        [THEATRUM, "export", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done


@pytest.fixture(scope="module")
def saved(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    numbers = {"number": list(range(300))}
    for name, text in {"dense": "lsa(dim=24) | int8", "mixed": "rrf(bm25, lsa(dim=8))", "words": "bm25"}.items():
        theatrum.pipeline(text).fit(*corpus, numbers).save(folder / name)
    theatrum.save(theatrum.pipeline("lsa(dim=8)").fit(*corpus).retriever.index, folder / "index")
    return folder


@pytest.mark.parametrize("target", ["faiss", "usearch", "parquet", "npy", "lance"])
def test_a_pipeline_goes_over(saved, tmp_path, corpus, target):
    out = tmp_path / f"vectors.{target}"
    told = " ".join(run(saved / "dense", "--to", target, "--out", out).stderr.split())
    assert "300 vectors of 24 dimensions" in told
    assert ("left out, since .npy has no place for them: number" in told) == (target == "npy")
    if target in ("parquet", "npy", "lance"):
        ids, X, attributes = read_vectors(out)
        assert (ids, X.shape) == (corpus[0], (300, 24))
        assert attributes == ({} if target == "npy" else {"number": list(range(300))})
    else:
        assert (tmp_path / f"vectors.{target}.ids.arrow").is_file()


def test_the_dense_member_of_a_fusion_and_a_bare_index(saved, tmp_path):
    for name in ("mixed", "index"):
        run(saved / name, "--to", "faiss", "--out", tmp_path / name)
        assert faiss.read_index(str(tmp_path / name)).d == 8


@pytest.mark.parametrize(
    ("source", "target", "name", "message"),
    [
        ("words", "faiss", "x", "ranks without vectors; there is nothing to export"),
        ("dense", "annoy", "x", "must be one of faiss, usearch, hnswlib, parquet, npy, lance"),
        ("dense", "parquet", "x.npy", "the path must end in .parquet"),
        ("nothing", "faiss", "x", "is not a saved part"),
    ],
)
def test_what_cannot_be_done_is_told(saved, tmp_path, source, target, name, message):
    done = run(saved / source, "--to", target, "--out", tmp_path / name, code=2)
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
