"""Small networks on vectors: one way to build, train, stop and keep them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw from ``seed`` inside the block; its global state is the old one again afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def mlp(sizes: Sequence[int], *, output_activation: type[nn.Module] | None = None) -> nn.Sequential:
    """Build linear layers with ReLU between them.

    Parameters
    ----------
    sizes : sequence of int
        Widths, the input's first.
    output_activation : type of Module, optional
        After the last layer; none by default.

    Examples
    --------
    >>> [tuple(p.shape) for p in mlp([3, 8, 2]).parameters()]
    [(8, 3), (8,), (2, 8), (2,)]
    """
    layers: list[nn.Module] = []
    for inner, outer in pairwise(sizes):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    layers.pop()
    if output_activation is not None:
        layers.append(output_activation())
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class Training:
    """What a training did.

    Parameters
    ----------
    losses : ndarray of float64, shape (epochs,)
        Mean loss of each epoch.
    scores : ndarray of float64, shape (epochs,) or (0,)
        What ``validate`` said after each epoch, larger is better.
    best_epoch : int
        Epochs (counted from 1) after which the network was as it is now.
    """

    losses: NDArray[np.float64]
    scores: NDArray[np.float64]
    best_epoch: int


def train(
    network: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    n: int,
    *,
    optimizer: torch.optim.Optimizer,
    batch_size: int,
    max_epochs: int,
    validate: Callable[[], float] | None = None,
    patience: int = 10,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> Training:
    """Train by shuffled batches; with ``validate`` the best epoch's weights are kept and training stops after it.

    Call it inside `seeded`: batches are drawn from torch's generator.

    Parameters
    ----------
    network : Module
        Trained in place; in inference mode afterwards.
    loss_of : callable
        Rows of the batch (int64 tensor) -> loss.
    n : int
        Rows.
    optimizer : Optimizer
        Over the network's parameters.
    batch_size, max_epochs : int
        Rows a step (the last batch may be smaller), passes over the rows at most.
    validate : callable, optional
        Scores the network after each epoch, larger is better; called in inference mode without gradients.
    patience : int, default=10
        Epochs without a better score after which training stops.
    scheduler : LRScheduler, optional
        Stepped after every epoch.

    Examples
    --------
    >>> X = torch.linspace(-1, 1, 64)[:, None]
    >>> with seeded(0):
    ...     line = mlp([1, 1])
    ...     adam = torch.optim.Adam(line.parameters(), lr=0.1)
    ...     done = train(line, lambda b: ((line(X[b]) - 2 * X[b]) ** 2).mean(), 64, optimizer=adam,
    ...                  batch_size=16, max_epochs=50)
    >>> round(float(line[0].weight.detach()), 2)
    2.0
    """
    losses: list[float] = []
    scores: list[float] = []
    best_epoch, best_state = max_epochs, None
    for epoch in range(max_epochs):
        network.train()
        total = 0.0
        for batch in torch.randperm(n).split(batch_size):
            loss = loss_of(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / n)
        if scheduler is not None:
            scheduler.step()
        if validate is None:
            continue
        network.eval()
        with torch.no_grad():
            scores.append(validate())
        if scores[-1] > max(scores[:-1], default=-np.inf):
            best_epoch = epoch + 1
            best_state = {name: value.clone() for name, value in network.state_dict().items()}
        elif epoch + 1 - best_epoch >= patience:
            break
    if best_state is not None:
        network.load_state_dict(best_state)
    network.eval()
    return Training(np.array(losses), np.array(scores), best_epoch)


def network_arrays(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Weights as arrays, by name: what is kept of a network."""
    return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


def load_network_arrays(network: nn.Module, arrays: dict[str, NDArray[np.float32]]) -> None:
    """Put arrays from `network_arrays` into a network of the same shape."""
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})
    network.eval()
