"""The atlas is complete and well formed, and an entry's state comes from the source, the tests and the ledger."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

import theatrum.atlas
from theatrum.atlas import Entry, Status, as_json, as_markdown, entries, entry, ledger_folder, load_entries, status

ROOMS = {
    "text",
    "graph",
    "signal",
    "tables",
    "train",
    "refine",
    "compress",
    "search",
    "predict",
    "translate",
    "invert",
    "generate",
    "evaluate",
}
SYMBOL = re.compile(r"theatrum(\.[a-z_][a-z0-9_]*)+:[A-Za-z_][A-Za-z0-9_]*")
HERE = Entry(
    number=89,
    title="Made up [with | marks]",
    authors="Nobody",
    venue="Nowhere",
    year=2024,
    room="refine",
    method="made up",
    symbol="theatrum.atlas.entries:Entry",
    gives="Nothing",
)


def with_symbol(symbol):
    return replace(HERE, symbol=symbol)


@pytest.fixture
def ledger(tmp_path):
    folder = tmp_path / "claims"
    folder.mkdir()
    return folder


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A checkout of a package that has `HERE` and nothing else."""
    return make_package(tmp_path / "src" / "theatrum", monkeypatch)


def make_package(folder, monkeypatch):
    (folder / "atlas").mkdir(parents=True)
    (folder / "atlas" / "entries.py").write_text("class Entry: ...\n")
    monkeypatch.setattr(entries, "_PACKAGE", folder)
    return folder


def test_every_number_once_and_in_order():
    assert [one.number for one in load_entries()] == list(range(1, 120))


def test_every_room_has_entries():
    assert {one.room for one in load_entries()} == ROOMS


@pytest.mark.parametrize("one", load_entries(), ids=lambda one: f"{one.number:03d}")
def test_fields(one):
    for text in (one.title, one.authors, one.venue, one.method, one.gives):
        assert text and text == text.strip() and "\n" not in text and "unverified" not in text
    assert 2000 <= one.year <= 2026
    assert not re.search(r"\d{4}$", one.venue)  # the year has its own field
    assert len(one.gives) <= 110 and not one.gives.endswith(".")
    assert one.arxiv is None or re.fullmatch(r"\d{4}\.\d{4,5}", one.arxiv)
    # A paper is on arXiv before its venue's year is over; a few months later at most.
    assert one.arxiv is None or 2000 + int(one.arxiv[:2]) <= one.year + 1
    symbols = (one.symbol, *one.also)
    assert all(SYMBOL.fullmatch(symbol) for symbol in symbols)
    assert len(set(symbols)) == len(symbols)
    assert one.symbol.split(".")[1] == one.room


def test_papers_and_lines_are_not_repeated():
    for field in ("title", "gives", "method"):
        values = [getattr(one, field) for one in load_entries()]
        assert len(set(values)) == len(values)
    numbers = [one.arxiv for one in load_entries() if one.arxiv]
    assert len(set(numbers)) == len(numbers)


def test_known_entries():
    assert entry(89).symbol == "theatrum.refine.whitening:ZipfianWhitening"
    assert (entry(89).arxiv, entry(89).venue, entry(89).year) == ("2411.00680", "NeurIPS", 2024)
    assert entry(92).also == ("theatrum.text.layer_pooling:LayerPooling",)
    assert entry(98).arxiv is None


@pytest.mark.parametrize("number", [0, 120, -1])
def test_unknown_number(number):
    with pytest.raises(ValueError, match=f"no entry {number}; its numbers are 1 to 119"):
        entry(number)


def test_entries_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        entry(1).number = 2


def test_works_needs_all_three():
    assert Status(True, True, "holds").works
    assert not Status(False, True, "holds").works
    assert not Status(True, False, "holds").works
    assert not Status(True, True, "does not hold").works
    assert not Status(True, True, "not measured").works


@pytest.mark.parametrize(("holds", "claim"), [(True, "holds"), (False, "does not hold")])
def test_claim_is_read_from_the_ledger(ledger, holds, claim):
    (ledger / "089.json").write_text(json.dumps({"holds": holds}))
    state = status(HERE, ledger=ledger)
    assert state == Status(imports=True, tested=True, claim=claim)
    assert state.works is holds


def test_absent_record_is_not_measured(ledger):
    (ledger / "090.json").write_text('{"holds": true}')
    assert status(HERE, ledger=ledger) == Status(True, True, "not measured")


@pytest.mark.parametrize("text", ["{", '{"holds": "yes"}', "{}", "[true]", b"\xff"])
def test_broken_record_names_the_file(ledger, text):
    path = ledger / "089.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=re.escape(str(path))):
        status(HERE, ledger=ledger)


