"""A service: everything that is served, by name, from its start to its stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from theatrum.serve.errors import ApiError
from theatrum.serve.metrics import Metrics
from theatrum.serve.request_log import log
from theatrum.serve.served import ServedPipeline, View
from theatrum.serve.settings import Settings
from theatrum.serve.worker import Worker


class Service:
    """What the routes stand on.

    Parameters
    ----------
    pipelines : sequence of ServedPipeline
        The first is the one that requests get which name none.
    settings : Settings
        Limits.

    Raises
    ------
    ValueError
        No pipeline, or two of one name.
    """

    def __init__(self, pipelines: Sequence[ServedPipeline], settings: Settings) -> None:
        if not pipelines:
            raise ValueError("there is no pipeline to serve")
        self.settings = settings
        self.metrics = Metrics()
        self.views: dict[str, View] = {}
        self.workers: dict[str, Worker] = {}
        for served in pipelines:
            if served.name in self.views:
                raise ValueError(f"two pipelines are called {served.name!r}; rename one of the folders")
            worker = Worker(served, settings, self.metrics)
            self.views |= served.views
            self.workers |= dict.fromkeys(served.views, worker)
        self.ready = False
        self.problem = ""
        self._warming: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to load everything; `ready` says when it is done."""
        self._warming = asyncio.get_running_loop().create_task(self._warm_up())

    async def stop(self) -> None:
        """Finish what is waiting."""
        self.ready = False
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._distinct_workers()))

    def view(self, name: str | None, *, field: str = "pipeline") -> tuple[View, Worker]:
        """Find what a request names; the first pipeline where it names none.

        Raises
        ------
        ApiError
            404 for a name that is not there.
        """
        found = next(iter(self.views)) if name is None else name
        if found not in self.views:
            there = ", ".join(repr(one) for one in self.views)
            raise ApiError(404, f"nothing is called {found!r} here; there are {there}", param=field, code="not_found")
        return self.views[found], self.workers[found]

    async def _warm_up(self) -> None:
        try:
            for worker in self._distinct_workers():
                await worker.warm_up()
        except Exception as error:  # whatever the part's loading may raise: the service stays up to say so
            self.problem = str(error)
            log("not ready", level=logging.ERROR, reason=self.problem)
            return
        self.ready = True
        self.metrics.ready.set(1)
        log("ready", pipelines=list(self.views))

    def _distinct_workers(self) -> list[Worker]:
        return list(dict.fromkeys(self.workers.values()))
