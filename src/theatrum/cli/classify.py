"""``theatrum classify``: a label and a confidence for every text."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from theatrum import registry
from theatrum.cli.source import Columns, open_source, tell_source
from theatrum.cli.streams import remarks
from theatrum.data import Document, cache_folder, read_corpus
from theatrum.persistence import fresh_file, open_part
from theatrum.predict.zero_shot_text import ZeroShotTextClassifier
from theatrum.store import VectorStore
from theatrum.store.stored_encoder import StoredEncoder

_BLOCK = 4096  # texts classified at a time
_COLUMNS = ("id", "label", "confidence")


@dataclass(frozen=True)
class Classes:
    """What the user said of the classes and of how to tell them apart.

    Parameters
    ----------
    labels : str
        Names, separated by commas.
    descriptions : Path or None
        Lines ``name<TAB>description``; several lines of one name are averaged.
    template : str
        Text around a name.
    method, encoder : str
        Registered names; the method may be the folder of a saved predictor.
    examples : Path or None
        Labelled texts.
    label_column : str
        Where their labels are.
    calibrated : bool
        Balance classes with and without examples.
    """

    labels: str
    descriptions: Path | None
    template: str
    method: str
    encoder: str
    examples: Path | None
    label_column: str
    calibrated: bool


def run_classify(
    source: str, classes: Classes, abstain: float, out: Path | None, store: str | None, columns: Columns
) -> None:
    """Read, fit, decide, write."""
    names = [name.strip() for name in classes.labels.split(",") if name.strip()]
    bar = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} texts"), TimeElapsedColumn())
    rejects = (out or Path("classify")).with_suffix(".rejects.jsonl")
    reader = open_source(source, columns, rejects)
    with Progress(*bar, console=remarks, transient=True) as progress:
        task = progress.add_task(f"encoding with {classes.encoder}", total=None)
        encoder = StoredEncoder(
            _encoder(classes.encoder),
            VectorStore(store or cache_folder() / "store"),
            on_progress=lambda n: progress.advance(task, n),
        )
        model = ZeroShotTextClassifier(
            names,
            encoder=encoder,
            predictor=_saved_or_named(classes.method),
            descriptions=None if classes.descriptions is None else read_descriptions(classes.descriptions, names),
            template=classes.template,
            calibrated=classes.calibrated,
        )
        documents: Iterable[Document] = reader
        if classes.examples is not None:
            model.fit(*read_examples(classes.examples, classes.label_column))
        elif hasattr(encoder, "fit") or getattr(model.predictor, "learns_without_labels", False):
            # What learns from the texts themselves has to see them all first.
            documents = list(reader)
            model.fit([document.content for document in documents])
        else:
            model.fit()
        counts = {"rows": 0, "without a label": 0}
        with _writer(out) as write:
            rows = iter(documents)
            while block := list(islice(rows, _BLOCK)):
                found = model.decide([document.content for document in block], abstain=abstain)
                for document, label, confidence in zip(block, found.labels, found.confidence, strict=True):
                    write((document.id, str(label), f"{confidence:.4f}"))
                counts["rows"] += len(block)
                counts["without a label"] += int((found.labels == "").sum())
    tell_source(reader, rejects)
    remarks.print(
        f"{counts['rows']:,} texts classified with {classes.method} on {classes.encoder}"
        + (f", {counts['without a label']:,} left without a label (confidence below {abstain:g})" if abstain else "")
        + (f"; written to {out}" if out else ""),
        markup=False,
    )


def _encoder(name: str) -> Any:
    part = registry.part(name)
    if part.kind != "encoder":
        raise ValueError(f"--encoder: {name!r} is a {part.kind}; `theatrum parts` lists the encoders")
    return part.load()()


def _saved_or_named(method: str) -> Any:
    """Open a saved predictor, or make the registered one."""
    if Path(method).is_dir():
        return open_part(Path(method))
    part = registry.part(method)
    if part.kind != "predictor":
        raise ValueError(f"--method: {method!r} is no predictor but a {part.kind}; `theatrum parts` lists them")
    return part.load()()


def read_descriptions(path: Path, names: Sequence[str]) -> list[list[str]]:
    """Read lines ``name<TAB>description``, in the order of the names.

    Raises
    ------
    ValueError
        A line without a tab, a name that is no label, or a label without a description.
    """
    found: dict[str, list[str]] = {name: [] for name in names}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        name, tab, text = line.partition("\t")
        if not tab or not text.strip():
            raise ValueError(f"{path}, line {number}: expected a name, a tab and a description")
        if name.strip() not in found:
            raise ValueError(f"{path}, line {number}: {name.strip()!r} is none of the labels {', '.join(names)}")
        found[name.strip()].append(text.strip())
    missing = [name for name, texts in found.items() if not texts]
    if missing:
        raise ValueError(f"{path}: the label {missing[0]!r} has no description; add a line for it")
    return list(found.values())


def read_examples(path: Path, label_column: str) -> tuple[list[str], list[str]]:
    """Read labelled texts from a file of rows.

    Raises
    ------
    ValueError
        A row without a label (with its id).
    """
    texts, labels = [], []
    for document in read_corpus(str(path)):
        label = document.attributes.get(label_column)
        if label is None or label == "":
            there = ", ".join(document.attributes) or "none"
            raise ValueError(
                f"{path}: row {document.id!r} has no value in column {label_column!r} (other columns: {there}); name "
                "the column with --label-column"
            )
        texts.append(document.content)
        labels.append(str(label))
    return texts, labels


@contextmanager
def _writer(out: Path | None) -> Iterator[Any]:
    """Give a function that writes one row; a file appears whole or not at all."""
    if out is None:
        yield _rows_to(sys.stdout, "csv")
        return
    kind = out.suffix.lower().lstrip(".")
    if kind not in ("csv", "tsv", "jsonl"):
        raise ValueError(f"--out: {out.name} must end in .csv, .tsv or .jsonl")
    with fresh_file(out) as staging, staging.open("w", encoding="utf-8", newline="") as file:
        yield _rows_to(file, kind)


def _rows_to(file: TextIO, kind: str) -> Any:
    if kind == "jsonl":

        def write(row: tuple[str, str, str]) -> None:
            values = {"id": row[0], "label": row[1] or None, "confidence": float(row[2])}
            file.write(json.dumps(values, ensure_ascii=False) + "\n")

        return write
    lines = csv.writer(file, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
    lines.writerow(_COLUMNS)
    return lines.writerow
