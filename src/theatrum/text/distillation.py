"""Reading a transformer token by token: what each token means to it alone, and in the texts of a corpus."""

from __future__ import annotations

import hashlib
import heapq
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from theatrum.cache import cache_folder
from theatrum.persistence import ARRAYS, fresh_folder, load_arrays, save_arrays, write_config
from theatrum.text.model_folders import folder_digest
from theatrum.text.static_folders import read_tokenizer_text
from theatrum.text.transformer_engine import TransformerEngine, length_batches

_RECIPE = "2"  # part of every cache key: change it when the numbers change


class TextSample:
    """Keeps a sample of texts, up to a number of tokens, from a stream of any length and in any order.

    A text is drawn by the hash of its tokens: the sample depends on the set of texts only, not on their order.

    Parameters
    ----------
    budget : int
        Tokens wanted; the last text may go beyond.
    limit : int
        Tokens taken of one text.

    Examples
    --------
    >>> texts = [np.array([1, 2, 3]), np.array([4, 5]), np.array([6]), np.array([4, 5])]
    >>> forth, back = TextSample(4, 512), TextSample(4, 512)
    >>> for text in texts:
    ...     forth.add(text)
    >>> for text in reversed(texts):
    ...     back.add(text)
    >>> forth.texts() == back.texts(), sum(map(len, forth.texts())) >= 4
    (True, True)
    """

    def __init__(self, budget: int, limit: int) -> None:
        self.budget, self.limit = budget, limit
        self._heap: list[tuple[int, list[int]]] = []  # negative hash first: the largest hash is on top
        self._held: set[int] = set()
        self._tokens = 0

    def add(self, ids: NDArray[np.int32]) -> None:
        """Look at one text."""
        part = np.ascontiguousarray(ids[: self.limit], dtype=np.int32)
        key = int.from_bytes(hashlib.blake2b(part.tobytes(), digest_size=8).digest())
        full = self._tokens >= self.budget
        if not len(part) or key in self._held or (full and key > -self._heap[0][0]):
            return
        heapq.heappush(self._heap, (-key, part.tolist()))
        self._held.add(key)
        self._tokens += len(part)
        while self._tokens - len(self._heap[0][1]) >= self.budget:
            largest, dropped = heapq.heappop(self._heap)
            self._held.remove(-largest)
            self._tokens -= len(dropped)

    def texts(self) -> list[list[int]]:
        """Tokens of the texts drawn, in the order of their hashes."""
        return [tokens for _, tokens in sorted(self._heap, reverse=True)]


class Teacher:
    """A transformer that static tables are made from; what it said once is kept in the cache folder.

    Parameters
    ----------
    folder : Path
        Folder of a sentence-transformers model. The model is loaded only when the cache does not know the answer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def vocabulary(self) -> tuple[Tokenizer, NDArray[np.float32]]:
        """Run every token once, alone.

        Half a minute for 30,000 tokens on two cores, the first time.

        Returns
        -------
        tokenizer : tokenizers.Tokenizer
            The model's own.
        table : ndarray of float32, shape (V, d)
            Mean of the last hidden states over the token and the special ones around it.
        """
        arrays = _cached(f"{self._key}-tokens", self._tokens_alone)
        return read_tokenizer_text(arrays["tokenizer"].tobytes().decode()), arrays["table"]

    def read(self, texts: Sequence[list[int]], size: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Read texts and add up the vectors of each token in them.

        Parameters
        ----------
        texts : sequence of list of int
            Tokens without special ones; what is beyond the model's limit is not read.
        size : int
            Tokens in the vocabulary.

        Returns
        -------
        sums : ndarray of float32, shape (size, d)
            Sum of the last hidden states at the places of each token.
        counts : ndarray of int64, shape (size,)
            Number of those places.
        """
        digest = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()
        arrays = _cached(f"{self._key}-{digest[:32]}", lambda: self._tokens_in_context(texts, size))
        sums = np.zeros((size, arrays["sums"].shape[1]), dtype=np.float32)
        counts = np.zeros(size, dtype=np.int64)
        sums[arrays["seen"]], counts[arrays["seen"]] = arrays["sums"], arrays["counts"]
        return sums, counts

    @cached_property
    def _engine(self) -> TransformerEngine:
        return TransformerEngine(self.folder, None)

    @property
    def _width(self) -> int:
        return int(self._engine.model[0].get_embedding_dimension())

    @cached_property
    def _key(self) -> str:
        return hashlib.sha256(f"{_RECIPE} {folder_digest(self.folder)}".encode()).hexdigest()[:32]

    def _tokens_alone(self) -> dict[str, NDArray[Any]]:
        text: str = self._engine.tokenizer.backend_tokenizer.to_str()
        size = max(read_tokenizer_text(text).get_vocab().values()) + 1
        table = np.empty((size, self._width), dtype=np.float32)
        for row, state in self._states([[number] for number in range(size)]):
            table[row] = state.mean(axis=0)
        return {"table": table, "tokenizer": np.frombuffer(text.encode(), dtype=np.uint8)}

    def _tokens_in_context(self, texts: Sequence[list[int]], size: int) -> dict[str, NDArray[Any]]:
        engine = self._engine
        before, after = len(engine.prefix), len(engine.suffix)
        room = (engine.limit or sys.maxsize) - before - after
        read = [text[:room] for text in texts]
        tokens = np.concatenate([np.array(text, dtype=np.int64) for text in read])
        seen, where, counts = np.unique(tokens, return_inverse=True, return_counts=True)
        places = np.split(where, np.cumsum([len(text) for text in read])[:-1])
        sums = np.zeros((len(seen), self._width), dtype=np.float32)
        for row, state in self._states(read):
            np.add.at(sums, places[row], state[before : len(state) - after])
        return {"seen": seen, "sums": sums, "counts": counts}

    def _states(self, texts: Sequence[list[int]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Go through the texts, long ones first: which, and its last hidden states, special tokens included."""
        import torch

        engine = self._engine
        rows = [[*engine.prefix, *text, *engine.suffix] for text in texts]
        for batch in length_batches(list(map(len, rows)), rows=len(rows), tokens=engine.batch_tokens):
            lengths = np.array([len(rows[row]) for row in batch])
            mask = np.arange(lengths.max()) < lengths[:, None]
            ids = np.full(mask.shape, engine.tokenizer.pad_token_id or 0, dtype=np.int64)
            ids[mask] = np.concatenate([rows[row] for row in batch])
            features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
            if "token_type_ids" in engine.tokenizer.model_input_names:
                features["token_type_ids"] = torch.zeros_like(features["input_ids"])
            with torch.inference_mode():
                found = engine.model[0]({name: value.to(engine.model.device) for name, value in features.items()})
            hidden = found["token_embeddings"].float().cpu().numpy()
            for row, state, length in zip(batch, hidden, lengths, strict=True):
                yield row, state[:length]


def _cached(name: str, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Read arrays from the cache folder, or make them and put them there."""
    path = cache_folder() / "static" / name
    if (path / ARRAYS).is_file():
        with suppress(ValueError):  # damaged: made anew
            return load_arrays(path / ARRAYS)
    arrays = make()
    try:
        with fresh_folder(path) as folder:
            save_arrays(arrays, folder / ARRAYS)
            write_config(folder, {"made_by": "theatrum.text.distillation"})
    except OSError as error:
        warnings.warn(
            f"the distilled vectors could not be kept in {path} ({error}); they are made anew next time", stacklevel=2
        )
    return arrays
