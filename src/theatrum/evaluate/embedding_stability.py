"""Stability of embeddings: how far errors of distances can carry, and which changes of a space a linkage respects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import floyd_warshall
from scipy.spatial.distance import cdist, pdist, squareform

Matrix: TypeAlias = NDArray[np.float64]
_ROUNDING = 1e-7  # share of the largest distance that counts as no difference
_SHRUNK, _SHRUNK_TO = 0.3, 0.3  # share of the distances that are made shorter, and to how much at least


@dataclass(frozen=True)
class StabilityBound:
    """What errors of the distances can do to the stress of an embedding; root stress is in units of the distances.

    Parameters
    ----------
    epsilon : float
        Largest error of a distance. The single linkage distances have no larger error either.
    pair_norm : float
        Root of the summed squares of the errors, over pairs; ``epsilon sqrt(pairs)`` where only epsilon is known.
    root_stress : float
        Of the embedding, against the noisy distances.
    clean_low, clean_high : float
        Its root stress against the clean distances lies between these.
    excess : float
        If the embedding is optimal for the noisy distances, it is at most this far above the optimum for the clean.
    root_stress_clean : float or None
        Its root stress against the clean distances, where they were given.
    """

    epsilon: float
    pair_norm: float
    root_stress: float
    clean_low: float
    clean_high: float
    excess: float
    root_stress_clean: float | None


def stability_bound(clean: Any, D_noisy: Any, embedding: Any) -> StabilityBound:
    """Certify how much the stress of an embedding can change when distances are off.

    Use it before reading anything into a map of distances that were estimated: if ``pair_norm`` is as large as
    ``root_stress``, the map could as well be one of noise. It bounds the stress, not the places, and is for
    embeddings by stress.

    Over pairs, embedded distances and both sets of distances are vectors ``e``, ``x`` (clean) and ``y`` (noisy). By the
    triangle inequality ``| |e - x| - |e - y| | <= |x - y|``. If A is optimal for y and B for x, then ``|e_A - x| <=
    |e_A - y| + |x - y| <= |e_B - y| + |x - y| <= |e_B - x| + 2 |x - y|``. Single linkage takes a minimum of maxima of
    distances, so that an error of epsilon stays one of epsilon: to certify single linkage scaling, give the single
    linkage distances of both, or the epsilon of the distances themselves.

    Parameters
    ----------
    clean : array-like of shape (n, n), or float
        The clean distances, or how far off a distance is at most (epsilon).
    D_noisy : array-like of shape (n, n)
        Distances that were embedded.
    embedding : array-like of shape (n, m)
        Places.

    Returns
    -------
    StabilityBound
        Epsilon, the certified interval and the excess.

    Raises
    ------
    ValueError
        Shapes that do not fit, a negative epsilon, or a matrix that is not square, symmetric and finite.

    References
    ----------
    Shiebler, "Functorial manifold learning", ACT 2021, EPTCS 372, bounds interleaving distances; these are elementary.
    Atlas 117.

    Examples
    --------
    >>> D = np.array([[0.0, 3.0], [3.0, 0.0]])
    >>> bound = stability_bound(0.5, D, [[0.0], [2.0]])
    >>> bound.root_stress, bound.clean_low, bound.clean_high, bound.excess
    (1.0, 0.5, 1.5, 1.0)
    """
    noisy = _pairs(D_noisy, "D_noisy")
    places = np.asarray(embedding, dtype=np.float64)
    if places.ndim != 2 or not np.isfinite(places).all():
        raise ValueError(f"embedding: expected finite places (n, m), got shape {places.shape}")
    embedded = pdist(places)
    if len(embedded) != len(noisy):
        raise ValueError(f"embedding: {len(places)} rows do not go with the {np.shape(D_noisy)[0]} of D_noisy")
    root_stress, root_stress_clean = float(np.linalg.norm(embedded - noisy)), None
    if np.ndim(clean) == 0:
        epsilon = float(clean)
        if not 0 <= epsilon < np.inf:
            raise ValueError(f"clean: epsilon must be a finite number of at least 0, got {epsilon}")
        pair_norm = epsilon * float(np.sqrt(len(noisy)))
    else:
        true = _pairs(clean, "clean")
        if len(true) != len(noisy):
            raise ValueError(f"clean: shape {np.shape(clean)} does not go with {np.shape(D_noisy)} of D_noisy")
        epsilon, pair_norm = float(np.abs(true - noisy).max()), float(np.linalg.norm(true - noisy))
        root_stress_clean = float(np.linalg.norm(embedded - true))
    low, high = max(root_stress - pair_norm, 0.0), root_stress + pair_norm
    return StabilityBound(epsilon, pair_norm, root_stress, low, high, 2 * pair_norm, root_stress_clean)


def _pairs(D: Any, name: str) -> Matrix:
    """Return the upper triangle of a matrix of distances."""
    distances = np.asarray(D, dtype=np.float64)
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1] or len(distances) < 2:
        raise ValueError(f"{name}: expected a square matrix of two rows at least, got shape {distances.shape}")
    if not np.isfinite(distances).all():
        i, j = np.argwhere(~np.isfinite(distances))[0]
        raise ValueError(f"{name}: from {i} to {j} it is {distances[i, j]}; stress needs finite distances")
    if not np.allclose(distances, distances.T, rtol=1e-5, atol=1e-6 * float(np.abs(distances).max())):
        raise ValueError(f"{name}: the matrix is not symmetric; give (D + D.T) / 2")
    return squareform(distances, checks=False)


@dataclass(frozen=True)
class PropertyTest:
    """One property on many spaces.

    Parameters
    ----------
    share_broken : float
        Share of the spaces where it did not hold.
    worst : float
        Largest forbidden change of a distance.
    """

    share_broken: float
    worst: float

    @property
    def holds(self) -> bool:
        """Whether no space broke it (which proves nothing, but one that does refutes it)."""
        return self.share_broken == 0


@dataclass(frozen=True)
class EquivarianceReport:
    """Which changes of a space a linkage respects, as tested.

    Parameters
    ----------
    permutation : PropertyTest
        The order of the rows does not matter.
    isometry : PropertyTest
        Turning, reflecting and moving the points does not matter.
    monotone : PropertyTest
        Where distances shrink, none comes out larger (bijective non-expansive maps).
    duplicate : PropertyTest
        A second copy of a point changes nothing between the others (merging equal points).
    new_point : PropertyTest
        A further point makes no distance between the others larger (injective non-expansive maps).
    n_spaces : int
        Random spaces tried.
    """

    permutation: PropertyTest
    isometry: PropertyTest
    monotone: PropertyTest
    duplicate: PropertyTest
    new_point: PropertyTest
    n_spaces: int

    def __str__(self) -> str:
        """Say it in a line a property."""
        lines = []
        for field in fields(self)[:-1]:
            test: PropertyTest = getattr(self, field.name)
            found = "held" if test.holds else f"broken in {test.share_broken:.0%}, by up to {test.worst:.3g}"
            lines.append(f"{field.name.replace('_', ' ')}: {found} ({self.n_spaces} spaces)")
        return "\n".join(lines)


def equivariance_report(
    linkage: Callable[[Matrix], NDArray[np.floating]], n_spaces: int = 50, *, random_state: int = 0
) -> EquivarianceReport:
    """Test on random finite spaces which changes of the space a linkage respects.

    Use it to know what a map may be read for: a linkage that is not monotone can tear two rows apart because others
    came closer. Single, maximal and path linkage and geodesics of a fixed radius respect all of it; geodesics of
    nearest neighbours and fuzzy neighbourhoods only the first two.

    Parameters
    ----------
    linkage : callable
        Distances (n, n) -> distances (n, n), infinite ones allowed, such as ``refine.single_linkage_distance`` or
        ``functools.partial(linkage_distance, linkage="path", p=2.0)``.
    n_spaces : int, default=50
        Spaces: 6 to 16 points of a normal distribution in 1 to 4 dimensions.
    random_state : int, default=0
        Draws of the spaces and of their changes.

    Returns
    -------
    EquivarianceReport
        Print it for words.

    Raises
    ------
    ValueError
        ``n_spaces`` below 1, or a linkage that does not return a matrix of the same shape.

    References
    ----------
    Shiebler, "Functorial manifold learning", ACT 2021, EPTCS 372, orders algorithms by such maps. Atlas 117.

    Examples
    --------
    >>> print(equivariance_report(lambda D: D, n_spaces=5))
    permutation: held (5 spaces)
    isometry: held (5 spaces)
    monotone: held (5 spaces)
    duplicate: held (5 spaces)
    new point: held (5 spaces)
    """
    if n_spaces < 1:
        raise ValueError(f"n_spaces must be a whole number of at least 1, got {n_spaces}")
    rng = np.random.default_rng(random_state)
    changes = np.array([_changes(linkage, rng) for _ in range(n_spaces)])
    permutation, isometry, monotone, duplicate, new_point = (
        PropertyTest(float((column > 0).mean()), float(column.max())) for column in changes.T
    )
    return EquivarianceReport(permutation, isometry, monotone, duplicate, new_point, n_spaces)


def _changes(linkage: Callable[[Matrix], NDArray[np.floating]], rng: np.random.Generator) -> list[float]:
    """Largest forbidden changes on one space, 0 where it is rounding."""
    n, d = rng.integers(6, 17), rng.integers(1, 5)
    points = rng.normal(size=(n + 1, d))  # the last one comes later
    everything = cdist(points, points)
    D = everything[:n, :n]
    before = _linked(linkage, D)

    order = rng.permutation(n)
    turned = points[:n] @ np.linalg.qr(rng.normal(size=(d, d)))[0] + rng.normal(size=d)
    factors = np.triu(np.where(rng.random((n, n)) < _SHRUNK, rng.uniform(_SHRUNK_TO, 1, (n, n)), 1.0), 1)
    # Shortest paths make it a metric again; they shrink distances further.
    shrunk = floyd_warshall(D * (factors + factors.T))
    twice = np.append(np.arange(n), rng.integers(n))

    permuted = _linked(linkage, D[np.ix_(order, order)])
    moved = _linked(linkage, cdist(turned, turned))
    copied = _linked(linkage, D[np.ix_(twice, twice)])[:n, :n]
    found = [
        _difference(permuted, before[np.ix_(order, order)]),
        _difference(moved, before),
        _increase(_linked(linkage, shrunk), before),
        _difference(copied, before),
        _increase(_linked(linkage, everything)[:n, :n], before),
    ]
    return [change if change > _ROUNDING * D.max() else 0.0 for change in found]


def _linked(linkage: Callable[[Matrix], NDArray[np.floating]], D: Matrix) -> NDArray[np.floating]:
    found = np.asarray(linkage(D))
    if found.shape != D.shape:
        raise ValueError(f"linkage: gave shape {found.shape} for distances of shape {D.shape}; it must keep it")
    return found


def _increase(after: NDArray[np.floating], before: NDArray[np.floating]) -> float:
    """Largest growth of an entry; infinite ones that stay infinite did not grow."""
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(after - before, nan=0.0, posinf=np.inf, neginf=-np.inf).max())


def _difference(after: NDArray[np.floating], before: NDArray[np.floating]) -> float:
    return max(_increase(after, before), _increase(before, after))
