"""The measurement of claim 119 runs."""

from __future__ import annotations

from theatrum.claims.runner import measure


def test_smoke():
    record = measure(119, "smoke")
    arm = record.measurements["I, ConSE"]
    assert max(arm["H calibrated"]) <= max(arm["H at best"])
    assert min(arm["H calibrated"]) > min(arm["H plain"])
