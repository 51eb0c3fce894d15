"""A small masked language model, trained from nothing: an encoder that nobody tuned for similarity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import normalizers, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizerFast

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_MASKED, _TO_MASK, _TO_RANDOM = 0.15, 0.8, 0.1  # BERT's shares
_WARM_UP = 0.1
_ALPHABET = 120  # single characters in the vocabulary; rarer ones are unknown


def frequent_words_tokenizer(texts: Sequence[str], vocab_size: int) -> BertTokenizerFast:
    """Make a WordPiece tokenizer of the most frequent words, with single characters for all others (lower case).

    Learnt merges would be shorter for rare words, but the trainer of the tokenizers library breaks ties differently in
    every run, and with it every number that a claim measures.
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    letters: Counter[str] = Counter()
    for word, n in counts.items():
        letters.update(dict.fromkeys(word, n))
    alphabet = [letter for letter, _ in sorted(letters.items(), key=_by_count)[:_ALPHABET]]
    pieces = [*_SPECIAL, *alphabet, *(f"##{letter}" for letter in alphabet)]
    frequent = [word for word, _ in sorted(counts.items(), key=_by_count) if len(word) > 1]
    pieces += frequent[: max(vocab_size - len(pieces), 0)]
    return BertTokenizerFast(vocab={piece: number for number, piece in enumerate(pieces)}, do_lower_case=True)


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def mask_tokens(
    ids: NDArray[np.int64], vocab_size: int, mask_id: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hide 15% of the tokens: most become [MASK], some another token, some stay.

    Parameters
    ----------
    ids : ndarray of int64, shape (b, t)
        Tokens; the special ones (below 5) are never hidden.
    vocab_size, mask_id : int
        Tokens there are, and the one that hides.
    rng : Generator
        Draws.

    Returns
    -------
    inputs, labels : ndarray of int64, shape (b, t)
        Labels are -100 where nothing is hidden.
    """
    hidden = (rng.random(ids.shape) < _MASKED) & (ids >= len(_SPECIAL))
    fate = rng.random(ids.shape)
    inputs = np.where(hidden & (fate < _TO_MASK), mask_id, ids)
    other = rng.integers(len(_SPECIAL), vocab_size, size=ids.shape)
    inputs = np.where(hidden & (fate >= _TO_MASK) & (fate < _TO_MASK + _TO_RANDOM), other, inputs)
    return inputs, np.where(hidden, ids, -100)


def _windows(texts: Sequence[str], tokenizer: BertTokenizerFast, length: int) -> NDArray[np.int64]:
    """Running text as rows of equal length, [CLS] in front and [SEP] behind."""
    flat = [token for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"] for token in ids]
    rows = np.array(flat[: len(flat) // (length - 2) * (length - 2)], dtype=np.int64).reshape(-1, length - 2)
    edges = np.full((len(rows), 1), tokenizer.cls_token_id), np.full((len(rows), 1), tokenizer.sep_token_id)
    return np.hstack([edges[0], rows, edges[1]])


def _batches(rows: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    while True:
        order = rng.permutation(len(rows))
        for start in range(0, len(rows) - size + 1, size):
            yield rows[order[start : start + size]]


def train_masked_lm(
    texts: Sequence[str],
    folder: Path,
    *,
    steps: int,
    vocab_size: int = 8192,
    layers: int = 4,
    hidden: int = 128,
    heads: int = 4,
    length: int = 64,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    random_state: int = 0,
) -> list[float]:
    """Train a BERT of any size on running text and save it as a Hugging Face folder.

    Parameters
    ----------
    texts : sequence of str
        Running text.
    folder : Path
        Where model and tokenizer go.
    steps : int
        Optimiser steps.
    vocab_size, layers, hidden, heads : int
        Size of the model.
    length, batch_size : int
        Tokens of a row, and rows of a batch.
    learning_rate : float
        Peak of AdamW's rate: linear warm-up over a tenth of the steps, then linear decay.
    random_state : int
        Weights, order and masks.

    Returns
    -------
    list of float
        Loss of each step, nats a hidden token.
    """
    tokenizer = frequent_words_tokenizer(texts, vocab_size)
    rows = _windows(texts, tokenizer, length)
    if len(rows) < batch_size:
        raise ValueError(f"the texts make {len(rows)} rows of {length} tokens; a batch needs {batch_size}")
    rng = np.random.default_rng(random_state)
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            max_position_embeddings=max(length, 128),
        )
        model = BertForMaskedLM(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
        warm_up = max(int(_WARM_UP * steps), 1)
        for step, ids in zip(range(steps), _batches(rows, batch_size, rng), strict=False):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * min((step + 1) / warm_up, (steps - step) / max(steps - warm_up, 1))
            inputs, labels = mask_tokens(ids, len(tokenizer), tokenizer.mask_token_id, rng)
            # The head is the larger half of a small model: it is computed at hidden tokens only.
            at = torch.from_numpy(labels) >= 0
            states = model.bert(input_ids=torch.from_numpy(inputs)).last_hidden_state[at]
            loss = torch.nn.functional.cross_entropy(model.cls(states), torch.from_numpy(labels)[at])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
    encoder = BertModel(config)
    encoder.load_state_dict(model.bert.state_dict(), strict=False)  # all but the pooler, which nothing here uses
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return losses
