"""A loaded transformer and its batches: texts of near-equal length together, hardly any padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Role, Vectors
from theatrum.extras import require
from theatrum.text.tokens import well_formed

# A batch of about a thousand tokens keeps its activations in a CPU's cache; larger ones are slower, not faster.
_CPU_BATCH_TOKENS = 1024
_DEVICE_BATCH_TOKENS = 32_768
# Names that models use for the prompt of each role, in the order tried.
PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}


def length_batches(lengths: Sequence[int], *, rows: int, tokens: int) -> Iterator[NDArray[np.int64]]:
    """Group items of near-equal length, longest first.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each item.
    rows : int
        Most items of a batch.
    tokens : int
        Most tokens of a batch, padding included; an item longer than that comes alone.

    Yields
    ------
    ndarray of int64
        Positions of a batch's items.

    Examples
    --------
    >>> [batch.tolist() for batch in length_batches([3, 9, 4, 1], rows=2, tokens=12)]
    [[1], [2, 0], [3]]
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        fit = max(1, min(rows, tokens // max(lengths[order[start]], 1)))
        yield order[start : start + fit]
        start += fit


def windows(n: int, size: int) -> list[tuple[int, int]]:
    """Cut n tokens into windows that do not overlap, the last one shorter.

    Examples
    --------
    >>> windows(10, 4)
    [(0, 4), (4, 8), (8, 10)]
    """
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def special_frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Find the special tokens that a tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    raise ValueError("the tokenizer changes a text when it adds its special tokens; such a model is not supported")


class TransformerEngine:
    """A sentence-transformers model in memory, with what is needed to make its batches.

    Parameters
    ----------
    folder : Path
        The model folder.
    device : str or None
        Where it runs; None takes the best device there is.

    Raises
    ------
    ImportError
        The extra for transformers is missing.
    ValueError
        The model does not start with a text transformer.
    """

    # The class of sentence-transformers that reads the folder.
    loader: str = "SentenceTransformer"

    def __init__(self, folder: Path, device: str | None) -> None:
        library = require("sentence_transformers", "torch")
        from transformers.utils import logging

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            self.model = getattr(library, self.loader)(
                str(folder), device=device, local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        finally:
            if shown:
                logging.enable_progress_bar()
        # Half precision is slower on most CPUs, and its vectors depend on the batch in the third digit.
        self.model.float().eval()
        first = self.model[0]
        self.tokenizer: Any = getattr(first, "tokenizer", None)
        if not hasattr(self.tokenizer, "model_input_names") or not hasattr(first, "config"):
            raise ValueError(
                f"{folder}: the model starts with {type(first).__name__}, not with a text transformer; "
                "for static embeddings take StaticEncoder"
            )
        self.prefix, self.suffix = special_frame(self.tokenizer)
        self.limit: int | None = self.model.max_seq_length
        self.dim = int(self.model.get_embedding_dimension())
        self.batch_tokens = _CPU_BATCH_TOKENS if self.model.device.type == "cpu" else _DEVICE_BATCH_TOKENS
        # Some models leave the prompt out of the mean.
        self.pools_prompt = all(getattr(module, "include_prompt", True) for module in self.model)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens without special ones, uncut; half of a surrogate pair is read as a question mark."""
        tokens: list[list[int]] = self.tokenizer(
            list(map(well_formed, texts)),
            add_special_tokens=False,
            padding=False,
            truncation=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
        return tokens

    def prompt(self, role: Role) -> str:
        """The model's own prompt of a role."""
        prompts: Mapping[str, str] = self.model.prompts
        for name in PROMPT_NAMES[role]:
            if name in prompts:
                return prompts[name]
        return prompts.get(self.model.default_prompt_name or "", "")

    def forward(self, batch: Sequence[list[int]], prompt: str) -> Vectors:
        """Vectors of one batch of tokens (special ones included), float32 (rows, dim)."""
        import torch

        width = max(map(len, batch))
        padding = self.tokenizer.pad_token_id or 0
        ids = np.full((len(batch), width), padding, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            part = slice(width - len(tokens), None) if self.tokenizer.padding_side == "left" else slice(len(tokens))
            ids[row, part] = tokens
            mask[row, part] = 1
        features: dict[str, Any] = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if "token_type_ids" in self.tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        features = {name: value.to(self.model.device) for name, value in features.items()}
        if prompt and not self.pools_prompt:
            features["prompt_length"] = len(self.prefix) + len(self.tokenize([prompt])[0])
        with torch.inference_mode():
            vectors: Vectors = self.model(features)["sentence_embedding"].float().cpu().numpy()
        return vectors
