"""A small self-attentive sequential recommender (SASRec), on item ids, on frozen text vectors, or on both."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Table: TypeAlias = Literal["ids", "text", "sum"]

_PATIENCE = 20  # epochs without a better validation score before training stops
_DEPTH = 10
_ROWS = 256  # histories scored at a time
_SPREAD = 0.02  # of fresh embeddings


class SequentialEncoder(nn.Module):  # type: ignore[misc]  # torch is untyped for mypy here
    """Causal transformer over a user's items whose state at each place scores all items.

    The score of item i after a history is the product of the last state and row i of the item table. The table is an
    embedding of ids, a learnt linear map of frozen text vectors, or the sum of the two.

    Parameters
    ----------
    n_items : int
        Items there are; they are numbered from 0.
    item_vectors : ndarray of float32, shape (n_items, d), optional
        Text vectors, left as they are; needed for ``table`` "text" and "sum".
    table : {"ids", "text", "sum"}, default="ids"
        What an item is.
    hidden, blocks, heads : int
        Width, transformer blocks, attention heads.
    dropout : float, default=0.3
        Of inputs, attention and blocks.
    length : int, default=50
        Most recent items that are read.

    References
    ----------
    Kang and McAuley, "Self-attentive sequential recommendation", ICDM 2018.
    Attimonelli et al., "Do We Really Need Specialization?", 2025, arXiv 2507.05006 (atlas 028): text instead of ids.
    """

    def __init__(
        self,
        n_items: int,
        *,
        item_vectors: NDArray[np.float32] | None = None,
        table: Table = "ids",
        hidden: int = 64,
        blocks: int = 2,
        heads: int = 2,
        dropout: float = 0.3,
        length: int = 50,
    ) -> None:
        super().__init__()
        if table not in ("ids", "text", "sum"):
            raise ValueError(f"table must be 'ids', 'text' or 'sum', got {table!r}")
        self.n_items, self.length = n_items, length
        self.ids: Any = None
        self.projection: Any = None
        if table != "text":
            self.ids = nn.Embedding(n_items, hidden)
            nn.init.normal_(self.ids.weight, std=_SPREAD)
        if table != "ids":
            if item_vectors is None or len(item_vectors) != n_items:
                raise ValueError(f"item_vectors: table={table!r} needs one vector for each of the {n_items} items")
            frozen = torch.from_numpy(np.asarray(item_vectors, dtype=np.float32))
            # Entries of unit rows are of size 1 / sqrt(d); at size 1 the map learns as fast as an embedding of ids.
            self.register_buffer("text", frozen * math.sqrt(frozen.shape[1]), persistent=False)
            self.projection = nn.Linear(frozen.shape[1], hidden)
        self.places = nn.Embedding(length, hidden)
        nn.init.normal_(self.places.weight, std=_SPREAD)
        self.norm, self.dropout = nn.LayerNorm(hidden), nn.Dropout(dropout)
        block = nn.TransformerEncoderLayer(
            hidden, heads, 4 * hidden, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, blocks, norm=nn.LayerNorm(hidden), enable_nested_tensor=False)

    def item_table(self) -> torch.Tensor:
        """Rows of all items, (n_items, hidden)."""
        if self.projection is None:
            return self.ids.weight
        mapped = self.projection(self.text)
        return mapped if self.ids is None else mapped + self.ids.weight

    def states(self, sequences: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """States at every place, which times the item table are the scores of what comes next.

        Parameters
        ----------
        sequences : Tensor of int64, shape (b, t)
            Items, oldest first, filled up at the end with any item: no place sees those after it.
        table : Tensor of float32, shape (n_items, hidden)
            From `item_table`, so that it is made once for both ends.

        Returns
        -------
        Tensor of float32, shape (b, t, hidden)
            States.
        """
        t = sequences.shape[1]
        later = torch.triu(torch.ones(t, t, dtype=torch.bool), diagonal=1)
        return self.blocks(self.dropout(self.norm(table[sequences] + self.places.weight[:t])), mask=later)

    def scores(self, histories: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Score all items as the next one after each history.

        Parameters
        ----------
        histories : sequence of sequence of int
            Items, oldest first; none is empty. Only the last ``length`` are read.

        Returns
        -------
        ndarray of float32, shape (q, n_items)
            Larger is likelier.

        Raises
        ------
        ValueError
            An empty history, or an item outside 0 to n_items - 1.
        """
        _check_sequences(histories, self.n_items, "histories", 1)
        self.eval()
        found = np.empty((len(histories), self.n_items), dtype=np.float32)
        with torch.inference_mode():
            table = self.item_table()
            for start in range(0, len(histories), _ROWS):
                rows = [history[-self.length :] for history in histories[start : start + _ROWS]]
                ends = torch.tensor([len(row) - 1 for row in rows])
                states = self.states(_filled(rows, 0), table)[torch.arange(len(rows)), ends]
                found[start : start + len(rows)] = (states @ table.T).numpy()
        return found


