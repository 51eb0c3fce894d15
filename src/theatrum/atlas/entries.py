"""The entries of the atlas, their state (computed, never typed in), and the tables made from them."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias

Claim: TypeAlias = Literal["holds", "does not hold", "not measured"]

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Entry:
    """One method of the atlas, with the paper that it comes from.

    Parameters
    ----------
    number : int
        Atlas number, from 1.
    title : str
        Full title of the paper.
    authors : str
        Family names, in the paper's order.
    venue : str
        Where it appeared, without the year.
    year : int
        When it appeared there.
    room : str
        Subpackage that the method belongs to, such as ``"refine"``.
    method : str
        The method's name here.
    symbol : str
        Main class or function, as ``"package.module:name"``.
    gives : str
        What a user gets, in one line.
    arxiv : str or None, default=None
        arXiv number, where it is certain.
    also : tuple of str, default=()
        Further classes and functions of the method, written like `symbol`.
    """

    number: int
    title: str
    authors: str
    venue: str
    year: int
    room: str
    method: str
    symbol: str
    gives: str
    arxiv: str | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """What is true of an entry in this copy of the library.

    Parameters
    ----------
    imports : bool
        Whether the main symbol is there.
    tested : bool
        Whether a contract test of it exists.
    claim : {"holds", "does not hold", "not measured"}
        What the ledger says of the paper's claim.
    """

    imports: bool
    tested: bool
    claim: Claim

    @property
    def works(self) -> bool:
        """Whether the method is there, is tested, and its claim holds."""
        return self.imports and self.tested and self.claim == "holds"


@cache
def load_entries() -> tuple[Entry, ...]:
    """Return all entries, in the order of their numbers.

    Returns
    -------
    tuple of Entry
        Read from the package's ``atlas.toml`` once.

    Examples
    --------
    >>> from theatrum.atlas import load_entries
    >>> len(load_entries())
    119
    """
    text = files("theatrum.atlas").joinpath("atlas.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)["entry"]
    entries = [Entry(**{**table, "also": tuple(table.get("also", ()))}) for table in tables]
    return tuple(sorted(entries, key=lambda one: one.number))


def entry(number: int) -> Entry:
    """Return the entry of one number.

    Parameters
    ----------
    number : int
        Atlas number.

    Returns
    -------
    Entry
        The entry.

    Raises
    ------
    ValueError
        There is no such number; the message gives the numbers that exist.

    Examples
    --------
    >>> from theatrum.atlas import entry
    >>> entry(89).symbol
    'theatrum.refine.whitening:ZipfianWhitening'
    """
    entries = load_entries()
    for one in entries:
        if one.number == number:
            return one
    raise ValueError(f"the atlas has no entry {number!r}; its numbers are {entries[0].number} to {entries[-1].number}")


def ledger_folder() -> Path | None:
    """Return the folder of measured claims: the checkout's, else the copy inside the package, else None.

    Returns
    -------
    Path or None
        Folder with one ``NNN.json`` a measured claim.
    """
    checkout = _checkout()
    places = [_PACKAGE / "claims" / "ledger"] if checkout is None else [checkout / "claims"]
    return next((place for place in places if place.is_dir()), None)


def status(entry: Entry, *, ledger: Path | None = None) -> Status:
    """Compute what is true of an entry, without importing its module.

    Parameters
    ----------
    entry : Entry
        The entry.
    ledger : Path or None, default=None
        Folder of measured claims; None takes `ledger_folder`.

    Returns
    -------
    Status
        Whether its symbol is there, whether it is tested, and what the ledger says.

    Raises
    ------
    ValueError
        Its record in the ledger cannot be read, or `ledger` is not a folder.

    Examples
    --------
    >>> from theatrum.atlas import entry, status
    >>> status(entry(89)).claim in ("holds", "does not hold", "not measured")
    True
    """
    if ledger is not None and not ledger.is_dir():
        raise ValueError(f"the ledger {ledger} is not a folder; name the folder that has the NNN.json files")
    folder = ledger if ledger is not None else ledger_folder()
    record = _record(folder / f"{entry.number:03d}.json") if folder is not None else None
    claim: Claim = "not measured" if record is None else "holds" if record["holds"] else "does not hold"
    return Status(_has_symbol(entry.symbol), _has_test(entry.symbol, record or {}), claim)


def as_json(entries: Sequence[Entry], *, ledger: Path | None = None) -> str:
    """Write entries with their status as a JSON list of objects.

    Parameters
    ----------
    entries : sequence of Entry
        What to write.
    ledger : Path or None, default=None
        As in `status`.

    Returns
    -------
    str
        A list with one object an entry: its fields, and ``imports``, ``tested``, ``claim`` and ``works``.

    Examples
    --------
    >>> import json
    >>> from theatrum.atlas import as_json, entry
    >>> json.loads(as_json([entry(82)]))[0]["method"]
    'Neighbour-invariant linear reduction (TLDR)'
    """
    rows = []
    for one in entries:
        state = status(one, ledger=ledger)
        rows.append({**asdict(one), **asdict(state), "works": state.works})
    return json.dumps(rows, indent=2, ensure_ascii=False)


def as_markdown(entries: Sequence[Entry], *, ledger: Path | None = None) -> str:
    """Write entries with their status as a Markdown table.

    Parameters
    ----------
    entries : sequence of Entry
        What to write.
    ledger : Path or None, default=None
        As in `status`.

    Returns
    -------
    str
        The table, without a line break at its end.

    Examples
    --------
    >>> from theatrum.atlas import as_markdown, entry
    >>> as_markdown([entry(89)]).splitlines()[0]
    '| number | method | room | paper | symbol | works |'
    """
    lines = ["| number | method | room | paper | symbol | works |", "|---:|---|---|---|---|---|"]
    for one in entries:
        state = status(one, ledger=ledger)
        works = "yes" if state.works else "claim does not hold" if state.claim == "does not hold" else "not yet"
        title = _cell(one.title)
        paper = title if one.arxiv is None else f"[{title}](https://arxiv.org/abs/{one.arxiv})"
        cells = (str(one.number), _cell(one.method), one.room, f"{paper} ({one.year})", f"`{one.symbol}`", works)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Escape what would end a cell or a link text."""
    return re.sub(r"([|\[\]])", r"\\\1", text)


