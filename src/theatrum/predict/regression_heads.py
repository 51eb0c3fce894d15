"""Heads of embedding regression: a small network with its grid, and means of neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

Matrix: TypeAlias = NDArray[np.float64]

# Two by two of the paper's five learning rates by three weight decays: the whole grid takes four times as long.
_LEARNING_RATES, _WEIGHT_DECAYS = (1e-3, 5e-3), (0.0, 1.0)
_BATCH, _MAX_EPOCHS, _PATIENCE = 128, 200, 10


def network_values(layers: Mapping[str, NDArray[np.float32]], X: Matrix) -> Matrix:
    """Output (n,) of a network of `theatrum.nn.mlp` with one output, from its arrays."""
    depth = len(layers) // 2
    for layer in range(depth):
        X = X @ layers[f"{2 * layer}.weight"].T + layers[f"{2 * layer}.bias"]
        if layer < depth - 1:
            np.maximum(X, 0, out=X)
    return X[:, 0]


def neighbor_means(X: Matrix, y: Matrix, Q: Matrix, ks: Sequence[int]) -> Matrix:
    """Mean y of the k rows of X nearest to each row of Q (Euclidean), for several k: (len(ks), q)."""
    found = NearestNeighbors(n_neighbors=max(ks), algorithm="brute").fit(X).kneighbors(Q, return_distance=False)
    means: Matrix = y[found].cumsum(axis=1) / np.arange(1, max(ks) + 1)
    return means[:, np.asarray(ks) - 1].T


def fit_network(
    X: Matrix,
    y: Matrix,
    learnt: NDArray[np.int64],
    validation: NDArray[np.int64],
    hidden: Sequence[int],
    seed: int,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, float]]:
    """Train a network for each setting of the grid, stop each by the validation rows, and keep the best.

    Parameters
    ----------
    X : ndarray of float64, shape (n, d)
        Scaled features.
    y : ndarray of float64, shape (n,)
        Standardised.
    learnt, validation : ndarray of int64
        Rows to learn from, and rows to stop and choose by.
    hidden : sequence of int
        Widths of the hidden layers.
    seed : int
        All settings start from the same weights.

    Returns
    -------
    layers : dict of str to ndarray
        For `network_values`.
    chosen : dict
        Learning rate and weight decay.
    """
    import torch

    from theatrum.nn.mlp import mlp, network_arrays, seeded, train

    inputs, targets = (torch.from_numpy(a[learnt].astype(np.float32)) for a in (X, y))
    held, wanted = (torch.from_numpy(a[validation].astype(np.float32)) for a in (X, y))

    def stopped(rate: float, decay: float) -> tuple[float, dict[str, NDArray[np.float32]]]:
        network = mlp([X.shape[1], *hidden, 1])
        done = train(
            network,
            lambda batch: torch.mean((network(inputs[batch])[:, 0] - targets[batch]) ** 2),
            len(learnt),
            optimizer=torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=True),
            batch_size=_BATCH,
            max_epochs=_MAX_EPOCHS,
            validate=lambda: -float(torch.mean((network(held)[:, 0] - wanted) ** 2)),
            patience=_PATIENCE,
        )
        return float(done.scores.max()), network_arrays(network)

    best, layers, chosen = -np.inf, {}, {}
    for rate, decay in product(_LEARNING_RATES, _WEIGHT_DECAYS):
        with seeded(seed):
            score, found = stopped(rate, decay)
        if score > best:
            best, layers, chosen = score, found, {"learning_rate": rate, "weight_decay": decay}
    return layers, chosen
