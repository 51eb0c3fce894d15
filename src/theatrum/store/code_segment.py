"""A segment: codes of some rows of a table in one memory-mapped file, ready to be scanned.

Lance never changes a row in place, and a row id never names another row; so a segment never becomes wrong, only
superfluous: its rows are deleted or moved by compaction. That is why nothing has to be undone after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from theatrum.compress import Int8Quantizer
from theatrum.contracts import Vectors
from theatrum.persistence import ARRAYS, fresh_folder, load_arrays, read_config, save_arrays, write_config
from theatrum.search.exact_scan import StoredRows

Precision = Literal["int8", "float32"]

CODES_FILE = "codes.npy"
_PART = "segment"
_DTYPES = {"int8": np.uint8, "float32": np.float32}


@dataclass(frozen=True)
class CodeSegment:
    """Codes of some rows.

    Parameters
    ----------
    path : Path
        Its folder.
    rows : ndarray of uint64, shape (n,)
        Row ids, in the order of the codes.
    stored : StoredRows
        The codes (n, d), mapped, and what they stand for.
    """

    path: Path
    rows: NDArray[np.uint64]
    stored: StoredRows


def write_segment(
    path: Path,
    rows: NDArray[np.uint64],
    blocks: Callable[[], Iterable[Vectors]],
    dim: int,
    precision: Precision,
) -> CodeSegment:
    """Write a segment; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder.
    rows : ndarray of uint64, shape (n,)
        Row ids.
    blocks : callable
        Gives the vectors from the start each time, some rows at a time; int8 looks at them twice, since its ranges are
        those of exactly these rows.
    dim : int
        Width.
    precision : {"int8", "float32"}
        What to keep of a number.

    Returns
    -------
    CodeSegment
        The segment, open.
    """
    quantizer = _ranges(blocks()) if precision == "int8" else None
    with fresh_folder(path) as folder:
        arrays = {"rows": rows}
        if quantizer is not None:
            arrays |= {"low": quantizer.low_, "span": quantizer.span_}
        save_arrays(arrays, folder / ARRAYS)
        with (folder / CODES_FILE).open("wb") as file:
            header = {"descr": np.dtype(_DTYPES[precision]).str, "fortran_order": False, "shape": (len(rows), dim)}
            np.lib.format.write_array_header_1_0(file, header)
            for X in blocks():
                file.write(np.ascontiguousarray(quantizer.encode(X) if quantizer is not None else X).tobytes())
        write_config(folder, {"part": _PART, "precision": precision})
    return open_segment(path, dim, precision)


def _ranges(blocks: Iterable[Vectors]) -> Int8Quantizer:
    """Smallest and largest value of each dimension."""
    ends: list[Any] = []
    for X in blocks:
        ends = [np.vstack([*ends, X]).min(axis=0), np.vstack([*ends, X]).max(axis=0)]
    return Int8Quantizer().fit(np.stack(ends))


def open_segment(path: Path, dim: int, precision: Precision) -> CodeSegment:
    """Open a segment; its codes are read when they are looked at.

    Raises
    ------
    ValueError
        It is damaged, or not of this width and precision.
    """
    config = read_config(path)
    if config.get("part") != _PART or config.get("precision") != precision:
        raise ValueError(f"{path} is no segment of {precision} codes")
    arrays = load_arrays(path / ARRAYS)
    try:
        codes = np.load(path / CODES_FILE, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path / CODES_FILE} is missing, damaged or cut short: {error}") from None
    rows = arrays.get("rows")
    if rows is None or codes.shape != (len(rows), dim) or codes.dtype != _DTYPES[precision]:
        raise ValueError(f"{path}: its codes are not those of its rows")
    if precision == "float32":
        return CodeSegment(path, rows, StoredRows(codes))
    quantizer = Int8Quantizer()
    quantizer.low_, quantizer.span_ = arrays["low"], arrays["span"]
    return CodeSegment(path, rows, StoredRows(codes, *quantizer.lattice()))
