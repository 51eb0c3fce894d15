"""An encoder that asks the store first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from theatrum.contracts import Encoder, Role, Vectors
from theatrum.store.vector_store import VectorStore


class StoredEncoder:
    """Encodes through a store: what was encoded before, in this run or another, is read back.

    Keeps the Encoder contract, so it can stand wherever its encoder could.

    Parameters
    ----------
    encoder : Encoder
        Does the work that is left.
    store : VectorStore
        Keeps it.
    on_progress : callable, optional
        Called with the number of texts done since the last call.

    Examples
    --------
    >>> import tempfile
    >>> from theatrum.text import LatentSemanticEncoder
    >>> lsa = LatentSemanticEncoder(2).fit(["red apple", "fast car", "red car", "fast apple"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     StoredEncoder(lsa, VectorStore(folder)).encode(["car", "red car"]).shape
    (2, 2)
    """

    def __init__(self, encoder: Encoder, store: VectorStore, on_progress: Callable[[int], None] | None = None) -> None:
        self.encoder = encoder
        self.store = store
        self.on_progress = on_progress
        if hasattr(encoder, "fit"):
            # Only where it is there: its presence tells others that the encoder learns from a corpus.
            self.fit = encoder.fit

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.encoder.dim

    def encode(
        self, items: Sequence[str], *, role: Role = "document", batch_size: int = 64, show_progress: bool = False
    ) -> Vectors:
        """Encode items into unit rows, float32 (n, dim)."""
        return self.store.encode(self.encoder, items, role=role, on_progress=self.on_progress).vectors

    def fingerprint(self) -> str:
        """That of the encoder."""
        return self.encoder.fingerprint()
