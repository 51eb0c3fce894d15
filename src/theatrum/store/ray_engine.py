"""Encoding on a cluster, over Ray Data: blocks go out to workers on any node and come back in order, the same bytes.

Blocks are taken in windows, each one dataset, so that a corpus of any length streams through bounded memory. The
encoder travels as the files that a saved part is made of, and a worker opens them as anybody would open a folder.

A dead worker is not restarted. Ray would wait with its blocks until a place as large is free again, and on a full
cluster there is none. The blocks that are still missing go to what is left of the cluster instead.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import tempfile
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from theatrum.contracts import Encoder, Role
from theatrum.extras import require
from theatrum.persistence import open_part, save_part
from theatrum.store.block_encoding import EncodedBlock, encode_block

_WINDOW_BLOCKS = 4096  # a window ends after so many blocks ...
_WINDOW_BYTES = 1 << 28  # ... or so many bytes of text: what the driver holds
_ATTEMPTS = 3  # losses in a row without a single block in between: then it is not the nodes but the work
_ERRORS: tuple[type[Exception], ...] = (ValueError, ImportError, OSError, MemoryError)  # others become RuntimeError

logger = logging.getLogger(__name__)


class RayEngine:
    """Encodes blocks on the nodes of a Ray cluster; keeps the `Engine` protocol.

    For corpora that take one machine too long: every worker is a process with its own copy of the encoder. On a single
    machine it pays for slow encoders with many cores; for fast ones (`StaticEncoder`), `LocalEngine` is as fast.
    Vectors are those of `LocalEngine` to the last byte as long as nodes have the same package versions and the same
    kind of processor or GPU.

    Parameters
    ----------
    address : str, optional
        Address of a cluster, such as ``"10.0.0.1:6379"``. By default the one that ``RAY_ADDRESS`` names, else one that
        runs on this machine, else one is started here and ended by `close`.
    workers : int, optional
        Most processes that encode; as many as fit by default.
    cpus : int, default=1
        Cores of each worker.
    gpus : int, default=0
        GPUs of each worker.

    Raises
    ------
    ImportError
        The extra ``ray`` is missing.
    ValueError
        Less than one worker or core.

    Examples
    --------
    >>> from theatrum.store import VectorStore
    >>> with RayEngine(workers=4) as engine:  # doctest: +SKIP
    ...     done = VectorStore("s3://bucket/vectors", engine).encode(encoder, texts)
    """

    def __init__(self, address: str | None = None, *, workers: int | None = None, cpus: int = 1, gpus: int = 0) -> None:
        for name, value, least in (("workers", workers, 1), ("cpus", cpus, 1), ("gpus", gpus, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        self.address = address
        self.workers = workers
        self.cpus = cpus
        self.gpus = gpus
        self._ray = require("ray", "ray")
        require("ray.data", "ray")
        self._connected = False

    def __enter__(self) -> RayEngine:
        # Before the first block: Ray starts its processes by forking, which LanceDB dislikes once it is at work.
        self._connect()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster, and end it if this engine started it; a connection that was there before stays."""
        if self._connected:
            self._ray.shutdown()
            self._connected = False

    def encode(self, encoder: Encoder, blocks: Iterable[list[str]], role: Role) -> Iterator[EncodedBlock]:
        """Encode every block by itself, in order.

        Parameters
        ----------
        encoder : Encoder
            Registered, and fitted if it can be.
        blocks : iterable of list of str
            Asked for a window ahead.
        role : {"document", "query"}
            Handed to the encoder.

        Yields
        ------
        EncodedBlock
            One a block; an empty block has no vectors and does not travel.

        Raises
        ------
        ValueError, ImportError, OSError, MemoryError
            What the encoder raised on a worker; or a worker has another model or version of this package.
        RuntimeError
            Any other error of the encoder; or workers keep dying.
        """
        work: _Work | None = None
        for window in _windows(blocks):
            if any(window) and work is None:
                self._connect()
                work = _Work(
                    self._ray.put(_files(encoder)), encoder.fingerprint(), role, self.cpus, version("theatrum")
                )
            made = self._encode_window(work, window) if work else iter(())
            for packed in window:
                yield next(made) if packed else encode_block(encoder, [], role)

    def _connect(self) -> None:
        if not self._ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            try:
                self._ray.init(self.address, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
            except ConnectionError as error:
                where = self.address or os.environ.get("RAY_ADDRESS")
                raise ConnectionError(
                    f"no Ray cluster answers at {where} ({error}); is it running, and if it is guarded by a token, is "
                    "RAY_AUTH_MODE=token set here?"
                ) from None
            self._connected = True

    def _encode_window(self, work: _Work, window: Sequence[bytes]) -> Iterator[EncodedBlock]:
        """Encode the blocks of a window that are not empty; what dies with a node is sent out again."""
        waiting = [packed for packed in window if packed]
        done = lost = 0
        while done < len(waiting):
            try:
                for made in self._run(work, waiting[done:]):
                    done, lost = done + 1, 0
                    yield made
            except self._ray.exceptions.RayError as error:
                lost += 1
                if lost == _ATTEMPTS:
                    raise RuntimeError(
                        f"workers were lost {lost} times in a row before they gave back the next block: nodes die, "
                        f"have too little memory, or a text ends the process that encodes it ({error})"
                    ) from error
                logger.warning("a worker was lost; %d blocks go to the others", len(waiting) - done)
            # Ray's objects of a run that failed hold each other in cycles, and their workers hold their places.
            gc.collect()

    def _run(self, work: _Work, waiting: list[bytes]) -> Iterator[EncodedBlock]:
        """One dataset: a row, a block and a task for each block of texts."""
        data = self._ray.data
        rows = [{"texts": packed} for packed in waiting]
        with _quiet():
            dataset = data.from_items(rows, override_num_blocks=len(rows))
            # These belong to this dataset alone; the user's own settings are left as they are.
            dataset.context.execution_options.preserve_order = True
            dataset.context.enable_progress_bars = False
            with warnings.catch_warnings():
                # Since 2.60 Ray warns of arguments that it hands on to actors; up to 2.63 there is no other way to say
                # how often they may restart.
                warnings.simplefilter("ignore", DeprecationWarning)
                mapped = dataset.map_batches(
                    _Worker,
                    fn_constructor_args=(work,),
                    batch_size=1,
                    batch_format="pyarrow",
                    compute=data.ActorPoolStrategy(size=min(self.workers or self._places(), len(rows))),
                    num_cpus=self.cpus,
                    num_gpus=self.gpus,
                    max_restarts=0,
                    max_task_retries=0,
                )
            for batch in mapped.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield from _unpack(batch)

    def _places(self) -> int:
        """How many workers fit on the nodes that are alive."""
        places = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                fit = [has.get("CPU", 0) // self.cpus, *([has.get("GPU", 0) // self.gpus] if self.gpus else [])]
                places += int(min(fit))
        return max(places, 1)


class _Work(NamedTuple):
    """What a worker has to know before its first block; travels to it with the class."""

    files: Any  # reference to the files of the encoder in Ray's object store, which a node fetches once
    fingerprint: str
    role: Role
    cpus: int
    version: str


class _Worker:
    """Holds the encoder in one process of the cluster.

    Errors come back as rows: raised here, they could not be told from the loss of a node.
    """

    def __init__(self, work: _Work) -> None:
        self.work = work
        self.encoder: Encoder | None = None

    def __call__(self, batch: Any) -> Any:
        """Encode the blocks of a batch of rows, an Arrow table each way."""
        import pyarrow as pa

        return pa.Table.from_pylist([self.row(packed) for packed in batch["texts"].to_pylist()], schema=_row_schema())

    def row(self, packed: bytes) -> dict[str, Any]:
        """Encode one block, or say what went wrong."""
        try:
            if self.encoder is None:
                self.encoder = _opened(self.work)
            made = encode_block(self.encoder, _texts(packed), self.work.role)
        except Exception as error:
            known = next((kind for kind in _ERRORS if isinstance(error, kind)), None)
            message = str(error) if known else "".join(traceback.format_exception(error))
            return {"error": (known or RuntimeError).__name__, "message": message}
        return {
            "vectors": np.ascontiguousarray(made.vectors, dtype=np.float32).tobytes(),
            "tokens": made.tokens.tobytes(),
            "seconds": made.seconds,
        }


def _row_schema() -> Any:
    import pyarrow as pa

    kinds = {"vectors": pa.large_binary(), "tokens": pa.binary(), "seconds": pa.float64()}
    return pa.schema({**kinds, "error": pa.string(), "message": pa.string()})


def _unpack(batch: Any) -> Iterator[EncodedBlock]:
    """Blocks of some rows that came back; an error of the encoder is raised here as it was there."""
    for number in range(len(batch)):
        if (name := batch["error"][number].as_py()) is not None:
            kind = next((kind for kind in _ERRORS if kind.__name__ == name), RuntimeError)
            raise kind(batch["message"][number].as_py())
        tokens = np.frombuffer(batch["tokens"][number].as_buffer(), np.int32).copy()
        vectors = np.frombuffer(batch["vectors"][number].as_buffer(), np.float32)
        # Copies, so that Ray may reuse the memory.
        yield EncodedBlock(vectors.reshape(len(tokens), -1).copy(), tokens, batch["seconds"][number].as_py())


def _windows(blocks: Iterable[list[str]]) -> Iterator[list[bytes]]:
    """Packed blocks in lists of bounded size; those before anything has to be encoded come one by one, at once."""
    window: list[bytes] = []
    size = 0
    for texts in blocks:
        window.append(_packed(texts))
        size += len(window[-1])
        if not size or len(window) == _WINDOW_BLOCKS or size >= _WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window


def _packed(texts: list[str]) -> bytes:
    """Texts as bytes that give back the same texts, half surrogate pairs included."""
    return json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass") if texts else b""


def _texts(packed: bytes) -> list[str]:
    texts: list[str] = json.loads(packed.decode("utf-8", "surrogatepass"))
    return texts


def _files(encoder: Encoder) -> dict[str, bytes]:
    """The files that the encoder is saved as, by name."""
    with tempfile.TemporaryDirectory(prefix="theatrum-") as name:
        folder = Path(name)
        save_part(encoder, folder)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _opened(work: _Work) -> Encoder:
    """Open the encoder on a worker, and make sure that it is the driver's."""
    import ray

    here = version("theatrum")
    if here != work.version:
        raise ImportError(f"{_node()} has theatrum {here}, the driver {work.version}; install the same on all nodes")
    # Ray gives OMP_NUM_THREADS the cores of a worker; the threads of tokenizers follow a name of their own.
    os.environ.setdefault("RAYON_NUM_THREADS", str(work.cpus))
    with tempfile.TemporaryDirectory(prefix="theatrum-") as name:
        for file, content in ray.get(work.files).items():
            path = Path(name) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        encoder: Encoder = open_part(Path(name))
        found = encoder.fingerprint()
    if found != work.fingerprint:
        raise ValueError(
            f"the encoder on {_node()} is not the driver's (fingerprint {found[:12]}, expected "
            f"{work.fingerprint[:12]}); put the same model on all nodes"
        )
    return encoder


def _node() -> str:
    return f"node {socket.gethostname()}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray Data's running commentary off the screen; what goes wrong comes back as an exception."""
    commentary = logging.getLogger("ray.data")
    level = commentary.level
    commentary.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        commentary.setLevel(level)
