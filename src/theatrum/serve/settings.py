"""The limits of a service, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from theatrum.checks import Constraint, Range, check_parameters


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a service accepts, how it batches, and who may ask.

    Parameters
    ----------
    max_body_bytes : int, default=8 MiB
        Largest request body; 413 above.
    max_inputs : int, default=2048
        Most texts of one request, as at OpenAI; 400 above.
    max_tokens : int, default=300_000
        Most tokens of one request, counted before long texts are cut; 400 above.
    max_hits : int, default=1000
        How deep a search may page: the most that offset and limit may add up to.
    max_batch : int, default=64
        Most texts that go through a pipeline at once.
    max_waiting : int, default=4096
        So many texts taken in and not yet answered, a folder, let nothing more in: 429.
    map_documents : int, default=5000
        Most documents on the map, at most 20,000.
    api_keys : tuple of str, default=()
        Keys that open the service; without any it answers on loopback only.
    log_texts : bool, default=False
        Whether the log may hold messages with words of users.

    Examples
    --------
    >>> Settings(max_batch=0)
    Traceback (most recent call last):
    ...
    ValueError: Settings: max_batch must be a whole number of at least 1, got 0
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "max_body_bytes": [Range(int, 1)],
        "max_inputs": [Range(int, 1)],
        "max_tokens": [Range(int, 1)],
        "max_hits": [Range(int, 1)],
        "max_batch": [Range(int, 1)],
        "max_waiting": [Range(int, 1)],
        "map_documents": [Range(int, 1, 20_000)],
        "log_texts": [bool],
    }

    max_body_bytes: int = 8 << 20
    max_inputs: int = 2048
    max_tokens: int = 300_000
    max_hits: int = 1000
    max_batch: int = 64
    max_waiting: int = 4096
    map_documents: int = 5000
    api_keys: tuple[str, ...] = ()
    log_texts: bool = False

    def __post_init__(self) -> None:
        check_parameters(self, self.constraints)
