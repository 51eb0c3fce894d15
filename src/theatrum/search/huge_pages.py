"""Large pages of memory for large arrays."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from numpy.typing import NDArray

_PAGE = 2 << 20
_WORTH = 16 << 20  # bytes; less fits into what the processor remembers of small pages
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25


def ask_for_huge_pages(array: NDArray[Any]) -> None:
    """Ask the system to keep an array in pages of 2 MB, now and where it can; it may refuse, and nothing else changes.

    A scan of pages of 4 KB looks up where each of them lies, which in a virtual machine halves its speed. NumPy asks by
    itself for its own arrays; this is for memory that another library holds. Only Linux is asked.

    Examples
    --------
    >>> import numpy as np
    >>> ask_for_huge_pages(np.ones(8 << 20, dtype=np.float32))
    """
    if not sys.platform.startswith("linux") or array.nbytes < _WORTH or not array.flags.c_contiguous:
        return
    start = -(-array.ctypes.data // _PAGE) * _PAGE
    length = (array.ctypes.data + array.nbytes - start) // _PAGE * _PAGE
    madvise = ctypes.CDLL(None).madvise
    for advice in (_MADV_HUGEPAGE, _MADV_COLLAPSE):  # the second does it at once, from Linux 6.1 on
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(advice))
