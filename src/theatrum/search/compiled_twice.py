"""One loop, compiled for one thread and for all."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, cast

from numba import njit


def for_one_and_all(loop: Callable[..., Any], **options: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compile a function twice: its ``prange`` run by the calling thread, and by all threads.

    Compiled code is kept on disk under the name of the function. Two compilations of one name would take each other's
    place there, and the next process would run one for the other; so the second gets a name of its own.

    Parameters
    ----------
    loop : callable
        What `numba.njit` can compile.
    **options
        Of `numba.njit`.

    Returns
    -------
    tuple of callable
        For one thread, and for all.
    """
    source = cast(FunctionType, loop)
    twin = FunctionType(source.__code__, source.__globals__, f"{source.__name__}_by_all")
    twin.__qualname__ = f"{source.__qualname__}_by_all"
    return njit(cache=True, **options)(loop), njit(cache=True, parallel=True, **options)(twin)
