"""The ``theatrum`` command and its subcommands.

Everything heavy is imported inside the command that needs it, so that ``theatrum --help`` answers at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from theatrum.cli.store import store_app

app = typer.Typer(
    name="theatrum",
    help="The atlas of embeddings: find out which embedding pays on your own data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
atlas_app = typer.Typer(
    help="The 119 methods of the atlas, and which of them work.", invoke_without_command=True, rich_markup_mode=None
)
app.add_typer(atlas_app, name="atlas")
app.add_typer(store_app, name="store")

Source = Annotated[
    str,
    typer.Argument(
        help="jsonl, csv, tsv, parquet (each also .gz or .zst), a folder of .txt/.md, '-', or a known data set."
    ),
]
TextColumn = Annotated[str | None, typer.Option("--text", help="Column of the text; guessed if not named.")]
TitleColumn = Annotated[str | None, typer.Option("--title", help="Column of the title; guessed if not named.")]
IdColumn = Annotated[str | None, typer.Option("--id", help="Column of the id; guessed if not named.")]
Queries = Annotated[Path | None, typer.Option(help="Queries: jsonl, csv or tsv with id and text.")]
Qrels = Annotated[Path | None, typer.Option(help="Judgements: query, document, grade; or TREC columns.")]
# A text, not a path: pathlib would make s3:/bucket of s3://bucket.
Store = Annotated[
    str | None, typer.Option(help="Folder or URI (s3://bucket/vectors) of cached vectors; in your cache by default.")
]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="Where texts are encoded: in this process, or on a Ray cluster.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def run() -> None:
    """Call the command, and turn what users can mend into one sentence and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        typer.echo("stopped; what was encoded is in the store, and the next run goes on from there", err=True)
        raise SystemExit(130) from None
    except (ValueError, OSError, ImportError) as error:
        typer.echo(f"theatrum: {error}", err=True)
        raise SystemExit(2) from None


def _version(show: bool) -> None:
    if show:
        from theatrum import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Find out which embedding, made how small, searched how, is best for your data at your budget."""


@app.command()
def bakeoff(
    source: Source,
    queries: Queries = None,
    qrels: Qrels = None,
    budget: Annotated[str | None, typer.Option(help="Limits such as bytes=64,ms=5.")] = None,
    pipelines: Annotated[
        Path | None, typer.Option(help="A file of pipelines, one a line; a default field otherwise.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for report.html, results.parquet and winner.")] = Path("bakeoff"),
    store: Store = None,
    engine: Engine = "local",
    text: TextColumn = None,
    title: TitleColumn = None,
    id: IdColumn = None,
) -> None:
    """Measure a field of pipelines on a corpus; write a report and the winner, ready to search."""
    from theatrum.cli.bakeoff import run_bakeoff

    run_bakeoff(source, queries, qrels, budget, pipelines, out, store, engine, {"text": text, "title": title, "id": id})


@app.command()
def search(
    winner: Annotated[Path, typer.Argument(help="The winner folder of a bake-off, or any saved pipeline.")],
    query: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits.")] = 10,
    where: Annotated[str | None, typer.Option(help="A filter, such as \"year >= 1965 and author = 'lin'\".")] = None,
    as_json: AsJson = False,
) -> None:
    """Search with the winner of a bake-off."""
    from theatrum.cli.search import run_search

    run_search(winner, query, k, where, as_json)


@app.command()
def serve(
    winner: Annotated[Path, typer.Argument(help="The winner folder of a bake-off, or any saved pipeline.")],
    compare: Annotated[
        list[Path] | None, typer.Option(help="A further pipeline folder to serve and compare with; may come often.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine only with API keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    keys: Annotated[
        Path | None, typer.Option(help="A file of API keys, one a line; THEATRUM_API_KEYS otherwise.")
    ] = None,
    max_inputs: Annotated[int, typer.Option(min=1, help="Most texts of one request.")] = 2048,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of one request.")] = 300_000,
    max_body_bytes: Annotated[int, typer.Option(min=1, help="Largest request.")] = 8 << 20,
    max_waiting: Annotated[int, typer.Option(min=1, help="Texts that may wait; then 429.")] = 4096,
    max_batch: Annotated[int, typer.Option(min=1, help="Most texts through a pipeline at once.")] = 64,
    map_documents: Annotated[int, typer.Option(min=1, max=20_000, help="Most documents on the map.")] = 5000,
    log_texts: Annotated[bool, typer.Option("--log-texts", help="Let the log quote what users wrote.")] = False,
) -> None:
    """Serve the winner of a bake-off over HTTP, with a page for people and OpenAI's API for programs."""
    from theatrum.cli.serve import run_serve

    limits = {
        "max_inputs": max_inputs,
        "max_tokens": max_tokens,
        "max_body_bytes": max_body_bytes,
        "max_waiting": max_waiting,
        "max_batch": max_batch,
        "map_documents": map_documents,
        "log_texts": log_texts,
    }
    run_serve(winner, compare or [], host, port, keys, limits)


