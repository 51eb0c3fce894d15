"""One served pipeline at work: its thread, and the batches that go through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import numpy as np

from theatrum.contracts import Role, Vectors
from theatrum.serve.batching import Batcher
from theatrum.serve.corpus_map import CorpusMap
from theatrum.serve.metrics import Metrics
from theatrum.serve.served import ServedPipeline, View
from theatrum.serve.settings import Settings
from theatrum.serve.vectors import token_counts

Result = TypeVar("Result")
Kind = Literal["vectors", "counted vectors", "token vectors", "words"]
Hits = list[tuple[str, float]]


class Worker:
    """Runs the pipelines of one folder in one thread: their parts are not safe for more, and share the cores anyway.

    Parameters
    ----------
    served : ServedPipeline
        What it works with.
    settings : Settings
        Sizes of batches and queues.
    metrics : Metrics
        Hears of batches.
    """

    def __init__(self, served: ServedPipeline, settings: Settings, metrics: Metrics) -> None:
        self.served = served
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=served.name)
        sizes = {"max_batch": settings.max_batch, "max_waiting": settings.max_waiting}
        self._searches: Batcher[tuple[str, int, str], str, Hits] = Batcher(
            self._search, self._thread, **sizes, on_batch=metrics.batches.labels("search").observe
        )
        self._encodings: Batcher[tuple[str, Kind, Role], str, Any] = Batcher(
            self._encode, self._thread, **sizes, on_batch=metrics.batches.labels("encode").observe
        )
        metrics.documents.labels(served.name).set(len(served.pipeline))
        metrics.waiting.labels(served.name).set_function(lambda: self._searches.waiting + self._encodings.waiting)
        view = served.views[served.name]
        positions = f"the vectors of {view.space.notation}" if view.space is not None else "their words, LSA"
        self.map = CorpusMap(served.documents, self._map_vectors, positions, settings.map_documents)
        self._lsa: Any = None

    async def warm_up(self) -> None:
        """Load everything that is loaded at first use."""
        await self.run(self.served.warm_up)

    async def search(self, view: View, query: str, depth: int, where: Mapping[str, Any] | str | None) -> Hits:
        """Find the best documents, at most ``depth``.

        Raises
        ------
        ValueError
            A filter that cannot be used.
        """
        # Only searches of the same depth under the same filter can go together. Half a surrogate pair ends here.
        condition = "" if where is None else json.dumps(where, ensure_ascii=False, sort_keys=True)
        condition.encode("utf-8")
        return (await self._searches.submit((view.name, depth, condition), [query]))[0]

    async def vectors(self, view: View, texts: Sequence[str], role: Role) -> Vectors:
        """Unit vectors of texts (n, d)."""
        return np.stack(await self._encodings.submit((view.name, "vectors", role), texts))

    async def counted_vectors(self, view: View, texts: Sequence[str], role: Role) -> list[tuple[Any, int]]:
        """Unit vector and number of tokens of each text."""
        return await self._encodings.submit((view.name, "counted vectors", role), texts)

    async def token_vectors(self, view: View, texts: Sequence[str], role: Role) -> list[Vectors]:
        """One vector a token of each text."""
        return await self._encodings.submit((view.name, "token vectors", role), texts)

    async def words(self, view: View, texts: Sequence[str], role: Role) -> list[Any]:
        """Sparse row of word weights of each text."""
        return await self._encodings.submit((view.name, "words", role), texts)

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Call something in the thread of this pipeline."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def close(self) -> None:
        """Finish what is waiting, and let nothing in any more."""
        await self.map.stop()
        await asyncio.gather(self._searches.close(), self._encodings.close())
        self._thread.shutdown(wait=False, cancel_futures=True)

    # In the thread.

    def _search(self, key: tuple[str, int, str], queries: list[str]) -> list[Hits]:
        name, depth, condition = key
        where = json.loads(condition) if condition else None
        ids, scores = self.served.views[name].pipeline.search(queries, depth, where)
        return [
            [(found, float(score)) for found, score in zip(row, values, strict=True) if found]
            for row, values in zip(ids.tolist(), scores, strict=True)
        ]

    def _encode(self, key: tuple[str, Kind, Role], texts: list[str]) -> Sequence[Any]:
        name, kind, role = key
        view = self.served.views[name]
        if kind == "words":
            assert view.words is not None
            rows = view.words.rows(texts, role)
            return [rows[row] for row in range(len(texts))]
        if kind == "token vectors":
            assert view.tokens is not None
            return view.tokens.encode(texts, role=role)
        assert view.space is not None
        vectors = view.space.encode(texts, role)
        if kind == "vectors":
            return list(vectors)
        return list(zip(vectors, token_counts(view.space.encoder, texts).tolist(), strict=True))

    async def _map_vectors(self, texts: list[str]) -> Vectors:
        view = self.served.views[self.served.name]
        if view.space is not None:
            return await self.run(view.space.encode, texts, "document")
        return await self.run(self._word_vectors, texts)

    def _word_vectors(self, texts: list[str]) -> Vectors:
        """Vectors of a corpus whose pipeline has none: LSA of the documents on the map."""
        from theatrum.text import LatentSemanticEncoder

        if self._lsa is None:
            documents = self.served.documents.rows(self.map.rows)
            self._lsa = LatentSemanticEncoder(100).fit([document.content for document in documents])
        vectors: Vectors = self._lsa.encode(texts)
        return vectors
