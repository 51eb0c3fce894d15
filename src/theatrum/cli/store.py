"""``theatrum store``: look after collections of vectors and caches on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from theatrum.store import Finding

store_app = typer.Typer(
    help="Collections of vectors on disk: fill, check, mend, compact, keep.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Folder = Annotated[Path, typer.Argument(help="A collection of vectors.")]
AnyStore = Annotated[Path, typer.Argument(help="A collection of vectors, or the cache folder of bake-offs.")]


@store_app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="A collection of vectors; made if it is not there.")],
    file: Annotated[Path, typer.Argument(help="vectors.npy, .parquet or .lance, such as 'theatrum encode' writes.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace rows whose ids are there already.")] = False,
) -> None:
    """Add the vectors of a file, with their other columns as attributes."""
    from theatrum.cli.streams import remarks
    from theatrum.store import VectorCollection, read_vectors

    ids, X, attributes = read_vectors(file)
    there = folder.exists() and any(folder.iterdir())
    collection = VectorCollection(folder) if there else VectorCollection.create(folder, X.shape[1])
    (collection.upsert if replace else collection.add)(ids, X, attributes)
    remarks.print(f"{len(ids):,} vectors of width {collection.dim}; {folder} has {len(collection):,}", markup=False)


@store_app.command()
def info(folder: Folder) -> None:
    """Print what a collection holds."""
    from theatrum.store import VectorCollection

    collection = VectorCollection(folder)
    lines = {
        "vectors": f"{len(collection):,} of width {collection.dim}, compared by {collection.metric}",
        "codes": f"{collection.precision}, {collection.memory_bytes:,} bytes",
        "on disk": f"{collection.disk_bytes:,} bytes",
        "version": str(collection.version),
        "encoder": collection.fingerprint or "not said",
    }
    for name, line in lines.items():
        typer.echo(f"{name:<10} {line}")


@store_app.command()
def check(folder: AnyStore) -> None:
    """Read everything and say what is wrong; the exit code is 1 when rows are lost or searches could be wrong."""
    from theatrum.store import check_store

    _tell(folder, check_store(folder))


@store_app.command()
def repair(
    folder: AnyStore,
    roll_back: Annotated[
        bool, typer.Option("--roll-back", help="Give up changes whose files are damaged; without it nothing is lost.")
    ] = False,
) -> None:
    """Make missing codes again, remove what killed processes left, and check."""
    from theatrum.store import repair_store

    _tell(folder, repair_store(folder, roll_back=roll_back))


@store_app.command()
def compact(folder: Folder) -> None:
    """Give back the space of deleted and replaced rows; versions of the last day stay for those who read them."""
    from theatrum.store import VectorCollection

    VectorCollection(folder).compact()


@store_app.command()
def snapshot(folder: Folder, to: Annotated[Path, typer.Argument(help="The new folder.")]) -> None:
    """Keep a collection as it is now under another path, without copying where links are possible."""
    from theatrum.store import VectorCollection

    VectorCollection(folder).snapshot(to)


def _tell(folder: Path, findings: list[Finding]) -> None:
    for finding in findings:
        typer.echo(f"{'harm' if finding.harm else 'note'}  {finding.path}: {finding.what}")
    harm = sum(finding.harm for finding in findings)
    typer.echo(f"{folder}: " + (f"{harm} kinds of harm" if harm else "all rows can be read, and searches are right"))
    if harm:
        raise typer.Exit(1)
