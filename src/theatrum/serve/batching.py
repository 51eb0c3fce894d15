"""Dynamic batching: requests that come while others are worked on go through the model together."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

_LONGEST_RETRY = 60  # seconds


class Overloaded(Exception):  # noqa: N818 - a state of the service, not a mistake
    """More is waiting than the service takes in.

    Parameters
    ----------
    retry_after : int
        Seconds after which there should be room again.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too much is waiting; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass
class _Piece(Generic[Key, Item, Result]):
    """Items of one request that go through together."""

    key: Key
    items: Sequence[Item]
    answer: asyncio.Future[list[Result]] = field(default_factory=asyncio.Future)


class Batcher(Generic[Key, Item, Result]):
    """Gathers items of several requests, works on them in a thread, and hands each request its own results.

    While a batch is worked on, the next one gathers, so batches grow with the load and a lone request never waits. A
    request of many items goes through in pieces and lets others in between. When a batch fails, its requests are tried
    one by one: only the one to blame sees the error.

    Parameters
    ----------
    work : callable
        (key, items) -> one result an item; runs in the executor.
    executor : Executor
        Of one thread, where the parts are not safe for more.
    max_batch : int
        Most items at once.
    max_waiting : int
        So many items taken in and not yet answered let nothing more in; the last request let in may exceed it.
    on_batch : callable, optional
        Hears the number of items of every batch.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> async def main():
    ...     with ThreadPoolExecutor(1) as thread:
    ...         batcher = Batcher(lambda key, xs: [x * 2 for x in xs], thread, max_batch=8, max_waiting=9)
    ...         answers = await asyncio.gather(batcher.submit("a", [1]), batcher.submit("a", [2, 3]))
    ...         await batcher.close()
    ...         return answers
    >>> asyncio.run(main())
    [[2], [4, 6]]
    """

    def __init__(
        self,
        work: Callable[[Key, list[Item]], Sequence[Result]],
        executor: Executor,
        *,
        max_batch: int,
        max_waiting: int,
        on_batch: Callable[[int], object] = lambda size: None,
    ) -> None:
        self._work = work
        self._executor = executor
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._on_batch = on_batch
        self._pieces: deque[_Piece[Key, Item, Result]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._arrived: asyncio.Event = asyncio.Event()
        self._rate = 0.0
        self._stopped = False
        self.waiting = 0

    async def submit(self, key: Key, items: Sequence[Item]) -> list[Result]:
        """Work on items, together with those of others that have the same key.

        Raises
        ------
        Overloaded
            Too much is waiting, or the service is stopping.
        """
        if self._stopped or self.waiting >= self._max_waiting:
            raise Overloaded(self.retry_after())
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        self.waiting += len(items)
        results: list[Result] = []
        try:
            for start in range(0, len(items), self._max_batch):
                piece: _Piece[Key, Item, Result] = _Piece(key, items[start : start + self._max_batch])
                self._pieces.append(piece)
                self._arrived.set()
                results += await piece.answer
        finally:
            self.waiting -= len(items)
        return results

    def retry_after(self) -> int:
        """Seconds until what waits now is done, at the speed of late; between 1 and 60."""
        seconds = self.waiting / self._rate if self._rate else 1
        return max(1, min(math.ceil(seconds), _LONGEST_RETRY))

    async def close(self) -> None:
        """Let nothing in any more, and finish what is waiting."""
        self._stopped = True
        while self.waiting:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            batch = self._take(self._pieces[0].key)
            if not self._pieces:
                self._arrived.clear()
            if not batch:
                continue
            start = loop.time()
            await self._answer(batch)
            done = sum(len(piece.items) for piece in batch)
            rate = done / max(loop.time() - start, 1e-6)
            self._rate = rate if not self._rate else 0.8 * self._rate + 0.2 * rate

    def _take(self, key: Key) -> list[_Piece[Key, Item, Result]]:
        """Take the oldest pieces of a key, as many as fit a batch; pieces of nobody any more are dropped."""
        batch: list[_Piece[Key, Item, Result]] = []
        rest: deque[_Piece[Key, Item, Result]] = deque()
        room = self._max_batch
        for piece in self._pieces:
            if piece.answer.done():
                continue
            if piece.key == key and len(piece.items) <= room:
                batch.append(piece)
                room -= len(piece.items)
            else:
                rest.append(piece)
        self._pieces = rest
        return batch

    async def _answer(self, batch: list[_Piece[Key, Item, Result]]) -> None:
        items = [item for piece in batch for item in piece.items]
        self._on_batch(len(items))
        try:
            loop = asyncio.get_running_loop()
            results = await loop.run_in_executor(self._executor, self._work, batch[0].key, items)
        except Exception as error:
            if len(batch) > 1:
                for piece in batch:
                    await self._answer([piece])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        start = 0
        for piece in batch:
            if not piece.answer.done():
                piece.answer.set_result(list(results[start : start + len(piece.items)]))
            start += len(piece.items)
