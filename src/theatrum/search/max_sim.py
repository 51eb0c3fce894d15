"""MaxSim (Chamfer similarity) between sets of token vectors, exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import Constraint, Options, Range, check_parameters, check_vectors
from theatrum.contracts import Attributes, Ids, Scores, Vectors, Where
from theatrum.search.named_rows import NamedRows
from theatrum.search.token_sets import Offsets, blocks, check_token_sets, end_to_end
from theatrum.search.token_store import Positions, Precision, TokenStore

STATE_FILE = "state.json"
_DOC_TOKENS, _QUERY_TOKENS = 8192, 1024  # compared at a time: 32 MiB of products


def chamfer(Q: Any, docs: Sequence[Any]) -> NDArray[np.float32]:
    """Score documents against one query: the sum over its tokens of the best product with a document's token.

    Parameters
    ----------
    Q : array-like of shape (t, d)
        Token vectors of the query.
    docs : sequence of array-like of shape (t_i, d)
        Token vectors of each document.

    Returns
    -------
    ndarray of float32, shape (n,)
        Larger is better.

    Raises
    ------
    ValueError
        An empty set, another width, NaN or infinity.

    Examples
    --------
    >>> chamfer([[1, 0], [0, 1]], [[[1, 0], [0, 0.5]], [[0.25, 0.25]]]).tolist()
    [1.5, 0.5]
    """
    query = check_vectors(Q, name="Q")
    checked = check_token_sets(docs, name="docs", dim=query.shape[1])
    scores = np.empty(len(checked), dtype=np.float32)
    for block in blocks([len(one) for one in checked], _DOC_TOKENS):
        tokens, offsets = end_to_end(checked[block])
        scores[block] = sums_of_maxima(query @ tokens.T, np.zeros(2, np.int64), offsets)[0]
    return scores


def sums_of_maxima(products: NDArray[np.float32], rows: Offsets, columns: Offsets) -> Scores:
    """Products of all tokens (t, T) -> scores of all pairs of sets (q, n): the maximum over columns, summed over rows.

    Examples
    --------
    >>> products = np.array([[1, 3, 2], [5, 4, 6]], dtype=np.float32)
    >>> sums_of_maxima(products, np.array([0, 2]), np.array([0, 2, 3])).tolist()
    [[8.0, 8.0]]
    """
    best = np.maximum.reduceat(products, columns[:-1], axis=1)
    scores: Scores = np.add.reduceat(best, rows[:-1], axis=0)
    return scores


class MaxSim:
    """Keeps the token vectors of documents and scores them exactly; a reranker, and an exact index by itself.

    As the last stage of a pipeline it scores the best ``n_candidates`` of an approximate search again. With no such
    stage before it, it compares with every document: right up to some ten thousand of them.

    Parameters
    ----------
    n_candidates : int, default=100
        How many candidates it asks for when something searches before it.
    store : {"float16", "float32", "int8"}, default="float16"
        How tokens are kept: 2, 4 or 1 bytes a number (int8 with one factor a token).

    References
    ----------
    Khattab and Zaharia, "ColBERT: Efficient and effective passage search via contextualized late interaction over
    BERT", SIGIR 2020.

    Examples
    --------
    >>> index = MaxSim()
    >>> index.add(["a", "b"], [[[1, 0], [0, 1]], [[0.5, 0.75]]], {"year": [1958, 1962]})
    >>> ids, scores = index.search([[[0, 1]]], k=2)
    >>> ids.tolist(), scores.tolist()
    ([['a', 'b']], [[1.0, 0.75]])
    >>> index.search([[[0, 1]]], k=2, where={"year": {"gte": 1960}})[0].tolist()
    [['b', '']]
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_candidates": [Range(int, 1)],
        "store": [Options(("float16", "float32", "int8"))],
    }

    def __init__(self, n_candidates: int = 100, *, store: Precision = "float16") -> None:
        self.n_candidates = n_candidates
        self.store = store
        self._forget()

    def _forget(self) -> None:
        self._dim: int | None = None
        self._rows = NamedRows()
        self._tokens = TokenStore(self.store)

    def fit(self, docs: Sequence[Any]) -> MaxSim:
        """Become empty and take the width of the first set; without it the first sets added decide.

        Parameters
        ----------
        docs : sequence of array-like of shape (t_i, d)
            Sets like those to come.

        Returns
        -------
        MaxSim
            Itself, empty.
        """
        check_parameters(self, self.constraints)
        self._forget()
        if len(docs):
            self._dim = check_token_sets(docs[:1], name="docs")[0].shape[1]
        return self

    def add(self, ids: Sequence[str], docs: Sequence[Any], attributes: Attributes | None = None) -> None:
        """Add documents.

        Parameters
        ----------
        ids : sequence of str
            Unique, and not there yet.
        docs : sequence of array-like of shape (t_i, d)
            Token vectors, at least one a document.
        attributes : mapping of str to sequence, optional
            Columns to filter on.

        Raises
        ------
        ValueError
            An id that is there already, an empty set (with its id), another width, NaN, or other columns.
        """
        check_parameters(self, self.constraints)
        names = self._rows.check(ids, len(docs), attributes)
        checked = check_token_sets(docs, name="docs", dim=self._dim, labels=names)
        if not names:
            return
        self._tokens.append(*end_to_end(checked))
        self._rows.append(names, attributes)
        self._dim = checked[0].shape[1]

    def delete(self, ids: Sequence[str]) -> None:
        """Take ids out of all later searches; `compact` gives their space back.

        Raises
        ------
        ValueError
            An id that is not in the index; then nothing is deleted.
        """
        self._rows.delete(ids)

    def compact(self) -> None:
        """Give back the space of deleted documents."""
        self._tokens = self._tokens.kept(self._rows.living)
        self._rows = self._rows.compacted()

    def search(self, Q: Sequence[Any], k: int, where: Where | None = None) -> tuple[Ids, Scores]:
        """Compare queries with every document.

        Parameters
        ----------
        Q : sequence of array-like of shape (t_i, d)
            Token vectors of each query.
        k : int
            Hits a query; more than there are is allowed.
        where : mapping or str, optional
            Filter on attributes; see `theatrum.search.filters`.

        Returns
        -------
        ids : ndarray of str, shape (q, k)
            Best first, equal scores in the order of adding; ``""`` where there are no more.
        scores : ndarray of float32, shape (q, k)
            Chamfer similarities; ``-inf`` where there are no more.
        """
        ids, scores, queries = self._empty_answer(Q, k)
        positions = self._rows.survivors(where).rows
        for chunk in blocks([len(one) for one in queries], _QUERY_TOKENS) if len(positions) else ():
            for row, values in enumerate(self._scores(queries[chunk], positions), start=chunk.start):
                self._rank(positions, values, ids[row], scores[row])
        return ids, scores

    def rescore(self, Q: Sequence[Any], candidates: Ids, k: int) -> tuple[Ids, Scores]:
        """Score candidates of each query exactly and return the best.

        Parameters
        ----------
        Q : sequence of array-like of shape (t_i, d)
            Token vectors of each query.
        candidates : ndarray of str, shape (q, n)
            Ids; ``""`` is none.
        k : int
            Hits a query.

        Returns
        -------
        ids, scores : ndarray, shape (q, k)
            As from `search`.

        Raises
        ------
        ValueError
            A candidate that is not held, or another number of rows than queries.
        """
        ids, scores, queries = self._empty_answer(Q, k)
        if len(candidates) != len(queries):
            raise ValueError(
                f"candidates: {len(candidates)} rows for {len(queries)} queries; one row a query is needed"
            )
        for row, query in enumerate(queries):
            names = [name for name in candidates[row] if name]
            unknown = next((name for name in names if name not in self._rows.places), None)
            if unknown is not None:
                raise ValueError(f"candidates: {unknown!r} (query {row}) has no tokens here")
            positions = np.unique(np.array([self._rows.places[name] for name in names], dtype=np.int64))
            if len(positions):
                self._rank(positions, self._scores([query], positions)[0], ids[row], scores[row])
        return ids, scores

    def documents(self, ids: Sequence[str]) -> list[Vectors]:
        """Token vectors of documents as they are kept, float32 (t_i, d) each."""
        return self._tokens.sets(np.array([self._rows.places[name] for name in ids], dtype=np.int64))

    @property
    def ids(self) -> list[str]:
        """Ids that can be found, in the order of adding."""
        return self._rows.ids

    @property
    def attributes(self) -> Mapping[str, list[Any]]:
        """Attribute columns of the documents that can be found, in the order of adding."""
        return self._rows.attributes

    def __len__(self) -> int:
        """Documents that can be found."""
        return len(self._rows)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the tokens and of where each document's tokens start."""
        return self._tokens.memory_bytes

    def _empty_answer(self, Q: Sequence[Any], k: int) -> tuple[Ids, Scores, list[Vectors]]:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"k must be a whole number of at least 1, got {k!r}")
        queries = check_token_sets(Q, name="Q", dim=self._dim)
        shape = (len(queries), int(k))
        return np.full(shape, "", dtype=object), np.full(shape, -np.inf, dtype=np.float32), queries

    def _rank(self, positions: Positions, values: NDArray[np.float32], ids: Ids, scores: Scores) -> None:
        """Write the best into one row of an answer."""
        order = np.argsort(-values, kind="stable")[: len(ids)]
        ids[: len(order)] = self._rows.labels[positions[order]]
        scores[: len(order)] = values[order]

    def _scores(self, queries: Sequence[Vectors], positions: Positions) -> Scores:
        """Scores (q, n) of documents at some rising positions."""
        tokens, starts = end_to_end(queries)
        scores = np.empty((len(queries), len(positions)), dtype=np.float32)
        for block in blocks(self._tokens.sizes(positions), _DOC_TOKENS):
            codes, factors, offsets = self._tokens.taken(positions[block])
            products = tokens @ codes.astype(np.float32, copy=False).T
            if len(factors):
                products *= factors
            scores[:, block] = sums_of_maxima(products, starts, offsets)
        return scores

    def save_state(self, folder: Path) -> None:
        """Write the tokens, and the rows (ids, attributes)."""
        self._tokens.save(folder)
        self._rows.save(folder)
        (folder / STATE_FILE).write_text(json.dumps({"dim": self._dim}) + "\n", encoding="utf-8")

    def open_state(self, folder: Path) -> None:
        """Read back what ``save_state`` wrote.

        Raises
        ------
        ValueError
            A file is missing, damaged, or belongs to another index.
        """
        self._forget()
        try:
            self._dim = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))["dim"]
            self._rows = NamedRows.open(folder)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{folder}: the index is incomplete or damaged: {error}") from None
        self._tokens.open(folder)
        if self._rows.total != len(self._tokens):
            raise ValueError(f"{folder} holds {self._rows.total} ids and {len(self._tokens)} sets of tokens")
