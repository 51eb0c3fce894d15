"""The store: nothing twice, nothing lost, nothing mixed."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from theatrum.store import StoreError, VectorStore, content_key
from theatrum.store import vector_store as module

# A slow encoder whose vectors depend on the company in a batch, as a transformer's do in their last bits.
ENCODER = """
import hashlib, time
import numpy as np

class Slow:
    dim = 8
    max_tokens = 3
    def __init__(self, pause=0.0, name="slow"):
        self.pause, self.name, self.seen = pause, name, 0
    def fingerprint(self):
        return hashlib.sha256(self.name.encode()).hexdigest()
    def token_counts(self, items):
        return np.array([len(item.split()) for item in items])
    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        self.seen += len(items)
        time.sleep(self.pause)
        company = len("".join(items)) % 97
        rows = [np.frombuffer(hashlib.sha256(f"{role}{item}".encode()).digest()[:8], np.uint8) for item in items]
        return (np.stack(rows) + company / 1e6).astype(np.float32)

def texts(n):
    return [f"text {i}" + " and more" * (i % 3) for i in range(n)]
"""
namespace: dict = {}
exec(ENCODER, namespace)  # the same source runs in the processes that are killed
Slow, texts = namespace["Slow"], namespace["texts"]

RUN = (
    ENCODER
    + """
import sys
from theatrum.store import VectorStore, vector_store
vector_store._COMMIT_SECONDS = 0.0
out = VectorStore(sys.argv[1]).encode(Slow(float(sys.argv[2])), texts(3000))
print("encoded", out.encoded)
"""
)


def run(path, pause):
    return subprocess.Popen([sys.executable, "-c", RUN, str(path), str(pause)], stdout=subprocess.PIPE)


def test_a_second_run_encodes_nothing(tmp_path):
    encoder = Slow()
    first = VectorStore(tmp_path).encode(encoder, texts(700))
    second = VectorStore(tmp_path).encode(encoder, texts(700))
    assert (first.encoded, second.encoded, encoder.seen) == (700, 0, 700)
    assert first.vectors.tobytes() == second.vectors.tobytes()
    assert first.tokens.tolist() == second.tokens.tolist()


def test_only_new_texts_are_encoded_and_order_is_kept(tmp_path):
    store, encoder = VectorStore(tmp_path), Slow()
    whole = store.encode(encoder, texts(600))
    mixed = store.encode(encoder, [*texts(600)[::-1], "a new one", "a new one"])
    assert mixed.encoded == 1
    assert (mixed.vectors[:600] == whole.vectors[::-1]).all()
    assert (mixed.vectors[600] == mixed.vectors[601]).all()


def test_roles_are_kept_apart(tmp_path):
    store, encoder = VectorStore(tmp_path), Slow()
    document, query = (store.encode(encoder, ["wing"], role=role).vectors for role in ("document", "query"))
    assert not (document == query).all()
    assert content_key("wing") != content_key("wing", "query")


def test_cut_texts_are_told(tmp_path):
    done = VectorStore(tmp_path).encode(Slow(), texts(6))
    assert done.tokens.tolist() == [2, 4, 6, 2, 4, 6]
    assert done.cut.tolist() == [False, True, True] * 2


def test_nothing_to_encode(tmp_path):
    done = VectorStore(tmp_path).encode(Slow(), [])
    assert done.vectors.shape == (0, 8)


def test_odd_texts_have_a_key(tmp_path):
    odd = ["", "\ud800", "a\0b", "x" * 10**6]
    assert len({content_key(text) for text in odd}) == 4


def test_vectors_of_another_encoder_are_refused(tmp_path):
    VectorStore(tmp_path).encode(Slow(name="one"), ["a"])
    stamp = hashlib.sha256(b"one").hexdigest()

    class Liar(Slow):
        def fingerprint(self):
            return stamp[:24] + "0" * 40  # the same table name, another encoder

    with pytest.raises(ValueError, match="holds vectors of another encoder"):
        VectorStore(tmp_path).encode(Liar(), ["a"])


def test_killed_runs_resume_and_end_with_the_same_bytes(tmp_path):
    undisturbed = VectorStore(tmp_path / "undisturbed").encode(Slow(), texts(3000))
    moments = np.random.default_rng(7).uniform(0.3, 4.0, size=5)
    path = tmp_path / "killed"
    for moment in moments:
        process = run(path, 0.25)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = VectorStore(path).encode(Slow(), texts(3000))
    assert resumed.vectors.tobytes() == undisturbed.vectors.tobytes()
    assert VectorStore(path).encode(Slow(), texts(3000)).encoded == 0


def test_a_killed_run_leaves_its_blocks(tmp_path):
    process = run(tmp_path, 0.2)
    for _ in range(200):
        time.sleep(0.1)
        if list(tmp_path.glob("*.lance/_versions/*"))[2:]:
            break
    process.kill()
    process.wait()
    assert 0 < VectorStore(tmp_path).encode(Slow(), texts(3000)).encoded < 3000


def test_two_runs_at_once(tmp_path):
    both = [run(tmp_path, 0.02), run(tmp_path, 0.02)]
    for process in both:
        process.communicate(timeout=120)
        assert process.returncode == 0
    done = VectorStore(tmp_path).encode(Slow(), texts(3000))
    assert done.encoded == 0
    assert done.vectors.tobytes() == VectorStore(tmp_path / "alone").encode(Slow(), texts(3000)).vectors.tobytes()
    import lancedb

    db = lancedb.connect(tmp_path)
    assert db.open_table(next(path.stem for path in tmp_path.glob("*.lance"))).count_rows() == 3000


FULL = (
    ENCODER
    + """
import resource, signal, sys
from theatrum.store import StoreError, VectorStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = VectorStore(sys.argv[1])
store.encode(Slow(), texts(300))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
try:
    store.encode(Slow(), texts(3000))
except StoreError as error:
    print(error)
else:
    sys.exit("no error")
"""
)


def test_a_full_disk_is_a_clear_error_and_leaves_the_store_readable(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "the disk is full" in done.stdout
    assert "what was committed before is safe" in done.stdout
    assert VectorStore(tmp_path).encode(Slow(), texts(300)).encoded == 0


def test_an_unwritable_place_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        VectorStore(tmp_path / "file" / "store").encode(Slow(), ["a"])


def test_many_small_commits_are_compacted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_COMMIT_SECONDS", -1.0)
    monkeypatch.setattr(module, "BLOCK", 2)
    store = VectorStore(tmp_path)
    first = store.encode(Slow(), texts(160))
    assert len(list(tmp_path.glob("*.lance/data/*"))) >= 80
    assert store.encode(Slow(), texts(160)).vectors.tobytes() == first.vectors.tobytes()