def test_ledger_that_is_no_folder(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        status(HERE, ledger=tmp_path / "nothing")


@pytest.mark.parametrize(
    ("symbol", "there"),
    [
        ("theatrum.atlas.entries:Entry", True),
        ("theatrum.atlas.entries:status", True),
        ("theatrum.atlas.entries:Claim", True),
        ("theatrum.atlas.entries:works", False),  # a property of a class, not a name of the module
        ("theatrum.atlas.nowhere:Entry", False),
        ("theatrum.nowhere.entries:Entry", False),
    ],
)
def test_symbol_is_looked_up_in_the_source(symbol, there, ledger):
    assert status(with_symbol(symbol), ledger=ledger).imports is there


def test_symbol_in_a_source_that_does_not_parse_or_is_a_folder(ledger, package):
    source = package / "atlas" / "entries.py"
    source.write_text("class Entry:\n")
    assert not status(HERE, ledger=ledger).imports
    source.write_text("Entry: int = 3\n")
    assert status(HERE, ledger=ledger).imports
    source.unlink()
    assert not status(HERE, ledger=ledger).imports
    (package / "atlas" / "entries").mkdir()
    (package / "atlas" / "entries" / "__init__.py").write_text("async def Entry(): ...\n")
    assert status(HERE, ledger=ledger).imports


def test_tested_needs_a_mirroring_file_that_names_the_symbol(ledger, tmp_path, package):
    (ledger / "089.json").write_text('{"holds": true, "contract_test": true}')
    mirror = tmp_path / "tests" / "atlas" / "test_entries.py"
    mirror.parent.mkdir(parents=True)
    assert not status(HERE, ledger=ledger).tested  # the checkout's tests decide, not the record
    mirror.write_text("EntryOfAnotherKind")
    assert not status(HERE, ledger=ledger).tested
    mirror.write_text("assert Entry")
    assert status(HERE, ledger=ledger).tested


def test_installed_copy_takes_the_record_of_the_contract_test(tmp_path, monkeypatch):
    package = make_package(tmp_path / "site-packages" / "theatrum", monkeypatch)
    (tmp_path / "claims").mkdir()  # two folders up, but this is no checkout
    assert ledger_folder() is None
    assert status(HERE) == Status(True, False, "not measured")
    inside = package / "claims" / "ledger"
    inside.mkdir(parents=True)
    assert ledger_folder() == inside
    (inside / "089.json").write_text('{"holds": true}')
    assert status(HERE) == Status(True, False, "holds")
    (inside / "089.json").write_text('{"holds": true, "contract_test": true}')
    assert status(HERE).works


def test_checkout_has_its_own_ledger(tmp_path, package):
    assert ledger_folder() is None
    (tmp_path / "claims").mkdir()
    assert ledger_folder() == tmp_path / "claims"


def test_json_has_all_entries_and_their_status(ledger):
    rows = json.loads(as_json(load_entries(), ledger=ledger))
    assert len(rows) == 119
    assert {"number", "gives", "symbol", "imports", "tested", "claim", "works"} <= rows[0].keys()
    assert not any(row["works"] for row in rows)
    (ledger / "089.json").write_text('{"holds": true}')
    assert json.loads(as_json([HERE], ledger=ledger))[0]["works"] is True


def test_markdown_table(ledger):
    lines = as_markdown(load_entries(), ledger=ledger).splitlines()
    assert len(lines) == 121
    assert lines[0] == "| number | method | room | paper | symbol | works |"
    assert lines[90] == (
        "| 89 | Zipfian whitening | refine | [Zipfian Whitening](https://arxiv.org/abs/2411.00680) (2024) | "
        "`theatrum.refine.whitening:ZipfianWhitening` | not yet |"
    )
    assert all(line.count(" | ") == 5 for line in lines if not line.startswith("|---"))


def test_markdown_says_what_the_claim_did(ledger):
    path = ledger / "089.json"
    path.write_text('{"holds": true}')
    row = as_markdown([HERE], ledger=ledger).splitlines()[-1]
    assert row.endswith("| yes |") and r"Made up \[with \| marks\] (2024)" in row
    path.write_text('{"holds": false}')
    assert as_markdown([HERE], ledger=ledger).endswith("| claim does not hold |")


def test_heavy_packages_stay_out():
    """Neither the import nor the status of all entries loads what the methods themselves need."""
    code = (
        "import sys, theatrum.atlas as atlas; atlas.as_json(atlas.load_entries()); "
        "print(' '.join({'torch', 'sklearn', 'pandas', 'numpy', 'faiss', 'transformers'} & set(sys.modules)))"
    )
    source = str(Path(theatrum.atlas.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source}
    )
    assert done.stdout.split() == []


def test_names_are_handed_out():
    assert set(theatrum.atlas.__all__) <= set(dir(theatrum.atlas))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        theatrum.atlas.nothing  # noqa: B018 - the access is the test
