from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from theatrum.serve.batching import Batcher, Overloaded


def run(main, work, **sizes):
    """Run a coroutine with a batcher around some work."""
    sizes = {"max_batch": 4, "max_waiting": 100} | sizes

    async def around():
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher(work, thread, **sizes)
            try:
                return await main(batcher)
            finally:
                await batcher.close()

    return asyncio.run(around())


def test_everyone_gets_their_own_results_in_order():
    seen = []

    def work(key, items):
        seen.append((key, len(items)))
        return [(key, item) for item in items]

    async def main(batcher):
        requests = [("a", [1]), ("b", [2, 3]), ("a", list(range(10))), ("a", [4]), ("b", [])]
        return requests, await asyncio.gather(*(batcher.submit(*request) for request in requests))

    requests, answers = run(main, work)
    assert answers == [[(key, item) for item in items] for key, items in requests]
    assert max(size for _, size in seen) <= 4
    assert ("a", 4) in seen
    assert len(seen) < 8


def test_batches_grow_while_a_batch_is_worked_on():
    sizes = []

    def work(key, items):
        sizes.append(len(items))
        time.sleep(0.03)
        return items

    async def main(batcher):
        await asyncio.gather(*(batcher.submit("a", [number]) for number in range(64)))

    run(main, work, max_batch=32)
    assert len(sizes) <= 4


def test_a_long_request_lets_others_in_between():
    order = []

    async def main(batcher):
        async def ask(name, items):
            await batcher.submit(name, items)
            order.append(name)

        await asyncio.gather(ask("long", list(range(40))), ask("short", [1]))

    run(main, lambda key, items: time.sleep(0.002) or items)
    assert order == ["short", "long"]


def test_only_the_one_to_blame_sees_the_error():
    def work(key, items):
        if "bad" in items:
            raise ValueError("bad item")
        return items

    async def main(batcher):
        asks = [batcher.submit("a", [item]) for item in ("x", "bad", "y")]
        return await asyncio.gather(*asks, return_exceptions=True)

    first, second, third = run(main, work)
    assert (first, third) == (["x"], ["y"])
    assert isinstance(second, ValueError)


def test_too_much_is_refused_with_a_time():
    release = threading.Event()

    def work(key, items):
        release.wait(5)
        return items

    async def main(batcher):
        first = asyncio.create_task(batcher.submit("a", [1, 2, 3]))
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded) as refused:
            await batcher.submit("a", [4, 5, 6])
        release.set()
        await first
        assert await batcher.submit("a", [4, 5, 6]) == [4, 5, 6]
        return refused.value.retry_after

    assert 1 <= run(main, work, max_waiting=3) <= 60


def test_a_request_larger_than_the_queue_can_come_in():
    async def main(batcher):
        return await batcher.submit("a", list(range(9)))

    assert run(main, lambda key, items: items, max_waiting=5) == list(range(9))


def test_the_time_to_come_again_follows_the_speed():
    async def main(batcher):
        await batcher.submit("a", [1])
        batcher.waiting = 50
        try:
            return batcher.retry_after()
        finally:
            batcher.waiting = 0

    assert 4 <= run(main, lambda key, items: time.sleep(0.1) or items) <= 7


def test_a_request_that_was_given_up_harms_nobody():
    def work(key, items):
        time.sleep(0.02)
        return items

    async def main(batcher):
        asks = [asyncio.create_task(batcher.submit("a", [number])) for number in range(8)]
        await asyncio.sleep(0.001)
        for task in asks[::2]:
            task.cancel()
        answers = await asyncio.gather(*asks, return_exceptions=True)
        return answers, batcher.waiting

    answers, waiting = run(main, work)
    assert answers[1::2] == [[1], [3], [5], [7]]
    assert waiting == 0


def test_closing_finishes_what_waits_and_lets_nothing_in():
    async def main(batcher):
        asks = [asyncio.create_task(batcher.submit("a", [number])) for number in range(9)]
        await asyncio.sleep(0)
        await batcher.close()
        with pytest.raises(Overloaded):
            await batcher.submit("a", [1])
        return await asyncio.gather(*asks)

    assert run(main, lambda key, items: time.sleep(0.01) or items) == [[number] for number in range(9)]
