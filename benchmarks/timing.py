"""Interleaved timings: every round runs all contestants, so that what else the machine does strikes all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(contestants: Mapping[str, Callable[[], object]], *, rounds: int = 7) -> dict[str, list[float]]:
    """Run all contestants once to warm up, then in rounds; returns the seconds of each round."""
    for work in contestants.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            times[name].append(seconds(work))
    return times


def ratio(above: list[float], below: list[float]) -> tuple[float, list[float]]:
    """Median of the ratios of the rounds, and the smallest and largest of them."""
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    return round(statistics.median(ratios), 3), [round(ratios[0], 3), round(ratios[-1], 3)]


def comparison(times: Mapping[str, list[float]]) -> dict[str, Any]:
    """Compare ``ours`` with ``peer``, and ``peer`` with ``again``, the same work a second time (the noise)."""
    found, spread = ratio(times["peer"], times["ours"])
    return {"ratio": found, "spread": spread, "noise": ratio(times["again"], times["peer"])[1]}
