"""Taking FAISS files over as indexes of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from theatrum.checks import check_ids, check_parameters
from theatrum.compress import Int8Quantizer, ProductQuantizer
from theatrum.contracts import Attributes, Quantizer
from theatrum.interop.held import held
from theatrum.interop.index_files import ids_file
from theatrum.persistence import load_table
from theatrum.search import FlatIndex, HNSWIndex, InvertedFileIndex
from theatrum.search import faiss_engine as engine
from theatrum.search.faiss_engine import Metric
from theatrum.search.vector_index import VectorIndex

_METRICS: Mapping[bytes, Metric] = MappingProxyType({b"cosine": "cosine", b"ip": "ip", b"l2": "l2"})
_UNIT = 1e-3  # how far from 1 the length of a unit row may be


def from_faiss(
    path: str | Path,
    ids: Sequence[str] | None = None,
    *,
    metric: Metric | None = None,
    attributes: Attributes | None = None,
) -> VectorIndex:
    """Open a FAISS file as an index of ours, with its links, lists and codes as they are.

    For files written by `theatrum.interop.to_faiss` and by others: flat, HNSW and inverted-file indexes of float32
    vectors, of one byte a dimension (``QT_8bit``) or of product codes (not of residuals), also inside an
    ``IndexIDMap``. FAISS checks the file as it reads; open none that you do not trust more than its sender.

    Parameters
    ----------
    path : str or Path
        What ``faiss.write_index`` wrote.
    ids : sequence of str, optional
        Names of the rows, in the order of adding. By default those of the file ``NAME.ids.arrow`` beside it; else the
        keys of an ``IndexIDMap``, or the numbers of the rows.
    metric : {"cosine", "ip", "l2"}, optional
        By default what the ids file says, else what FAISS says. Say ``"cosine"`` for a product index of unit rows.
    attributes : mapping of str to sequence, optional
        Columns to filter on; by default those of the ids file.

    Returns
    -------
    VectorIndex
        A `FlatIndex`, `HNSWIndex` or `InvertedFileIndex`, ready for ``search``, ``add`` and ``delete``. If it holds
        codes, its quantizer is attached; ``held(index).quantizer`` has it, to be saved beside it.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Not a FAISS file, damaged, a kind that has no counterpart here, NaN, or ids that do not fit.

    Examples
    --------
    >>> import faiss, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     theirs = faiss.IndexFlatIP(3)
    ...     theirs.add(np.eye(3, dtype=np.float32))
    ...     faiss.write_index(theirs, folder + "/theirs.faiss")
    ...     index = from_faiss(folder + "/theirs.faiss", ["a", "b", "c"])
    >>> index.search(np.eye(3, dtype=np.float32)[1:2], k=1)[0].tolist()
    [['b']]
    """
    source = Path(path)
    structure, keys = _read(source)
    names, columns, said = _rows(source, int(structure.ntotal), keys, ids)
    quantizer = _quantizer(source, structure)
    index = _counterpart(structure, _metric(source, structure, metric or said))
    check_parameters(index, index.constraints)
    if attributes is not None:
        columns = {str(name): list(values) for name, values in attributes.items()}
    index.adopt(structure, names, columns, quantizer)
    _check_vectors(source, index)
    return index


def _read(path: Path) -> tuple[Any, list[int] | None]:
    """The FAISS index, and the keys of its rows if it has any."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there")
    lib = engine.faiss()
    try:
        structure = lib.read_index(str(path))
        keys = None
        if isinstance(structure, (lib.IndexIDMap, lib.IndexIDMap2)):
            keys = lib.vector_to_array(structure.id_map).tolist()
            structure.own_fields = False  # what is inside is taken out, and now owns itself
            structure = lib.downcast_index(structure.index)
            structure.this.own(True)
        if hasattr(structure, "make_direct_map"):
            structure.make_direct_map()
    except (RuntimeError, MemoryError) as error:
        reason = (str(error).splitlines() or ["out of memory"])[0][:200]
        raise ValueError(f"{path} cannot be taken over as a FAISS index ({reason})") from None
    if not structure.ntotal:
        raise ValueError(f"{path} holds no vectors")
    return structure, keys


