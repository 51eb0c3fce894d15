"""A finer copy of the vectors on disk, for scoring the best candidates of a coarse search again."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from theatrum.compress import Int8Quantizer
from theatrum.contracts import Vectors

Precision: TypeAlias = Literal["int8", "float32"]
FILE = "fine.bin"


class FineCopy:
    """Vectors in a memory-mapped file, one row after another; only the rows asked for are read.

    Parameters
    ----------
    precision : {"int8", "float32"}
        How they are kept.
    dim : int
        Dimensions.
    quantizer : Int8Quantizer or None
        Fitted; for int8.
    path : Path or None, default=None
        An existing file, which is only read; a temporary one otherwise, gone with this object.
    """

    def __init__(
        self, precision: Precision, dim: int, quantizer: Int8Quantizer | None, path: Path | None = None
    ) -> None:
        self.precision = precision
        self.dim = dim
        self.quantizer = quantizer
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self.path = path or self._new_scratch()
        if path is None:
            self.path.touch()

    @classmethod
    def learn(cls, precision: Precision, X: Vectors) -> FineCopy:
        """Make an empty copy for vectors like X."""
        return cls(precision, X.shape[1], Int8Quantizer().fit(X) if precision == "int8" else None)

    def _new_scratch(self) -> Path:
        self._scratch = tempfile.TemporaryDirectory(prefix="theatrum-", ignore_cleanup_errors=True)
        return Path(self._scratch.name) / FILE

    @property
    def bytes_per_vector(self) -> int:
        """Bytes of a row on disk."""
        return self.dim * (1 if self.quantizer is not None else 4)

    def append(self, X: Vectors) -> None:
        """Add rows at the end; a file that was opened is copied first, so that it stays as it was saved."""
        if self._scratch is None:
            saved = self.path
            self.path = self._new_scratch()
            shutil.copyfile(saved, self.path)
        rows = self.quantizer.encode(X) if self.quantizer is not None else X
        with self.path.open("ab") as file:
            file.write(np.ascontiguousarray(rows).tobytes())

    def rows(self, positions: NDArray[np.int64]) -> Vectors:
        """Vectors at some positions, float32 (len(positions), dim)."""
        dtype = np.uint8 if self.quantizer is not None else np.float32
        kept = np.memmap(self.path, dtype, "r").reshape(-1, self.dim)[positions]
        return self.quantizer.decode(np.asarray(kept)) if self.quantizer is not None else np.asarray(kept)

    def save(self, folder: Path) -> None:
        """Copy the file into a folder."""
        shutil.copyfile(self.path, folder / FILE)
