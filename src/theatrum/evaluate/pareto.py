"""The Pareto front: the points that no other point beats in everything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pareto_front(costs: Any, *, maximise: Any = None) -> NDArray[np.bool_]:
    """Find the points worth considering when there are several costs and no agreed exchange rate between them.

    A point is off the front if another is at least as good in every column and better in one. Equal points do not
    push each other off. Time grows with the square of the number of points: meant for thousands, not millions.

    Parameters
    ----------
    costs : array-like of float, shape (n, m)
        One row a point, one column a cost; infinity is allowed (worst, or best if maximised).
    maximise : array-like of bool, shape (m,), default=None
        Columns where more is better; None means that less is better everywhere.

    Returns
    -------
    ndarray of bool, shape (n,)
        Whether each point is on the front.

    Raises
    ------
    ValueError
        No points, no columns, NaN (with the row), or a mask of another length.

    Examples
    --------
    Quality and bytes: the third is worse and larger than the second.

    >>> pareto_front([[0.50, 1536], [0.48, 384], [0.47, 400]], maximise=[True, False]).tolist()
    [True, True, False]
    """
    points = np.array(costs, dtype=np.float64)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"costs: expected a matrix (n, m) with at least one row and column, got shape {points.shape}")
    holes = np.flatnonzero(np.isnan(points).any(axis=1))
    if holes.size:
        raise ValueError(f"costs: row {holes[0]} holds NaN; measure it or leave the point out")
    if maximise is not None:
        flip = np.asarray(maximise)
        if flip.shape != (points.shape[1],) or flip.dtype != np.bool_:
            raise ValueError(
                f"maximise: expected {points.shape[1]} booleans, one a column, got {flip.dtype} of shape {flip.shape}"
            )
        points[:, flip] *= -1
    beaten = [bool(np.any((points <= point).all(axis=1) & (points < point).any(axis=1))) for point in points]
    return ~np.array(beaten)
