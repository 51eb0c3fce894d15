"""StoredEncoder: the contract, and nothing encoded twice."""

from __future__ import annotations

import numpy as np

from theatrum.contracts import Encoder
from theatrum.store import VectorStore
from theatrum.store.stored_encoder import StoredEncoder


class Counting:
    dim = 2

    def __init__(self):
        self.encoded = []

    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        self.encoded += items
        return np.array([[len(text), 1] for text in items], dtype=np.float32)

    def fingerprint(self):
        return "counting"


def test_each_text_is_encoded_once(tmp_path):
    inner, told = Counting(), []
    stored = StoredEncoder(inner, VectorStore(tmp_path / "s"), on_progress=told.append)
    assert isinstance(stored, Encoder)
    first = stored.encode(["a", "bb"])
    again = stored.encode(["bb", "a", "ccc"])
    assert first[:, 0].tolist() == [1, 2]
    assert again[:, 0].tolist() == [2, 1, 3]
    assert sorted(inner.encoded) == ["a", "bb", "ccc"]
    assert sum(told) == 5
    assert (stored.dim, stored.fingerprint()) == (2, "counting")


def test_it_learns_only_where_its_encoder_does(tmp_path):
    class Learning(Counting):
        def fit(self, items):
            self.seen = list(items)
            return self

    assert not hasattr(StoredEncoder(Counting(), VectorStore(tmp_path / "s")), "fit")
    learning = Learning()
    StoredEncoder(learning, VectorStore(tmp_path / "s")).fit(["x"])
    assert learning.seen == ["x"]
