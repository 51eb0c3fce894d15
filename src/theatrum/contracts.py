"""The contracts of the house: what a part must offer to fit together with the others.

Read this page first. A part keeps a contract by having these methods; no base class is needed. A room has one
contract, so every part of a room can stand in for every other, and a pipeline is a chain of parts:

    encoder | refiner ... | quantizer | index          texts -> vectors -> vectors -> codes -> hits
    token encoder | token reducer | ... | reranker     texts -> sets of vectors -> vectors -> as above -> better hits
    retriever                                          texts -> hits, in one piece (BM25, or any whole pipeline)

Predictors stand beside the chain: vectors -> classes, for classes with and without examples.

Conventions that hold everywhere: arrays in and out are NumPy, vectors are float32 unless said, one row is one item,
ids are non-empty strings, scores are larger-is-better, and a ranking shorter than ``k`` ends in id ``""`` with
score ``-inf``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from theatrum.class_semantics import ClassSemantics as ClassSemantics

Vectors: TypeAlias = NDArray[np.float32]  # (n, d)
Codes: TypeAlias = NDArray[np.uint8]  # (n, bytes_per_vector)
Ids: TypeAlias = NDArray[np.object_]  # (q, k), "" where a ranking ended early
Scores: TypeAlias = NDArray[np.float32]  # (q, k), -inf where a ranking ended early
Role: TypeAlias = Literal["document", "query"]
Where: TypeAlias = Mapping[str, Any] | str  # a filter on attributes: {"year": {"gte": 2010}} or "year >= 2010"
Attributes: TypeAlias = Mapping[str, Sequence[Any]]  # column name -> n values


class TruncationWarning(UserWarning):
    """Texts were longer than the encoder reads, and their ends were cut off."""


@runtime_checkable
class Encoder(Protocol):
    """Turns items (texts, for most encoders) into vectors.

    Two optional methods are used when they are there: ``fit(items)`` by encoders that learn from the corpus itself,
    and ``token_counts(items)`` together with ``max_tokens`` by encoders that cut long texts, so that cut texts can
    be counted and told.
    """

    @property
    def dim(self) -> int:
        """Number of dimensions of the vectors."""
        ...

    def encode(
        self, items: Sequence[str], *, role: Role = "document", batch_size: int = 64, show_progress: bool = False
    ) -> Vectors:
        """Encode items into unit rows, float32 (n, dim); a text without a single known token is a zero row."""
        ...

    def fingerprint(self) -> str:
        """Hex digest that changes whenever the vectors would; the key of the cache."""
        ...


@runtime_checkable
class TokenEncoder(Protocol):
    """Turns items into sets of vectors, one vector a token; see `Encoder` for its optional methods."""

    @property
    def dim(self) -> int:
        """Number of dimensions of the vectors."""
        ...

    def encode(
        self, items: Sequence[str], *, role: Role = "document", batch_size: int = 64, show_progress: bool = False
    ) -> list[Vectors]:
        """Encode items into unit rows, float32 (t_i, dim) each, t_i at least 1; without a token it is one zero row."""
        ...

    def fingerprint(self) -> str:
        """Hex digest that changes whenever the vectors would."""
        ...


@runtime_checkable
class TokenReducer(Protocol):
    """Turns sets of vectors into single vectors, queries and documents each in their way; nothing is learnt."""

    metric: ClassVar[str]  # how an index has to compare what comes out

    def output_dim(self, dim: int) -> int:
        """Width of what comes out, for tokens of width ``dim``."""
        ...

    def encode_documents(self, docs: Sequence[Any]) -> Vectors:
        """Sets (t_i, d) -> float32 (n, output_dim(d))."""
        ...

    def encode_queries(self, queries: Sequence[Any]) -> Vectors:
        """Sets (t_i, d) -> float32 (n, output_dim(d))."""
        ...


@runtime_checkable
class Refiner(Protocol):
    """A scikit-learn transformer on vectors: whitening, reduction, truncation.

    A refiner with the attribute ``weight_by = "length"`` is fitted with ``sample_weight`` = words per document.
    """

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the map from X (n, d)."""
        ...

    def transform(self, X: Any) -> Any:
        """Map X (n, d) to (n, m)."""
        ...


