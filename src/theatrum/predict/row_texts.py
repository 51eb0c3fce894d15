"""Things as texts: dictionaries of any shape, each written as one line for an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

NumberFormat: TypeAlias = Literal["plain", "spaced", "scientific"]


def number_text(value: float, precision: int = 4, number_format: NumberFormat = "plain") -> str:
    """Write a number; whole numbers in full, others rounded to significant digits.

    Parameters
    ----------
    value : float or int
        The number.
    precision : int, default=4
        Significant digits.
    number_format : {"plain", "spaced", "scientific"}, default="plain"
        As people write it, every digit a word of its own, or mantissa and exponent.

    Examples
    --------
    >>> number_text(-4.10391), number_text(2024), number_text(-4.10391, 3, "spaced")
    ('-4.104', '2024', '- 4 . 1')
    >>> number_text(1234.5, 3, "scientific")
    '1.23e+03'
    """
    if number_format == "scientific":
        return f"{value:.{precision - 1}e}"
    text = str(int(value)) if isinstance(value, (int, np.integer)) else f"{value:.{precision}g}"
    return " ".join(text) if number_format == "spaced" else text


def row_text(row: Mapping[str, Any], precision: int = 4, number_format: NumberFormat = "plain") -> str:
    """Write a dictionary as one line, in the order of its keys; None is left out.

    Parameters
    ----------
    row : mapping of str to str, number, bool, None or list of them
        One thing.
    precision, number_format
        As in `number_text`.

    Examples
    --------
    >>> row_text({"x0": 0.32, "x1": -4.10391, "shape": "round", "sold": None, "in": ["EU", "US"]})
    'x0: 0.32, x1: -4.104, shape: round, in: [EU, US]'
    """

    def say(value: Any) -> str:
        if isinstance(value, (bool, np.bool_)):
            return "true" if value else "false"
        if isinstance(value, str):
            return value
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(map(say, value))}]"
        return number_text(value, precision, number_format)

    return ", ".join(f"{key}: {say(value)}" for key, value in row.items() if value is not None)


def value_kinds(rows: Iterable[Mapping[str, Any]], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Kind of value under each key, in order of first appearance, after the keys that are known.

    Raises
    ------
    ValueError
        A row that is no dictionary, a key whose kind of value changes, a value of another kind, NaN or infinity; key
        and row are named.

    Examples
    --------
    >>> value_kinds([{"a": 1, "b": "x"}, {"c": True, "a": 2.5}])
    {'a': 'number', 'b': 'text', 'c': 'truth value'}
    """
    kinds = dict(known or {})
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ValueError(f"X: row {number} is {type(row).__name__}, the first one a dictionary; give one kind")
        for key, value in row.items():
            if not isinstance(key, str):
                raise ValueError(f"X: row {number} has the key {key!r}; keys are texts")
            if value is None:
                continue
            kind = _kind(value, f"X: row {number}, key {key!r}")
            if kinds.setdefault(key, kind) != kind:
                raise ValueError(
                    f"X: row {number}, key {key!r} holds a {kind}, other rows a {kinds[key]}; give one kind of value "
                    "under one key"
                )
    return kinds


def _kind(value: Any, where: str) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "truth value"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float, np.integer, np.floating)):
        if not np.isfinite(value):
            raise ValueError(f"{where} is {value}; leave out a key that has no value (or set it to None)")
        return "number"
    if isinstance(value, (list, tuple)):
        for one in value:
            _kind(one, where)
        return "list"
    raise ValueError(
        f"{where} is {type(value).__name__}; values are texts, numbers, truth values, None or lists of them (flatten "
        "the dictionary, or give a serializer of your own)"
    )
