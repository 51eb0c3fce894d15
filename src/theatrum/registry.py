"""One registry of parts: short names to classes, filled from entry points without importing any part.

The rooms of this library and other packages come in by the same door: an entry point in one of the groups of
``GROUPS``, for example::

    [project.entry-points."theatrum.refiners"]
    pca = "theatrum.refine.pca:PCA"
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal[
    "encoder",
    "token encoder",
    "token reducer",
    "refiner",
    "quantizer",
    "index",
    "reranker",
    "retriever",
    "fusion",
    "predictor",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
GROUPS: dict[Kind, str] = {
    "encoder": "theatrum.encoders",
    "token encoder": "theatrum.token_encoders",
    "token reducer": "theatrum.token_reducers",
    "refiner": "theatrum.refiners",
    "quantizer": "theatrum.quantizers",
    "index": "theatrum.indexes",
    "reranker": "theatrum.rerankers",
    "retriever": "theatrum.retrievers",
    "fusion": "theatrum.fusions",
    "predictor": "theatrum.predictors",
}


@dataclass(frozen=True)
class Part:
    """One registered name.

    Parameters
    ----------
    name : str
        Name in the pipeline notation.
    kind : str
        What it is in a pipeline; see ``KINDS``.
    target : str
        ``module:Class``; imported only by `load`.
    package : str
        Distribution that brings it.
    """

    name: str
    kind: Kind
    target: str
    package: str

    def load(self) -> type:
        """Import and return the class."""
        cls: type = EntryPoint(self.name, self.target, GROUPS[self.kind]).load()
        return cls


@cache
def _parts() -> dict[str, Part]:
    found: dict[str, Part] = {}
    for kind, group in GROUPS.items():
        for point in sorted(entry_points(group=group), key=lambda point: point.name):
            package = point.dist.name if point.dist else "unknown"
            part = Part(point.name, kind, point.value, package)
            other = found.setdefault(part.name, part)
            # The same line can be seen twice (an editable install beside a build folder); another target cannot.
            if (other.kind, other.target) != (part.kind, part.target):
                raise ValueError(
                    f"the part name {part.name!r} is taken twice: {other.target} ({other.package}) and "
                    f"{part.target} ({part.package}); uninstall one of the packages or rename its entry point"
                )
    return found


def parts(pattern: str = "*", kind: Kind | None = None) -> list[Part]:
    """List registered parts whose name matches a shell pattern.

    Examples
    --------
    >>> [part.name for part in parts("*whiten", kind="refiner")]
    ['whiten', 'zipf_whiten']
    """
    return sorted(
        (part for part in _parts().values() if fnmatch(part.name, pattern) and kind in (None, part.kind)),
        key=lambda part: (KINDS.index(part.kind), part.name),
    )


def part(name: str) -> Part:
    """Return the part of that name.

    Raises
    ------
    ValueError
        No such name; the nearest ones are given.

    Examples
    --------
    >>> part("minilm").kind
    'encoder'
    >>> part("zipf_whitten")
    Traceback (most recent call last):
    ...
    ValueError: no part is called 'zipf_whitten'; did you mean 'zipf_whiten'?
    """
    found = _parts().get(name)
    if found is None:
        near = difflib.get_close_matches(name, _parts(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "the parts are: " + ", ".join(sorted(_parts()))
        raise ValueError(f"no part is called {name!r}; {hint}")
    return found


def name_of(owner: object) -> str:
    """Return the registered name of a part's class.

    Raises
    ------
    ValueError
        The class is not registered, so that it could not be opened again.
    """
    cls = type(owner)
    for name, entry in _parts().items():
        module, _, attribute = entry.target.partition(":")
        # Compare text first: loading every part to find one would import torch for a PCA.
        if attribute == cls.__name__ and (module == cls.__module__ or entry.load() is cls):
            return name
    raise ValueError(
        f"{cls.__name__} is not registered; add it as an entry point in one of the groups "
        + ", ".join(GROUPS.values())
        + " so that it can be saved and opened"
    )