def train_sequential_encoder(
    sequences: Sequence[Sequence[int]],
    n_items: int,
    *,
    valid: tuple[Sequence[Sequence[int]], Sequence[int]] | None = None,
    epochs: int = 200,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    random_state: int = 0,
    **architecture: Any,
) -> SequentialEncoder:
    """Train on next items, with cross-entropy over all items at every place.

    Every epoch takes one window of each sequence, drawn at random where the sequence is longer than the model reads.
    With ``valid``, training stops when nDCG@10 (items of the history left out) has not risen for 20 epochs, and
    the best weights are kept.

    Parameters
    ----------
    sequences : sequence of sequence of int
        Items of each user, oldest first; those with fewer than two items teach nothing and are left out.
    n_items : int
        Items there are.
    valid : (histories, targets), optional
        What to stop by.
    epochs : int, default=200
        At most.
    batch_size : int, default=64
        Sequences of a step.
    learning_rate : float, default=1e-3
        Of Adam.
    random_state : int, default=0
        Weights, windows and dropout.
    **architecture
        Of `SequentialEncoder`.

    Returns
    -------
    SequentialEncoder
        In evaluation mode.

    Raises
    ------
    ValueError
        No sequence of two items, an item outside the catalogue, text vectors that are missing or of another number.
    """
    _check_sequences(sequences, n_items, "sequences", 0)
    taught = [sequence for sequence in sequences if len(sequence) > 1]
    if not taught:
        raise ValueError("sequences: none has two items; there is no next item to learn")
    rng = np.random.default_rng(random_state)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        model = SequentialEncoder(n_items, **architecture)
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
        best, kept, waited = -1.0, model.state_dict(), 0
        for _ in range(epochs):
            model.train()
            order = rng.permutation(len(taught))
            for start in range(0, len(order), batch_size):
                windows = [_window(taught[row], model.length, rng) for row in order[start : start + batch_size]]
                optimizer.zero_grad()
                _loss(model, windows).backward()
                optimizer.step()
            if valid is None:
                continue
            score = next_item_ndcg(model, *valid)
            if score > best:
                best, kept, waited = score, copy.deepcopy(model.state_dict()), 0
            else:
                waited += 1
            if waited >= _PATIENCE:
                break
        model.load_state_dict(kept)
    return model.eval()


def next_item_ndcg(model: SequentialEncoder, histories: Sequence[Sequence[int]], targets: Sequence[int]) -> float:
    """Mean nDCG@10 of the item that came next among all items outside the history."""
    scores = model.scores(histories)
    for row, history in enumerate(histories):
        scores[row, list(history)] = -np.inf
    ranks = (scores > scores[np.arange(len(targets)), targets][:, None]).sum(axis=1)
    return float(np.where(ranks < _DEPTH, 1 / np.log2(ranks + 2), 0.0).mean())


def _loss(model: SequentialEncoder, windows: Sequence[Sequence[int]]) -> torch.Tensor:
    inputs = _filled([window[:-1] for window in windows], 0)
    wanted = _filled([window[1:] for window in windows], -1)
    table = model.item_table()
    # Only places with a next item are scored: the scores of all items are the larger half of the work.
    there = wanted >= 0
    return nn.functional.cross_entropy(model.states(inputs, table)[there] @ table.T, wanted[there])


def _window(sequence: Sequence[int], length: int, rng: np.random.Generator) -> Sequence[int]:
    """One more item than the model reads, from a random place."""
    start = int(rng.integers(max(len(sequence) - length, 1)))
    return sequence[start : start + length + 1]


def _filled(rows: Sequence[Sequence[int]], filling: int) -> torch.Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filling] * (width - len(row))] for row in rows], dtype=torch.int64)


def _check_sequences(sequences: Sequence[Sequence[int]], n_items: int, name: str, least: int) -> None:
    for row, sequence in enumerate(sequences):
        if len(sequence) < least:
            raise ValueError(f"{name}: row {row} is empty; at least one item is needed")
        if len(sequence) and not 0 <= min(sequence) <= max(sequence) < n_items:
            raise ValueError(f"{name}: row {row} names an item outside 0 to {n_items - 1}")
