"""The main job: which embedding, made how small, searched how, is best for this corpus at this budget."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from theatrum.bakeoffs.combinations import combination_notes
from theatrum.bakeoffs.documents import attribute_columns, write_documents
from theatrum.bakeoffs.field import check_field, default_field, parse_budget
from theatrum.bakeoffs.judge import judge
from theatrum.bakeoffs.measure import StoreSource, measure
from theatrum.bakeoffs.questions import QuestionSet, judged_questions, proxy_questions, split_queries
from theatrum.bakeoffs.results import BakeoffResult, Budget, Measurement
from theatrum.contracts import Encoder
from theatrum.data import Collection, Document, cache_folder
from theatrum.persistence import check_replaceable, fresh_folder
from theatrum.pipelines.pipeline import Pipeline, pipeline
from theatrum.store import VectorStore
from theatrum.store.block_encoding import Engine, open_engine

WINNER = "winner"


class Listener:
    """Hears how a bake-off goes on; the command line shows it, silent by default."""

    def encoding(self, encoder: str, done: int, total: int) -> None:
        """Hear that so many more texts went through an encoder."""

    def measuring(self, pipeline: str, number: int, total: int) -> None:
        """Hear that a pipeline is about to be built and measured."""

    def measured(self, measurement: Measurement) -> None:
        """Hear the outcome of a pipeline."""

    def left_out(self, pipeline: str, reason: str) -> None:
        """Hear that a pipeline cannot take part."""


def bakeoff(
    docs: Collection | Iterable[Document | str],
    queries: Mapping[str, str] | None = None,
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    *,
    budget: Budget | str | None = None,
    pipelines: Sequence[str] | None = None,
    out: str | Path | None = None,
    store: str | Path | None = None,
    engine: Engine | Literal["local", "ray"] = "local",
    name: str | None = None,
    rejected: int = 0,
    listener: Listener | None = None,
) -> BakeoffResult:
    """Measure a field of pipelines on a corpus and recommend one.

    Parameters
    ----------
    docs : Collection or iterable of Document or str
        The corpus; a collection brings its queries and judgements with it. Bare texts get their row as id.
    queries : mapping of str to str, optional
        Query id -> text. Without queries and judgements, proxies are made from the documents and said to be proxies.
    qrels : mapping of str to mapping of str to int, optional
        Query id -> document id -> grade; goes with ``queries``.
    budget : Budget or str, optional
        Limits such as ``"bytes=64,ms=5"``.
    pipelines : sequence of str, optional
        The field; `default_field` by default. BM25 is always in.
    out : str or Path, optional
        Folder for ``report.html``, ``results.parquet`` and ``winner``; nothing is written without it.
    store : str or Path, optional
        Folder or URI of cached vectors; by default in the user's cache, shared by all runs.
    engine : Engine or {"local", "ray"}, default="local"
        Where the corpus and its queries are encoded. Everything else, and all timing, stays in this process.
    name : str, optional
        What to call the corpus in the report.
    rejected : int, default=0
        Rows of the source that could not be read, for the report.
    listener : Listener, optional
        Hears of progress.

    Returns
    -------
    BakeoffResult
        Measurements, judgement, and the paths of what was written.

    Raises
    ------
    ValueError
        Empty corpus, queries without judgements, a pipeline that cannot be read, or a field without a survivor.

    Examples
    --------
    >>> import tempfile, theatrum
    >>> texts = [f"Plates of kind {i} bend. Thin plates of sort {i * 7} buckle early under load." for i in range(40)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = theatrum.bakeoff(texts, pipelines=["bm25", "tfidf"], store=folder)
    >>> result.questions, len(result.measurements)
    ('sentences', 2)
    """
    start = time.perf_counter()
    limits = budget if isinstance(budget, Budget) else parse_budget(budget)
    field = check_field(list(pipelines) if pipelines is not None else default_field())
    for text in field:
        pipeline(text)  # a mistake in the last line should not cost the measuring of all others
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        check_replaceable(Path(out) / WINNER)
    documents = _documents(docs)
    if isinstance(docs, Collection):
        queries, qrels, name = queries or docs.queries, qrels or docs.qrels, name or docs.name
    if bool(queries) != bool(qrels):
        raise ValueError("queries and judgements (qrels) go together: give both, or neither for proxy questions")
    questions = judged_questions(documents, queries, qrels) if queries and qrels else proxy_questions(documents)
    halves = split_queries(questions.queries)

    hear = listener or Listener()
    with open_engine(engine) as encoding:
        source = StoreSource(VectorStore(store or cache_folder() / "store", encoding), hear.encoding)
        ids = [document.id for document in documents]
        measurements, left_out = _measure_field(field, ids, questions, halves, source, hear)
        judgement = judge(measurements, limits, questions.kind)
        result = BakeoffResult(
            name=name or "corpus",
            n_documents=len(documents),
            n_dev=len(halves[0]),
            n_test=len(halves[1]),
            questions=questions.kind,
            rejected=rejected,
            budget=limits,
            measurements=measurements,
            encoders=list(source.reports.values()),
            left_out=left_out,
            judgement=judgement,
            queries={query: questions.queries[query] for query in halves[1]},
            seconds=time.perf_counter() - start,
            out=Path(out) if out is not None else None,
            combinations=combination_notes(questions, ids, measurements),
        )
        if out is not None:
            _write(result, documents, source)
        return result


def _documents(docs: Collection | Iterable[Document | str]) -> list[Document]:
    rows: Iterable[Document | str] = docs.documents if isinstance(docs, Collection) else docs
    if isinstance(rows, str):
        raise ValueError("docs: expected a collection or a list of documents, got one text; put it in a list")
    documents = [
        Document(id=f"row-{number}", text=row) if isinstance(row, str) else row for number, row in enumerate(rows, 1)
    ]
    if not documents:
        raise ValueError("docs: the corpus is empty; there is nothing to measure on")
    return documents


def _measure_field(
    field: Sequence[str],
    ids: Sequence[str],
    questions: QuestionSet,
    halves: tuple[Sequence[str], Sequence[str]],
    source: StoreSource,
    hear: Listener,
) -> tuple[list[Measurement], dict[str, str]]:
    """Measure every pipeline; one that this corpus or machine cannot carry is left out with its reason."""
    encoders: dict[str, Encoder] = {}
    measurements: list[Measurement] = []
    left_out: dict[str, str] = {}
    for number, text in enumerate(field, start=1):
        hear.measuring(text, number, len(field))
        try:
            with warnings.catch_warnings():
                # Cut texts are counted and told in the report; a warning for each pipeline would drown the rest.
                warnings.simplefilter("ignore")
                one = measure(pipeline(text, encoders=encoders), ids, questions, halves, source)
        except (ValueError, ImportError) as error:
            left_out[text] = str(error)
            hear.left_out(text, str(error))
        else:
            measurements.append(one)
            hear.measured(one)
    if not measurements:
        reasons = "; ".join(f"{text}: {reason}" for text, reason in left_out.items())
        raise ValueError(f"no pipeline could be measured: {reasons}")
    return measurements, left_out


def _write(result: BakeoffResult, documents: Sequence[Document], source: StoreSource) -> None:
    """Write the winner, the table and the report; each appears whole or not at all."""
    from theatrum.bakeoffs.report import render_report

    assert result.out is not None
    winner = pipeline(result.judgement.recommended)
    texts = [document.content for document in documents]
    # Proxy questions were cut out of what was measured; the winner serves the whole texts.
    full = StoreSource(source.store)
    full.prepare(winner.encoders, texts)
    attributes = attribute_columns(documents) or None
    winner.fit([document.id for document in documents], texts, attributes, source=full)
    with fresh_folder(result.out / WINNER) as folder:
        winner.write(folder)
        write_documents(documents, folder)
    _replace(result.out / "results.parquet", _parquet(result))
    found = _worst_cases(result, winner, documents)
    _replace(result.out / "report.html", render_report(result, found).encode())


def _worst_cases(
    result: BakeoffResult, winner: Pipeline, documents: Sequence[Document]
) -> dict[str, list[tuple[str, str]]]:
    """For the test queries that the winner loses most clearly to BM25: its first three hits, as (id, text)."""
    if result.judgement.recommended == "bm25" or "bm25" not in {one.pipeline for one in result.measurements}:
        return {}
    ours, theirs = result.measurement(result.judgement.recommended).test, result.measurement("bm25").test
    lost = sorted((ours[query] - theirs[query], query) for query in ours)[:3]
    worst = [query for difference, query in lost if difference < 0]
    if not worst:
        return {}
    ids, _ = winner.search([result.queries[query] for query in worst], 3)
    texts = {document.id: document.content for document in documents}
    return {query: [(hit, texts[hit]) for hit in hits if hit] for query, hits in zip(worst, ids.tolist(), strict=True)}


def _parquet(result: BakeoffResult) -> bytes:
    """One row a pipeline: its figures and its verdict, per-query values as a nested column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    verdicts = {verdict.pipeline: verdict for verdict in result.judgement.verdicts}
    rows = []
    for one in result.measurements:
        verdict = verdicts[one.pipeline]
        rows.append(
            {
                "pipeline": one.pipeline,
                "ndcg_at_10_test": one.test_ndcg,
                "ndcg_at_10_dev": one.dev_ndcg,
                "recall_at_100_test": one.recall_at_100,
                "memory_bytes_per_document": one.memory_bytes,
                "disk_bytes_per_document": one.disk_bytes,
                "documents_per_second": one.documents_per_second,
                "queries_per_second": one.queries_per_second,
                "p95_ms": one.p95_ms,
                "search_ms": one.search_ms,
                "build_seconds": one.build_seconds,
                "peak_memory_bytes": one.peak_memory,
                "difference_to_recommended": verdict.difference,
                "p_adjusted": verdict.p_adjusted,
                "tied": verdict.tied,
                "on_front": verdict.on_front,
                "fits_budget": verdict.fits_budget,
                "recommended": one.pipeline == result.judgement.recommended,
                "per_query": [
                    {"query": query, "half": half, "ndcg_at_10": value}
                    for half, values in (("dev", one.dev), ("test", one.test))
                    for query, value in values.items()
                ],
            }
        )
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _replace(path: Path, content: bytes) -> None:
    staging = path.with_name(f".{path.name}.tmp")
    with staging.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    staging.replace(path)
