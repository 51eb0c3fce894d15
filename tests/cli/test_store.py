"""``theatrum store`` as a user meets it."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from theatrum.store import VectorCollection, write_vectors

THEATRUM = Path(sys.executable).with_name("theatrum")


def run(*arguments, code=0):
    done = subprocess.run(
        [THEATRUM, "store", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout + done.stderr


def test_from_files_to_a_mended_collection(tmp_path):
    X = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    names = [f"n{row}" for row in range(40)]
    write_vectors(tmp_path / "first.parquet", names[:30], X[:30], {"year": list(range(30))})
    write_vectors(tmp_path / "second.npy", names[20:], X[20:])
    folder = tmp_path / "collection"
    assert "30 vectors of width 8" in run("add", folder, tmp_path / "first.parquet")
    assert "'n20' is in the collection already" in run("add", folder, tmp_path / "second.npy", code=2)
    assert "has 40" in run("add", folder, tmp_path / "second.npy", "--replace")
    assert "40 of width 8, compared by cosine" in run("info", folder)
    run("compact", folder)
    run("snapshot", folder, tmp_path / "kept")
    assert len(VectorCollection(tmp_path / "kept")) == 40
    assert "all rows can be read" in run("check", folder)
    (segment,) = (folder / "segments").iterdir()
    codes = np.load(segment / "codes.npy")
    np.save(segment / "codes.npy", 255 - codes)
    assert "harm" in run("check", folder, code=1)
    assert "all rows can be read" in run("repair", folder)
    assert "no store" in run("check", tmp_path, code=2)
