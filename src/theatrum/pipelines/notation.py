"""The pipeline notation: ``"minilm | zipf_whiten(dim=128) | int8 | hnsw(ef=64)"`` as a small syntax tree.

The grammar is a corner of Python's own, so Python's parser reads it and nothing is ever evaluated:

- a *chain* is one or more *calls* joined by ``|``;
- a call is a name, with arguments in parentheses where it takes any;
- an argument is a Python literal (number, string, ``True``, ``None``, list, tuple, dict of these) or a chain, as in
  ``rrf(bm25, minilm | int8 | flat)``.

``parse(str(chain)) == chain`` for every chain.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Literal: TypeAlias = "bool | int | float | str | list[Literal] | tuple[Literal, ...] | dict[Literal, Literal] | None"
Argument: TypeAlias = "Literal | Chain"

MAX_LENGTH = 10_000  # characters; a longer text is not a pipeline but an accident (or an attack on the parser)


class PipelineError(ValueError):
    """A pipeline text that cannot be understood or built; the message points at the column."""

    def __init__(self, text: str, column: int, reason: str) -> None:
        self.text, self.column, self.reason = text, column, reason
        super().__init__(f"{reason}\n  {text}\n  {' ' * column}^ column {column + 1}")


@dataclass(frozen=True)
class Call:
    """One stage: a part's name and its arguments.

    Parameters
    ----------
    name : str
        Registered name of the part.
    args : tuple
        Positional arguments.
    kwargs : tuple of (str, argument)
        Keyword arguments, in the order written.
    column : int
        Where the name stands in the text, from 0; not compared.
    """

    name: str
    args: tuple[Argument, ...] = ()
    kwargs: tuple[tuple[str, Argument], ...] = ()
    column: int = field(default=0, compare=False)

    def __str__(self) -> str:
        """Write the call as it would be typed."""
        inner = [_write(arg) for arg in self.args] + [f"{key}={_write(arg)}" for key, arg in self.kwargs]
        return f"{self.name}({', '.join(inner)})" if inner else self.name


@dataclass(frozen=True)
class Chain:
    """Stages joined by ``|``."""

    calls: tuple[Call, ...]

    def __str__(self) -> str:
        """Write the chain as it would be typed."""
        return " | ".join(map(str, self.calls))

    def walk(self) -> Iterator[Call]:
        """Go through all calls, those inside arguments too."""
        for call in self.calls:
            yield call
            for arg in (*call.args, *(value for _, value in call.kwargs)):
                if isinstance(arg, Chain):
                    yield from arg.walk()


def _write(argument: Argument) -> str:
    return str(argument) if isinstance(argument, Chain) else repr(argument)


def parse(text: str) -> Chain:
    """Read a pipeline text.

    Parameters
    ----------
    text : str
        For example ``"minilm | pca(dim=128) | int8 | hnsw(ef=64)"``; line breaks count as spaces.

    Returns
    -------
    Chain
        Its syntax tree; names are not looked up yet.

    Raises
    ------
    PipelineError
        With the column where reading failed.

    Examples
    --------
    >>> chain = parse("rrf(bm25, minilm | int8|flat( ))")
    >>> str(chain)
    'rrf(bm25, minilm | int8 | flat)'
    >>> parse("minilm | pca(dim=2**7)")
    Traceback (most recent call last):
    ...
    theatrum.pipelines.notation.PipelineError: arguments are literals (numbers, strings, lists ...) or pipelines; this is neither
      minilm | pca(dim=2**7)
                       ^ column 18
    """  # noqa: E501 - the caret must stand under the column it points at
    return _Reader(text).chain()


class _Reader:
    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a pipeline is written as a text, got {type(text).__name__}")
        self.text = " ".join(text.splitlines()) if len(text) <= MAX_LENGTH else text[:60] + "..."
        if len(text) > MAX_LENGTH:
            raise self.error(0, f"the text has {len(text)} characters; a pipeline has at most {MAX_LENGTH}")
        indent = len(self.text) - len(self.text.lstrip())
        if indent == len(self.text):
            raise self.error(0, "the pipeline is empty; write at least an encoder, such as 'bm25'")
        self.indent = indent

    def error(self, column: int, reason: str) -> PipelineError:
        return PipelineError(self.text, column, reason)

    def column(self, node: ast.AST) -> int:
        # ast counts UTF-8 bytes; people count characters.
        encoded = self.text[self.indent :].encode()
        offset = getattr(node, "col_offset", 0)
        return self.indent + len(encoded[:offset].decode(errors="ignore"))

    def chain(self) -> Chain:
        try:
            body = ast.parse(self.text[self.indent :], mode="eval").body
        except SyntaxError as error:
            # Python says 0 where the text ends too early.
            column = self.indent + error.offset - 1 if error.offset else len(self.text)
            raise self.error(min(column, len(self.text)), f"cannot read the pipeline: {error.msg}") from None
        except (RecursionError, MemoryError, ValueError) as error:
            raise self.error(0, f"cannot read the pipeline: {error or 'nested too deeply'}") from None
        try:
            return self.read_chain(body)
        except RecursionError:
            raise self.error(0, "cannot read the pipeline: nested too deeply") from None

    def read_chain(self, node: ast.expr) -> Chain:
        stages: list[ast.expr] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            stages.append(node.right)
            node = node.left
        stages.append(node)
        return Chain(tuple(self.read_call(stage) for stage in reversed(stages)))

    def read_call(self, node: ast.expr) -> Call:
        if isinstance(node, ast.Name):
            return Call(node.id, column=self.column(node))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            args = tuple(self.read_argument(arg) for arg in node.args)
            kwargs: dict[str, Argument] = {}
            for keyword in node.keywords:
                if keyword.arg is None:
                    raise self.error(self.column(keyword), "'**' has no meaning in a pipeline; write name=value")
                kwargs[keyword.arg] = self.read_argument(keyword.value)
            return Call(node.func.id, args, tuple(kwargs.items()), self.column(node))
        raise self.error(self.column(node), "a stage is a name, or a name with arguments in parentheses")

    def read_argument(self, node: ast.expr) -> Argument:
        if isinstance(node, (ast.Name, ast.Call, ast.BinOp)):
            if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.BitOr):
                raise self.not_an_argument(node)
            return self.read_chain(node)
        try:
            value: Literal = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError):
            raise self.not_an_argument(node) from None
        if not _plain(value):
            raise self.not_an_argument(node)
        return value

    def not_an_argument(self, node: ast.expr) -> PipelineError:
        return self.error(
            self.column(node), "arguments are literals (numbers, strings, lists ...) or pipelines; this is neither"
        )


def _plain(value: object) -> bool:
    """Whether a literal can be written back and read again (no sets, bytes, complex numbers, infinities)."""
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(_plain(key) and _plain(item) for key, item in value.items())
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))
