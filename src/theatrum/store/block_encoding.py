"""Encoding blocks of texts, here or elsewhere: what every engine does with one block, and the engine at hand."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Encoder, Role, TruncationWarning, Vectors


class EncodedBlock(NamedTuple):
    """What became of one block.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        One row a text.
    tokens : ndarray of int32, shape (n,)
        Tokens of each text for encoders that count them, else -1.
    seconds : float
        Time spent in the encoder.
    """

    vectors: Vectors
    tokens: NDArray[np.int32]
    seconds: float


class Engine(Protocol):
    """Runs an encoder over blocks of texts."""

    def encode(self, encoder: Encoder, blocks: Iterable[list[str]], role: Role) -> Iterator[EncodedBlock]:
        """Encode every block by itself, in order; an empty one has no vectors.

        Blocks may be asked for ahead of what has been given back, but only so many as memory easily holds.
        """
        ...


def encode_block(encoder: Encoder, texts: list[str], role: Role) -> EncodedBlock:
    """Encode one block.

    Cut texts are counted for the whole run by who asks; a warning for every block would say less.
    """
    if not texts:
        return EncodedBlock(np.empty((0, encoder.dim), dtype=np.float32), np.empty(0, dtype=np.int32), 0.0)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        vectors = encoder.encode(texts, role=role)
    seconds = time.perf_counter() - start
    counter = getattr(encoder, "token_counts", None)
    tokens = counter(texts) if counter else np.full(len(texts), -1)
    return EncodedBlock(vectors, np.asarray(tokens, dtype=np.int32), seconds)


class LocalEngine:
    """Encodes in this process, one block after another."""

    def encode(self, encoder: Encoder, blocks: Iterable[list[str]], role: Role) -> Iterator[EncodedBlock]:
        """Encode blocks as they are asked for; see `Engine`."""
        return (encode_block(encoder, texts, role) for texts in blocks)


@contextmanager
def open_engine(engine: Engine | Literal["local", "ray"]) -> Iterator[Engine]:
    """Give the engine of a name, closed at the end; an engine that is given comes back, and stays open.

    Raises
    ------
    ValueError
        No engine is called so.
    ImportError
        The extra of the engine is missing.

    Examples
    --------
    >>> with open_engine("local") as engine:
    ...     type(engine).__name__
    'LocalEngine'
    """
    if engine == "ray":
        from theatrum.store.ray_engine import RayEngine

        with RayEngine() as opened:
            yield opened
    elif engine == "local":
        yield LocalEngine()
    elif isinstance(engine, str):
        raise ValueError(f"no engine is called {engine!r}; the engines are 'local' and 'ray'")
    else:
        yield engine