def _rows(
    path: Path, n: int, keys: list[int] | None, ids: Sequence[str] | None
) -> tuple[list[str], dict[str, list[Any]], Metric | None]:
    """Ids, attributes and the metric that the ids file says."""
    beside = ids_file(path)
    if ids is not None or not beside.is_file():
        given = ids if ids is not None else [str(key) for key in (keys if keys is not None else range(n))]
        return check_ids(given, n), {}, None
    table = load_table(beside)
    if "id" not in table.column_names:
        raise ValueError(f"{beside} has no column of ids; it was not written with an index")
    prefix = "attribute:"
    columns = {
        name.removeprefix(prefix): table[name].to_pylist() for name in table.column_names if name.startswith(prefix)
    }
    said = (table.schema.metadata or {}).get(b"theatrum.metric")
    try:
        return check_ids(table["id"].to_pylist(), n), columns, _METRICS.get(said) if said else None
    except ValueError as error:
        raise ValueError(f"{beside}: {error}") from None


def _metric(path: Path, structure: Any, wanted: Metric | None) -> Metric:
    lib = engine.faiss()
    known: dict[int, Metric] = {lib.METRIC_INNER_PRODUCT: "ip", lib.METRIC_L2: "l2"}
    theirs = known.get(structure.metric_type)
    if theirs is None:
        raise ValueError(f"{path} compares by FAISS metric {structure.metric_type}; only product and L2 are known here")
    found = wanted or theirs
    # A graph of product codes is always walked by L2, and scored by the metric afterwards.
    if (found == "l2") != (theirs == "l2") and not isinstance(structure, lib.IndexHNSWPQ):
        raise ValueError(f"{path} compares by {'L2' if theirs == 'l2' else 'product'}; it cannot be opened as {found}")
    return found


def _counterpart(structure: Any, metric: Metric) -> VectorIndex:
    """An empty index of ours of the same kind."""
    if hasattr(structure, "hnsw"):
        graph = structure.hnsw
        return HNSWIndex(
            m=max(graph.nb_neighbors(1), 2), ef=graph.efSearch, ef_construction=graph.efConstruction, metric=metric
        )
    if hasattr(structure, "nprobe"):
        return InvertedFileIndex(lists=structure.nlist, probes=structure.nprobe, metric=metric)
    return FlatIndex(metric=metric)


def _quantizer(path: Path, structure: Any) -> Quantizer | None:
    """The quantizer that the codes of a FAISS index belong to; None for vectors."""
    lib = engine.faiss()
    codes = lib.downcast_index(structure.storage) if hasattr(structure, "hnsw") else structure
    kind = type(structure).__name__
    if hasattr(structure, "invlists") and not isinstance(
        lib.downcast_InvertedLists(structure.invlists), lib.ArrayInvertedLists
    ):
        raise ValueError(f"{path} keeps its lists in another file; read it with faiss and write one file")
    if type(codes) in (lib.IndexFlat, lib.IndexFlatL2, lib.IndexFlatIP, lib.IndexIVFFlat):
        return None
    if getattr(codes, "by_residual", False):
        kind += " of residuals"
    elif type(codes) in (lib.IndexScalarQuantizer, lib.IndexIVFScalarQuantizer):
        if codes.sq.qtype == lib.ScalarQuantizer.QT_8bit:
            return _scalar(path, lib.vector_to_array(codes.sq.trained), structure.d)
        kind += " of another type than QT_8bit"
    elif type(codes) in (lib.IndexPQ, lib.IndexIVFPQ):
        product = codes.pq
        quantizer = ProductQuantizer(product.M, bits=product.nbits)
        quantizer.codebooks_ = lib.vector_to_array(product.centroids).reshape(product.M, product.ksub, product.dsub)
        if not np.isfinite(quantizer.codebooks_).all():
            raise ValueError(f"{path}: a codeword holds NaN or infinity")
        return quantizer
    raise ValueError(
        f"{path} is a FAISS {kind}, which has no counterpart here; read its vectors with faiss (reconstruct_n) and add "
        "them to an index of ours"
    )


def _scalar(path: Path, trained: Any, dim: int) -> Int8Quantizer:
    if len(trained) != 2 * dim or not np.isfinite(trained).all():
        raise ValueError(f"{path}: the ranges of its codes are damaged")
    quantizer = Int8Quantizer()
    quantizer.low_, quantizer.span_ = trained[:dim].copy(), trained[dim:].copy()
    return quantizer


def _check_vectors(path: Path, index: VectorIndex) -> None:
    rows, start = held(index), 0
    for block in rows.stored():
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
        bad = np.flatnonzero(~np.isfinite(lengths))
        if bad.size:
            raise ValueError(f"{path}: row {start + bad[0]} holds NaN or infinity")
        long = np.flatnonzero((np.abs(lengths - 1) > _UNIT) & (lengths > 0))
        if index.metric == "cosine" and rows.exact and long.size:
            raise ValueError(
                f"{path}: row {start + long[0]} has length {lengths[long[0]]:.4g}, and cosine over a product index "
                "means unit rows; open it with metric='ip', or build it again from unit rows"
            )
        start += len(block)
