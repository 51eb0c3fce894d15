"""Whether a store on disk is whole, and mending what can be mended."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from theatrum.persistence import CONFIG, read_config
from theatrum.store.code_segment import open_segment
from theatrum.store.lance_table import LanceTable
from theatrum.store.vector_collection import SEGMENTS, TABLE, VectorCollection

_BLOCK = 8192  # rows read at a time


@dataclass(frozen=True)
class Finding:
    """Something about a store that is not as it should be.

    Parameters
    ----------
    path : Path
        Where.
    what : str
        What is wrong, in a sentence.
    harm : bool
        Whether rows are lost or searches could be wrong; otherwise it only takes space or time.
    """

    path: Path
    what: str
    harm: bool


def check_store(path: str | Path) -> list[Finding]:
    """Read everything in a store and say what is wrong with it.

    Parameters
    ----------
    path : str or Path
        The folder of a `VectorCollection` or of a `VectorStore` (the cache of a bake-off).

    Returns
    -------
    list of Finding
        Empty if all is well.

    Raises
    ------
    FileNotFoundError
        No store is there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     collection = VectorCollection.create(folder + "/c", dim=2)
    ...     collection.add(["a"], [[1.0, 0.0]])
    ...     check_store(folder + "/c")
    []
    """
    folder = Path(path)
    findings: list[Finding] = []
    for root in _tables(folder):
        try:
            findings += _check_rows(LanceTable(folder, root.stem).open(), root)
        except ValueError as error:
            findings.append(Finding(root, f"it cannot be read: {error}", harm=True))
    if (folder / CONFIG).is_file() and not findings:
        findings += _check_collection(folder)
    findings += [Finding(left, "was left by a process that was stopped", harm=False) for left in _leftovers(folder)]
    return findings


def repair_store(path: str | Path, *, roll_back: bool = False) -> list[Finding]:
    """Mend a store: write missing codes, remove what killed processes left; returns what is still wrong.

    Parameters
    ----------
    path : str or Path
        See `check_store`.
    roll_back : bool, default=False
        Where rows cannot be read, go back to the newest version that can be; what came after it is lost.

    Returns
    -------
    list of Finding
        Empty if all is well now.
    """
    folder = Path(path)
    for root in _tables(folder):
        table = LanceTable(folder, root.stem)
        with suppress(ValueError, RuntimeError), table.writing():
            table.open()
            if _readable(table) or (roll_back and _rolled_back(table)):
                table.compact(timedelta(days=1), orphans=True)
            for left in _leftovers(folder):
                shutil.rmtree(left, ignore_errors=True)
    if (folder / CONFIG).is_file():
        with suppress(ValueError, RuntimeError):
            with LanceTable(folder, TABLE).writing():
                _remove_damaged_segments(folder)
            VectorCollection(folder).compact()
    return check_store(folder)


def _tables(folder: Path) -> list[Path]:
    tables = sorted(folder.glob("*.lance"))
    if not tables:
        raise FileNotFoundError(f"{folder} is no store: it has no table (*.lance)")
    return tables


def _leftovers(folder: Path) -> list[Path]:
    """Temporary folders of writes that never came to their end."""
    return sorted([*folder.glob(".*.tmp"), *(folder / SEGMENTS).glob(".*.tmp"), *(folder / SEGMENTS).glob(".*.old")])


def _check_rows(table: LanceTable, root: Path) -> Iterator[Finding]:
    """Read all rows; vectors must be finite and names unique."""
    key = next(name for name in ("id", "key") if name in table.schema.names)
    rows, seen = 0, set()
    for batch in table.batches([key, "vector"], _BLOCK):
        values = batch["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if batch["vector"].null_count or not np.isfinite(values).all():
            yield Finding(root, f"rows from {rows} on hold vectors that are missing or not finite", harm=True)
        names = batch[key].to_pylist()
        rows += len(names)
        seen.update(names)
    if len(seen) != rows:
        yield Finding(root, f"{rows - len(seen)} rows have a name that another one has", harm=True)


def _check_collection(folder: Path) -> Iterator[Finding]:
    config: dict[str, Any] = read_config(folder)
    for path in sorted((folder / SEGMENTS).glob("[!.]*")):
        try:
            open_segment(path, config["dim"], config["precision"])
        except (OSError, ValueError) as error:
            yield Finding(path, f"codes that cannot be read, and are made again for every process: {error}", harm=False)
    collection = VectorCollection(folder)
    for wrong in collection.codes.wrong(LanceTable(folder, TABLE).open()):
        yield Finding(wrong, "codes that are not those of its rows", harm=True)


def _remove_damaged_segments(folder: Path) -> None:
    for finding in [*_check_collection(folder)]:
        shutil.rmtree(finding.path, ignore_errors=True)


def _readable(table: LanceTable) -> bool:
    try:
        for _ in table.batches(table.schema.names, _BLOCK):
            pass
    except ValueError:
        return False
    return True


def _rolled_back(table: LanceTable) -> bool:
    """Go back to the newest version that can be read; whether there is one."""
    for version in table.versions():
        with suppress(ValueError, RuntimeError):
            table.at(version)
            if _readable(table):
                table.restore(version)
                return True
    return False
