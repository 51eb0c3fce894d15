"""The store on object storage: a server on this machine that speaks S3, and writers that know nothing of each other."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from theatrum.store import StoreError, VectorStore, vector_store
from theatrum.store.lance_table import LanceTable

moto = pytest.importorskip("moto.server")

ENCODER = """
import hashlib, time
import numpy as np

class Hashes:
    dim = 8
    def __init__(self, pause=0.0):
        self.pause = pause
    def fingerprint(self):
        return hashlib.sha256(b"hashes").hexdigest()
    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        time.sleep(self.pause)
        rows = [np.frombuffer(hashlib.sha256(item.encode()).digest()[:8], np.uint8) for item in items]
        return np.stack(rows).astype(np.float32)
"""
namespace: dict = {}
exec(ENCODER, namespace)  # the same source runs in the writers' processes
Hashes = namespace["Hashes"]

WRITER = (
    ENCODER
    + """
import sys
from theatrum.store import VectorStore, vector_store
vector_store._REMOTE, vector_store._COMMIT_ROWS = 1, 256
texts = [f"text {n}" for n in range(int(sys.argv[2]), int(sys.argv[3]))]
print(VectorStore(sys.argv[1]).encode(Hashes(0.1), texts).encoded)
"""
)


@pytest.fixture(scope="module")
def bucket():
    """URI of a bucket; what Lance has to know is in the environment, as it would be for a user."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT")).close()
        try:
            yield "s3://bucket"
        finally:
            server.stop()


def rows_of(folder):
    table = LanceTable(folder, f"vectors-{Hashes().fingerprint()[:24]}").open()
    return table.rows(["key"])["key"].to_pylist()


def test_a_second_run_encodes_nothing(bucket):
    texts = [f"text {n}" for n in range(600)]
    first = VectorStore(f"{bucket}/twice").encode(Hashes(), texts)
    second = VectorStore(f"{bucket}/twice").encode(Hashes(), [*texts, "new"])
    assert (first.encoded, second.encoded) == (600, 1)
    assert second.vectors[:600].tobytes() == first.vectors.tobytes() == Hashes().encode(texts).tobytes()


def test_many_small_commits_are_compacted(bucket, monkeypatch):
    monkeypatch.setattr(vector_store, "_COMMIT_SECONDS", -1.0)
    monkeypatch.setattr(vector_store, "BLOCK", 2)
    texts = [f"text {n}" for n in range(140)]
    for _ in range(2):
        made = VectorStore(f"{bucket}/small").encode(Hashes(), texts)
        assert made.vectors.tobytes() == Hashes().encode(texts).tobytes()
    table = LanceTable(f"{bucket}/small", f"vectors-{Hashes().fingerprint()[:24]}").open()
    assert (len(table), table.pieces) == (140, 1)


def test_writers_at_once_lose_nothing_and_write_nothing_twice(bucket):
    """Two encode the same texts, a third half of them and others."""
    spans = [(0, 3000), (0, 3000), (1500, 4500)]
    folder = f"{bucket}/shared"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, *map(str, span)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for span in spans
    ]
    for writer in writers:
        _, complaints = writer.communicate(timeout=200)
        assert writer.returncode == 0, complaints.decode()
    keys = rows_of(folder)
    assert len(keys) == len(set(keys)) == 4500
    texts = [f"text {n}" for n in range(4500)]
    made = VectorStore(folder).encode(Hashes(), texts)
    assert made.encoded == 0
    assert made.vectors.tobytes() == Hashes().encode(texts).tobytes()


def test_another_run_that_compacts_in_between_does_no_harm(bucket, monkeypatch):
    """Row ids change with it; the run that goes on must not read by those that it knows."""
    monkeypatch.setattr(vector_store, "_COMMIT_SECONDS", -1.0)
    folder, texts = f"{bucket}/compacted", [f"text {n}" for n in range(1024)]
    VectorStore(folder).encode(Hashes(), texts[:300])
    add_new = LanceTable.add_new

    def disturbed(self, batch, key):
        other = LanceTable(self.folder, self.name).open()
        add_new(other, batch.slice(0, 1), key)
        other.compact()
        add_new(self, batch, key)

    monkeypatch.setattr(LanceTable, "add_new", disturbed)
    made = VectorStore(folder).encode(Hashes(), [*texts, *texts])
    assert made.vectors.tobytes() == Hashes().encode([*texts, *texts]).tobytes()
    assert len(rows_of(folder)) == 1024


def test_a_bucket_that_is_not_there(bucket):
    with pytest.raises(StoreError, match="s3://nowhere/store cannot be reached"):
        VectorStore("s3://nowhere/store").encode(Hashes(), ["a"])


def test_the_command_takes_a_uri(bucket, tmp_path):
    (tmp_path / "texts.txt").write_text("wing in flow\nflow over a wing\nheat in plates\nplates under heat\n")
    command = [Path(sys.executable).with_name("theatrum"), "encode", "-", "--pipeline", "lsa(dim=2)"]
    for number in range(2):
        out = tmp_path / f"{number}.npy"
        with (tmp_path / "texts.txt").open("rb") as texts:
            done = subprocess.run(
                [*map(str, command), "--out", str(out), "--store", f"{bucket}/command"],
                stdin=texts,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                env=os.environ.copy(),
                cwd=tmp_path,
            )
        assert done.returncode == 0, done.stderr
        assert f"{0 if number else 4} encoded now" in " ".join(done.stderr.split())
    assert np.array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "1.npy"))
    assert not (tmp_path / "s3:").exists()
