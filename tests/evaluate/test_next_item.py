"""Splits of logs by time: nothing of the future is learnt, histories are whole, ties keep their order."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.evaluate import NextItems, hit_rate_at, judge_next, ndcg_at, sequential_split

rng = np.random.default_rng(0)


def some_log(n=400):
    users = [f"u{i}" for i in rng.integers(12, size=n)]
    items = [f"i{i}" for i in rng.integers(200, size=n)]
    return users, items, rng.permutation(n)


@pytest.mark.parametrize("targets", ["last", "all"])
def test_temporal_against_a_slow_version(targets):
    users, items, times = some_log()
    cuts = np.quantile(times, [0.7, 0.9])
    split = sequential_split(users, items, times, valid_share=0.2, test_share=0.1, targets=targets)
    rows = sorted(range(len(users)), key=lambda row: times[row])
    learnt = {}
    for row in rows:
        if times[row] < cuts[0]:
            learnt.setdefault(users[row], []).append(items[row])
    assert split.train == {user: tuple(sequence) for user, sequence in learnt.items()}
    for found, low, high in ((split.valid, cuts[0], cuts[1]), (split.test, cuts[1], np.inf)):
        expected = set()
        for user in set(users):
            own = [row for row in rows if users[row] == user]
            asked = [place for place, row in enumerate(own) if low <= times[row] < high]
            for place in asked if targets == "all" else asked[-1:]:
                history = tuple(items[row] for row in own[:place])
                if history and items[own[place]] not in history:
                    expected.add((user, history, items[own[place]]))
        assert len(found) == len(expected) > 0
        assert set(zip(found.users, found.histories, found.targets, strict=True)) == expected


def test_leave_last_out():
    users, items = list("aaabbcccc"), list("xyzxypqrs")
    train, valid, test = sequential_split(users, items, range(9), "leave_last_out")
    assert train == {"a": ("x",), "b": ("x", "y"), "c": ("p", "q")}
    assert (valid.users, valid.histories, valid.targets) == (("a", "c"), (("x",), ("p", "q")), ("y", "r"))
    assert (test.users, test.histories, test.targets) == (("a", "c"), (("x", "y"), ("p", "q", "r")), ("z", "s"))


def test_interactions_at_one_moment_stay_in_the_order_of_the_rows():
    train, _, test = sequential_split(list("aaaa"), list("wzyx"), [5, 5, 5, 5], "leave_last_out")
    assert (train["a"], test.targets) == (("w", "z"), ("x",))


def test_what_was_used_before_is_not_asked_for():
    _, valid, test = sequential_split(list("aaaa"), list("xyxz"), range(4), "leave_last_out")
    assert (len(valid), test.targets) == (0, ("z",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a"], ["x", "y"], [1, 2]), "1 users, 2 items and times of shape"),
        (([], [], []), "there are no interactions"),
        ((["a", "a"], ["x", "y"], [1, np.nan]), "row 1 is not finite"),
        ((["a"], ["x"], [1], "random"), "strategy must be"),
        ((["a", "a"], ["x", "y"], [3, 3]), "all lie after the first cut"),
    ],
)
def test_bad_logs(arguments, message):
    with pytest.raises(ValueError, match=message):
        sequential_split(*arguments)


@pytest.mark.parametrize("shares", [(0, 0.1), (0.5, 0.5), (-0.1, 0.1)])
def test_bad_shares(shares):
    with pytest.raises(ValueError, match="valid_share and test_share"):
        sequential_split(["a"], ["x"], [1], valid_share=shares[0], test_share=shares[1])


def test_bad_targets():
    with pytest.raises(ValueError, match="targets must be"):
        sequential_split(["a"], ["x"], [1], targets="first")


def test_judging_by_rank():
    questions = NextItems(("u", "u", "v"), (("p",),) * 3, ("a", "b", "c"))
    judged = judge_next([["a", "x", "y"], ["x", "y", "b"], ["x", "", ""]], questions)
    assert ndcg_at(judged, 10).tolist() == pytest.approx([1, 1 / np.log2(4), 0])
    assert hit_rate_at(judged, 2).tolist() == [1, 0, 0]
