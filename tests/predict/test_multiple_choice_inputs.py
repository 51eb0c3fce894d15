"""The line of a multiple-choice model: layout by hand, masks against a slow version, cutting, drawing, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import BertTokenizer

from theatrum.predict.multiple_choice_inputs import (
    ChoiceLine,
    build_multiple_choice_inputs,
    choice_line,
    collate,
    halved,
    isolating_mask,
    option_numbers,
    restarted_positions,
)

PAD, UNK, CLS, SEP, MASK = range(5)
WORDS = "a b c d e f g news sports world what is it ? [ ] sep s".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENIZER = BertTokenizer(vocab={word: row for row, word in enumerate([*SPECIAL, *WORDS])})
A, B, C, D = 5, 6, 7, 8


def line(options, text, **more):
    return choice_line(TOKENIZER, options, text, **{"max_length": 64, **more})


def test_the_layout_by_hand():
    found = line([[A], [B, C]], [D, D], question=[C], text_b=[A])
    assert found.ids.tolist() == [CLS, MASK, A, MASK, B, C, SEP, C, SEP, D, D, SEP, A, SEP]
    assert found.bounds.tolist() == [1, 3, 6]
    assert restarted_positions(found).tolist() == [0, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert option_numbers(found).tolist() == [0, 1, 1, 2, 2, 2] + [0] * 8
    batch = collate([found], TOKENIZER)
    assert batch["token_type_ids"].tolist() == [[0, 1, 1, 1, 1, 1] + [0] * 8]
    assert batch["option_positions"].tolist() == [[1, 3]]
    assert line([[A], [B]], [D]).ids.tolist() == [CLS, MASK, A, MASK, B, SEP, D, SEP]  # no question, no second text


def test_the_mask_against_a_slow_version():
    rng = np.random.default_rng(0)
    for _ in range(20):
        lengths = rng.integers(1, 5, size=rng.integers(2, 6))
        found = line([[A + number] * n for number, n in enumerate(lengths)], [D] * rng.integers(1, 8))
        spans = [range(a, b) for a, b in zip(found.bounds[:-1], found.bounds[1:], strict=True)]

        def option_of(token, spans=spans):
            return next((number for number, span in enumerate(spans) if token in span), None)

        t = len(found.ids)
        slow = [
            [None in (option_of(i), option_of(j)) or option_of(i) == option_of(j) for j in range(t)] for i in range(t)
        ]
        assert isolating_mask(found).tolist() == slow


def test_permuted_options_are_permuted_columns():
    options = [[A], [B, C, D], [C, D]]
    found, turned = line(options, [D, A]), line(options[::-1], [D, A])
    for number, bounds in enumerate(zip(found.bounds[:-1], found.bounds[1:], strict=True)):
        other = slice(turned.bounds[2 - number], turned.bounds[3 - number])
        assert found.ids[slice(*bounds)].tolist() == turned.ids[other].tolist()
        assert restarted_positions(found)[slice(*bounds)].tolist() == restarted_positions(turned)[other].tolist()
    assert restarted_positions(found)[found.inside.stop :].tolist() == restarted_positions(turned)[-4:].tolist()


def test_a_batch_pads_and_its_padding_sees_only_itself():
    batch = collate([line([[A], [B]], [D]), line([[A], [B], [C, D]], [D] * 4)], TOKENIZER)
    assert {name: values.shape for name, values in batch.items()} == {
        "input_ids": (2, 14), "attention_mask": (2, 14, 14), "position_ids": (2, 14), "token_type_ids": (2, 14),
        "option_positions": (2, 3),
    }  # fmt: skip
    assert batch["option_positions"].tolist() == [[1, 3, -1], [1, 3, 5]]
    assert batch["input_ids"][0, 8:].tolist() == [PAD] * 6
    mask = batch["attention_mask"]
    assert mask.dtype == bool
    assert (mask[0, 8:] == np.eye(14, dtype=bool)[8:]).all()
    assert not mask[0, :8, 8:].any()
    assert mask.any(axis=2).all()  # a row without a column would be NaN


def test_the_end_of_the_text_goes_first():
    found = line([[A] * 3, [B]], [D] * 100)
    assert (len(found.ids), found.text_is_cut, found.options_are_cut) == (64, True, False)
    assert found.ids[-1] == SEP
    pair = line([[A], [B]], [C] * 100, text_b=[D] * 3)
    assert ((pair.ids == D).sum(), (pair.ids == C).sum()) == (3, 64 - 6 - 2 - 3)
    both = line([[A], [B]], [C] * 100, text_b=[D] * 100)
    assert ((both.ids == D).sum(), (both.ids == C).sum()) == (28, 28)
    assert line([[A], [B]], [D] * 57).text_is_cut is False  # 64 tokens, to the last one


def test_long_options_are_halved_until_the_text_has_its_room():
    assert halved([[1] * 9, [2] * 2], 8) == [[1, 1, 1, 1], [2]]
    found = line([[A] * 40, [B] * 2, [C] * 30], [D] * 100)
    assert found.options_are_cut
    assert np.diff(found.bounds).tolist() == [11, 2, 8]
    assert (found.ids == D).sum() >= 30
    with pytest.raises(ValueError, match="40 options take 120 tokens, 80 when cut to one each, and the window leaves"):
        line([[A + number % 9, B + number // 9] for number in range(40)], [D])


def test_special_tokens_written_in_a_text_are_only_letters():
    batch = build_multiple_choice_inputs(TOKENIZER, ["a [SEP] [MASK] b"], ["sports [MASK]", "news"])
    assert (batch["input_ids"] == SEP).sum() == 2
    assert (batch["input_ids"] == MASK).sum() == 2


def test_half_of_a_surrogate_pair_is_a_question_mark():
    batch = build_multiple_choice_inputs(TOKENIZER, ["it is \ud800"], ["sports", "news"])
    assert TOKENIZER.decode(batch["input_ids"][0]).endswith("it is? [SEP]")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"texts": []}, "texts: there is none; a batch needs at least one"),
        ({"texts": "it is"}, "texts: expected a list of texts, got one text"),
        ({"texts": ["it", 3]}, "texts: row 1 is int, expected a text"),
        ({"texts": ["it", "  "]}, r"texts: row 1 \('  '\) has no word to read; leave it out"),
        ({"options": "sports"}, "options: expected a list of texts"),
        ({"options": ["sports"]}, "options: 1 given; a choice needs at least 2"),
        ({"options": ["sports", "news", "sports"]}, r"'sports' stands there twice \(rows 0 and 2\)"),
        ({"options": ["sports", "SPORTS"]}, "options: rows 0 and 1 are the same to the model"),
        ({"options": ["sports", ""]}, r"options: row 1 \(''\) has no word"),
        ({"question": " "}, "question: row 0"),
        ({"question": "what " * 70}, "question: its 70 tokens leave no room for a text"),
        ({"texts_b": ["a", "b"]}, "texts_b: 2 texts for 1 in texts"),
        ({"options": ["a " * 20 + "b", "a " * 20 + "c"]}, "options: rows 0 and 1 are the same to the model"),
    ],
)
def test_bad_input(more, message):
    call = {"texts": ["it is"], "options": ["sports", "news"], "max_length": 64, **more}
    with pytest.raises(ValueError, match=message):
        build_multiple_choice_inputs(TOKENIZER, **call)


def test_a_line_knows_what_was_cut():
    assert ChoiceLine(np.arange(4), np.array([1, 2, 3]), False, True).inside == slice(1, 3)
