from __future__ import annotations

import random

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from theatrum.text import cached_tokenizer
from theatrum.text.cached_tokenizer import CachedTokenizer, splits_at_white_space

WORDS = [
    "wing",
    "##s",
    "flow",
    "heat",
    "e",
    "##e",
    "a",
    "##b",
    "[",
    "]",
    "cls",
    "'",
    "-",
    ",",
    ".",
    "1",
    "##2",
    "\u7a7a",
]
ODD = [
    "",
    "   ",
    "wings, wings; WINGS\nflow\theat",
    "caf\u00e9 cafe\u0301 \u0301a",  # composed, decomposed, an accent without a letter
    "a\x0bb a\x1cb a\x85b a\x00b a\x0cb",  # white space for Python, control characters for BERT
    "a\u00a0b a\u2003b a\u3000b a\u2028b a\u200bb a\u00adb",
    "\u7a7a\u6c17 flow\u7a7aheat",
    "[CLS] wing [SEP][SEP] [UNK]wing [MASK",
    "\u03a3\u0391\u03a3 \u0130stanbul \ufb01nd \u00df",
    "\U0001f600wing\U0001f600 \ufffd \ufeffwing",
    "a" * 300,
    "wing" * 5000,
]


def word_piece() -> Tokenizer:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(models.WordPiece({token: n for n, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return tokenizer


def plain() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"wing": 0, "a": 1, "b": 2, "[UNK]": 3}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()])
    return tokenizer


def byte_level() -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = Tokenizer(models.BPE({symbol: n for n, symbol in enumerate(sorted(alphabet))}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def expected(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def split(found: tuple[np.ndarray, np.ndarray]) -> list[list[int]]:
    ids, lengths = found
    assert ids.dtype == np.int32
    assert lengths.dtype == np.int64
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]


@pytest.mark.parametrize("make", [word_piece, plain, byte_level])
def test_tokens_are_the_tokenizers_own(make):
    tokenizer = make()
    cached = CachedTokenizer(make())
    assert split(cached(ODD)) == expected(tokenizer, ODD)
    assert split(cached(ODD[::-1])) == expected(tokenizer, ODD[::-1])  # now from memory


def test_random_texts_of_random_characters_agree():
    rng = random.Random(0)
    alphabet = [chr(code) for code in (*range(1, 0x250), *range(0x300, 0x370), *range(0x2000, 0x2070), 0x3000, 0x4E00)]
    texts = ["".join(rng.choices([*alphabet, " ", "\n"], k=rng.randrange(60))) for _ in range(400)]
    for make in (word_piece, plain):
        assert split(CachedTokenizer(make())(texts)) == expected(make(), texts)


def test_only_tokenizers_that_split_at_white_space_are_cached():
    assert splits_at_white_space(word_piece())
    assert splits_at_white_space(plain())
    assert not splits_at_white_space(byte_level())
    joined = plain()
    joined.add_tokens(["wing a"])  # reaches over a blank
    assert not splits_at_white_space(joined)
    texts = ["wing a wing", "wing  a"]
    assert split(CachedTokenizer(joined)(texts)) == expected(joined, texts)


def test_truncation_and_padding_of_the_file_are_switched_off():
    tokenizer = plain()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=5)
    assert split(CachedTokenizer(tokenizer)(["a b a b", "a"])) == [[1, 2, 1, 2], [1]]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(cached_tokenizer, "_MOST_CHARACTERS", 20)
    cached = CachedTokenizer(plain())
    for number in range(50):
        assert split(cached([f"wing{number} a"])) == [expected(plain(), [f"wing{number} a"])[0]]
        assert cached._characters <= 30


def test_a_lone_surrogate_is_a_question_mark():
    cached = CachedTokenizer(word_piece())
    assert split(cached(["wing \ud800 flow"])) == expected(word_piece(), ["wing ? flow"])


def test_no_texts():
    ids, lengths = CachedTokenizer(plain())([])
    assert ids.shape == lengths.shape == (0,)
