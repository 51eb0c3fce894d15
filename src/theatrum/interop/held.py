"""What an index holds: ids, vectors and attributes of the rows that can be found.

The only place that reads the private state of an index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Quantizer, Vectors
from theatrum.search import faiss_engine as engine
from theatrum.search.faiss_engine import Metric
from theatrum.search.fine_copy import FineCopy
from theatrum.search.vector_index import VectorIndex

ROWS = 4096  # rows of a block


@dataclass(frozen=True)
class Held:
    """Rows of an index, without the deleted ones, in the order of adding.

    Parameters
    ----------
    ids : list of str
        Names.
    attributes : dict of str to list
        Columns.
    metric : {"cosine", "ip", "l2"}
        How vectors are compared.
    dim : int
        Dimensions.
    structure : faiss.Index
        The FAISS index inside, deleted rows included.
    positions : ndarray of int64
        Where the rows are in it.
    quantizer : Quantizer or None
        Of its codes.
    fine : FineCopy or None
        Finer vectors on disk.
    """

    ids: list[str]
    attributes: dict[str, list[Any]]
    metric: Metric
    dim: int
    structure: Any
    positions: NDArray[np.int64]
    quantizer: Quantizer | None
    fine: FineCopy | None

    @property
    def whole(self) -> bool:
        """Whether no row of the structure was deleted."""
        return len(self.positions) == int(self.structure.ntotal)

    @property
    def exact(self) -> bool:
        """Whether the vectors are those that were added, not what codes stand for."""
        return self.fine.precision == "float32" if self.fine is not None else self.quantizer is None

    def stored(self) -> Iterator[Vectors]:
        """Vectors of the structure, block by block, in the space of the codes (turned, where there is a rotation)."""
        for start in range(0, len(self.positions), ROWS):
            yield engine.stored(self.structure, self.positions[start : start + ROWS], self.quantizer)

    def vectors(self) -> Iterator[Vectors]:
        """Best known vectors, block by block, in the space of the queries: from the finer copy, or decoded."""
        rotation = getattr(self.quantizer, "rotation_", None)
        if self.fine is not None:
            for start in range(0, len(self.positions), ROWS):
                yield self.fine.rows(self.positions[start : start + ROWS])
            return
        for block in self.stored():
            yield block if rotation is None else block @ rotation.T


def held(index: object) -> Held:
    """Look into an index.

    Raises
    ------
    ValueError
        Not one of our indexes, not fitted, empty, or of codes and opened without their quantizer.

    Examples
    --------
    >>> from theatrum.search import FlatIndex
    >>> index = FlatIndex().fit(np.eye(3, dtype=np.float32))
    >>> index.add(["a", "b", "c"], np.eye(3, dtype=np.float32), {"year": [1958, 1962, None]})
    >>> index.delete(["a"])
    >>> rows = held(index)
    >>> rows.ids, rows.attributes, next(rows.vectors()).tolist()
    (['b', 'c'], {'year': [1962, None]}, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    """
    if not isinstance(index, VectorIndex):
        raise ValueError(f"{type(index).__name__} is no vector index; flat, hnsw and ivf can be handed over")
    if not hasattr(index, "_index"):
        raise ValueError(f"{type(index).__name__} is not fitted; there is nothing to hand over")
    if not len(index):
        raise ValueError(f"{type(index).__name__} is empty; there is nothing to hand over")
    index._check_attached()
    return Held(
        ids=index.ids,
        attributes=dict(index.attributes),
        metric=index.metric,
        dim=index._dim,
        structure=index._index,
        positions=np.flatnonzero(index._alive),
        quantizer=index._quantizer,
        fine=index._fine,
    )
