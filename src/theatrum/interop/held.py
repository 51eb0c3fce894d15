"""What is handed over: the contents of an index that has any."""

from __future__ import annotations

from theatrum.search.index_contents import IndexContents
from theatrum.search.vector_index import VectorIndex


def held(index: object) -> IndexContents:
    """Look into an index.

    Raises
    ------
    ValueError
        Not one of our indexes, not fitted, empty, or of codes and opened without their quantizer.
    """
    if not isinstance(index, VectorIndex):
        raise ValueError(f"{type(index).__name__} is no vector index; flat, hnsw and ivf can be handed over")
    contents = index.contents
    if not contents.ids:
        raise ValueError(f"{type(index).__name__} is empty; there is nothing to hand over")
    return contents
