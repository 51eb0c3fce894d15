"""Handing an index over: to FAISS, usearch and hnswlib as their files, to everybody else as a table of vectors.

Those libraries number their rows. Key i is row i of the table of ids beside the file, ``NAME.ids.arrow``, which has the
ids and the attributes. Deleted rows are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from theatrum.extras import require
from theatrum.interop.held import held
from theatrum.persistence import fresh_file, save_table
from theatrum.search import HNSWIndex
from theatrum.search import faiss_engine as engine
from theatrum.search.index_contents import IndexContents
from theatrum.store import write_blocks

# Unit rows go over as cosine, so that queries need not be of unit length there. Decoded codes are not of unit length,
# and ranking them by cosine would not be our ranking: they go over as product.
_USEARCH: Mapping[str, str] = MappingProxyType({"cosine": "cos", "ip": "ip", "l2": "l2sq"})
_HNSWLIB: Mapping[str, str] = MappingProxyType({"cosine": "cosine", "ip": "ip", "l2": "l2"})


@dataclass(frozen=True)
class IndexFile:
    """What was written.

    Parameters
    ----------
    path : Path
        The other library's file.
    ids : Path
        Arrow file: row i has the id and the attributes of key i.
    rows, dim : int
        Vectors and their dimensions.
    metric : str
        In the other library's word.
    """

    path: Path
    ids: Path
    rows: int
    dim: int
    metric: str


def ids_file(path: Path) -> Path:
    """Where the ids of an index file are."""
    return path.with_name(path.name + ".ids.arrow")


def to_faiss(index: object, path: str | Path) -> IndexFile:
    """Write an index as a FAISS file that keeps its codes, links and lists.

    ``faiss.read_index(path)`` finds the same neighbours (``read_index_binary`` for binary codes, which are asked with
    packed signs and answer by Hamming distance). What FAISS has no place for stays behind: the finer copy of
    ``rescore``. `theatrum.interop.from_faiss` reads the file back.

    Parameters
    ----------
    index : VectorIndex
        Fitted and filled.
    path : str or Path
        File to write; one that is there is replaced.

    Returns
    -------
    IndexFile
        Paths and shape.

    Raises
    ------
    ValueError
        Not an index of ours, empty, or without its quantizer.

    Examples
    --------
    >>> import tempfile
    >>> import faiss
    >>> from theatrum.search import FlatIndex
    >>> X = np.eye(3, dtype=np.float32)
    >>> index = FlatIndex().fit(X)
    >>> index.add(["a", "b", "c"], X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = to_faiss(index, folder + "/index.faiss")
    ...     faiss.read_index(str(written.path)).search(X[1:2], 1)[1].tolist()
    [[1]]
    """
    rows = held(index)
    structure = rows.structure if rows.whole else _without_deleted(rows)
    # FAISS keeps the effort of a search in the file; ours gives its own with every search.
    if hasattr(structure, "hnsw"):
        structure.hnsw.efSearch = getattr(index, "ef", structure.hnsw.efSearch)
    elif hasattr(structure, "nprobe"):
        structure.nprobe = getattr(index, "probes", structure.nprobe)
    with fresh_file(path) as staging:
        engine.write(_with_rotation(structure, rows), staging)
    binary = engine.kind_of(rows.quantizer) == "binary"
    measure = "Hamming" if binary else "L2" if structure.metric_type == engine.faiss().METRIC_L2 else "INNER_PRODUCT"
    return _with_ids(rows, Path(path), measure)


def to_usearch(index: object, path: str | Path) -> IndexFile:
    """Write the vectors of an index as a usearch file, a graph of float32 vectors.

    ``usearch.index.Index.restore(path)`` opens it. The graph is built anew, by one thread (the same vectors then give
    the same graph), with the settings of an `HNSWIndex` or their defaults; codes are decoded. A usearch file does not
    keep the effort of a search: set ``expansion_search``.

    Parameters
    ----------
    index : VectorIndex
        Fitted and filled.
    path : str or Path
        File to write; one that is there is replaced.

    Returns
    -------
    IndexFile
        Paths and shape; its metric is ``cos``, ``ip`` (also for cosine over decoded codes) or ``l2sq``.

    Raises
    ------
    ImportError
        usearch is not installed.
    ValueError
        Not an index of ours, empty, or without its quantizer.
    """
    library = require("usearch.index", "usearch")
    rows, graph = held(index), _graph(index)
    metric = _USEARCH[_asked(rows)]
    made = library.Index(
        ndim=rows.dim,
        metric=metric,
        dtype="f32",
        connectivity=graph.m,
        expansion_add=graph.ef_construction,
        expansion_search=graph.ef,
    )
    start = 0
    for block in rows.vectors():
        made.add(np.arange(start, start + len(block)), block, threads=1)
        start += len(block)
    with fresh_file(path) as staging:
        made.save(str(staging))
    return _with_ids(rows, Path(path), metric)


def to_hnswlib(index: object, path: str | Path) -> IndexFile:
    """Write the vectors of an index as an hnswlib file, a graph of float32 vectors.

    ``hnswlib.Index(space, dim)`` and its ``load_index(path)`` open it; the file says neither of the two, nor the effort
    of a search: call ``set_ef``. The graph is built anew, by one thread, with the settings of an `HNSWIndex` or their
    defaults; codes are decoded.

    Parameters
    ----------
    index : VectorIndex
        Fitted and filled.
    path : str or Path
        File to write; one that is there is replaced.

    Returns
    -------
    IndexFile
        Paths and shape; its metric is the space: ``cosine``, ``ip`` (also for cosine over decoded codes) or ``l2``.

    Raises
    ------
    ImportError
        hnswlib is not installed (it is built from source and needs a C++ compiler).
    ValueError
        Not an index of ours, empty, or without its quantizer.
    """
    library = require("hnswlib", "hnswlib")
    rows, graph = held(index), _graph(index)
    metric = _HNSWLIB[_asked(rows)]
    made = library.Index(space=metric, dim=rows.dim)
    made.init_index(max_elements=len(rows.ids), M=graph.m, ef_construction=graph.ef_construction)
    start = 0
    for block in rows.vectors():
        made.add_items(block, np.arange(start, start + len(block)), num_threads=1)
        start += len(block)
    with fresh_file(path) as staging:
        made.save_index(str(staging))
    return _with_ids(rows, Path(path), metric)


def to_table(index: object, path: str | Path, *, attributes: bool = True) -> IndexFile:
    """Write the vectors of an index as ``.npy``, ``.parquet`` or ``.lance``; codes are decoded.

    Parameters
    ----------
    index : VectorIndex
        Fitted and filled.
    path : str or Path
        The ending says the format; see `theatrum.store.write_vectors`.
    attributes : bool, default=True
        Whether attributes become columns; ``.npy`` has no place for them.

    Returns
    -------
    IndexFile
        Paths and shape; ids are in the table itself, or in the text file beside an ``.npy``.

    Examples
    --------
    >>> import tempfile
    >>> from theatrum.search import FlatIndex
    >>> from theatrum.store import read_vectors
    >>> X = np.eye(2, dtype=np.float32)
    >>> index = FlatIndex().fit(X)
    >>> index.add(["a", "b"], X, {"year": [1958, None]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = to_table(index, folder + "/vectors.parquet")
    ...     read_vectors(written.path)[2]
    {'year': [1958, None]}
    """
    rows, target = held(index), Path(path)
    write_blocks(target, rows.ids, rows.vectors(), rows.attributes if attributes else None)
    ids = target.with_suffix(".ids.txt") if target.suffix == ".npy" else target
    return IndexFile(target, ids, len(rows.ids), rows.dim, rows.metric)


def _asked(rows: IndexContents) -> str:
    """The metric under which another library ranks as we do."""
    return "ip" if rows.metric == "cosine" and not rows.exact else rows.metric


def _graph(index: object) -> HNSWIndex:
    return index if isinstance(index, HNSWIndex) else HNSWIndex()


def _without_deleted(rows: IndexContents) -> Any:
    """Make the FAISS index again with the rows that are left."""
    lib = engine.faiss()
    if isinstance(rows.structure, lib.IndexBinary):
        made = lib.deserialize_index_binary(lib.serialize_index_binary(rows.structure))
    else:
        made = lib.clone_index(rows.structure)
    made.reset()  # keeps what was learnt: ranges, codewords, centroids
    threads = lib.omp_get_max_threads()
    lib.omp_set_num_threads(1 if hasattr(made, "hnsw") else threads)  # a graph built by several differs each time
    try:
        for block in rows.stored():
            coded = isinstance(made, lib.IndexBinary) and rows.quantizer is not None
            made.add(rows.quantizer.encode(block) if coded and rows.quantizer else block)
    finally:
        lib.omp_set_num_threads(threads)
    return made


def _with_rotation(structure: Any, rows: IndexContents) -> Any:
    """Put the rotation of the codes in front, so that the file takes the queries as they are."""
    rotation = getattr(rows.quantizer, "rotation_", None)
    if rotation is None:
        return structure
    lib = engine.faiss()
    turn = lib.LinearTransform(rows.dim, rows.dim, False)
    lib.copy_array_to_vector(np.ascontiguousarray(rotation.T).ravel(), turn.A)
    turn.is_trained = True
    return lib.IndexPreTransform(turn, structure)


def _with_ids(rows: IndexContents, path: Path, metric: str) -> IndexFile:
    import pyarrow as pa

    columns = {"id": pa.array(rows.ids, pa.string())}
    columns |= {f"attribute:{name}": pa.array(values) for name, values in rows.attributes.items()}
    table = pa.table(columns).replace_schema_metadata({"theatrum.metric": rows.metric})
    beside = ids_file(path)
    with fresh_file(beside) as staging:
        save_table(table, staging)
    return IndexFile(path, beside, len(rows.ids), rows.dim, metric)
