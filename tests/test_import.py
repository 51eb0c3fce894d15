"""`import theatrum` is cheap, and what it promises is there."""

from __future__ import annotations

import subprocess
import sys

import theatrum

HEAVY = ("torch", "sklearn", "faiss", "pandas", "lancedb", "pyarrow", "numpy", "scipy", "transformers", "numba")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_loads_nothing_heavy():
    assert loaded_after("import theatrum").isdisjoint(HEAVY)


def test_help_loads_nothing_heavy():
    assert loaded_after("import theatrum.cli.app").isdisjoint(HEAVY)


def test_public_names_are_importable():
    for name in theatrum.__all__:
        assert getattr(theatrum, name) is not None
    assert set(theatrum.__all__) <= set(dir(theatrum))


def test_rooms_are_reachable_as_attributes():
    code = "import theatrum; assert theatrum.data.load and theatrum.refine.Whitening and theatrum.evaluate.ndcg_at"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_name_is_an_attribute_error():
    try:
        theatrum.nothing_of_this_name  # noqa: B018 - the access is the test
    except AttributeError as error:
        assert "nothing_of_this_name" in str(error)
    else:
        raise AssertionError
