"""Collections of vectors that come and go."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import threading
from datetime import timedelta

import numpy as np
import pytest

import theatrum
from theatrum.checks import unit_rows
from theatrum.search import FlatIndex
from theatrum.store import StoreError, VectorCollection
from theatrum.store import segment_folder as segments_module

D = 12


def vectors(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)


def names(n, start=0):
    return [f"n{row}" for row in range(start, start + n)]


@pytest.fixture
def collection(tmp_path):
    made = VectorCollection.create(tmp_path / "some", D)
    made.add(names(50), vectors(50), {"year": list(range(1950, 2000)), "kind": ["a", "b"] * 25})
    return made


class Mirror:
    """What a collection must hold, kept in a dictionary."""

    def __init__(self):
        self.rows = {}

    def put(self, ids, X, years):
        for name, x, year in zip(ids, X, years, strict=True):
            self.rows.pop(name, None)
            self.rows[name] = (x, year)

    def check(self, collection, metric):
        assert collection.ids == list(self.rows)
        assert len(collection) == len(self.rows)
        X, attributes = collection.get(collection.ids)
        assert np.array_equal(X, np.array([x for x, _ in self.rows.values()], np.float32).reshape(-1, D))
        assert attributes["year"] == [year for _, year in self.rows.values()]
        Q = vectors(3, seed=99)
        _, scores = collection.search(Q, 5, rescore=True)
        expected = slow_search(Q, list(self.rows), X, 5, metric)
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


def slow_search(Q, ids, X, k, metric):
    if metric == "cosine":
        Q, X = unit_rows(Q), unit_rows(X)
    scores = Q @ X.T if metric != "l2" else -((Q[:, None] - X[None]) ** 2).sum(axis=2)
    best = -np.sort(-scores, axis=1)[:, :k]
    return np.pad(best, ((0, 0), (0, k - best.shape[1])), constant_values=-np.inf)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_random_changes_agree_with_a_dictionary(tmp_path, metric, precision):
    rng = np.random.default_rng(3)
    collection = VectorCollection.create(tmp_path / "c", D, metric=metric, precision=precision)
    mirror = Mirror()
    collection.add(["first"], vectors(1, 1), {"year": [1900]})
    mirror.put(["first"], vectors(1, 1), [1900])
    for step in range(24):
        n = int(rng.integers(1, 40))
        X, years = vectors(n, seed=step), rng.integers(1900, 2000, n).tolist()
        way = step % 4
        if way == 0:
            ids = names(n, start=1000 * step)
            collection.add(ids, X, {"year": years})
            mirror.put(ids, X, years)
        elif way in (1, 2):
            old = rng.choice(list(mirror.rows), min(len(mirror.rows), n // 2), replace=False).tolist()
            ids = old + names(n - len(old), start=1000 * step)
            collection.upsert(ids, X, {"year": years})
            mirror.put(ids, X, years)
        else:
            gone = rng.choice(list(mirror.rows), len(mirror.rows) // 3, replace=False).tolist()
            collection.delete(gone)
            for name in gone:
                del mirror.rows[name]
        if step % 7 == 6:
            collection.compact(timedelta(0) if step == 20 else timedelta(days=1))
        mirror.check(collection, metric)
        mirror.check(VectorCollection(tmp_path / "c"), metric)


def test_agrees_with_an_index_and_says_how(collection):
    flat = FlatIndex().fit(vectors(50))
    flat.add(names(50), vectors(50), {"year": list(range(1950, 2000)), "kind": ["a", "b"] * 25})
    Q = vectors(4, seed=5)
    for where in (None, "year >= 1960 and kind = 'a'", {"year": {"lt": 1955}}):
        expected, there = flat.search(Q, 8, where)
        ids, scores, plan = collection.search(Q, 8, where, rescore=True, explain=True)
        assert ids.tolist() == expected.tolist()
        np.testing.assert_allclose(scores, there, atol=1e-5)
        assert plan.way == "exact"
        assert plan.rows == 50
    ids, scores = collection.search(Q, 60)
    assert (ids[:, 50:] == "").all()
    assert np.isneginf(scores[:, 50:]).all()
    assert collection.search(Q[:0], 3)[0].shape == (0, 3)


def test_int8_scores_are_decoded(collection):
    ids, scores = collection.search(vectors(4, seed=5), 5)
    X, _ = collection.get(ids.ravel().tolist())
    exact = np.einsum("qkd,qd->qk", unit_rows(X).reshape(4, 5, D), unit_rows(vectors(4, seed=5)))
    assert abs(scores - exact).max() < 0.02


def test_an_empty_collection(tmp_path):
    collection = VectorCollection.create(tmp_path / "c", D)
    ids, scores, plan = collection.search(vectors(2), 3, explain=True)
    assert (ids == "").all() and np.isneginf(scores).all()
    assert plan.rows == len(collection) == collection.memory_bytes == 0
    assert collection.get([])[0].shape == (0, D)
    collection.add([], np.empty((0, D)))
    collection.delete([])
    collection.compact()
    assert collection.ids == [] == VectorCollection(collection.path).ids


def test_attributes_come_back_as_they_were(tmp_path):
    collection = VectorCollection.create(tmp_path / "c", D)
    collection.add(
        ["a", "b"], vectors(2), {"day": [dt.date(2020, 1, 2), None], "tags": [["x", "y"], None], "n": [1, 2]}
    )
    collection.add(["c"], vectors(1), {"ok": [True], "n": [0.5]})
    collection.add(["d"], vectors(1), {"day": [dt.datetime(2021, 1, 1, 5, tzinfo=dt.UTC)], "empty": [None]})
    day = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
    expected = {
        "day": [day, None, None, dt.datetime(2021, 1, 1, 5, tzinfo=dt.UTC)],
        "tags": [["x", "y"], None, None, None],
        "n": [1, 2, 0.5, None],
        "ok": [None, None, True, None],
    }
    assert VectorCollection(collection.path).attributes == expected
    assert collection.get(["c", "a"])[1] == {name: [values[2], values[0]] for name, values in expected.items()}
    found = collection.search(vectors(1), 4, "tags any ('y') or ok = true or day >= '2021-01-01'")[0]
    assert set(found[0]) == {"a", "c", "d", ""}
    collection.upsert(["a"], vectors(1))  # a whole row is replaced
    assert collection.get(["a"])[1] == {"day": [None], "tags": [None], "n": [None], "ok": [None]}


ODD = ["a b", "O'Hare", 'say "x"', "straße", "a,b", "SELECT", "%_", "x\ny", "\\", "日本"]


def test_a_change_is_one_commit(collection):
    for change in (
        lambda: collection.add(["x", "y"], vectors(2), {"year": [1, 2]}),
        lambda: collection.upsert(["x", "n3"], vectors(2)),
        lambda: collection.delete(["x", "n4"]),
    ):
        before = collection.version
        change()
        assert collection.version == before + 1


def test_odd_names(tmp_path):
    collection = VectorCollection.create(tmp_path / "c", D)
    collection.add(ODD, vectors(len(ODD)), {name: [name] * len(ODD) for name in ODD if "\n" not in name})
    assert collection.ids == ODD
    collection.upsert(ODD[:2], vectors(2, 5))
    collection.delete([ODD[1], ODD[-1]])
    assert set(collection.ids) == set(ODD) - {ODD[1], ODD[-1]}
    assert collection.get([ODD[3]])[1][ODD[3]] == [ODD[3]]
    assert collection.get([ODD[0]])[1][ODD[3]] == [None]


BAD = [
    ({"ids": ["n1"], "X": np.zeros((1, D))}, "'n1' is in the collection already; upsert"),
    ({"ids": ["a", "a"], "X": np.zeros((2, D))}, "'a' .row 1. is there already"),
    ({"ids": ["a"], "X": np.zeros((1, 3))}, "expected 12 columns, got 3"),
    ({"ids": ["a"], "X": np.full((1, D), np.nan)}, "row 0 holds NaN"),
    ({"ids": ["a"], "X": np.zeros((1, D)), "attributes": {"year": ["x"]}}, "'year' holds double, and now gets string"),
    ({"ids": ["a"], "X": np.zeros((1, D)), "attributes": {"year": [1, 2]}}, "'year' has 2 values for 1 rows"),
    ({"ids": ["a"], "X": np.zeros((1, D)), "attributes": {"id": ["x"]}}, "'id' cannot be a column"),
    ({"ids": ["a"], "X": np.zeros((1, D)), "attributes": {"a.b": ["x"]}}, "'a.b' cannot be a column"),
    ({"ids": ["a"], "X": np.zeros((1, D)), "attributes": {"big": [2**60 + 1]}}, "keep such numbers as texts"),
    ({"ids": [""], "X": np.zeros((1, D))}, "row 0 has an empty id"),
]


@pytest.mark.parametrize(("what", "reason"), BAD)
def test_what_cannot_be_added_changes_nothing(collection, what, reason):
    before, version = collection.ids, collection.version
    with pytest.raises(ValueError, match=reason):
        collection.add(**what)
    assert (collection.ids, VectorCollection(collection.path).version) == (before, version)


def test_bad_calls(collection, tmp_path):
    with pytest.raises(ValueError, match="'zz' is not in the collection; nothing was deleted"):
        collection.delete(["n1", "zz"])
    assert "n1" in collection and "zz" not in collection
    with pytest.raises(ValueError, match="'zz' is not in the collection"):
        collection.get(["zz"])
    with pytest.raises(ValueError, match="k must be"):
        collection.search(vectors(1), 0)
    with pytest.raises(ValueError, match="expected 12 columns"):
        collection.search(np.zeros((1, 3)), 1)
    with pytest.raises(ValueError, match="colour"):
        collection.search(vectors(1), 1, "colour = 'red'")
    with pytest.raises(FileExistsError, match="is there already"):
        VectorCollection.create(collection.path, D)
    with pytest.raises(FileExistsError, match="is there already"):
        collection.snapshot(collection.path)
    with pytest.raises(FileNotFoundError):
        VectorCollection(tmp_path / "nothing")
    for wrong in ({"dim": 0}, {"dim": True}, {"dim": D, "metric": "cos"}, {"dim": D, "precision": "int4"}):
        with pytest.raises(ValueError, match="must be"):
            VectorCollection.create(tmp_path / "wrong", **wrong)
    assert not (tmp_path / "wrong").exists()


def test_vectors_of_another_encoder_are_refused(tmp_path):
    texts = ["heat in thin plates", "shock waves on wings", "heat and shock"]
    one, other = (theatrum.pipeline(f"lsa(dim={dim})").retriever.encoder for dim in (2, 1))
    one.fit(texts)
    other.fit(texts)
    collection = VectorCollection.create(tmp_path / "c", one.dim, encoder=one)
    collection.add(["a", "b", "c"], one.encode(texts))
    assert len(VectorCollection(tmp_path / "c", encoder=one)) == 3
    with pytest.raises(ValueError, match="vectors of another encoder"):
        VectorCollection(tmp_path / "c", encoder=other)


def test_a_snapshot_goes_its_own_way(collection, tmp_path):
    before = collection.ids
    snapshot = collection.snapshot(tmp_path / "snapshot")
    collection.delete(names(25))
    collection.compact(timedelta(0))
    snapshot.add(["new"], vectors(1, 7))
    assert snapshot.ids == [*before, "new"]
    assert len(collection) == 25
    shutil.rmtree(collection.path)
    again = VectorCollection(tmp_path / "snapshot")
    assert again.search(vectors(1, 7), 1, rescore=True)[0].tolist() == [["new"]]
    assert np.array_equal(again.get(before)[0], vectors(50))


def test_readers_keep_their_view_until_they_refresh(collection):
    reader = VectorCollection(collection.path)
    Q = vectors(2, seed=4)
    before = reader.search(Q, 5, "year < 1990", rescore=True)
    collection.delete(names(30))
    collection.compact()
    after = reader.search(Q, 5, "year < 1990", rescore=True)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert reader.refresh() and not reader.refresh()
    assert len(reader) == 20


def test_segments_stay_few_and_only_small_ones_are_written_again(tmp_path, monkeypatch):
    monkeypatch.setattr(segments_module, "_MANY", 6)
    collection = VectorCollection.create(tmp_path / "c", D)
    collection.add(names(1000), vectors(1000))
    (large,) = (tmp_path / "c" / "segments").iterdir()
    for number in range(30):
        collection.add([f"extra{number}"], vectors(1, number))
        assert len(list((tmp_path / "c" / "segments").iterdir())) <= 6
    assert large.is_dir()
    assert collection.search(vectors(1, 17), 1, rescore=True)[0].tolist() == [["extra17"]]


def test_many_small_additions_become_few_files(tmp_path):
    collection = VectorCollection.create(tmp_path / "c", D)
    for number in range(140):
        collection.add([f"n{number}"], vectors(1, number))
    assert collection._table().open().pieces < 80
    assert len(collection) == 140


def test_damaged_or_missing_codes_are_made_again(collection):
    expected = collection.search(vectors(2, 9), 5)
    (segment,) = (collection.path / "segments").iterdir()
    codes = segment / "codes.npy"
    codes.write_bytes(codes.read_bytes()[:-7])
    for _ in range(2):
        found = VectorCollection(collection.path).search(vectors(2, 9), 5)
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
        shutil.rmtree(segment, ignore_errors=True)


def test_searches_while_another_thread_writes(tmp_path):
    collection = VectorCollection.create(tmp_path / "c", D)
    collection.add(names(100), vectors(100))
    errors, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            ids, scores = collection.search(vectors(2, 1), 10, rescore=True)
            if (ids == "").any() or (np.diff(scores, axis=1) > 0).any():
                errors.append(ids)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(12):
        collection.upsert(names(100), vectors(100, number))
        if number % 5 == 4:
            collection.compact(timedelta(hours=1))
    stop.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert len(collection) == 100


WRITER = """
import sys, numpy as np
from theatrum.store import VectorCollection
path, who = sys.argv[1], sys.argv[2]
for batch in range(4):
    collection = VectorCollection(path)
    collection.add([f"{who}-{batch}-{row}" for row in range(5)], np.full((5, 12), float(who) + 1, np.float32))
    collection.upsert(["shared"], np.full((1, 12), float(who) + 1, np.float32))
