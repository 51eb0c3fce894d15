"""FAISS, with its cautions handled in one place: threads, its BLAS threshold, safe files, and our codes in its indexes.

Our quantizers are trained by themselves and hand their ranges or codewords to the FAISS index that stores the codes, so
that a code means the same thing everywhere.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from theatrum.compress import Int8Quantizer
from theatrum.contracts import Quantizer, Vectors
from theatrum.search.exact_scan import StoredRows

Metric: TypeAlias = Literal["cosine", "ip", "l2"]
Positions: TypeAlias = NDArray[np.int64]

# The wheel goes over to BLAS only for batches of hundreds of queries; from about this many products a thread on, it
# pays (measured: 5 to 7 times faster at 64 queries of 384 dimensions).
_BLAS_PRODUCTS = 800
_KMEANS_ROUNDS = 20
_SMALL_WORK = 4_000_000  # products of queries, vectors and dimensions: about a millisecond


@cache
def faiss() -> Any:
    """Import FAISS and set it up once."""
    import faiss as library

    if sys.platform == "darwin":
        library.omp_set_num_threads(1)  # two OpenMP runtimes (torch brings one too) crash there
    elif "OMP_NUM_THREADS" in os.environ:
        library.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    library.cvar.distance_compute_blas_threshold = _BLAS_PRODUCTS * library.omp_get_max_threads()
    return library


def kind_of(quantizer: Quantizer | None) -> str:
    """How codes of a quantizer are stored: full, scalar, product or binary.

    Raises
    ------
    ValueError
        A quantizer that does not say, so that no index can keep its codes.
    """
    if quantizer is None:
        return "full"
    kind = getattr(quantizer, "storage", None)
    if kind not in ("scalar", "product", "binary"):
        raise ValueError(
            f"{type(quantizer).__name__} does not say how its codes are stored (storage = 'scalar', 'product' or "
            "'binary'); this index cannot keep them"
        )
    return str(kind)


def turned(X: Vectors, quantizer: Quantizer | None) -> Vectors:
    """Turn vectors into the space of the codes (a rotation keeps all distances, so queries are turned too)."""
    rotation = getattr(quantizer, "rotation_", None)
    return X if rotation is None else np.ascontiguousarray(X @ rotation)


def _hand_over(index: Any, quantizer: Quantizer | None) -> Any:
    """Give a FAISS index the ranges or codewords of our quantizer."""
    kind, lib = kind_of(quantizer), faiss()
    storage = lib.downcast_index(index.storage) if hasattr(index, "storage") else index
    if kind == "scalar":
        ranges = np.concatenate([quantizer.low_, quantizer.span_])  # type: ignore[union-attr]  # kind says it is there
        lib.copy_array_to_vector(ranges.astype(np.float32), storage.sq.trained)
    elif kind == "product":
        lib.copy_array_to_vector(quantizer.codebooks_.ravel(), storage.pq.centroids)  # type: ignore[union-attr]
        if hasattr(index, "storage"):
            storage.pq.compute_sdc_table()  # a graph is built from codes alone
    storage.is_trained = index.is_trained = True
    return index


def flat_index(dim: int, metric: Metric, quantizer: Quantizer | None) -> Any:
    """Make an empty index that compares with everything."""
    lib, kind, measure = faiss(), kind_of(quantizer), _measure(metric)
    if kind == "binary":
        return lib.IndexBinaryFlat(dim)
    if kind == "full":
        return lib.IndexFlat(dim, measure)
    if kind == "scalar":
        return _hand_over(lib.IndexScalarQuantizer(dim, lib.ScalarQuantizer.QT_8bit, measure), quantizer)
    parts, words, _ = quantizer.codebooks_.shape  # type: ignore[union-attr]
    return _hand_over(lib.IndexPQ(dim, parts, int(np.log2(words)), measure), quantizer)


def graph_index(dim: int, metric: Metric, quantizer: Quantizer | None, *, links: int, effort: int) -> Any:
    """Make an empty graph (HNSW)."""
    lib, kind, measure = faiss(), kind_of(quantizer), _measure(metric)
    if kind == "binary":
        index = lib.IndexBinaryHNSW(dim, links)
    elif kind == "full":
        index = lib.IndexHNSWFlat(dim, links, measure)
    elif kind == "scalar":
        index = _hand_over(lib.IndexHNSWSQ(dim, lib.ScalarQuantizer.QT_8bit, links, measure), quantizer)
    else:
        parts, words, _ = quantizer.codebooks_.shape  # type: ignore[union-attr]
        index = _hand_over(lib.IndexHNSWPQ(dim, parts, links, int(np.log2(words))), quantizer)
    index.hnsw.efConstruction = effort
    return index


def inverted_index(dim: int, metric: Metric, quantizer: Quantizer | None, *, sample: Vectors, lists: int) -> Any:
    """Make an empty inverted file; its lists are learnt from a sample."""
    lib, kind, measure = faiss(), kind_of(quantizer), _measure(metric)
    means = lib.Kmeans(
        dim, lists, niter=_KMEANS_ROUNDS, spherical=metric != "l2", seed=0, min_points_per_centroid=1, verbose=False
    )
    means.train(sample)
    if kind == "binary":
        coarse = lib.IndexBinaryFlat(dim)
        coarse.add(quantizer.encode(means.centroids))  # type: ignore[union-attr]
        index = lib.IndexBinaryIVF(coarse, dim, lists)
    else:
        coarse = lib.IndexFlat(dim, measure)
        coarse.add(means.centroids)
        if kind == "full":
            index = lib.IndexIVFFlat(coarse, dim, lists, measure)
        elif kind == "scalar":
            index = lib.IndexIVFScalarQuantizer(coarse, dim, lists, lib.ScalarQuantizer.QT_8bit, measure, False)
        else:
            parts, words, _ = quantizer.codebooks_.shape  # type: ignore[union-attr]
            index = lib.IndexIVFPQ(coarse, dim, lists, parts, int(np.log2(words)), measure)
            index.by_residual = False  # codes of the vectors themselves, as everywhere else
        if kind != "full":
            _hand_over(index, quantizer)
    index.is_trained = True
    index.own_fields = True
    coarse.this.disown()
    index.make_direct_map()
    return index


def _measure(metric: Metric) -> int:
    lib = faiss()
    return int(lib.METRIC_L2 if metric == "l2" else lib.METRIC_INNER_PRODUCT)


def add(index: Any, X: Vectors, quantizer: Quantizer | None) -> None:
    """Add vectors, as codes where there is a quantizer."""
    lib = faiss()
    threads = lib.omp_get_max_threads()
    # A graph built by several threads differs from run to run.
    lib.omp_set_num_threads(1 if hasattr(index, "hnsw") else threads)
    try:
        index.add(quantizer.encode(X) if kind_of(quantizer) == "binary" and quantizer else turned(X, quantizer))
    finally:
        lib.omp_set_num_threads(threads)


def emptied(index: Any) -> Any:
    """Make an index of the same kind that has learnt the same, without vectors."""
    lib = faiss()
    empty = (lib.clone_binary_index if isinstance(index, lib.IndexBinary) else lib.clone_index)(index)
    empty.reset()
    return empty


def search(index: Any, queries: Any, n: int, parameters: Any) -> tuple[Any, Positions]:
    """Search; small work is done by one thread, since waking others (and waiting for theirs) costs more than it."""
    lib = faiss()
    threads = lib.omp_get_max_threads()
    small = len(queries) * index.ntotal * index.d < _SMALL_WORK
    lib.omp_set_num_threads(1 if small else threads)
    try:
        found: tuple[Any, Positions] = index.search(queries, n, params=parameters)
    finally:
        lib.omp_set_num_threads(threads)
    return found


def stored(index: Any, positions: Positions, quantizer: Quantizer | None) -> Vectors:
    """Return the vectors (of the space of the codes) that an index keeps at some positions."""
    if kind_of(quantizer) != "binary":
        vectors: Vectors = index.reconstruct_batch(positions)
        return vectors
    assert quantizer is not None
    if hasattr(index, "invlists"):
        codes = np.stack([index.reconstruct(int(position)) for position in positions])
    else:
        base = index.storage if hasattr(index, "storage") else index
        base = faiss().downcast_IndexBinary(base)
        codes = faiss().rev_swig_ptr(base.xb.data(), base.ntotal * base.code_size)
        codes = codes.reshape(base.ntotal, base.code_size)[positions]
    return quantizer.decode(codes)


def stored_rows(index: Any, quantizer: Quantizer | None) -> StoredRows | None:
    """View the vectors or byte codes of an index where they lie; None where they do not lie in one piece.

    The view is valid until the index changes.
    """
    lib, kind = faiss(), kind_of(quantizer)
    base = lib.downcast_index(index.storage) if hasattr(index, "hnsw") and kind in ("full", "scalar") else index
    if isinstance(base, lib.IndexFlat):
        return StoredRows(lib.rev_swig_ptr(base.get_xb(), base.ntotal * base.d).reshape(base.ntotal, base.d))
    if isinstance(base, lib.IndexScalarQuantizer) and isinstance(quantizer, Int8Quantizer):
        codes = lib.rev_swig_ptr(base.codes.data(), base.ntotal * base.d).reshape(base.ntotal, base.d)
        return StoredRows(codes, *quantizer.lattice())
    return None


def can_filter(index: Any) -> bool:
    """Whether FAISS can leave vectors out while searching this kind of index."""
    lib = faiss()
    return not isinstance(index, (lib.IndexPQ, lib.IndexBinaryIVF))


def memory_bytes(index: Any) -> int:
    """Bytes that grow with the collection: codes, links, lists with their centroids and numbers."""
    if hasattr(index, "hnsw"):
        graph = index.hnsw
        links = graph.neighbors.size() * 4 + graph.offsets.size() * 8 + graph.levels.size() * 4
        return int(index.ntotal * _code_size(index.storage) + links)
    total = index.ntotal * _code_size(index)
    if hasattr(index, "invlists"):
        centroid = index.code_size if isinstance(index, faiss().IndexBinary) else index.d * 4
        total += index.nlist * centroid + index.ntotal * 16  # a vector's number in its list, and the way back to it
    return int(total)


def _code_size(index: Any) -> int:
    return int(index.code_size if hasattr(index, "code_size") else index.sa_code_size())


def write(index: Any, path: Path) -> None:
    """Write an index file; the caller renames the folder that it lies in."""
    lib = faiss()
    (lib.write_index_binary if isinstance(index, lib.IndexBinary) else lib.write_index)(index, str(path))


def read(path: Path, *, binary: bool, dim: int, rows: int) -> Any:
    """Read an index file and check that it is the one that its folder describes.

    Raises
    ------
    ValueError
        Damaged, or of another shape.
    """
    lib = faiss()
    try:
        index = (lib.read_index_binary if binary else lib.read_index)(str(path))
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200]
        raise ValueError(f"{path} is not a readable FAISS file ({reason}); it was damaged or cut short") from None
    if index.d != dim or index.ntotal != rows:
        raise ValueError(
            f"{path} holds {index.ntotal} vectors of {index.d} dimensions, its folder says {rows} of {dim}; "
            "files of two indexes were mixed"
        )
    return index
