"""What a multiple-choice model reads: options side by side and blind to each other, then question and text."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_texts
from theatrum.contracts import TruncationWarning

Tokens = Sequence[int]

_TEXT_ROOM = 32  # tokens that options leave to question and text


@dataclass(frozen=True)
class ChoiceLine:
    """Tokens of one example: ``[CLS] [O] option ... [O] option [SEP] question [SEP] text [SEP] second text [SEP]``.

    Parameters
    ----------
    ids : ndarray of int64, shape (t,)
        Tokens.
    bounds : ndarray of int64, shape (N + 1,)
        Where each option begins (its [O], which is the mask token), and where the last one ends.
    text_is_cut, options_are_cut : bool
        Whether tokens had to be left out.
    """

    ids: NDArray[np.int64]
    bounds: NDArray[np.int64]
    text_is_cut: bool
    options_are_cut: bool

    @property
    def inside(self) -> slice:
        """From the first [O] to the end of the last option."""
        return slice(int(self.bounds[0]), int(self.bounds[-1]))


def option_numbers(line: ChoiceLine) -> NDArray[np.int64]:
    """Say which option each token belongs to, from 1; 0 is none."""
    numbers = np.zeros(len(line.ids), dtype=np.int64)
    lengths = np.diff(line.bounds)
    numbers[line.inside] = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    return numbers


def restarted_positions(line: ChoiceLine) -> NDArray[np.int64]:
    """Count 1, 2, 3 ... in every option anew; the text goes on after the longest one.

    Examples
    --------
    >>> line = ChoiceLine(np.arange(9), np.array([1, 3, 6]), False, False)
    >>> restarted_positions(line).tolist()
    [0, 1, 2, 1, 2, 3, 4, 5, 6]
    """
    lengths = np.diff(line.bounds)
    positions = np.arange(len(line.ids))
    positions[line.inside] += 1 - np.repeat(line.bounds[:-1], lengths)
    positions[line.inside.stop :] += lengths.max() + 1 - line.inside.stop
    return positions


def isolating_mask(line: ChoiceLine) -> NDArray[np.bool_]:
    """Which token (row) may look at which (column): all pairs but those of two different options.

    Examples
    --------
    >>> line = ChoiceLine(np.arange(4), np.array([1, 2, 3]), False, False)
    >>> isolating_mask(line).astype(int).tolist()
    [[1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]]
    """
    numbers = option_numbers(line)
    rows, columns = numbers[:, None], numbers[None, :]
    return (rows == columns) | (rows == 0) | (columns == 0)


def halved(options: Sequence[Tokens], room: int) -> list[Tokens]:
    """Halve options, all at once and again and again, until they and their [O] fit into ``room`` tokens.

    Raises
    ------
    ValueError
        They do not fit even at one token each.

    Examples
    --------
    >>> halved([[1, 2, 3, 4, 5], [6]], room=6)
    [[1, 2], [6]]
    """
    kept = list(options)
    while sum(map(len, kept)) + len(kept) > room:
        if max(map(len, kept)) == 1:
            raise ValueError(
                f"options: {len(options)} options take {sum(map(len, options)) + len(options)} tokens, "
                f"{2 * len(options)} when cut to one each, and the window leaves them {max(room, 0)}; give fewer or "
                "shorter options, a larger max_length, or only the best ten of a faster classifier"
            )
        kept = [option[: max(len(option) // 2, 1)] for option in kept]
    return kept


def check_distinct(options: Sequence[Tokens]) -> None:
    """Refuse options of the same tokens: their scores would be the same too.

    Examples
    --------
    >>> check_distinct([[5], [6, 7], [5]])
    Traceback (most recent call last):
    ...
    ValueError: options: rows 0 and 2 are the same to the model (case, accents or a cut end may be all that told them \
apart); word them differently, or give a larger max_length
    """
    seen: dict[tuple[int, ...], int] = {}
    for row, option in enumerate(options):
        if seen.setdefault(tuple(option), row) != row:
            raise ValueError(
                f"options: rows {seen[tuple(option)]} and {row} are the same to the model (case, accents or a cut end "
                "may be all that told them apart); word them differently, or give a larger max_length"
            )


def choice_line(
    tokenizer: Any,
    options: Sequence[Tokens],
    text: Tokens,
    *,
    question: Tokens = (),
    text_b: Tokens | None = None,
    max_length: int,
) -> ChoiceLine:
    """Lay out one example; what is too long loses the end of the text first.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizer
        Gives the special tokens.
    options : sequence of sequence of int
        Tokens of each option, in the order wanted.
    text, question, text_b : sequence of int
        Tokens; an empty question is left out.
    max_length : int
        Most tokens of the line.

    Raises
    ------
    ValueError
        Options or question leave no room for the text.
    """
    cls, sep, mark = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id
    kept = halved(options, max_length - _TEXT_ROOM - 1)
    ids = [cls]
    bounds = []
    for option in kept:
        bounds.append(len(ids))
        ids += [mark, *option]
    bounds.append(len(ids))
    ids.append(sep)
    if len(question):
        ids += [*question, sep]
    room = max_length - len(ids) - 1 - (text_b is not None)
    if room < (1 if text_b is None else 2):
        raise ValueError(
            f"question: its {len(question)} tokens leave no room for a text beside the options; shorten it, or give "
            f"a max_length above {max_length}"
        )
    second = text_b or ()
    # As much of the second text as the first one leaves, or an equal share.
    kept_b = min(len(second), max(room // 2, room - len(text)))
    kept_a = min(len(text), room - kept_b)
    ids += [*text[:kept_a], sep]
    if text_b is not None:
        ids += [*second[:kept_b], sep]
    is_cut = kept_a < len(text) or kept_b < len(second)
    return ChoiceLine(np.array(ids), np.array(bounds), is_cut, sum(map(len, kept)) < sum(map(len, options)))


def collate(lines: Sequence[ChoiceLine], tokenizer: Any) -> dict[str, NDArray[Any]]:
    """Make a batch of lines; see `build_multiple_choice_inputs` for what is in it.

    Lines with fewer options than others have -1 at the end of their ``option_positions``.
    """
    length = max(len(line.ids) for line in lines)
    n_options = max(len(line.bounds) for line in lines) - 1
    shape = (len(lines), length)
    batch: dict[str, NDArray[Any]] = {
        "input_ids": np.full(shape, tokenizer.pad_token_id),
        # A row without a single column would be a softmax over nothing, NaN: padding looks at itself.
        "attention_mask": np.broadcast_to(np.eye(length, dtype=bool), (*shape, length)).copy(),
        "position_ids": np.zeros(shape, dtype=np.int64),
        "token_type_ids": np.zeros(shape, dtype=np.int64),
        "option_positions": np.full((len(lines), n_options), -1),
    }
    for row, line in enumerate(lines):
        t = len(line.ids)
        batch["input_ids"][row, :t] = line.ids
        batch["attention_mask"][row, :t, :t] = isolating_mask(line)
        batch["position_ids"][row, :t] = restarted_positions(line)
        batch["token_type_ids"][row, line.inside] = 1
        batch["option_positions"][row, : len(line.bounds) - 1] = line.bounds[:-1]
    return batch


def tokenize(tokenizer: Any, texts: Sequence[str], name: str, first_row: int = 0) -> list[list[int]]:
    """Tokens of texts, without special ones; "[SEP]" in a text is five letters and brackets, not a separator.

    Raises
    ------
    ValueError
        A text (named by its row) that is empty, or holds nothing that the tokenizer reads.
    """
    rows = check_texts(texts, name=name)
    if not rows:
        return []
    # Half of a surrogate pair cannot be encoded; it is read as a question mark.
    clean = [text.encode("utf-8", "replace").decode("utf-8") for text in rows]
    tokens: list[list[int]] = tokenizer(
        clean, add_special_tokens=False, truncation=False, split_special_tokens=True, verbose=False
    )["input_ids"]
    for row, found in enumerate(tokens):
        if not found:
            raise ValueError(f"{name}: row {first_row + row} ({rows[row]!r}) has no word to read; leave it out")
    return tokens


def check_options(options: Sequence[str]) -> list[str]:
    """Return options as a list: two or more different texts.

    Examples
    --------
    >>> check_options(["sports", "politics", "sports"])
    Traceback (most recent call last):
    ...
    ValueError: options: 'sports' stands there twice (rows 0 and 2); options must differ
    """
    checked = check_texts(options, name="options")
    if len(checked) < 2:
        raise ValueError(f"options: {len(checked)} given; a choice needs at least 2")
    first: dict[str, int] = {}
    for row, option in enumerate(checked):
        if first.setdefault(option, row) != row:
            raise ValueError(
                f"options: {option!r} stands there twice (rows {first[option]} and {row}); options must differ"
            )
    return checked


def check_pairs(texts_b: Sequence[str], n: int) -> list[str]:
    """Return second texts as a list, one for each of n first ones."""
    checked = check_texts(texts_b, name="texts_b")
    if len(checked) != n:
        raise ValueError(f"texts_b: {len(checked)} texts for {n} in texts; one for each is needed")
    return checked


def choice_lines(
    tokenizer: Any,
    texts: Sequence[str],
    options: Sequence[str],
    *,
    question: str | None = None,
    texts_b: Sequence[str] | None = None,
    max_length: int,
    first_row: int = 0,
) -> list[ChoiceLine]:
    """Tokenise and lay out texts that share their options; parameters as in `build_multiple_choice_inputs`.

    ``first_row`` is the number of the first text, in messages.
    """
    choices = tokenize(tokenizer, check_options(options), "options")
    check_distinct(halved(choices, max_length - _TEXT_ROOM - 1))
    asked = tokenize(tokenizer, [question], "question")[0] if question is not None else ()
    first = tokenize(tokenizer, texts, "texts", first_row)
    second: Sequence[Tokens | None] = [None] * len(first)
    if texts_b is not None:
        second = tokenize(tokenizer, check_pairs(texts_b, len(first)), "texts_b", first_row)
    return [
        choice_line(tokenizer, choices, a, question=asked, text_b=b, max_length=max_length)
        for a, b in zip(first, second, strict=True)
    ]


def count_cut(lines: Sequence[ChoiceLine]) -> NDArray[np.int64]:
    """Count lines whose text is cut, and whose options are."""
    return np.array([sum(line.text_is_cut for line in lines), sum(line.options_are_cut for line in lines)])


def tell_cut(cut: NDArray[np.int64], n: int, max_length: int) -> None:
    """Warn of what `count_cut` counted in n lines; the caller of the caller is named."""
    if cut.any():
        warnings.warn(
            f"of {n} texts, {cut[0]} were cut and {cut[1]} had their options cut to fit {max_length} tokens; "
            "a larger max_length reads more",
            TruncationWarning,
            stacklevel=3,
        )


def build_multiple_choice_inputs(
    tokenizer: Any,
    texts: Sequence[str],
    options: Sequence[str],
    *,
    question: str | None = None,
    texts_b: Sequence[str] | None = None,
    max_length: int = 256,
) -> dict[str, NDArray[Any]]:
    """Make the inputs of a multiple-choice model: texts with options that cannot see each other.

    Options may stand in any order: each has the same positions and looks only at itself and at the text, so that
    permuting them permutes what the model says. The text sees all of them; one more option changes all scores.

    Too long a line loses the end of the text, of the longer of two texts first. Options are halved, all at once, as
    long as they leave less than 32 tokens for question and text.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizer
        Of a BERT: with [CLS], [SEP], [MASK] and [PAD].
    texts : sequence of str, length n
        What the choice is about.
    options : sequence of str, length N
        Two or more, in plain words.
    question : str, optional
        What is asked of every text.
    texts_b : sequence of str, length n, optional
        Second texts, where a pair is to be judged.
    max_length : int, default=256
        Most tokens of a line.

    Returns
    -------
    dict of ndarray
        ``input_ids``, ``position_ids`` and ``token_type_ids``: int64 (n, L), L being the longest line's tokens.
        ``attention_mask``: bool (n, L, L), True where a token (row) may look at another (column); padding looks only
        at itself. ``option_positions``: int64 (n, N), where the model answers for each option.

    Raises
    ------
    ValueError
        No texts, an empty one (the row is named), fewer than two options, two that are the same, or options that do
        not fit (their tokens are told).

    Examples
    --------
    >>> from transformers import BertTokenizer
    >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "goal", "sports", "world", "news"]
    >>> tokenizer = BertTokenizer(vocab={word: row for row, word in enumerate(words)})
    >>> batch = build_multiple_choice_inputs(tokenizer, ["a goal"], ["sports", "world news"])
    >>> tokenizer.decode(batch["input_ids"][0])
    '[CLS] [MASK] sports [MASK] world news [SEP] a goal [SEP]'
    >>> batch["position_ids"][0].tolist()
    [0, 1, 2, 1, 2, 3, 4, 5, 6, 7]
    >>> batch["option_positions"][0].tolist()
    [1, 3]

    References
    ----------
    P. Yang et al.: Zero-Shot Learners for Natural Language Understanding via a Unified Multiple Choice Perspective,
    EMNLP 2022 (atlas 063).
    """
    lines = choice_lines(tokenizer, texts, options, question=question, texts_b=texts_b, max_length=max_length)
    if not lines:
        raise ValueError("texts: there is none; a batch needs at least one")
    return collate(lines, tokenizer)
