import itertools

import numpy as np
import pytest

from theatrum.evaluate.pareto import pareto_front


def test_equals_the_definition():
    rng = np.random.default_rng(0)
    for m in (1, 2, 3):
        costs = rng.integers(0, 5, (40, m)).astype(float)
        expected = [
            not any(
                all(o <= c for o, c in zip(other, cost, strict=True)) and tuple(other) != tuple(cost) for other in costs
            )
            for cost in costs
        ]
        assert pareto_front(costs).tolist() == expected


def test_points_off_the_front_are_beaten_by_one_on_it():
    costs = np.random.default_rng(1).random((60, 3))
    front = pareto_front(costs)
    for cost in costs[~front]:
        assert any((other <= cost).all() for other in costs[front])
    for one, other in itertools.permutations(costs[front], 2):
        assert (one < other).any()


def test_maximise_turns_columns_and_leaves_the_input_alone():
    costs = np.random.default_rng(2).random((50, 2))
    before = costs.copy()
    turned = costs * [-1, 1]
    np.testing.assert_array_equal(pareto_front(costs, maximise=np.array([True, False])), pareto_front(turned))
    np.testing.assert_array_equal(costs, before)


def test_duplicates_stay_and_infinity_is_worst():
    assert pareto_front([[1, 1], [1, 1], [2, 2]]).tolist() == [True, True, False]
    assert pareto_front([[1, np.inf], [2, 1], [3, np.inf]]).tolist() == [True, True, False]
    assert pareto_front([[5.0]]).tolist() == [True]


@pytest.mark.parametrize(
    ("costs", "maximise", "message"),
    [
        ([], None, "at least one row"),
        ([1, 2], None, "expected a matrix"),
        ([[1, 2], [np.nan, 1]], None, "row 1 holds NaN"),
        ([[1, 2]], [True], "expected 2 booleans"),
        ([[1, 2]], [1, 0], "expected 2 booleans"),
    ],
)
def test_bad_input_is_refused(costs, maximise, message):
    with pytest.raises(ValueError, match=message):
        pareto_front(costs, maximise=maximise)
