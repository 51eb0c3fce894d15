"""Vectors kept in LanceDB, so that nothing is encoded twice and a killed run goes on where it was.

One table an encoder, named by the encoder's fingerprint; one row a distinct text, keyed by the hash of its content.
Texts are encoded in blocks of fixed size in corpus order, and whole blocks are committed at once. A run that was killed
therefore encodes the missing blocks exactly as an undisturbed run would have, and ends with the same bytes (a
transformer's vectors differ in the last bits with the company that a text keeps in its batch).
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Encoder, Role, Vectors
from theatrum.store.block_encoding import EncodedBlock, Engine, LocalEngine
from theatrum.store.lance_table import ROW_ID, LanceTable, is_remote

BLOCK = 256  # texts encoded together; part of what makes vectors repeatable, so not an option
_COMMIT_ROWS = 4096  # commit after so many rows ...
_COMMIT_SECONDS = 5.0  # ... or so many seconds of encoding: what a kill can cost
_REMOTE = 16  # commits are so many times rarer on object storage, where each looks through all keys
_SMALL_FRAGMENTS = 64  # compact a table in more pieces than this: each piece is a file to open
_KEEP = timedelta(days=7)  # how long compaction leaves old versions to those who read them
_STAMP = b"theatrum.fingerprint"
_UNREAD = -1  # row id of a row that this run committed itself and has not needed to read back


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
        The folder, made when it is not there; or the URI of one on object storage, such as ``s3://bucket/vectors``.
    engine : Engine, optional
        What encodes; this process by default, `theatrum.store.ray_engine.RayEngine` for a cluster.

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

    def __init__(self, path: str | Path, engine: Engine | None = None) -> None:
        self.path = str(path) if is_remote(path) else Path(path)
        self.engine: Engine = engine or LocalEngine()

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
        table = _EncoderTable(self.path, encoder)
        rows = iter(texts)
        planned: deque[tuple[list[str], list[str]]] = deque()  # keys of a block, and those of them to be encoded

        def missing() -> Iterator[list[str]]:
            while block := list(islice(rows, BLOCK)):
                keys = [content_key(text, role) for text in block]
                new = table.claim(dict(zip(keys, block, strict=True)))
                planned.append((keys, list(new)))
                yield list(new.values())

        # Blocks wait in `pending` until their commit, so that a consumer never sees a vector that a crash could undo.
        pending: list[Encoded] = []
        for made in self.engine.encode(encoder, missing(), role):
            keys, new = planned.popleft()
            table.take_in(new, made)
            vectors, tokens = table.look_up(keys)
            pending.append(Encoded(vectors, tokens, _cut(encoder, tokens), len(new), made.seconds))
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

    def __init__(self, path: str | Path, encoder: Encoder) -> None:
        import pyarrow as pa

        self.dim, self.fingerprint = encoder.dim, encoder.fingerprint()
        self.table = LanceTable(path, f"vectors-{self.fingerprint[:24]}")
        stamp = {_STAMP: self.fingerprint.encode()}
        vector = pa.field("vector", pa.list_(pa.float32(), encoder.dim), metadata=stamp)
        self.schema = pa.schema([pa.field("key", pa.string()), vector, pa.field("tokens", pa.int32())], metadata=stamp)
        with self.table.writing():
            if self.table.exists():
                self.table.open()
            else:
                self.table.create(self.schema, "key")
        self.check_stamp()
        self.version = -1
        self.rows: dict[str, int] = {}
        self.claimed: set[str] = set()
        self.fresh: dict[str, tuple[NDArray[np.float32], int]] = {}
        self.last_commit = time.monotonic()
        self.patience = _REMOTE if is_remote(path) else 1
        self.written = False
        self.refresh()

    def check_stamp(self) -> None:
        found = (self.table.schema.field("vector").metadata or {}).get(_STAMP, b"").decode()
        if found != self.fingerprint:
            raise ValueError(
                f"{self.table.folder}/{self.table.name} holds vectors of another encoder (fingerprint "
                f"{found or 'missing'}, expected {self.fingerprint}); vectors of two encoders cannot be mixed: remove "
                "that table or use another store"
            )

    def refresh(self) -> None:
        """Learn which keys are there, by row id; other runs may have added some."""
        self.table.refresh()
        if self.table.version != self.version:
            self.read_keys()

    def read_keys(self) -> None:
        found = self.table.rows(["key"])
        self.rows = dict(zip(found["key"].to_pylist(), found[ROW_ID].to_pylist(), strict=True))
        self.version = self.table.version

    def claim(self, texts: dict[str, str]) -> dict[str, str]:
        """Which of some texts, by key, nobody has encoded or been asked to encode; they are to be encoded now."""
        new = {key: text for key, text in texts.items() if key not in self.rows and key not in self.claimed}
        self.claimed.update(new)
        return new

    def take_in(self, keys: list[str], made: EncodedBlock) -> None:
        """Keep what was encoded until the next commit."""
        self.fresh.update(
            (key, (vector, int(count))) for key, vector, count in zip(keys, made.vectors, made.tokens, strict=True)
        )

    def look_up(self, keys: list[str]) -> tuple[Vectors, NDArray[np.int32]]:
        found = self.read([key for key in dict.fromkeys(keys) if key not in self.fresh])
        found.update({key: self.fresh[key] for key in keys if key in self.fresh})
        return np.stack([found[key][0] for key in keys]), np.array([found[key][1] for key in keys], dtype=np.int32)

    def read(self, keys: list[str]) -> dict[str, tuple[NDArray[np.float32], int]]:
        if not keys:
            return {}
        if any(self.rows[key] == _UNREAD for key in keys):
            self.read_keys()
        found = self.table.take([self.rows[key] for key in keys], ["key", "vector", "tokens"])
        vectors = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, self.dim)
        tokens = found["tokens"].to_numpy()
        return {
            key: (vector, int(count))
            for key, vector, count in zip(found["key"].to_pylist(), vectors, tokens, strict=True)
        }

    def due(self) -> bool:
        waited = time.monotonic() - self.last_commit
        return (
            not self.fresh
            or len(self.fresh) >= self.patience * _COMMIT_ROWS
            or waited >= self.patience * _COMMIT_SECONDS
        )

    def commit(self) -> None:
        """Write fresh rows in one commit, less those that another run has written meanwhile."""
        if self.fresh:
            import pyarrow as pa

            with self.table.writing():
                self.refresh()
                new = {key: value for key, value in self.fresh.items() if key not in self.rows}
                if new:
                    flat = np.concatenate([vector for vector, _ in new.values()])
                    batch = pa.table(
                        {
                            "key": list(new),
                            "vector": pa.FixedSizeListArray.from_arrays(pa.array(flat), self.dim),
                            "tokens": pa.array([count for _, count in new.values()], pa.int32()),
                        },
                        schema=self.schema,
                    )
                    before = self.version
                    self.table.add_new(batch, "key")
                    self.written = True
                    self.rows.update(dict.fromkeys(new, _UNREAD))
                    self.version = self.table.version
                    if self.version != before + 1:  # without a lock, another run may have committed in between
                        self.read_keys()
            self.claimed.difference_update(self.fresh)
            self.fresh.clear()
        self.last_commit = time.monotonic()

    def finish(self) -> None:
        """Compact a table of many small commits."""
        if self.written and self.table.pieces > _SMALL_FRAGMENTS:
            with self.table.writing():
                self.table.compact(_KEEP)
