"""Sinkhorn-Knopp: scores into a soft assignment with given row and column sums."""

from __future__ import annotations

import torch
from torch import Tensor


def sinkhorn(
    scores: Tensor, *, eps: float = 0.05, n_iterations: int = 3, column_weights: Tensor | None = None
) -> Tensor:
    """Scale ``exp(scores / eps)`` until every column holds its share of the rows; rows sum to 1.

    Computed with logarithms, so that no score over- or underflows.

    Parameters
    ----------
    scores : Tensor of shape (n, c)
        Larger is a better match of a row with a column.
    eps : float, default=0.05
        Entropy: towards 0 the assignment becomes hard.
    n_iterations : int, default=3
        Of scaling columns, then rows.
    column_weights : Tensor of shape (c,), optional
        Share of each column, positive, sum 1; equal by default.

    Returns
    -------
    Tensor of shape (n, c)
        Rows sum to 1; columns to about ``n`` times their share.

    Examples
    --------
    >>> two = sinkhorn(torch.tensor([[2.0, 1.0], [2.0, 0.0], [2.0, 1.9], [2.0, 1.5]]), eps=0.1, n_iterations=50)
    >>> [round(value, 3) for value in two.sum(0).tolist()]
    [2.0, 2.0]
    """
    n, c = scores.shape
    shares = torch.full((c,), 1 / c, dtype=scores.dtype) if column_weights is None else column_weights
    log = scores / eps
    for _ in range(n_iterations):
        log = log - log.logsumexp(dim=0, keepdim=True) + (shares * n).log()
        log = log - log.logsumexp(dim=1, keepdim=True)
    return log.exp()
