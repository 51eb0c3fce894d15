"""Measuring a claim and writing it into the ledger, ``claims/NNN.json``."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast, get_args

from theatrum.atlas import Entry, entry, ledger_folder, status
from theatrum.claims.outcome import Outcome, Scale

# Whatever may change a measured number is recorded beside it.
_VERSIONS = ("theatrum", "numpy", "scipy", "scikit-learn", "torch", "sentence-transformers", "faiss-cpu", "bm25s")


@dataclass(frozen=True)
class Record:
    """One measured claim, as it stands in the ledger.

    Parameters
    ----------
    number : int
        Atlas number.
    title : str
        The paper.
    scale : {"smoke", "cpu", "gpu"}
        How large a run it was.
    holds : bool
        Whether every inequality held.
    inequalities : list of dict
        ``says``, ``mean``, ``low`` (95% interval), ``margin``, ``bound``, ``over``, ``n`` and ``holds`` of each.
    measurements : dict
        Arm -> metric -> values, one a seed.
    recorded : dict
        Findings that decide nothing.
    notes : str
        What a reader must know.
    seconds : float
        Wall-clock time of the measurement.
    date, commit : str
        When, and at which revision of this repository (empty outside a checkout; "+" when it had changes).
    machine : str
        In general terms.
    contract_test : bool
        Whether the method has its contract test in this checkout; an installed copy has no tests to look at.
    versions : dict
        Packages that the numbers depend on.
    """

    number: int
    title: str
    scale: str
    holds: bool
    inequalities: list[dict[str, Any]]
    measurements: dict[str, dict[str, list[float]]]
    recorded: dict[str, Any]
    notes: str
    seconds: float
    date: str
    commit: str
    machine: str
    contract_test: bool
    versions: dict[str, str]


def find_claim(number: int) -> tuple[Entry, Callable[[Scale], Outcome]]:
    """Return an atlas entry and the function that measures its claim.

    Raises
    ------
    ValueError
        No such entry, or no claim written for it yet.
    """
    found = entry(number)
    module = found.symbol.partition(":")[0].replace("theatrum.", "theatrum.claims.", 1)
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    function = getattr(importlib.import_module(module), f"claim_{number:03d}", None) if spec else None
    if function is None:
        raise ValueError(
            f"row {number} ({found.title}) has no claim yet; `theatrum atlas` shows the rows that have one"
        )
    return found, cast("Callable[[Scale], Outcome]", function)


def measure(number: int, scale: Scale = "cpu") -> Record:
    """Measure one claim; nothing is written.

    Parameters
    ----------
    number : int
        Atlas number.
    scale : {"smoke", "cpu", "gpu"}, default="cpu"
        "smoke" takes seconds and shows that the measurement runs; "cpu" is the check of the atlas; "gpu" is the
        paper's own scale where a claim has one.

    Returns
    -------
    Record
        What the ledger keeps.
    """
    if scale not in get_args(Scale):
        raise ValueError(f"scale must be one of {', '.join(get_args(Scale))}, got {scale!r}")
    found, function = find_claim(number)
    start = time.perf_counter()
    outcome = function(scale)
    seconds = time.perf_counter() - start
    return Record(
        number=number,
        title=found.title,
        scale=scale,
        holds=outcome.holds,
        inequalities=[
            {
                "says": one.says,
                "holds": one.holds,
                "mean": round(one.mean, 6),
                # JSON has no infinity; a single value has no interval.
                "low": round(one.low, 6) if one.low > -float("inf") else None,
                "margin": one.margin,
                "bound": one.bound,
                "over": one.over,
                "n": len(one.differences),
            }
            for one in outcome.inequalities
        ],
        measurements={
            arm: {metric: [round(float(value), 6) for value in values] for metric, values in metrics.items()}
            for arm, metrics in outcome.measurements.items()
        },
        recorded=dict(outcome.recorded),
        notes=outcome.notes,
        seconds=round(seconds, 1),
        date=date.today().isoformat(),
        commit=_commit(),
        machine=_machine(),
        contract_test=status(found).tested,
        versions=_installed(),
    )


def write_record(record: Record, folder: Path | None = None) -> Path:
    """Write a record as ``NNN.json``; the file appears whole or not at all.

    Raises
    ------
    FileNotFoundError
        No ledger: outside a checkout, name a folder.
    ValueError
        A smoke run: it shows that a measurement runs, not that a claim holds.
    """
    if record.scale == "smoke":
        raise ValueError("a smoke run does not belong in the ledger; measure at scale cpu or gpu")
    folder = folder or ledger_folder()
    if folder is None:
        raise FileNotFoundError("no ledger folder was found; name one, or run inside a checkout of theatrum")
    path = folder / f"{record.number:03d}.json"
    staging = path.with_suffix(".tmp")
    text = json.dumps(asdict(record), indent=2, ensure_ascii=False, allow_nan=False)
    staging.write_text(text + "\n", encoding="utf-8")
    staging.replace(path)
    return path


def _machine() -> str:
    return f"{os.cpu_count()} CPU cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def _installed() -> dict[str, str]:
    found = {}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """Short revision of the checkout that this file lies in, or an empty text."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return ""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    # The ledger itself changes while claims are measured; only other changes make a number unrepeatable.
    dirty = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!claims")
    return git("rev-parse", "--short=12", "HEAD") + ("+" if dirty else "")
