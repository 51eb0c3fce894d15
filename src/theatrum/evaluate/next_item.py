"""Next-item prediction: splitting a log of interactions by time, and judging rankings by the item that came next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from theatrum.evaluate.judgements import Judged, judge

_LEARN, _CHOOSE, _REPORT = 0, 1, 2  # the three stretches of time


@dataclass(frozen=True)
class NextItems:
    """Questions of the form "after this history, what came next?".

    Parameters
    ----------
    users : tuple of str
        Whose history it is; a user can be there more than once.
    histories : tuple of tuple of str
        Items before the target, oldest first, never empty.
    targets : tuple of str
        The item that came next.
    """

    users: tuple[str, ...]
    histories: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.targets)


class SequentialSplit(NamedTuple):
    """What `sequential_split` returns.

    Parameters
    ----------
    train : dict of str to tuple of str
        User -> items to learn from, oldest first.
    valid, test : NextItems
        Questions to choose by, and to report on.
    """

    train: dict[str, tuple[str, ...]]
    valid: NextItems
    test: NextItems


def sequential_split(
    users: Any,
    items: Any,
    times: Any,
    strategy: Literal["temporal", "leave_last_out"] = "temporal",
    *,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    targets: Literal["last", "all"] = "last",
) -> SequentialSplit:
    """Split a log of interactions for next-item prediction.

    ``"temporal"`` cuts all users at the same two moments, so that nothing is learnt from a time after a question is
    asked; pick it to know how a recommender does in use. ``"leave_last_out"`` keeps each user's last two items for
    the questions: more users are asked about, but what others did later is known in training, and the popular items
    of the future leak.

    Parameters
    ----------
    users, items : array-like of str, shape (n,)
        Ids, one interaction a row.
    times : array-like of float, shape (n,)
        In any unit. Interactions of one user at the same time stay in the order of the rows.
    strategy : {"temporal", "leave_last_out"}, default="temporal"
        How to split.
    valid_share, test_share : float, default=0.1
        Shares of all interactions in the two last stretches of time (temporal only).
    targets : {"last", "all"}, default="last"
        Ask for each user's last item of a stretch, or for every one (temporal only). The history of a question is all
        that the user did before, also within the stretch.

    Returns
    -------
    SequentialSplit
        ``train, valid, test``. Not asked for are an item that the history holds already and a user's first item.

    Raises
    ------
    ValueError
        Columns of different length, no interactions, a time that is not finite, shares that leave nothing to learn
        from, an unknown strategy.

    Examples
    --------
    >>> users, items, times = list("aaaabb"), list("pqrspq"), [1, 2, 3, 4, 1, 4]
    >>> train, valid, test = sequential_split(users, items, times, "leave_last_out")
    >>> train, valid.targets, test.histories, test.targets
    ({'a': ('p', 'q'), 'b': ('p', 'q')}, ('r',), (('p', 'q', 'r'),), ('s',))
    """
    moments = _checked_times(users, items, times)
    if strategy not in ("leave_last_out", "temporal"):
        raise ValueError(f"strategy must be 'temporal' or 'leave_last_out', got {strategy!r}")
    if targets not in ("last", "all"):
        raise ValueError(f"targets must be 'last' or 'all', got {targets!r}")
    rows: dict[str, list[int]] = {}
    for row in np.argsort(moments, kind="stable").tolist():
        rows.setdefault(str(users[row]), []).append(row)
    sequences = {user: tuple(str(items[row]) for row in own) for user, own in rows.items()}
    if strategy == "leave_last_out":
        stretches = {user: _last_two(len(sequence)) for user, sequence in sequences.items()}
    else:
        stretch = _stretch_of(moments, valid_share, test_share)
        stretches = {user: stretch[own] for user, own in rows.items()}
    learnt = {user: sequence[: int((stretches[user] == _LEARN).sum())] for user, sequence in sequences.items()}
    return SequentialSplit(
        {user: sequence for user, sequence in learnt.items() if sequence},
        _questions(sequences, stretches, _CHOOSE, targets),
        _questions(sequences, stretches, _REPORT, targets),
    )


def judge_next(ranked_ids: Any, questions: NextItems) -> Judged:
    """Judge rankings by the one item that came next, ready for ``hit_rate_at`` and ``ndcg_at``.

    Rank all items of the catalogue: metrics on a sample of the other items favour the wrong systems.

    Parameters
    ----------
    ranked_ids : array-like of str, shape (q, depth)
        Items, best first; ``""`` where a ranking ended early.
    questions : NextItems
        One a row.

    Returns
    -------
    Judged
        With one relevant item a row: nDCG is ``1 / log2(rank + 1)``, and 0 below the depth.

    References
    ----------
    Krichene and Rendle, "On sampled metrics for item recommendation", KDD 2020.

    Examples
    --------
    >>> from theatrum.evaluate import hit_rate_at, ndcg_at
    >>> judged = judge_next([["x", "s"], ["x", "y"]], NextItems(("a", "b"), (("p",), ("p",)), ("s", "s")))
    >>> hit_rate_at(judged, 2).tolist(), ndcg_at(judged, 2).round(3).tolist()
    ([1.0, 0.0], [0.631, 0.0])
    """
    rows = [str(row) for row in range(len(questions))]
    return judge(ranked_ids, rows, {row: {target: 1} for row, target in zip(rows, questions.targets, strict=True)})


def _checked_times(users: Any, items: Any, times: Any) -> NDArray[np.float64]:
    moments = np.asarray(times, dtype=np.float64)
    if moments.ndim != 1 or not len(users) == len(items) == len(moments):
        raise ValueError(
            f"{len(users)} users, {len(items)} items and times of shape {moments.shape}; one each an interaction"
        )
    if not len(moments):
        raise ValueError("times: there are no interactions; nothing can be split")
    bad = np.flatnonzero(~np.isfinite(moments))
    if bad.size:
        raise ValueError(f"times: row {bad[0]} is not finite; repair it or leave it out")
    return moments


def _stretch_of(moments: NDArray[np.float64], valid_share: float, test_share: float) -> NDArray[np.int64]:
    """Which stretch of time each interaction lies in; all at one moment lie in the same."""
    if min(valid_share, test_share) <= 0 or valid_share + test_share >= 1:
        raise ValueError(
            f"valid_share and test_share must be above 0 and below 1 together, got {valid_share} and {test_share}"
        )
    cuts = np.quantile(moments, [1 - valid_share - test_share, 1 - test_share])
    stretch = np.searchsorted(cuts, moments, side="right")
    if not (stretch == _LEARN).any():
        raise ValueError("times: all lie after the first cut; there are too few different ones for these shares")
    return stretch


def _last_two(n: int) -> NDArray[np.int64]:
    """One item to choose by and one to report on; a user with fewer than three items only teaches."""
    stretch = np.full(n, _LEARN)
    if n >= 3:
        stretch[-2:] = _CHOOSE, _REPORT
    return stretch


def _questions(
    sequences: Mapping[str, tuple[str, ...]], stretches: Mapping[str, NDArray[np.int64]], wanted: int, targets: str
) -> NextItems:
    kept = []
    for user, sequence in sequences.items():
        places = np.flatnonzero(stretches[user] == wanted).tolist()
        for place in places if targets == "all" else places[-1:]:
            if place and sequence[place] not in sequence[:place]:
                kept.append((user, sequence[:place], sequence[place]))
    return NextItems(tuple(one[0] for one in kept), tuple(one[1] for one in kept), tuple(one[2] for one in kept))
