"""What all tests share: one small corpus, and no network, no user cache, no surprise."""

from __future__ import annotations

import os
import socket

import pytest

# Two cores and several libraries with their own thread pools: one thread each keeps timings and bytes steady.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

TOPICS = {
    "wing": "swept wings lift drag stall angle airfoil camber span flap",
    "heat": "heat transfer plate temperature conduction cooling thermal boundary flux",
    "shock": "shock waves supersonic mach oblique detached pressure nozzle expansion",
    "shell": "thin shells buckle load cylinder stiffened panel creep elastic stress",
    "orbit": "orbit satellite reentry trajectory gravity rocket stage launch drag",
}


@pytest.fixture(scope="session")
def corpus() -> tuple[list[str], list[str]]:
    """300 short documents on five topics, ids and texts; large enough for 8-bit codebooks."""
    ids, texts = [], []
    for number in range(300):
        topic = list(TOPICS)[number % 5]
        words = TOPICS[topic].split()
        chosen = [words[(number * step + step) % len(words)] for step in (1, 2, 3, 5)]
        ids.append(f"{topic}-{number}")
        texts.append(
            f"On {' '.join(chosen)} in case {number}. It follows earlier work on {words[number % len(words)]}."
        )
    return ids, texts


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's cache out of the tests, and the tests out of it."""
    if "THEATRUM_CACHE" not in os.environ:
        monkeypatch.setenv("THEATRUM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX and isinstance(address, tuple):
            assert str(address[0]).startswith("127.") or address[0] in ("localhost", "::1"), f"network: {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)
