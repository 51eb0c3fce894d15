"""The measurement of claim 008 runs, and starts every decoder from the same layer."""

from __future__ import annotations

from theatrum.claims.runner import measure


def test_smoke():
    record = measure(8, "smoke")
    assert len(record.inequalities) == 4
    chance = 1 / 13
    assert all(min(found["unseen accuracy"]) > chance for found in record.measurements.values())
