"""Filters as text: ``"year >= 1965 and author = 'lin'"``, read by a small parser and never evaluated.

    filter     = all {"or" all}
    all        = one {"and" one}
    one        = "not" one | "(" filter ")" | condition
    condition  = name compare value | value compare name [compare value]
               | name ["not"] "in" list | name ["not"] "between" value "and" value
               | name "is" ["not"] "null" | name ("any" | "all") list | name "contains" value
    compare    = "=" | "!=" | "<" | "<=" | ">" | ">="
    list       = "(" [value {"," value}] ")"
    value      = number | "true" | "false" | text in single or double quotes

A name is a word, or anything in backticks. Words of the language are read in any case. A quote inside a text is
doubled. Dates are texts such as ``'1965-03-31'``; the column knows that it holds dates.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, NoReturn

from theatrum.search.filters import Filter, condition, join

MAX_LENGTH = 100_000  # characters; room for lists of thousands of ids
_MAX_DEPTH = 100
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
  | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
  | (?P<quoted>`(?:[^`]|``)+`)
  | (?P<word>[^\W\d][\w.\-]*)
  | (?P<sign><=|>=|!=|<>|==|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_SIGNS = {"=": "eq", "==": "eq", "!=": "ne", "<>": "ne", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_TURNED = {"eq": "eq", "ne": "ne", "lt": "gt", "lte": "gte", "gt": "lt", "gte": "lte"}
_WRITTEN = {"eq": "=", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_WORDS = frozenset(("and", "or", "not", "in", "between", "is", "null", "any", "all", "contains", "true", "false"))


def read(text: str) -> Filter:
    """Read a filter from text.

    Parameters
    ----------
    text : str
        A condition, or several.

    Returns
    -------
    Filter
        Its tree.

    Raises
    ------
    ValueError
        Pointing at the place where reading failed.

    Examples
    --------
    >>> print(read("1950 <= year < 1960 AND NOT (author is null or tags contains 'wing')"))
    year >= 1950 and year < 1960 and not (author is null or tags all ('wing'))
    >>> read("year >> 1960")
    Traceback (most recent call last):
    ...
    ValueError: filter: expected a value (a number, true, false, or a text in quotes), found '>'
      year >> 1960
            ^ column 7
    """
    return _Reader(text).filter()


def write(filter: Filter) -> str:
    """Write a filter as the text that reads back as the same tree.

    Examples
    --------
    >>> from theatrum.search.filters import parse_filter
    >>> write(parse_filter({"year": {"gte": 1950, "lt": 1960}, "the author": "o'neil"}))
    "year >= 1950 and year < 1960 and `the author` = 'o''neil'"
    """
    if filter.kind == "test":
        return _write_test(filter)
    if filter.kind == "not":
        inner = write(filter.parts[0])
        return f"not {inner}" if filter.parts[0].kind in ("not", "test") else f"not ({inner})"
    weaker = filter.kind == "and"  # "or" binds less than "and"
    parts = [f"({write(part)})" if weaker and part.kind == "or" else write(part) for part in filter.parts]
    return f" {filter.kind} ".join(parts)


def _write_test(one: Filter) -> str:
    plain = re.fullmatch(r"[^\W\d][\w.\-]*", one.column) and one.column.lower() not in _WORDS
    name = one.column if plain else "`" + one.column.replace("`", "``") + "`"
    if one.operator == "null":
        return f"{name} is null" if one.operand else f"{name} is not null"
    if one.operator in _WRITTEN:
        return f"{name} {_WRITTEN[one.operator]} {_write_value(one.operand)}"
    return f"{name} {one.operator} ({', '.join(map(_write_value, one.operand))})"


def _write_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (dt.date, dt.datetime)):
        value = value.isoformat()
    return "'" + str(value).replace("'", "''") + "'"


class _Reader:
    """Goes through the tokens once, one step ahead of what is read."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ValueError(f"filter: the text has {len(text)} characters; {MAX_LENGTH} are allowed")
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            found = _TOKEN.match(text, at)
            if found is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                self.fail(f"cannot read {text[at]!r} here", at)
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind], found.start(kind)))
            at = found.end()
        self.tokens.append(("end", "", end))
        self.next = 0
        self.depth = 0

    def fail(self, reason: str, column: int | None = None) -> NoReturn:
        at = self.tokens[self.next][2] if column is None else column
        start = max(at - 60, 0)  # a filter with thousands of ids is shown around the place only
        line = " ".join(self.text[start : at + 60].splitlines())
        raise ValueError(f"filter: {reason}\n  {line}\n  {' ' * (at - start)}^ column {at + 1}")

    def expected(self, what: str) -> NoReturn:
        kind, found, _ = self.tokens[self.next]
        self.fail(f"expected {what}, found {'the end' if kind == 'end' else repr(found)}")

    def word(self, *words: str) -> str | None:
        """Take the next token if it is one of these words of the language."""
        kind, found, _ = self.tokens[self.next]
        if kind == "word" and found.lower() in words:
            self.next += 1
            return found.lower()
        return None

    def sign(self, *signs: str) -> str | None:
        kind, found, _ = self.tokens[self.next]
        if kind == "sign" and found in signs:
            self.next += 1
            return found
        return None

    def filter(self) -> Filter:
        if self.tokens[0][0] == "end":
            self.fail("the text is empty; write for example year >= 1965", 0)
        found = self.any_of()
        if self.tokens[self.next][0] != "end":
            self.expected("'and', 'or' or the end")
        return found

    def any_of(self) -> Filter:
        parts = [self.all_of()]
        while self.word("or"):
            parts.append(self.all_of())
        return join("or", parts)

    def all_of(self) -> Filter:
        parts = self.one()
        while self.word("and"):
            parts += self.one()
        return join("and", parts)

    def one(self) -> list[Filter]:
        """One condition; a chain such as ``1950 <= year < 1960`` is two."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(f"nested more than {_MAX_DEPTH} deep")
        try:
            if self.word("not"):
                return [Filter("not", (join("and", self.one()),))]
            if self.sign("("):
                inner = self.any_of()
                if not self.sign(")"):
                    self.expected("')'")
                return [inner]
            return self.single()
        finally:
            self.depth -= 1

    def single(self) -> list[Filter]:
        if self.tokens[self.next][0] in ("number", "text"):
            first = self.value()
            operator = self.comparison()
            name = self.name()
            tests = [condition(name, _TURNED[operator], first)]
            if self.tokens[self.next][1] in _SIGNS and self.tokens[self.next][0] == "sign":
                tests.append(condition(name, self.comparison(), self.value()))
            return tests
        name = self.name()
        if self.word("is"):
            there = self.word("not") is not None
            if not self.word("null"):
                self.expected("'null'")
            return [condition(name, "null", not there)]
        if self.word("contains"):
            return [condition(name, "all", [self.value()])]
        if negated := self.word("not"):
            found = self.word("in", "between") or self.expected("'in' or 'between'")
        else:
            found = self.word("in", "between", "any", "all") or ""
        if not found:
            return [condition(name, self.comparison(), self.value())]
        tests = self.between(name) if found == "between" else [condition(name, found, self.values())]
        return [Filter("not", (join("and", tests),))] if negated else tests

    def between(self, name: str) -> list[Filter]:
        low = self.value()
        if not self.word("and"):
            self.expected("'and'")
        return [condition(name, "gte", low), condition(name, "lte", self.value())]

    def name(self) -> str:
        kind, found, _ = self.tokens[self.next]
        if kind == "quoted":
            self.next += 1
            return found[1:-1].replace("``", "`")
        if kind != "word" or found.lower() in _WORDS:
            self.expected("the name of an attribute")
        self.next += 1
        return found

    def comparison(self) -> str:
        found = self.sign(*_SIGNS)
        if found is None:
            self.expected("a comparison (=, !=, <, <=, >, >=, in, between, is, any, all, contains)")
        return _SIGNS[found]

    def values(self) -> list[Any]:
        if not self.sign("("):
            self.expected("a list such as ('a', 'b')")
        found: list[Any] = []
        while not self.sign(")"):
            if found and not self.sign(","):
                self.expected("',' or ')'")
            found.append(self.value())
        return found

    def value(self) -> Any:
        kind, found, _ = self.tokens[self.next]
        word = self.word("true", "false")
        if word is not None:
            return word == "true"
        if kind not in ("number", "text"):
            self.expected("a value (a number, true, false, or a text in quotes)")
        self.next += 1
        if kind == "text":
            return found[1:-1].replace(found[0] * 2, found[0])
        return int(found) if re.fullmatch(r"[-+]?\d+", found) else float(found)