@app.command()
def encode(
    source: Source,
    pipeline: Annotated[str, typer.Option(help="Encoder, refiners and quantizer, such as 'static | pca(dim=64)'.")],
    out: Annotated[Path, typer.Option(help="vectors.npy, vectors.parquet or vectors.lance.")],
    store: Store = None,
    engine: Engine = "local",
    text: TextColumn = None,
    title: TitleColumn = None,
    id: IdColumn = None,
) -> None:
    """Turn a corpus into vectors."""
    from theatrum.cli.encode import run_encode

    run_encode(source, pipeline, out, store, engine, {"text": text, "title": title, "id": id})


@app.command()
def classify(
    source: Source,
    labels: Annotated[str, typer.Option(help="Class names, separated by commas.")],
    method: Annotated[
        str, typer.Option(help="A predictor of `theatrum parts`, or the folder of a saved one.")
    ] = "cosine",
    encoder: Annotated[str, typer.Option(help="An encoder of `theatrum parts`.")] = "minilm",
    descriptions: Annotated[
        Path | None, typer.Option(help="Lines 'name<TAB>description' in place of the names; several a name allowed.")
    ] = None,
    template: Annotated[str, typer.Option(help="Text around a name, such as 'a question about {}'.")] = "{}",
    examples: Annotated[
        Path | None, typer.Option(help="Labelled texts (jsonl, csv, tsv, parquet) of some or all classes.")
    ] = None,
    label_column: Annotated[str, typer.Option(help="Column of their labels.")] = "label",
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Balance classes with and without examples (atlas 119).")
    ] = False,
    abstain: Annotated[float, typer.Option(min=0, max=1, help="Give no label below this confidence.")] = 0.0,
    out: Annotated[Path | None, typer.Option(help="A .csv, .tsv or .jsonl file; standard output otherwise.")] = None,
    store: Store = None,
    text: TextColumn = None,
    title: TitleColumn = None,
    id: IdColumn = None,
) -> None:
    """Label texts by classes that are only named, or described, or shown by a few examples."""
    from theatrum.cli.classify import Classes, run_classify

    classes = Classes(labels, descriptions, template, method, encoder, examples, label_column, calibrated)
    run_classify(source, classes, abstain, out, store, {"text": text, "title": title, "id": id})


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="The winner folder of a bake-off, a saved pipeline or index.")],
    to: Annotated[str, typer.Option(help="faiss, usearch, hnswlib, parquet, npy or lance.")],
    out: Annotated[Path, typer.Option(help="File to write; tables end in .parquet, .npy or .lance.")],
) -> None:
    """Hand the vectors of a saved pipeline over to another library."""
    from theatrum.cli.export import run_export

    run_export(source, to, out)


@app.command("eval")
def evaluate(
    source: Source,
    pipeline: Annotated[str, typer.Option(help="The pipeline to measure.")],
    queries: Queries = None,
    qrels: Qrels = None,
    store: Store = None,
    text: TextColumn = None,
    title: TitleColumn = None,
    id: IdColumn = None,
    as_json: AsJson = False,
) -> None:
    """Measure one pipeline on a corpus with judgements, over all its queries."""
    from theatrum.cli.evaluate import run_evaluate

    run_evaluate(source, pipeline, queries, qrels, store, {"text": text, "title": title, "id": id}, as_json)


@app.command()
def parts(as_json: AsJson = False) -> None:
    """List the parts: what pipelines are made of, and predictors beside them."""
    from theatrum import registry

    found = registry.parts()
    if as_json:
        typer.echo(json.dumps([vars(part) for part in found], indent=2))
        return
    for kind in registry.KINDS:
        names = ", ".join(part.name for part in found if part.kind == kind)
        typer.echo(f"{kind:<10} {names}")


@app.command()
def claim(
    number: Annotated[int, typer.Argument(help="Atlas number.")],
    scale: Annotated[str, typer.Option(help="smoke (seconds), cpu (the atlas's check) or gpu (the paper's).")] = "cpu",
    write: Annotated[bool, typer.Option(help="Write the outcome into the ledger of this checkout.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the claim of a method again; the exit code is 1 when it does not hold."""
    from theatrum.cli.claim import run_claim

    if not run_claim(number, scale, write, as_json):
        raise typer.Exit(1)


@atlas_app.callback()
def atlas(
    context: typer.Context,
    room: Annotated[str | None, typer.Option(help="Only this room.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the methods."""
    if context.invoked_subcommand is None:
        from theatrum.cli.atlas import list_atlas

        list_atlas(room, as_json)


@atlas_app.command()
def show(number: Annotated[int, typer.Argument(help="Atlas number.")], as_json: AsJson = False) -> None:
    """Show one method with its paper, its status and its measured claim."""
    from theatrum.cli.atlas import show_entry

    show_entry(number, as_json)