def _checkout() -> Path | None:
    """Root of the checkout that the package lies in (under ``src``), or None for an installed copy."""
    return _PACKAGE.parents[1] if _PACKAGE.parent.name == "src" else None


def _record(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"the claim's record {path} is not JSON ({error}); measure the claim again") from error
    if not isinstance(record, dict) or not isinstance(record.get("holds"), bool):
        raise ValueError(f'the claim\'s record {path} has no "holds" that is true or false; measure the claim again')
    return record


def _has_symbol(symbol: str) -> bool:
    """Whether the module's source defines the name at its top level; nothing is imported, not even its room."""
    module, _, name = symbol.partition(":")
    stem = _PACKAGE.joinpath(*module.split(".")[1:])
    for source in (stem.with_suffix(".py"), stem / "__init__.py"):
        if source.is_file():
            try:
                tree = ast.parse(source.read_bytes())
            except SyntaxError:
                return False
            return name in _top_names(tree)
    return False


def _top_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _has_test(symbol: str, record: dict[str, Any]) -> bool:
    """Whether the test file that mirrors the module names the symbol; without tests, what the record says."""
    module, _, name = symbol.partition(":")
    checkout = _checkout()
    if checkout is None or not (checkout / "tests").is_dir():
        return record.get("contract_test") is True
    *packages, last = module.split(".")[1:]
    path = checkout.joinpath("tests", *packages, f"test_{last}.py")
    return path.is_file() and re.search(rf"\b{re.escape(name)}\b", path.read_text(encoding="utf-8")) is not None
