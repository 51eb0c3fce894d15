"""What is known of classes beyond examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ClassSemantics:
    """What is known of classes beyond examples: the one object that every zero-shot predictor is told classes by.

    `theatrum.predict.from_names` and its siblings build it.

    Parameters
    ----------
    names : tuple of str
        Every class, seen and unseen, in one fixed order; C of them, unique.
    vectors : ndarray of float32, shape (C, s), optional
        Vectors of names or descriptions.
    attributes : ndarray of float32, shape (C, a), optional
        Probability that a member of the class has the attribute, in [0, 1].
    attribute_names : tuple of str, default=()
        One a column of ``attributes``, or none.
    distances : ndarray of float32, shape (C, C), optional
        Distances between labels: symmetric, 0 on the diagonal, at least 0.
    seen : ndarray of bool, shape (C,), optional
        Which classes have training examples. Without it, ``fit`` takes those that ``y`` names.

    Raises
    ------
    ValueError
        Names that repeat, NaN, attributes outside [0, 1], distances that are none, or shapes that do not fit.

    Examples
    --------
    >>> animals = ClassSemantics(("horse", "zebra"), attributes=np.array([[1, 0], [1, 1]]))
    >>> animals.signature().round(2).tolist()
    [[1.0, 0.0], [0.7099999785423279, 0.7099999785423279]]
    """

    names: tuple[str, ...]
    vectors: NDArray[np.float32] | None = None
    attributes: NDArray[np.float32] | None = None
    attribute_names: tuple[str, ...] = ()
    distances: NDArray[np.float32] | None = None
    seen: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Check what was given; arrays become float32."""
        names = tuple(self.names)
        repeated = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
        if repeated:
            raise ValueError(f"class names must be unique; {sorted(repeated)[0]!r} is there more than once")
        if any(not isinstance(name, str) or not name for name in names) or not names:
            raise ValueError("class names must be non-empty texts, at least one")
        object.__setattr__(self, "names", tuple(map(str, names)))
        for field in ("vectors", "attributes", "distances"):
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, self._matrix(field, value))
        if self.attributes is not None and not ((self.attributes >= 0) & (self.attributes <= 1)).all():
            raise ValueError("attributes are probabilities between 0 and 1; percentages must be divided by 100")
        if self.attribute_names and (self.attributes is None or len(self.attribute_names) != self.attributes.shape[1]):
            raise ValueError(f"{len(self.attribute_names)} attribute names need as many columns of attributes")
        if self.distances is not None:
            self._check_distances(self.distances)
        if self.seen is not None:
            seen = np.asarray(self.seen)
            if seen.shape != (len(names),) or seen.dtype != bool:
                raise ValueError(f"seen: {len(names)} truth values are needed, got {seen.dtype} of shape {seen.shape}")
            object.__setattr__(self, "seen", seen)

    def _matrix(self, field: str, value: Any) -> NDArray[np.float32]:
        matrix = np.asarray(value, dtype=np.float32)
        if matrix.ndim != 2 or len(matrix) != len(self.names):
            raise ValueError(
                f"{field}: one row for each of the {len(self.names)} classes is needed, got {matrix.shape}"
            )
        bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
        if bad.size:
            raise ValueError(f"{field}: the row of class {self.names[bad[0]]!r} holds NaN or infinity")
        return matrix

    def _check_distances(self, distances: NDArray[np.float32]) -> None:
        if distances.shape[1] != len(self.names):
            raise ValueError(f"distances: a {len(self.names)} x {len(self.names)} matrix is needed")
        if (distances < 0).any() or np.diag(distances).any():
            raise ValueError("distances must be at least 0, and 0 on the diagonal")
        apart = np.argwhere(np.abs(distances - distances.T) > 1e-6 * max(float(distances.max()), 1.0))
        if apart.size:
            first, second = (self.names[i] for i in apart[0])
            raise ValueError(f"distances must be symmetric; {first!r} to {second!r} differs from the way back")

    def signature(self) -> NDArray[np.float32]:
        """Give one unit row a class: of its vector where there are vectors, else of its attributes.

        Raises
        ------
        ValueError
            Neither is there, or a class has a zero row.
        """
        given = self.vectors if self.vectors is not None else self.attributes
        if given is None:
            raise ValueError("these class semantics hold neither vectors nor attributes; give one of them")
        norms = np.linalg.norm(given, axis=1, keepdims=True)
        zero = np.flatnonzero(norms == 0)
        if zero.size:
            raise ValueError(f"class {self.names[zero[0]]!r} has a zero vector; describe it, or take it out")
        return np.asarray(given / norms, dtype=np.float32)

    def distance_matrix(self, kind: Literal["given", "euclidean", "cosine"] = "given") -> NDArray[np.float64]:
        """Give distances (C, C) between classes: those given, or of their signatures.

        Raises
        ------
        ValueError
            ``"given"`` without distances, or no signature.
        """
        if kind == "given":
            if self.distances is None:
                raise ValueError("these class semantics hold no distances; use kind='euclidean', or give some")
            return self.distances.astype(np.float64)
        rows = self.signature().astype(np.float64)
        cosines = np.clip(rows @ rows.T, -1, 1)
        np.fill_diagonal(cosines, 1)
        return 1 - cosines if kind == "cosine" else np.sqrt(2 - 2 * cosines)

    def with_seen(self, seen: Iterable[str] | NDArray[np.bool_]) -> ClassSemantics:
        """Say which classes are seen, by a mask (C,) or by names.

        Raises
        ------
        ValueError
            A name that is no class.
        """
        if isinstance(seen, np.ndarray) and seen.dtype == bool:
            return replace(self, seen=seen)
        wanted = set(seen)
        if unknown := wanted - set(self.names):
            raise ValueError(f"seen: {sorted(unknown, key=str)[0]!r} is no class of these semantics")
        return replace(self, seen=np.array([name in wanted for name in self.names]))

    def subset(self, chosen: NDArray[Any]) -> ClassSemantics:
        """Keep some classes, by a mask (C,) or by positions."""
        rows = np.flatnonzero(chosen) if np.asarray(chosen).dtype == bool else np.asarray(chosen, dtype=np.intp)

        def kept(value: Any) -> Any:
            return None if value is None else value[rows]

        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            vectors=kept(self.vectors),
            attributes=kept(self.attributes),
            distances=None if self.distances is None else self.distances[np.ix_(rows, rows)],
            seen=kept(self.seen),
        )
