"""Two autoencoders with one latent space, for descriptions and for classifier weights (the networks of atlas 008)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from theatrum.nn.mlp import load_network_arrays, network_arrays, seeded

Matrix = NDArray[np.float64]
_WINDOW, _SLOPE, _CALM = 10, 2e-3, 5  # published: windows of epochs, slope of the loss, how often it must be small
_HELD_OUT, _PATIENCE = 0.2, 50  # class_cv: share of classes held out, epochs without a better cosine
_INIT = 0.02  # standard deviation of the first weights


def cosine_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Sum over rows of ``1 - cos``."""
    return (1 - nn.functional.cosine_similarity(made, wanted, dim=1)).sum()


def has_settled(losses: Sequence[float]) -> bool:
    """Whether the loss has hardly fallen for five epochs in a row: the published stopping rule.

    Examples
    --------
    >>> has_settled([1.0 / (1 + epoch) for epoch in range(24)]), has_settled([0.5] * 26)
    (False, True)
    """
    if len(losses) < 2 * _WINDOW + _CALM:
        return False
    for back in range(_CALM):
        until = len(losses) - back
        older, newer = losses[until - 2 * _WINDOW : until - _WINDOW], losses[until - _WINDOW : until]
        if (np.mean(older) - np.mean(newer)) / _WINDOW >= _SLOPE:
            return False
    return True


class WeightAutoencoder:
    """Learns weights from descriptions through a shared latent space.

    Parameters
    ----------
    latent_dim : int
        Width of the latent space.
    learning_rate : float
        Of Adam.
    batch_size, max_epochs : int
        Classes a step; passes over them at most.
    stopping : {"slope", "class_cv"}
        See `theatrum.predict.ClassifierInjector`.
    """

    def __init__(
        self,
        latent_dim: int,
        learning_rate: float,
        batch_size: int,
        max_epochs: int,
        stopping: Literal["slope", "class_cv"],
    ) -> None:
        self.latent_dim = latent_dim
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.stopping = stopping

    def fit(self, A: Matrix, W: Matrix, unseen: Matrix, seed: int) -> NDArray[np.float64]:
        """Train on pairs of description (C, s) and weights (C, d), and on further descriptions; the losses.

        Parameters
        ----------
        A, W : ndarray of float64, shape (C, s), (C, d)
            One row a known class.
        unseen : ndarray of float64, shape (n, s)
            Descriptions alone.
        seed : int
            Of weights and batches.
        """
        epochs = self.max_epochs
        if self.stopping == "class_cv" and len(A) >= 10:
            order = np.random.RandomState(seed).permutation(len(A))
            held, kept = np.split(order, [max(round(_HELD_OUT * len(A)), 1)])
            epochs, _ = self._run(A[kept], W[kept], unseen, seed, self.max_epochs, (A[held], W[held]))
        _, losses = self._run(A, W, unseen, seed, epochs, None)
        return np.array(losses)

    def _run(
        self, A: Matrix, W: Matrix, unseen: Matrix, seed: int, epochs: int, held: tuple[Matrix, Matrix] | None
    ) -> tuple[int, list[float]]:
        """Train from new weights; the epoch with the best held-out cosine, and the losses."""
        with seeded(seed):
            self._build(A.shape[1], W.shape[1])
            inputs = torch.from_numpy(np.vstack([A, unseen]).astype(np.float32))
            weights = torch.from_numpy(W.astype(np.float32))
            adam = torch.optim.Adam(self.networks.parameters(), lr=self.learning_rate)
            losses: list[float] = []
            best, best_epoch = -np.inf, epochs
            for epoch in range(epochs):
                parts = [
                    self._step(adam, inputs, weights, b) for b in torch.randperm(len(inputs)).split(self.batch_size)
                ]
                losses.append(float(np.mean(parts)))
                if held is not None:
                    made = torch.from_numpy(self.decode(held[0]))
                    score = float(nn.functional.cosine_similarity(made, torch.from_numpy(held[1]), dim=1).mean())
                    if score > best:
                        best, best_epoch = score, epoch + 1
                    elif epoch + 1 - best_epoch >= _PATIENCE:
                        break
                elif self.stopping == "slope" and has_settled(losses):
                    break
        return best_epoch, losses

    def _build(self, s: int, d: int) -> None:
        h = self.latent_dim
        self.networks = nn.ModuleDict(
            {
                "encode_a": nn.Linear(s, h),
                "decode_a": nn.Linear(h, s),
                "encode_w": nn.Linear(d, h),
                "decode_w": nn.Linear(h, d),
            }
        )
        for layer in self.networks.values():
            nn.init.normal_(layer.weight, std=_INIT)
            nn.init.zeros_(layer.bias)

    def _step(self, adam: torch.optim.Optimizer, inputs: Tensor, weights: Tensor, batch: Tensor) -> float:
        net = self.networks
        a = inputs[batch]
        known = batch < len(weights)
        latent = torch.relu(net["encode_a"](a))
        loss = cosine_loss(net["decode_a"](latent), a) / len(batch)
        # A batch may hold no known class.
        n_known = max(int(known.sum()), 1)
        w = weights[batch[known]]
        from_w = torch.relu(net["encode_w"](w))
        loss = loss + cosine_loss(net["decode_a"](from_w), a[known]) / n_known
        loss = loss + cosine_loss(net["decode_w"](from_w), w) / n_known
        loss = loss + cosine_loss(net["decode_w"](latent[known]), w) / n_known
        adam.zero_grad()
        loss.backward()
        adam.step()
        return float(loss.item())

    def decode(self, A: Matrix) -> Matrix:
        """Descriptions (n, s) into weights (n, d)."""
        with torch.no_grad():
            latent = torch.relu(self.networks["encode_a"](torch.from_numpy(A.astype(np.float32))))
            made: Matrix = self.networks["decode_w"](latent).double().numpy()
        return made

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights of the networks, by name."""
        return network_arrays(self.networks)

    def open(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        """Put weights from `arrays` back."""
        self.latent_dim, s = arrays["encode_a.weight"].shape
        self._build(s, arrays["encode_w.weight"].shape[1])
        load_network_arrays(self.networks, arrays)
