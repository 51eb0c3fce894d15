"""Free embeddings: against autograd and torch's own Adam, what is solvable by geometry, patterns, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from theatrum.evaluate import free_embedding as module
from theatrum.evaluate import free_embedding_fit
from theatrum.evaluate.free_embedding import all_subsets, separation

torch = pytest.importorskip("torch")


def slow_fit(A, dim, steps, *, margin=None, temperature=0.1, lr=0.01, seed=0):
    """The same optimisation, by autograd and `torch.optim.Adam`."""
    q, n = A.shape
    start = torch.randn((1, q + n, dim), generator=torch.Generator().manual_seed(seed))[0]
    X = (start / start.norm(dim=-1, keepdim=True)).requires_grad_()
    wanted = torch.from_numpy(A.astype(bool))
    adam = torch.optim.Adam([X], lr=lr)
    for _ in range(steps):
        scores = X[:q] @ X[q:].T
        if margin is None:
            loss = -(scores / temperature).log_softmax(dim=1)[wanted].mean()
        else:
            worst = scores.masked_fill(~wanted, torch.inf).min(dim=1, keepdim=True).values
            short = (1 - (worst - scores) / margin).clamp_min(0).masked_fill(wanted, 0)
            loss = short.square().sum() / q
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            X /= X.norm(dim=-1, keepdim=True)
    return X.detach().numpy()[:q], X.detach().numpy()[q:]


def pattern(q, n, k, seed=0):
    rng = np.random.default_rng(seed)
    A = np.zeros((q, n))
    for row in A:
        row[rng.choice(n, size=rng.integers(1, k + 1), replace=False)] = 1
    return A


@pytest.mark.parametrize("margin", [None, 0.2])
@pytest.mark.parametrize("chunk", [50_000_000, 60])
def test_steps_are_those_of_autograd_and_adam(margin, chunk, monkeypatch):
    monkeypatch.setattr(module, "_ENTRIES", chunk)
    A = pattern(15, 12, 3)
    found = free_embedding_fit(A, 2, margin=margin, max_steps=20)
    assert not found.solved  # otherwise it would have stopped earlier
    # A pair of answers that are equally bad may be told apart by the last bit, so that the hinge is compared loosely.
    Q, D = slow_fit(A, 2, 20, margin=None if margin is None else 1.25 * margin)
    assert np.allclose(found.Q, Q, atol=1e-4)
    assert np.allclose(found.D, D, atol=1e-4)


def test_accuracy_and_margin_are_those_of_the_vectors_that_come_back():
    A = pattern(40, 15, 3)
    found = free_embedding_fit(A, 3, max_steps=400)
    scores = found.Q @ found.D.T
    hits, complete, margins = 0, 0, []
    for row, wanted in zip(scores, A.astype(bool), strict=True):
        first = np.argsort(-row)[: wanted.sum()]
        hits += wanted[first].sum()
        complete += wanted[first].all()
        margins.append(row[wanted].min() - row[~wanted].max())
    assert found.accuracy == pytest.approx(hits / A.sum())
    assert found.complete == pytest.approx(complete / 40)
    assert found.margin == pytest.approx(min(margins), abs=1e-6)
    assert np.allclose(np.linalg.norm(found.Q, axis=1), 1, atol=1e-6)
    assert np.allclose(np.linalg.norm(found.D, axis=1), 1, atol=1e-6)
    assert found.Q.dtype == found.D.dtype == np.float32


def test_a_simplex_is_solved_and_more_than_geometry_allows_is_not():
    assert free_embedding_fit((5, 2), 4).solved
    # Pairs in a plane are sides of a polygon: three points have all of them, four do not.
    assert free_embedding_fit((3, 2), 2).solved
    assert not free_embedding_fit((4, 2), 2, restarts=3).solved


def test_a_margin_is_reached_where_it_is_said_to_be():
    found = free_embedding_fit((8, 2), 5, margin=0.2, max_steps=5_000)
    assert found.solved and found.margin >= 0.2
    assert separation(found.Q @ found.D.T, all_subsets(8, 2)).min() == pytest.approx(found.margin, abs=1e-6)
    assert not free_embedding_fit((8, 2), 5, margin=1.5, max_steps=500).solved


def test_a_matrix_and_its_shorthand_are_the_same():
    wanted = all_subsets(6, 2)
    A = np.zeros((15, 6), dtype=int)
    np.put_along_axis(A, wanted, 1, axis=1)
    short = free_embedding_fit((6, 2), 3, max_steps=100)
    for form in (A, csr_matrix(A), A.tolist()):
        assert np.array_equal(free_embedding_fit(form, 3, max_steps=100).Q, short.Q)


def test_the_matrix_of_the_user_is_left_alone():
    A = csr_matrix(([1.0, 0.0, 1.0, 1.0], ([0, 0, 1, 1], [0, 1, 2, 1])), shape=(2, 3))  # one stored entry is 0
    free_embedding_fit(A, 2, max_steps=50)
    assert A.data.tolist() == [1.0, 0.0, 1.0, 1.0]


def test_the_seed_decides_and_restarts_only_help():
    first, again, other = (free_embedding_fit((7, 2), 3, max_steps=100, random_state=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.Q, again.Q) and not np.array_equal(first.Q, other.Q)
    many = free_embedding_fit((7, 2), 3, max_steps=100, restarts=4)
    assert many.accuracy >= first.accuracy or many.complete >= first.complete


def test_stopping():
    assert free_embedding_fit((4, 2), 2, max_steps=100_000, patience=200).steps < 5_000  # stalled, not exhausted
    assert free_embedding_fit((5, 2), 4, max_steps=100_000).steps % 50 == 0  # solved at a check
    assert free_embedding_fit((9, 2), 3, max_steps=70).steps == 70


@pytest.mark.parametrize(
    ("relevance", "parameters", "message"),
    [
        ((3, 3), {}, "got k=3 of n=3"),
        ((3, 0), {}, "got k=0 of n=3"),
        ([[0, 0], [1, 0]], {}, "row 0 has 0 of 2 documents relevant"),
        ([[1, 0], [1, 1]], {}, "row 1 has 2 of 2 documents relevant"),
        ([[1, 0], [2, 0]], {}, "row 1 holds 2; entries are 0 and 1"),
        ([[1, 0], [np.nan, 0]], {}, "row 1 holds nan"),
        (np.zeros((0, 3)), {}, r"got shape \(0, 3\)"),
        ((4, 2), {"dim": 0}, "dim=0"),
        ((4, 2), {"temperature": 0}, "temperature=0"),
        ((4, 2), {"lr": -1}, "lr=-1"),
        ((4, 2), {"max_steps": 0}, "max_steps=0"),
        ((4, 2), {"patience": 0}, "patience=0"),
        ((4, 2), {"restarts": 0}, "restarts=0"),
        ((4, 2), {"margin": 2.0}, "margin must be between 0 and 2"),
        ((4, 2), {"margin": 0.0}, "margin must be between 0 and 2"),
    ],
)
def test_bad_input(relevance, parameters, message):
    with pytest.raises(ValueError, match=message):
        free_embedding_fit(relevance, **{"dim": 2, **parameters})
