"""Vectors kept in LanceDB, so that nothing is encoded twice and a killed run goes on where it was.

One table an encoder, named by the encoder's fingerprint; one row a distinct text, keyed by the hash of its content.
Texts are encoded in blocks of fixed size in corpus order, and whole blocks are committed at once. A run that was killed
therefore encodes the missing blocks exactly as an undisturbed run would have, and ends with the same bytes (a
transformer's vectors differ in the last bits with the company that a text keeps in its batch).
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Encoder, Role, TruncationWarning, Vectors

BLOCK = 256  # texts encoded together; part of what makes vectors repeatable, so not an option
_COMMIT_ROWS = 4096  # commit after so many rows ...
_COMMIT_SECONDS = 5.0  # ... or so many seconds of encoding: what a kill can cost
_SMALL_FRAGMENTS = 64  # compact a table in more pieces than this: each piece is a file to open
_STAMP = b"theatrum.fingerprint"
_UNREAD = -1  # row id of a row that this run committed itself and has not needed to read back


class StoreError(OSError):
    """The store cannot be written (full disk, no permission); what was committed before stays readable."""


@dataclass(frozen=True)
class Encoded:
    """Vectors of some texts, and what was learnt while making them.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        One row a text, in the order given.
    tokens : ndarray of int32, shape (n,)
        Tokens of each text for encoders that count them, else -1.
    cut : ndarray of bool, shape (n,)
        Whether the text was longer than the encoder reads.
    encoded : int
        How many texts had to be encoded now; the others were there already.
    seconds : float
        Time spent in the encoder.
    """

    vectors: Vectors
    tokens: NDArray[np.int32]
    cut: NDArray[np.bool_]
    encoded: int
    seconds: float


def content_key(text: str, role: Role = "document") -> str:
    """Hash of a text in a role (an encoder may prefix queries and documents differently).

    Examples
    --------
    >>> content_key("wing") == content_key("wing"), content_key("wing") == content_key("wing", "query")
    (True, False)
    """
    # surrogatepass: a lone surrogate from a broken JSON escape is odd, but it is the user's text and has a hash.
    return hashlib.blake2b(f"{role}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class VectorStore:
    """A folder of vectors that many runs, one after another or at once, share.

    Parameters
    ----------
    path : str or Path
        The folder; made when it is not there.

    Examples
    --------
    >>> import tempfile, theatrum
    >>> encoder = theatrum.pipeline("lsa(dim=2) | flat").retriever.encoder
    >>> texts = ["heat in thin plates", "shock waves on wings", "heat and shock"]
    >>> _ = encoder.fit(texts)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = VectorStore(folder)
    ...     first, second = store.encode(encoder, texts), store.encode(encoder, texts)
    >>> first.encoded, second.encoded, bool((first.vectors == second.vectors).all())
    (3, 0, True)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def encode(
        self,
        encoder: Encoder,
        texts: Sequence[str],
        *,
        role: Role = "document",
        on_progress: Callable[[int], None] | None = None,
    ) -> Encoded:
        """Return the vectors of texts; only texts that the store has not seen are encoded.

        Parameters
        ----------
        encoder : Encoder
            Must be fitted if it can be.
        texts : sequence of str
            May repeat; each distinct text is encoded once.
        role : {"document", "query"}, default="document"
            Handed to the encoder, and part of the key.
        on_progress : callable, optional
            Called with the number of texts done since the last call.

        Returns
        -------
        Encoded
            Vectors and the account of the work.

        Raises
        ------
        StoreError
            Nothing more can be written; the vectors committed so far stay.
        ValueError
            A table of this name holds vectors of another encoder.
        """
        d = encoder.dim
        vectors = np.empty((len(texts), d), dtype=np.float32)
        tokens = np.empty(len(texts), dtype=np.int32)
        encoded, seconds, row = 0, 0.0, 0
        for block in self.stream(encoder, texts, role=role):
            n = len(block.vectors)
            vectors[row : row + n], tokens[row : row + n] = block.vectors, block.tokens
            encoded, seconds, row = encoded + block.encoded, seconds + block.seconds, row + n
            if on_progress:
                on_progress(n)
        return Encoded(vectors, tokens, _cut(encoder, tokens), encoded, seconds)

    def stream(self, encoder: Encoder, texts: Iterable[str], *, role: Role = "document") -> Iterator[Encoded]:
        """Go through texts block by block, holding a few blocks at a time; see `encode`.

        Yields
        ------
        Encoded
            Of one block, in the order given. Its vectors are already safe on disk when it was encoded now.
        """
        table = _EncoderTable(self.path, encoder, role)
        rows = iter(texts)
        # Blocks wait in `pending` until their commit, so that a consumer never sees a vector that a crash could undo.
        pending: list[Encoded] = []
        while block := list(islice(rows, BLOCK)):
            pending.append(table.block(block))
            if table.due():
                table.commit()
                yield from pending
                pending = []
        table.commit()
        yield from pending
        table.finish()