"""


def test_eight_processes_write_at_once(collection):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(collection.path), str(who)], stderr=subprocess.PIPE)
        for who in range(8)
    ]
    for writer in writers:
        _, stderr = writer.communicate(timeout=240)
        assert writer.returncode == 0, stderr.decode()
    collection.refresh()
    expected = {f"{who}-{batch}-{row}" for who in range(8) for batch in range(4) for row in range(5)}
    assert set(collection.ids) == {*names(50), "shared", *expected}
    assert collection.get(["7-3-4"])[0].tolist() == [[8.0] * D]


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_full_disk_is_told(collection):
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from theatrum.store import VectorCollection, StoreError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "collection = VectorCollection(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n"
        "    collection.add([f'x{i}' for i in range(5000)], np.ones((5000, 12), np.float32))\n"
        "except StoreError as error:\n"
        "    print('told:', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(collection.path)], capture_output=True, text=True)
    assert "told: " in done.stdout and "the disk is full" in done.stdout, done.stderr
    assert VectorCollection(collection.path).ids == names(50)


def test_config_of_something_else(collection):
    config = collection.path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "part": "flat"}))
    with pytest.raises(ValueError, match="not a collection"):
        VectorCollection(collection.path)


def test_errors_of_the_disk_are_errors_of_the_store():
    assert issubclass(StoreError, OSError)
