"""Search by words: a matrix of word weights, queries multiplied against it, filters, and its files on disk.

Shared by the retrievers that score a document by a weighted sum over the words that it has in common with the query.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from theatrum.checks import check_k
from theatrum.contracts import Attributes, Ids, Scores, Where
from theatrum.persistence import ARRAYS, load_arrays, load_table, save_arrays, save_table
from theatrum.search.columns import AttributeColumns
from theatrum.search.search_plan import SurvivorCache

CONTENTS, ATTRIBUTES = "contents.json", "attributes.arrow"
_BLOCK_CELLS = 1 << 23  # query-document pairs scored at a time: at most about 100 MB, whatever the corpus


def best_columns(scores: csr_matrix, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Best k columns of every row by stored positive value, ties by column.

    Parameters
    ----------
    scores : csr_matrix, shape (q, n)
        Scores; what is not stored, or is not above 0, is no hit.
    k : int
        Columns wanted.

    Returns
    -------
    columns : ndarray of int64, shape (q, k)
        Best first, -1 where a row has fewer than k hits.
    values : ndarray of float32, shape (q, k)
        Their scores, ``-inf`` where there is no hit.

    Examples
    --------
    >>> columns, values = best_columns(csr_matrix([[0.0, 2.0, 1.0, 2.0]]), 4)
    >>> columns.tolist(), values.tolist()
    ([[1, 3, 2, -1]], [[2.0, 2.0, 1.0, -inf]])
    """
    rows = scores.shape[0]
    columns = np.full((rows, k), -1, dtype=np.int64)
    values = np.full((rows, k), -np.inf, dtype=np.float32)
    for row in range(rows):
        part = slice(scores.indptr[row], scores.indptr[row + 1])
        value, column = scores.data[part], scores.indices[part]
        if len(value) > k:
            # Everything that ties with the k-th best stays in, so that the order below decides, not the partition.
            keep = value >= np.partition(value, len(value) - k)[len(value) - k]
            value, column = value[keep], column[keep]
        hits = value > 0
        value, column = value[hits], column[hits]
        order = np.lexsort((column, -value))[:k]
        columns[row, : len(order)] = column[order]
        values[row, : len(order)] = value[order]
    return columns, values


class SparseIndex:
    """Documents as sparse rows of word weights.

    Parameters
    ----------
    ids : sequence of str
        Ids of the documents, checked.
    weights : csr_matrix of float32, shape (n, V)
        Weight of each word in each document.
    columns : mapping of str to int
        Word to column.
    attributes : mapping of str to sequence, optional
        n values a column, to filter on.

    Examples
    --------
    >>> index = SparseIndex(["a", "b"], csr_matrix([[1.0, 0.0], [0.5, 2.0]]), {"flow": 0, "wing": 1}, None)
    >>> index.search(csr_matrix([[1.0, 0.0]]), 2)[0].tolist()
    [['a', 'b']]
    """

    def __init__(
        self, ids: Sequence[str], weights: csr_matrix, columns: Mapping[str, int], attributes: Attributes | None
    ) -> None:
        self.ids = np.array([*ids, ""], dtype=object)  # the last one is what -1 points at
        # Kept by word (V, n): a query then reads only the postings of its own words.
        self.postings = csr_matrix(weights.T, dtype=np.float32)
        self.postings.sort_indices()
        self.columns = dict(columns)
        self.attributes: AttributeColumns | None = None
        if attributes is not None:
            self.attributes = AttributeColumns()
            self.attributes.append(attributes, len(ids))
        self._survivors = SurvivorCache()

    def __len__(self) -> int:
        return len(self.ids) - 1

    @property
    def memory_bytes(self) -> int:
        """Bytes of the postings (words, ids and attributes are not counted)."""
        postings = self.postings
        return int(postings.data.nbytes + postings.indices.nbytes + postings.indptr.nbytes)

    def search(self, queries: csr_matrix, k: int, where: Where | None = None) -> tuple[Ids, Scores]:
        """Best k documents for every row of query weights (q, V); ties by document order."""
        k = check_k(k, len(self))
        allowed = self._allowed(where)
        ids = np.full((queries.shape[0], k), "", dtype=object)
        values = np.full((queries.shape[0], k), -np.inf, dtype=np.float32)
        step = max(1, _BLOCK_CELLS // len(self))
        for start in range(0, queries.shape[0], step):
            scores = csr_matrix(queries[start : start + step] @ self.postings)
            if allowed is not None:
                scores.data = np.where(allowed[scores.indices], scores.data, 0)
            columns, values[start : start + step] = best_columns(scores, k)
            ids[start : start + step] = self.ids[columns]
        return ids, values

    def _allowed(self, where: Where | None) -> NDArray[np.bool_] | None:
        if where is None:
            return None
        if self.attributes is None:
            raise ValueError("where: the corpus was indexed without attributes; give fit() the columns to filter on")
        return self._survivors.find(where, self.attributes, np.ones(len(self), dtype=bool)).mask

    def save(self, folder: Path) -> None:
        """Write postings as safetensors, ids and words as JSON, attributes as an Arrow file."""
        postings = self.postings
        save_arrays({"data": postings.data, "indices": postings.indices, "indptr": postings.indptr}, folder / ARRAYS)
        contents = {"ids": self.ids[:-1].tolist(), "words": list(self.columns)}
        text = json.dumps(contents, ensure_ascii=False, allow_nan=False)
        (folder / CONTENTS).write_text(text + "\n", encoding="utf-8")
        if self.attributes is not None:
            import pyarrow as pa

            save_table(pa.table(self.attributes.plain()), folder / ATTRIBUTES)

    @classmethod
    def open(cls, folder: Path) -> SparseIndex:
        """Read what `save` wrote."""
        arrays = load_arrays(folder / ARRAYS)
        try:
            contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
            ids, vocabulary = contents["ids"], contents["words"]
            postings = csr_matrix(
                (arrays["data"], arrays["indices"], arrays["indptr"]), shape=(len(vocabulary), len(ids))
            )
            postings.check_format(full_check=True)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder}: the saved index is damaged: {error}") from None
        attributes = load_table(folder / ATTRIBUTES).to_pydict() if (folder / ATTRIBUTES).is_file() else None
        return cls(ids, postings.T, {word: row for row, word in enumerate(vocabulary)}, attributes)
