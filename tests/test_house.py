"""The house keeps its own rules: sizes, names, safety, tests beside parts, generated tables up to date."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from theatrum import registry

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "theatrum").rglob("*.py"))
VAGUE = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py", "base.py"}


def load_script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_files_are_one_idea_long_and_safe(path):
    text = path.read_text(encoding="utf-8")
    assert path.name not in VAGUE
    assert text.count("\n") <= 400
    called = {
        node.func.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec", "print", "__import__"}
    assert not re.search(r"\bimport pickle|allow_pickle=True|torch\.load\(|shell=True|\bTODO\b|\bFIXME\b", text)


@pytest.mark.parametrize(
    "part", [part for part in registry.parts() if part.target.startswith("theatrum.")], ids=lambda part: part.name
)
def test_every_part_has_its_test_file(part):
    module, _, name = part.target.partition(":")
    path = ROOT / "tests" / Path(*module.split(".")[1:-1]) / f"test_{module.rpartition('.')[2]}.py"
    assert name in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "part", [part for part in registry.parts() if part.target.startswith("theatrum.")], ids=lambda part: part.name
)
def test_every_part_is_documented_in_order(part):
    text = part.load().__doc__
    sections = [name for name in ("Parameters", "Examples") if f"{name}\n" in text]
    assert "Examples" in sections or name_of_example_elsewhere(part)
    assert text.strip().splitlines()[0].endswith(".")


def name_of_example_elsewhere(part):
    """Encoders that need a model cannot run an example without it; theirs is shown, not run."""
    return part.name in ("minilm", "st", "static")


def test_the_readme_table_is_up_to_date():
    script = load_script(ROOT / "docs" / "make_readme_table.py")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.with_table(text) == text, "run `make readme`"


def test_records_of_the_ledger_are_whole():
    for path in sorted((ROOT / "claims").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert path.name == f"{record['number']:03d}.json"
        assert record["scale"] in ("cpu", "gpu")
        assert record["holds"] == all(one["holds"] for one in record["inequalities"])
        assert record["commit"] and record["versions"] and record["notes"]


def test_the_readme_names_only_commands_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)`", readme):
        assert f"\n{target}:" in makefile
    sys.path.insert(0, str(ROOT / "docs"))
    from theatrum.cli.app import app

    commands = {info.name or info.callback.__name__ for info in app.registered_commands} | {"atlas"}
    assert set(re.findall(r"theatrum ([a-z]+) ", readme)) <= commands
