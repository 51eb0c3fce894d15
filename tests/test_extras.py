from __future__ import annotations

import sys

import pytest

from theatrum.extras import require


def test_gives_the_module():
    assert require("json", "torch") is sys.modules["json"]


def test_names_the_extra_of_a_missing_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'torch.*pip install "theatrum\[torch\]"'):
        require("torch", "torch")
