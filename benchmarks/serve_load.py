"""The service under load, beside a bare FastAPI app around sentence-transformers: 200 clients, 60 seconds each.

Every client sends one question at a time over its own connection, as fast as answers come. The bare app is written in
both ways that people write it, with ``def`` (FastAPI's thread pool) and with ``async def`` (one after another); the
better one is compared with. All encode with all-MiniLM-L6-v2 and answer with numbers as JSON.

    python benchmarks/serve_load.py [--seconds 60] [--clients 200]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

THEATRUM = Path(sys.executable).with_name("theatrum")


@dataclass
class Load:
    """What the clients of one run saw."""

    seconds: float
    times: list[float] = field(default_factory=list)  # of answers with status 200, late ones too
    in_time: int = 0  # of these, the answers that came before the end
    statuses: Counter[str] = field(default_factory=Counter)
    work: float = 0.0  # seconds of processor time that the server took

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.in_time / self.seconds

    @property
    def each(self) -> float:
        """Seconds of processor time for an answer: the fairer figure where other programs share the machine."""
        return self.work / max(len(self.times), 1)

    def line(self, name: str) -> str:
        """Write the figures in one line."""
        p50, p95 = np.percentile(self.times, [50, 95]) * 1000 if self.times else (np.nan, np.nan)
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        figures = (
            f"{self.rate:7.1f} answers/s  p50 {p50:6.0f} ms  p95 {p95:6.0f} ms  CPU {1000 * self.each:5.1f} ms each"
        )
        return f"{name:<24} {figures}  ({statuses})"


async def client(port: int, path: str, bodies: list[bytes], until: float, load: Load) -> None:
    """Ask one thing after another over one connection; the fewest instructions, as clients share the cores."""
    reader = writer = None
    turn = 0
    while time.perf_counter() < until:
        body = bodies[turn % len(bodies)]
        turn += 1
        start = time.perf_counter()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            lines = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", lines)[1]))
            status = lines.split(b" ", 2)[1].decode()
        except (OSError, asyncio.IncompleteReadError) as error:
            load.statuses[type(error).__name__] += 1
            writer = None
            continue
        load.statuses[status] += 1
        if status == "200":
            end = time.perf_counter()
            load.times.append(end - start)
            load.in_time += end <= until
        elif status == "429":
            await asyncio.sleep(float(re.search(rb"retry-after: (\d+)", lines)[1]))


async def press(port: int, path: str, bodies: list[bytes], clients: int, seconds: float) -> Load:
    """Let many clients loose on a service for some seconds."""
    load = Load(seconds)
    until = time.perf_counter() + seconds
    step = len(bodies) // clients + 1
    turned = (bodies[number * step :] + bodies[: number * step] for number in range(clients))
    await asyncio.gather(*(client(port, path, own, until, load) for own in turned))
    return load


@contextlib.contextmanager
def running(command: list[str], port: int):
    """Run a server until the end of the block."""
    # Threads that wait asleep, for all: what is compared is batching, not how well spinning threads share the cores.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
                break
            time.sleep(0.2)
        else:
            raise RuntimeError(f"{command} did not get ready")
        yield process
    finally:
        process.kill()  # a bare app would first work off all that its clients have left behind
        process.wait()


def processor_seconds(process: subprocess.Popen) -> float:
    """Processor time that a running process has taken, which depends less on what else the machine does."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bare(port: int, *, threads: bool) -> None:
    """Serve as most people would write it."""
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel
    from sentence_transformers import SentenceTransformer

    from theatrum.text.minilm import packaged_folder

    class Request(BaseModel):
        input: str

    app, model = FastAPI(), SentenceTransformer(str(packaged_folder()), device="cpu")
    model.encode("warm up")

    def answer(request):
        return {"data": [{"embedding": model.encode(request.input).tolist()}]}

    if threads:

        def embed(request: Request) -> dict:
            return answer(request)
    else:

        async def embed(request: Request) -> dict:
            return answer(request)

    # The annotation is a class of this function, which a name in a string would not lead to.
    embed.__annotations__["request"] = Request
    app.post("/v1/embeddings", response_model=None)(embed)
    app.get("/ready")(lambda: {})
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--port", type=int, default=8790)
    parser.add_argument("--bare", choices=["def", "async"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare(options.port, threads=options.bare == "def")
        return

    from theatrum.data import load
    from theatrum.pipelines.pipeline import pipeline

    collection = load("xquad-en")
    queries = list(collection.queries.values())
    embed = [json.dumps({"input": query}).encode() for query in queries]
    search = [json.dumps({"query": query}).encode() for query in queries]
    port, results = options.port, {}

    def measure(name, path, bodies, server):
        before = processor_seconds(server)
        results[name] = asyncio.run(press(port, path, bodies, options.clients, options.seconds))
        results[name].work = processor_seconds(server) - before
        print(results[name].line(name), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        made = pipeline("minilm | flat")
        made.fit([one.id for one in collection.documents], [one.content for one in collection.documents])
        made.save(Path(folder) / "mini")
        print(f"{options.clients} clients, {options.seconds:g} s each, {len(queries)} questions", flush=True)
        with running([str(THEATRUM), "serve", f"{folder}/mini", "--port", str(port)], port) as server:
            measure("theatrum /v1/embeddings", "/v1/embeddings", embed, server)
            measure("theatrum /search", "/search", search, server)
        for way in ("def", "async"):
            with running([sys.executable, __file__, "--bare", way, "--port", str(port)], port) as server:
                measure(f"bare FastAPI, {way}", "/v1/embeddings", embed, server)
    ours = results["theatrum /v1/embeddings"]
    best = max((results[f"bare FastAPI, {way}"] for way in ("def", "async")), key=lambda one: one.rate)
    print(f"{ours.rate / best.rate:.2f} times the answers of the better bare app")
    print(f"{ours.each / best.each:.2f} times its processor time for each")
    wrong = {status for name in results if "theatrum" in name for status in results[name].statuses} - {"200", "429"}
    print(f"errors other than 429: {sorted(wrong) or 'none'}")


if __name__ == "__main__":
    main()
