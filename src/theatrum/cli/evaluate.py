"""``theatrum eval``: one pipeline over all queries of a collection."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from theatrum.bakeoffs.measure import DEPTH, StoreSource
from theatrum.bakeoffs.questions import judged_questions, proxy_questions
from theatrum.cli.source import Columns, read_collection
from theatrum.cli.streams import print_json
from theatrum.data import cache_folder
from theatrum.evaluate import judge, ranking_report
from theatrum.pipelines.pipeline import pipeline
from theatrum.store import VectorStore


def run_evaluate(
    source: str,
    text: str,
    queries: Path | None,
    qrels: Path | None,
    store: str | None,
    columns: Columns,
    as_json: bool,
) -> None:
    """Read, index, search, print the means."""
    built = pipeline(text)
    collection, _ = read_collection(source, queries, qrels, columns, Path("rejects.jsonl"))
    documents = collection.documents
    if collection.queries:
        questions = judged_questions(documents, collection.queries, collection.qrels)
    else:
        questions = proxy_questions(documents)
    vectors = StoreSource(VectorStore(store or cache_folder() / "store"))
    vectors.prepare(built.encoders, questions.texts)
    built.fit([document.id for document in documents], questions.texts, source=vectors)
    order = list(questions.queries)
    ranked, _ = built.search(list(questions.queries.values()), DEPTH, source=vectors)
    report = asdict(ranking_report(judge(ranked, order, questions.qrels)))
    memory = built.memory_bytes / len(documents)
    if as_json:
        print_json({"pipeline": str(built), "questions": questions.kind, "memory_bytes": memory, **report})
        return
    console = Console(highlight=False)
    proxies = "" if questions.kind == "judged" else f" (the questions are proxies: {questions.kind})"
    console.print(f"{built} on {collection.name}{proxies}", markup=False)
    for name, value in {**report, "memory_bytes": memory}.items():
        console.print(f"  {name:<16} {value:.4f}" if isinstance(value, float) else f"  {name:<16} {value}")
