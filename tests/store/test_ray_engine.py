"""The Ray engine: the bytes of the local engine, in order, whatever dies on the way."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import theatrum
from theatrum import registry
from theatrum.data import Document
from theatrum.encoding import encode_corpus
from theatrum.persistence import save_arrays
from theatrum.store import VectorStore, vector_store
from theatrum.store import ray_engine as module
from theatrum.store.block_encoding import LocalEngine, open_engine
from theatrum.store.ray_engine import RayEngine

ray = pytest.importorskip("ray")

# An encoder from another package, as the registry finds it: it says who encoded, and does as its texts tell it.
PROBE = """
import hashlib, os, time
import numpy as np

class Probe:
    dim = 4

    def __init__(self, pause=0.0):
        self.pause = pause

    def fingerprint(self):
        return hashlib.sha256(b"probe").hexdigest()

    def token_counts(self, items):
        return [len(item.split()) for item in items]

    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        time.sleep(self.pause)
        for item in items:
            if item.startswith("raise "):
                kinds = {"ValueError": ValueError, "FileNotFoundError": FileNotFoundError, "KeyError": KeyError}
                raise kinds[item.split()[1]]("no such luck")
            if item == "die":
                os._exit(1)
        company = len("".join(items)) % 97
        rows = [np.frombuffer(hashlib.sha256(f"{role}{item}".encode("utf-8", "surrogatepass")).digest()[:4], np.uint8)
                for item in items]
        return (np.stack(rows) + company / 1e6).astype(np.float32)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head without cores and two nodes of one core; workers see the package of the probe."""
    site = tmp_path_factory.mktemp("site")
    (site / "theatrum_probe.py").write_text(PROBE)
    info = site / "theatrum_probe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theatrum-probe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[theatrum.encoders]\nprobe = theatrum_probe:Probe\n")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(site))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.syspath_prepend(str(site))
        registry._parts.cache_clear()
        # Deaths are noticed in a second rather than in fifteen.
        quick = {"health_check_period_ms": 200, "health_check_failure_threshold": 3}
        small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
        made = Cluster(
            initialize_head=True,
            connect=True,
            head_node_args={"num_cpus": 0, "_system_config": quick, **small},
        )
        for _ in range(2):
            made.add_node(num_cpus=1, **small)
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()
            registry._parts.cache_clear()


@pytest.fixture
def probe(cluster):
    return lambda **parameters: registry.part("probe").load()(**parameters)


def same(found, expected):
    found, expected = list(found), list(expected)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.vectors.dtype == np.float32
        assert one.vectors.shape == other.vectors.shape
        assert one.vectors.tobytes() == other.vectors.tobytes()
        assert one.tokens.tolist() == other.tokens.tolist()


def lsa(texts):
    return theatrum.pipeline("lsa(dim=8) | flat").retriever.encoder.fit(texts)


def static(texts, folder):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = sorted({word for text in texts for word in text.lower().split()})
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["?", *words])}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.random.default_rng(5).normal(size=(len(words) + 1, 16)).astype(np.float32)
    save_arrays({"embeddings": table}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "model2vec"}')
    encoder = registry.part("static").load()(str(folder), weighting="zipf")
    return encoder.fit(texts)


def test_the_command_starts_a_cluster_of_its_own(corpus, tmp_path):
    """First, while there is no other. It says nothing that was not asked for."""
    documents = [Document(name, text) for name, text in zip(*corpus, strict=True)]
    encode_corpus(lambda: documents, "lsa(dim=8)", tmp_path / "local.npy", VectorStore(tmp_path / "local"))
    source = tmp_path / "plates.jsonl"
    source.write_text("\n".join(json.dumps({"id": one.id, "text": one.text}) for one in documents) + "\n")
    command = [Path(sys.executable).with_name("theatrum"), "encode", source, "--pipeline", "lsa(dim=8)"]
    options = ["--out", tmp_path / "ray.npy", "--store", tmp_path / "ray", "--engine", "ray"]
    done = subprocess.run(
        [*map(str, command + options)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
    )
    assert done.returncode == 0, done.stderr
    remarks = " ".join(done.stderr.split())
    assert done.stdout == ""
    assert remarks.startswith("columns: id=id, text=text 300 rows of width 8 in")
    assert remarks.endswith("300 encoded now, the rest from the store")
    assert (tmp_path / "ray.npy").read_bytes() == (tmp_path / "local.npy").read_bytes()


def test_a_cluster_that_was_started_is_ended(monkeypatch):
    calls = []

    class Ray:
        is_initialized = staticmethod(lambda: False)
        init = staticmethod(lambda *_, **options: calls.append("init"))
        shutdown = staticmethod(lambda: calls.append("shutdown"))

    engine = RayEngine()
    monkeypatch.setattr(engine, "_ray", Ray)
    with engine:
        assert calls == ["init"]
    engine.close()
    assert calls == ["init", "shutdown"]


@pytest.mark.parametrize("kind", ["lsa", "static"])
def test_fitted_encoders_give_the_bytes_of_the_local_engine(cluster, corpus, tmp_path, kind):
    texts = corpus[1]
    encoder = lsa(texts) if kind == "lsa" else static(texts, tmp_path)
    blocks = [[], texts[:90], texts[90:91], [], texts[91:], [texts[0]] * 3, []]
    with RayEngine() as engine:
        same(engine.encode(encoder, blocks, "document"), LocalEngine().encode(encoder, blocks, "document"))


def test_order_across_windows_and_odd_texts(probe, monkeypatch):
    monkeypatch.setattr(module, "_WINDOW_BLOCKS", 5)
    blocks = [[f"text {n} {i}" for i in range(n % 4)] for n in range(9)]
    blocks[2:2] = [["", "\0", "a\0"], ["\ud800", "\ud83d\ude00", "\N{GRINNING FACE}"], ["x" * 10**6, "\r\n\u2028"]]
    settings, level = ray.data.DataContext.get_current(), logging.getLogger("ray.data").level
    before = settings.enable_progress_bars, settings.execution_options.preserve_order
    with RayEngine(workers=1) as engine:
        same(engine.encode(probe(), blocks, "query"), LocalEngine().encode(probe(), blocks, "query"))
    # What belongs to the user is left as it was.
    assert (settings.enable_progress_bars, settings.execution_options.preserve_order) == before
    assert logging.getLogger("ray.data").level == level
    assert ray.is_initialized()  # this connection was there before the engine


def test_a_window_ends_by_number_or_size(monkeypatch):
    monkeypatch.setattr(module, "_WINDOW_BLOCKS", 3)
    monkeypatch.setattr(module, "_WINDOW_BYTES", 20)
    small, large, none = ["a"], ["a" * 30], []
    windows = list(module._windows([none, none, small, none, small, small, large, small]))
    assert [len(window) for window in windows] == [1, 1, 3, 2, 1]
    assert [module._texts(packed) for window in windows[2:] for packed in window if packed] == [
        *[small] * 3,
        large,
        small,
    ]


def test_nothing_to_encode_needs_no_cluster(monkeypatch):
    monkeypatch.setattr(RayEngine, "_connect", lambda self: pytest.fail("connected"))
    encoder = lsa(["wing in flow", "flow over a wing", "heat in plates", "plates under heat"])
    same(RayEngine().encode(encoder, [[], []], "document"), LocalEngine().encode(encoder, [[], []], "document"))


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("raise ValueError", ValueError, "^no such luck$"),
        ("raise FileNotFoundError", OSError, "^no such luck$"),
        ("raise KeyError", RuntimeError, r"Traceback(.|\n)*KeyError: 'no such luck'"),
    ],
)
def test_errors_of_the_encoder_come_back_as_they_were(probe, text, kind, message):
    worker = module._Worker(module._Work(None, "", "document", 1, ""))
    worker.encoder = probe()
    batch = worker(pa.table({"texts": [module._packed(["a"]), module._packed(["b", text])]}))
    blocks = module._unpack(batch)
    assert next(blocks).vectors.shape == (1, 4)
    with pytest.raises(kind, match=message):
        next(blocks)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [("raise ValueError", ValueError, "^no such luck$"), ("die", RuntimeError, "workers were lost 3 times in a row")],
)
def test_a_text_that_cannot_be_encoded_ends_the_run(probe, text, kind, message):
    made = RayEngine().encode(probe(), [["a"], [], ["b", text], *[["c"]] * 20], "document")
    with pytest.raises(kind, match=message):
        list(made)


def test_workers_of_a_run_that_was_left_leave_the_cluster(probe):
    made = RayEngine().encode(probe(pause=0.1), [[str(n)] for n in range(40)], "document")
    next(made)
    made.close()
    same(RayEngine().encode(probe(), [["a"]], "document"), LocalEngine().encode(probe(), [["a"]], "document"))


@pytest.mark.parametrize(
    ("difference", "kind", "message"),
    [
        ({"fingerprint": "0" * 64}, ValueError, "the encoder on node .* is not the driver's .* put the same model"),
        ({"version": "0.0.9"}, ImportError, "has theatrum .*, the driver 0.0.9; install the same"),
    ],
)
def test_a_node_that_differs_is_refused(probe, difference, kind, message):
    encoder = probe()
    files = ray.put(module._files(encoder))
    work = module._Work(files, encoder.fingerprint(), "document", 1, module.version("theatrum"))
    assert module._opened(work).fingerprint() == encoder.fingerprint()
    with pytest.raises(kind, match=message):
        module._opened(work._replace(**difference))


def test_an_encoder_that_nobody_can_open_is_refused(cluster):
    class Own:
        dim = 2

    with pytest.raises(ValueError, match="Own is not registered"):
        list(RayEngine().encode(Own(), [["a"]], "document"))


def test_a_bake_off_measures_the_same(cluster, corpus, tmp_path):
    results = [
        theatrum.bakeoff(corpus[1], pipelines=["lsa(dim=8)"], store=tmp_path / str(n), engine=engine)
        for n, engine in enumerate((RayEngine(), "local"))
    ]
    ray_made, local = ([(one.pipeline, one.test) for one in result.measurements] for result in results)
    assert ray_made == local


def test_a_node_that_dies_half_way_costs_nothing(cluster, probe, tmp_path, monkeypatch, caplog):
    """Last on the cluster, as it takes a node away."""
    monkeypatch.setattr(vector_store, "_COMMIT_ROWS", 2048)
    texts = [f"text {n}" for n in range(20 * 256)]
    encoder, done = probe(pause=0.3), []
    for block in VectorStore(tmp_path / "ray", RayEngine()).stream(encoder, texts):
        done.append(block)
        if len(done) == 8:
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    assert "a worker was lost" in caplog.text
    expected = VectorStore(tmp_path / "local").encode(probe(), texts)
    assert np.concatenate([block.vectors for block in done]).tobytes() == expected.vectors.tobytes()
    assert sum(block.encoded for block in done) == len(texts)


@pytest.mark.parametrize("bad", [{"workers": 0}, {"workers": 1.5}, {"cpus": 0}, {"gpus": -1}, {"workers": True}])
def test_bad_parameters(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be a whole number of at least"):
        RayEngine(**bad)


def test_an_engine_that_nobody_knows():
    with (
        pytest.raises(ValueError, match="no engine is called 'spark'; the engines are 'local' and 'ray'"),
        open_engine("spark"),
    ):
        pass


def test_no_cluster_at_the_address(monkeypatch):
    class Ray:
        is_initialized = staticmethod(lambda: False)

        @staticmethod
        def init(address, **options):
            raise ConnectionError("timed out")

    engine = RayEngine("10.0.0.1:6379")
    monkeypatch.setattr(engine, "_ray", Ray)
    with pytest.raises(ConnectionError, match=r"no Ray cluster answers at 10.0.0.1:6379 \(timed out\)"):
        engine.__enter__()


def test_a_missing_ray_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'ray.*pip install "theatrum\[ray\]"'):
        RayEngine()