def _cut(encoder: Encoder, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
    limit = getattr(encoder, "max_tokens", None)
    cut: NDArray[np.bool_] = tokens > limit if limit is not None else np.zeros(len(tokens), dtype=bool)
    return cut


class _EncoderTable:
    """The table of one encoder: what is in it, and what waits to be committed."""

    def __init__(self, path: Path, encoder: Encoder, role: Role) -> None:
        import lancedb
        import pyarrow as pa

        self.path, self.encoder, self.role = path, encoder, role
        self.fingerprint = encoder.fingerprint()
        self.name = f"vectors-{self.fingerprint[:24]}"
        stamp = {_STAMP: self.fingerprint.encode()}
        vector = pa.field("vector", pa.list_(pa.float32(), encoder.dim), metadata=stamp)
        self.schema = pa.schema([pa.field("key", pa.string()), vector, pa.field("tokens", pa.int32())], metadata=stamp)
        with _writing(path):
            path.mkdir(parents=True, exist_ok=True)
            with self.lock():
                self.table = self.open_or_create(lancedb.connect(path))
        self.check_stamp()
        self.version = -1
        self.rows: dict[str, int] = {}
        self.fresh: dict[str, tuple[NDArray[np.float32], int]] = {}
        self.last_commit = time.monotonic()
        self.started = time.time()
        self.written = False
        self.refresh()

    def open_or_create(self, database: Any) -> Any:
        if (self.path / f"{self.name}.lance").is_dir():
            return database.open_table(self.name)
        return database.create_table(self.name, schema=self.schema)

    def lock(self) -> Any:
        """One writer at a time, across processes; the system releases it when a process dies."""
        from filelock import FileLock

        return FileLock(self.path / f"{self.name}.lock")

    def check_stamp(self) -> None:
        found = (self.table.schema.field("vector").metadata or {}).get(_STAMP, b"").decode()
        if found != self.fingerprint:
            raise ValueError(
                f"{self.path / self.name} holds vectors of another encoder (fingerprint {found or 'missing'}, expected "
                f"{self.fingerprint}); vectors of two encoders cannot be mixed: remove that table or use another store"
            )

    def refresh(self) -> None:
        """Learn which keys are there, by row id; other runs may have added some."""
        self.table.checkout_latest()
        if self.table.version == self.version:
            return
        self.read_keys()

    def read_keys(self) -> None:
        found = self.table.search().select(["key"]).with_row_id(True).limit(max(self.table.count_rows(), 1)).to_arrow()
        self.rows = dict(zip(found["key"].to_pylist(), found["_rowid"].to_pylist(), strict=True))
        self.version = self.table.version

    def block(self, texts: list[str]) -> Encoded:
        """Vectors of one block: read what is there, encode the rest."""
        keys = [content_key(text, self.role) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if not self.has(key)}
        seconds = 0.0
        if missing:
            start = time.perf_counter()
            new = list(missing.values())
            with warnings.catch_warnings():
                # Cut texts are counted below for the whole run; a warning for every block would say less.
                warnings.simplefilter("ignore", TruncationWarning)
                made = self.encoder.encode(new, role=self.role)
            seconds = time.perf_counter() - start
            counter = getattr(self.encoder, "token_counts", None)
            counts = counter(new) if counter else np.full(len(new), -1)
            self.fresh.update(
                (key, (vector, int(count))) for key, vector, count in zip(missing, made, counts, strict=True)
            )
        found = self.read([key for key in set(keys) if key not in self.fresh])
        found.update({key: self.fresh[key] for key in keys if key in self.fresh})
        vectors = np.stack([found[key][0] for key in keys])
        tokens = np.array([found[key][1] for key in keys], dtype=np.int32)
        return Encoded(vectors, tokens, _cut(self.encoder, tokens), len(missing), seconds)

    def has(self, key: str) -> bool:
        return key in self.fresh or key in self.rows

    def read(self, keys: list[str]) -> dict[str, tuple[NDArray[np.float32], int]]:
        if not keys:
            return {}
        if any(self.rows[key] == _UNREAD for key in keys):
            self.read_keys()
        found = self.table.take_row_ids([self.rows[key] for key in keys]).to_arrow()
        vectors = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vectors = vectors.reshape(-1, self.encoder.dim)
        tokens = found["tokens"].to_numpy()
        return {
            key: (vector, int(count))
            for key, vector, count in zip(found["key"].to_pylist(), vectors, tokens, strict=True)
        }

    def due(self) -> bool:
        return (
            not self.fresh or len(self.fresh) >= _COMMIT_ROWS or time.monotonic() - self.last_commit >= _COMMIT_SECONDS
        )

    def commit(self) -> None:
        """Write fresh rows in one commit, less those that another run has written meanwhile."""
        if self.fresh:
            import pyarrow as pa

            with _writing(self.path), self.lock():
                self.refresh()
                new = {key: value for key, value in self.fresh.items() if key not in self.rows}
                if new:
                    flat = np.concatenate([vector for vector, _ in new.values()])
                    batch = pa.table(
                        {
                            "key": list(new),
                            "vector": pa.FixedSizeListArray.from_arrays(pa.array(flat), self.encoder.dim),
                            "tokens": pa.array([count for _, count in new.values()], pa.int32()),
                        },
                        schema=self.schema,
                    )
                    self.table.add(batch)
                    self.written = True
                    self.rows.update(dict.fromkeys(new, _UNREAD))
                    self.version = self.table.version
            self.fresh.clear()
        self.last_commit = time.monotonic()

    def finish(self) -> None:
        """Compact a table of many small commits, and make sure that the bytes are on the disk (Lance does not)."""
        if not self.written:
            return
        with _writing(self.path), self.lock():
            if self.table.stats()["fragment_stats"]["num_small_fragments"] > _SMALL_FRAGMENTS:
                self.table.optimize()
            root = self.path / f"{self.name}.lance"
            for entry in [*root.rglob("*"), root]:
                if entry.stat().st_mtime >= self.started - 1:
                    handle = os.open(entry, os.O_RDONLY)
                    try:
                        os.fsync(handle)
                    finally:
                        os.close(handle)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the storage layer says about a disk that cannot be written into one clear error."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, StoreError):
            raise
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) or any(
            sign in str(error) for sign in ("No space left", "os error 28", "os error 27", "File too large", "quota")
        )
        reason = "the disk is full" if full else f"it cannot be written ({error})"
        raise StoreError(
            errno.ENOSPC if full else errno.EIO,
            f"store {path}: {reason}; what was committed before is safe, and the next run goes on from there",
        ) from error
