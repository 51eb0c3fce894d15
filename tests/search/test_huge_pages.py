"""Asking for large pages changes nothing but speed."""

import sys

import numpy as np
import pytest

from theatrum.search import huge_pages
from theatrum.search.huge_pages import ask_for_huge_pages


@pytest.mark.parametrize("n", [1, 1 << 20, 9 << 20])
def test_values_stay(n):
    X = np.arange(n, dtype=np.float32)
    for view in (X, X[1:], X[::2]):
        before = view.copy()
        ask_for_huge_pages(view)
        assert np.array_equal(view, before)


def test_only_linux_is_asked(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(huge_pages.ctypes, "CDLL", None)
    ask_for_huge_pages(np.ones(8 << 20, dtype=np.float32))