@runtime_checkable
class Quantizer(Protocol):
    """Compresses vectors into fixed-size byte codes, with ranges learnt once and kept."""

    @property
    def bytes_per_vector(self) -> int:
        """Bytes of one code (known after ``fit``)."""
        ...

    def fit(self, X: Vectors) -> Any:
        """Learn ranges or codebooks from X (n, d)."""
        ...

    def encode(self, X: Vectors) -> Codes:
        """Vectors (n, d) -> codes uint8 (n, bytes_per_vector)."""
        ...

    def decode(self, codes: Codes) -> Vectors:
        """Codes -> the vectors that they stand for, float32 (n, d)."""
        ...


@runtime_checkable
class Index(Protocol):
    """Finds the nearest vectors of a collection that can grow and shrink.

    ``fit(X, quantizer=None)`` prepares an empty index for vectors like X, stored as codes of a fitted quantizer (or as
    float32). It is separate from ``add`` because learnt structures (inverted lists) need a sample first.
    """

    def fit(self, X: Vectors, quantizer: Quantizer | None = None) -> Any:
        """Prepare the empty index from a sample X (n, d)."""
        ...

    def attach(self, quantizer: Quantizer) -> None:
        """Give an index that was opened from disk the quantizer that its codes belong to."""
        ...

    def add(self, ids: Sequence[str], X: Vectors, attributes: Attributes | None = None) -> None:
        """Add vectors; an id that is already there is a ValueError."""
        ...

    def search(self, Q: Vectors, k: int, where: Where | None = None) -> tuple[Ids, Scores]:
        """Best k ids for every row of Q, best first; ties in score are broken by the order of adding."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; an unknown id is a ValueError."""
        ...

    def __len__(self) -> int:
        """Number of vectors held."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Bytes of vectors, codes and links that must be in memory to search (ids are not counted)."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Keeps sets of vectors; scores candidates of another search again, or searches by itself."""

    n_candidates: int  # how many it asks for

    def fit(self, docs: Sequence[Any]) -> Any:
        """Become empty, for sets (t_i, d) like these."""
        ...

    def add(self, ids: Sequence[str], docs: Sequence[Any], attributes: Attributes | None = None) -> None:
        """Add sets; an id that is already there is a ValueError."""
        ...

    def search(self, Q: Sequence[Any], k: int, where: Where | None = None) -> tuple[Ids, Scores]:
        """Best k ids of all for every set of Q, best first."""
        ...

    def rescore(self, Q: Sequence[Any], candidates: Ids, k: int) -> tuple[Ids, Scores]:
        """Best k of the candidates (q, n) of every set of Q, best first."""
        ...

    def __len__(self) -> int:
        """Number of sets held."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Bytes that must be in memory to search (ids are not counted)."""
        ...


@runtime_checkable
class Retriever(Protocol):
    """Finds texts by text: BM25, a dense pipeline, or a fusion of retrievers."""

    def fit(self, ids: Sequence[str], texts: Sequence[str], attributes: Attributes | None = None) -> Any:
        """Index a corpus."""
        ...

    def search(self, queries: Sequence[str], k: int, where: Where | None = None) -> tuple[Ids, Scores]:
        """Best k ids for every query, best first."""
        ...

    def __len__(self) -> int:
        """Number of documents held."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Bytes that must be in memory to search (ids and texts are not counted)."""
        ...


@runtime_checkable
class Fusion(Protocol):
    """Merges the rankings of several retrievers into one."""

    def fuse(self, rankings: Sequence[tuple[Ids, Scores]], k: int) -> tuple[Ids, Scores]:
        """Merge rankings, each (ids (q, k_i), scores (q, k_i)), into the best k."""
        ...


@runtime_checkable
class ZeroShotPredictor(Protocol):
    """A scikit-learn classifier that also answers with classes it has no example of.

    ``fit`` takes the classes' semantics as a third argument; without it, it is a plain classifier.
    """

    def fit(self, X: Any, y: Any, semantics: ClassSemantics | None = None) -> Any:
        """Learn from X (n, d) and y, the names of seen classes."""
        ...

    def class_scores(self, X: Any) -> NDArray[np.floating]:
        """Score every class for every row, (n, C) in the order of the semantics; larger is better."""
        ...

    def predict(self, X: Any, candidates: Literal["all", "seen", "unseen"] | Sequence[str] = "all") -> NDArray[Any]:
        """Give the best of the candidate classes for every row."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A part whose fitted state is more than arrays and plain values, and that writes it itself.

    Parts without these methods are saved by their fitted attributes (names ending in ``_``).
    """

    def save_state(self, folder: Path) -> None:
        """Write the fitted state as files into an existing, empty folder."""
        ...

    def open_state(self, folder: Path) -> None:
        """Read back what ``save_state`` wrote into an instance made with the same parameters."""
        ...
