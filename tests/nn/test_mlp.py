"""Small networks: shapes, early stopping, repeatability, weights in and out."""

from __future__ import annotations

import numpy as np
import torch

from theatrum.nn.mlp import load_network_arrays, mlp, network_arrays, seeded, train

X = torch.linspace(-1, 1, 64)[:, None]


def fitted(seed, **settings):
    with seeded(seed):
        network = mlp([1, 8, 1])
        adam = torch.optim.Adam(network.parameters(), lr=0.02)
        done = train(
            network, lambda b: ((network(X[b]) - X[b] ** 2) ** 2).mean(), 64, optimizer=adam, batch_size=16, **settings
        )
    return network, done


def test_it_learns_and_repeats_without_touching_the_global_state():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, done = fitted(0, max_epochs=60)
    again, _ = fitted(0, max_epochs=60)
    assert (torch.random.get_rng_state() == before).all()
    assert done.losses[-1] < 0.1 * done.losses[0]
    assert all(
        (a == b).all() for a, b in zip(network_arrays(first).values(), network_arrays(again).values(), strict=True)
    )


def test_the_best_epoch_is_kept():
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.1])
    states = []

    def validate():
        states.append(None)
        return next(scores)

    _, done = fitted(0, max_epochs=50, patience=3, validate=validate)
    assert done.best_epoch == 2
    assert len(done.scores) == len(states) == 5
    short, _ = fitted(0, max_epochs=2)
    kept, _ = fitted(0, max_epochs=50, patience=3, validate=iter([0.1, 0.5, 0.4, 0.3, 0.2]).__next__)
    assert all(
        np.array_equal(a, b) for a, b in zip(network_arrays(short).values(), network_arrays(kept).values(), strict=True)
    )


def test_weights_go_out_and_in():
    network, _ = fitted(1, max_epochs=3)
    other = mlp([1, 8, 1])
    load_network_arrays(other, network_arrays(network))
    assert (other(X) == network(X)).all()


def test_the_last_layer_can_be_activated():
    assert (mlp([1, 4, 3], output_activation=torch.nn.ReLU)(X) >= 0).all()
