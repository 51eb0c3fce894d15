"""The sequential recommender: it sees no future, learns a rule, keeps text frozen, and a seed is a seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theatrum.nn.sequential_encoder import SequentialEncoder, next_item_ndcg, train_sequential_encoder

SMALL = {"hidden": 16, "blocks": 1, "heads": 1, "dropout": 0.0, "length": 6}
N = 12
rng = np.random.default_rng(0)
CYCLES = [[(start + step) % N for step in range(10)] for start in range(N)] * 4
VECTORS = rng.normal(size=(N, 8)).astype(np.float32)


def test_a_place_sees_nothing_after_it():
    model = SequentialEncoder(N, **SMALL).eval()
    table = model.item_table()
    one = model.states(torch.tensor([[1, 2, 3, 4]]), table)
    two = model.states(torch.tensor([[1, 2, 9, 9]]), table)
    assert torch.allclose(one[:, :2], two[:, :2], atol=1e-6)
    assert not torch.allclose(one[:, 2:], two[:, 2:], atol=1e-3)


def test_filling_up_changes_no_score():
    model = SequentialEncoder(N, **SMALL)
    histories = [[3], [1, 2, 3, 4, 5], [7, 7]]
    together = model.scores(histories)
    for row, history in enumerate(histories):
        assert together[row] == pytest.approx(model.scores([history])[0], abs=1e-5)


def test_only_the_most_recent_items_are_read():
    model = SequentialEncoder(N, **SMALL)
    assert model.scores([[0, 1, *range(2, 8)]]) == pytest.approx(model.scores([[9, 9, *range(2, 8)]]))


@pytest.mark.parametrize("table", ["ids", "text", "sum"])
def test_it_learns_what_follows(table):
    model = train_sequential_encoder(
        CYCLES, N, table=table, item_vectors=VECTORS, epochs=40, batch_size=8, learning_rate=3e-3, **SMALL
    )
    histories = [[start, (start + 1) % N, (start + 2) % N] for start in range(N)]
    targets = [(start + 3) % N for start in range(N)]
    assert (model.scores(histories).argmax(axis=1) == targets).all()
    assert next_item_ndcg(model, histories, targets) == 1
    if table != "ids":
        assert model.text.numpy() == pytest.approx(VECTORS * np.sqrt(8))


def test_the_early_stop_keeps_the_best_weights(monkeypatch):
    from theatrum.nn import sequential_encoder

    seen = []

    def score(model, histories, targets):
        seen.append(model.scores([[0]]))
        return {1: 0.2, 2: 0.5}.get(len(seen), 0.1)

    monkeypatch.setattr(sequential_encoder, "next_item_ndcg", score)
    model = train_sequential_encoder(CYCLES, N, valid=([[0]], [1]), epochs=50, **SMALL)
    assert len(seen) == 2 + 20
    assert model.scores([[0]]).tolist() == seen[1].tolist()


def test_ndcg_leaves_the_history_out():
    model = SequentialEncoder(N, **SMALL)
    model.scores = lambda histories: np.array([[9.0, 8.0, 7.0, 6.0] + [0.0] * (N - 4)])
    assert next_item_ndcg(model, [[0, 1]], [3]) == pytest.approx(1 / np.log2(3))


def test_a_seed_is_a_seed():
    state = torch.get_rng_state()
    one, two, other = (
        train_sequential_encoder(CYCLES, N, epochs=2, random_state=seed, **SMALL).scores([[1, 2]]) for seed in (0, 0, 1)
    )
    assert one.tolist() == two.tolist()
    assert one.tolist() != other.tolist()
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("sequences", "options", "message"),
    [
        ([[1], []], {}, "none has two items"),
        ([[1, N]], {}, "row 0 names an item outside 0 to 11"),
        ([[1, -1]], {}, "row 0 names an item outside"),
        (CYCLES, {"table": "words"}, "table must be"),
        (CYCLES, {"table": "text"}, "needs one vector for each"),
        (CYCLES, {"table": "sum", "item_vectors": VECTORS[:3]}, "needs one vector for each of the 12"),
    ],
)
def test_bad_input(sequences, options, message):
    with pytest.raises(ValueError, match=message):
        train_sequential_encoder(sequences, N, epochs=1, **SMALL, **options)


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="histories: row 1 is empty"):
        SequentialEncoder(N, **SMALL).scores([[1], []])
