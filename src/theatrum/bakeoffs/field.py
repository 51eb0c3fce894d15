"""Who competes: the default field of pipelines, users' own lists, and the budget."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from theatrum.bakeoffs.results import Budget
from theatrum.pipelines.notation import parse

# Each line is there to answer a question that people have; BM25 answers "is it worth it at all?".
_WITHOUT_TORCH = (
    "bm25",
    "tfidf",
    "lsa(dim=256)",
)
_WITH_MODEL = (
    "static",
    "static | int8",
    "rrf(bm25, static)",
    "minilm",
    "minilm | int8",
    "minilm | pca(dim=128)",
    "minilm | truncate(dim=128)",
    "minilm | pca(dim=64) | int8",
    "minilm | tldr(dim=64) | int8",
    "minilm | whiten(n_components=64) | int8",
    "minilm | pq(m=48)",
    "minilm | binary",
    "minilm | binary | flat(rescore='int8')",
    "minilm | pca(dim=128) | binary | flat(rescore='int8', oversample=16)",
    "minilm | hnsw",
    "minilm | int8 | ivf",
    "rrf(bm25, minilm)",
    "rrf(bm25, minilm | binary | flat(rescore='int8'))",
)


def default_field() -> list[str]:
    """Pipelines that compete when nobody names any; those of a model need torch and the model.

    Examples
    --------
    >>> default_field()[0]
    'bm25'
    """
    has_model = all(importlib.util.find_spec(name) for name in ("torch", "sentence_transformers"))
    return [*_WITHOUT_TORCH, *(_WITH_MODEL if has_model else ())]


def check_field(pipelines: list[str]) -> list[str]:
    """Return pipelines in canonical notation, once each, with BM25 first among equals: it is always in the field.

    Raises
    ------
    PipelineError
        A line that cannot be read.

    Examples
    --------
    >>> check_field(["minilm|int8", "minilm | int8"])
    ['bm25', 'minilm | int8']
    """
    return list(dict.fromkeys(str(parse(text)) for text in ["bm25", *pipelines]))


def read_field(path: str | Path) -> list[str]:
    """Read pipelines from a text file: one a line, ``#`` starts a comment.

    Raises
    ------
    ValueError
        No pipeline in the file, or a line that cannot be read (with its number).
    """
    found = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.append(str(parse(text)))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    if not found:
        raise ValueError(f"{path} names no pipeline; write one a line, such as: minilm | int8 | flat")
    return found


def parse_budget(text: str | None) -> Budget:
    """Read a budget such as ``"bytes=64,ms=5"``.

    Raises
    ------
    ValueError
        An unknown limit, or one that is not a positive number.

    Examples
    --------
    >>> parse_budget("bytes=64, ms=5")
    Budget(bytes=64.0, ms=5.0)
    >>> parse_budget("gb=1")
    Traceback (most recent call last):
    ...
    ValueError: budget 'gb=1': write limits as bytes=64,ms=5 (either may be left out), each a positive number
    """
    limits: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in (text or "").split(","))):
        name, _, value = (side.strip() for side in item.partition("="))
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = -1.0
        if name not in ("bytes", "ms") or not 0 < limits[name] < float("inf"):
            raise ValueError(
                f"budget {text!r}: write limits as bytes=64,ms=5 (either may be left out), each a positive number"
            )
    return Budget(**limits)
