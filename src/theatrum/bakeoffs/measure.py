"""Measuring one pipeline: quality a query, bytes in memory and on disk, speed, latency, build time, peak memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from theatrum.bakeoffs.questions import QuestionSet
from theatrum.bakeoffs.results import EncoderReport, Measurement
from theatrum.contracts import Encoder, Retriever, Role, Vectors
from theatrum.evaluate import judge, ndcg_at, recall_at
from theatrum.pipelines.pipeline import Pipeline
from theatrum.pipelines.retrievers import DenseRetriever, Direct, FusedRetriever
from theatrum.store import VectorStore

DEPTH = 100
_TIMED_QUERIES = 64  # one at a time, for latency; enough for a 95th percentile that means something


@dataclass
class StoreSource:
    """Vectors from the store; each encoder is fitted once a corpus and its documents are read once.

    Parameters
    ----------
    store : VectorStore
        The cache on disk.
    on_progress : callable, optional
        Called with (encoder notation, texts done since the last call, texts in all).
    """

    store: VectorStore
    on_progress: Callable[[str, int, int], None] | None = None
    reports: dict[str, EncoderReport] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    _documents: dict[str, Vectors] = field(default_factory=dict)

    def prepare(self, encoders: Mapping[str, Encoder], texts: Sequence[str]) -> None:
        """Fit and run every encoder that has not seen these texts yet."""
        for name, encoder in encoders.items():
            if name in self._documents:
                continue
            self.names[id(encoder)] = name
            start = time.perf_counter()
            fit = getattr(encoder, "fit", None)
            if fit is not None:
                fit(texts)
            fitting = time.perf_counter() - start

            def tell(done: int, name: str = name) -> None:
                if self.on_progress:
                    self.on_progress(name, done, len(texts))

            done = self.store.encode(encoder, texts, on_progress=tell)
            self._documents[name] = done.vectors
            self.reports[name] = EncoderReport(
                encoder=name,
                dim=encoder.dim,
                encoded=done.encoded,
                cached=len(set(texts)) - done.encoded,
                seconds=fitting + done.seconds,
                cut=int(done.cut.sum()),
                max_tokens=getattr(encoder, "max_tokens", None),
                documents_per_second=done.encoded / done.seconds if done.encoded else float("nan"),
            )

    def vectors(self, encoder: Encoder, texts: Sequence[str], role: Role) -> Vectors:
        """Document vectors of the prepared corpus, or query vectors through the store."""
        if role == "document":
            return self._documents[self.names[id(encoder)]]
        return self.store.encode(encoder, texts, role=role).vectors


@dataclass
class _Stopwatch:
    """Asks the encoder itself and adds up the time, to tell encoding from searching."""

    seconds: float = 0.0

    def vectors(self, encoder: Encoder, texts: Sequence[str], role: Role) -> Vectors:
        start = time.perf_counter()
        made = Direct().vectors(encoder, texts, role)
        self.seconds += time.perf_counter() - start
        return made


def measure(
    pipeline: Pipeline,
    ids: Sequence[str],
    questions: QuestionSet,
    halves: tuple[Sequence[str], Sequence[str]],
    source: StoreSource,
) -> Measurement:
    """Build a pipeline on the corpus and measure it.

    Parameters
    ----------
    pipeline : Pipeline
        Not yet fitted.
    ids : sequence of str
        Document ids, in the order of ``questions.texts``.
    questions : QuestionSet
        Queries and judgements.
    halves : (dev, test)
        Query ids of each half.
    source : StoreSource
        Vectors of the corpus.

    Returns
    -------
    Measurement
        All figures.
    """
    source.prepare(pipeline.encoders, questions.texts)
    memory = _PeakMemory()
    start = time.perf_counter()
    pipeline.fit(ids, questions.texts, source=source)
    build = time.perf_counter() - start

    dev, test = halves
    order = [*dev, *test]
    texts = [questions.queries[query] for query in order]
    ranked, _ = pipeline.search(texts, DEPTH, source=source)
    judged = judge(ranked, order, questions.qrels)
    ndcg = dict(zip(order, ndcg_at(judged, 10).tolist(), strict=True))
    latency, searching = _latency(pipeline, texts[:: max(len(texts) // _TIMED_QUERIES, 1)][:_TIMED_QUERIES])
    reports = [source.reports[name] for name in pipeline.encoders]
    rates = [report.documents_per_second for report in reports] or [len(ids) / build]
    return Measurement(
        pipeline=str(pipeline),
        dev={query: ndcg[query] for query in dev},
        test={query: ndcg[query] for query in test},
        recall_at_100=float(np.mean(recall_at(judged, DEPTH)[len(dev) :])),
        memory_bytes=pipeline.memory_bytes / len(ids),
        disk_bytes=_saved_bytes(pipeline) / len(ids),
        documents_per_second=1 / sum(1 / rate for rate in rates),
        build_seconds=build,
        queries_per_second=float(1 / latency.mean()),
        p95_ms=float(np.quantile(latency, 0.95) * 1000),
        search_ms=float(np.median(searching) * 1000),
        peak_memory=memory.growth(),
        dims=_dims(pipeline.retriever),
    )


def _dims(retriever: Retriever) -> tuple[int, ...]:
    """Dimensions that a fitted retriever compares vectors in."""
    if isinstance(retriever, FusedRetriever):
        return tuple(dim for member in retriever.members for dim in _dims(member))
    if not isinstance(retriever, DenseRetriever):
        return ()
    probe = np.ones((1, retriever.encoder.dim), dtype=np.float32)
    for refiner in retriever.refiners:
        probe = refiner.transform(probe)
    return (int(probe.shape[1]),)


def _latency(pipeline: Pipeline, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each query asked alone, in all and without encoding."""
    whole, searching = [], []
    pipeline.search(texts[:1], 10)  # the first call loads and compiles; users pay it once
    for text in texts:
        watch = _Stopwatch()
        start = time.perf_counter()
        pipeline.search([text], 10, source=watch)
        whole.append(time.perf_counter() - start)
        searching.append(whole[-1] - watch.seconds)
    return np.array(whole), np.array(searching)


def _saved_bytes(pipeline: Pipeline) -> int:
    """Bytes of the saved pipeline, all files counted."""
    with tempfile.TemporaryDirectory(prefix="theatrum-") as folder:
        target = Path(folder) / "pipeline"
        pipeline.save(target)
        return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


class _PeakMemory:
    """Growth of the process's resident memory since this object was made; Linux only, elsewhere -1."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
        self.before = self._read("VmRSS")

    def growth(self) -> int:
        peak = self._read("VmHWM")
        return max(peak - self.before, 0) if peak >= 0 and self.before >= 0 else -1

    @staticmethod
    def _read(key: str) -> int:
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
        except OSError:
            return -1
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), -1)
