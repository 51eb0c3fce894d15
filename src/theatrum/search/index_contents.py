"""What an index holds: ids, vectors and attributes of the rows that can be found."""

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
from theatrum.search.named_rows import NamedRows

_BLOCK = 4096  # rows handed out at a time


@dataclass(frozen=True)
class IndexContents:
    """Rows of an index in the order of adding; valid until the index changes.

    Parameters
    ----------
    rows : NamedRows
        Ids and attributes.
    metric : {"cosine", "ip", "l2"}
        How vectors are compared.
    dim : int
        Dimensions.
    structure : faiss.Index
        The FAISS index inside, deleted rows included.
    quantizer : Quantizer or None
        Of its codes.
    fine : FineCopy or None
        Finer vectors on disk.

    Examples
    --------
    >>> from theatrum.search import FlatIndex
    >>> index = FlatIndex().fit(np.eye(3, dtype=np.float32))
    >>> index.add(["a", "b", "c"], np.eye(3, dtype=np.float32), {"year": [1958, 1962, None]})
    >>> index.delete(["a"])
    >>> held = index.contents
    >>> held.ids, held.attributes, next(held.vectors()).tolist()
    (['b', 'c'], {'year': [1962, None]}, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    """

    rows: NamedRows
    metric: Metric
    dim: int
    structure: Any
    quantizer: Quantizer | None
    fine: FineCopy | None

    @property
    def ids(self) -> list[str]:
        """Ids of the rows that can be found."""
        return self.rows.ids

    @property
    def attributes(self) -> dict[str, list[Any]]:
        """Their attribute columns."""
        return dict(self.rows.attributes)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Where they are in the structure."""
        return self.rows.living

    @property
    def whole(self) -> bool:
        """Whether no row of the structure was deleted."""
        return len(self.rows) == self.rows.total

    @property
    def exact(self) -> bool:
        """Whether the vectors are those that were added, not what codes stand for."""
        return self.fine.precision == "float32" if self.fine is not None else self.quantizer is None

    def stored(self) -> Iterator[Vectors]:
        """Vectors of the structure, block by block, in the space of the codes (turned, where there is a rotation)."""
        for block in self._blocks():
            yield engine.stored(self.structure, block, self.quantizer)

    def vectors(self) -> Iterator[Vectors]:
        """Best known vectors, block by block, in the space of the queries: from the finer copy, or decoded."""
        rotation = getattr(self.quantizer, "rotation_", None)
        for block in self._blocks():
            if self.fine is not None:
                yield self.fine.rows(block)
            else:
                X = engine.stored(self.structure, block, self.quantizer)
                yield X if rotation is None else X @ rotation.T

    def _blocks(self) -> Iterator[NDArray[np.int64]]:
        positions = self.positions
        return (positions[start : start + _BLOCK] for start in range(0, len(positions), _BLOCK))
