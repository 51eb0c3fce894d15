"""What all indexes share: ids, attributes, filters, deletion, scoring again, and their folder on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, overload

import numpy as np

from theatrum.checks import Constraint, Options, Range, check_parameters, check_vectors, unit_rows
from theatrum.compress import Int8Quantizer
from theatrum.contracts import Attributes, Ids, Quantizer, Scores, Vectors, Where
from theatrum.persistence import load_arrays, save_arrays
from theatrum.search import faiss_engine as engine
from theatrum.search.exact_scan import StoredRows, best_rows
from theatrum.search.faiss_engine import Metric, Positions
from theatrum.search.fine_copy import FILE as FINE_FILE
from theatrum.search.fine_copy import FineCopy, Precision
from theatrum.search.huge_pages import ask_for_huge_pages
from theatrum.search.index_contents import IndexContents
from theatrum.search.named_rows import NamedRows
from theatrum.search.search_plan import SearchPlan, Survivors

INDEX_FILE, STATE_FILE, RANGES_FILE = "index.faiss", "state.json", "fine.safetensors"
_EXACT_BELOW = 2048  # so few survivors of a filter are compared one by one, whatever the index


class VectorIndex:
    """Keeps the Index contract on top of a FAISS structure, which a subclass makes in ``_make``.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2"}, default="cosine"
        Cosine makes unit rows of all vectors and queries; the score of l2 is minus the squared distance.
    rescore : {"int8", "float32"} or None, default=None
        Keep a finer copy on disk and score the best candidates again from it.
    oversample : int, default=8
        Candidates a hit for scoring again.
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "metric": [Options(("cosine", "ip", "l2"))],
        "rescore": [Options(("int8", "float32")), None],
        "oversample": [Range(int, 1)],
    }

    def __init__(self, *, metric: Metric = "cosine", rescore: Precision | None = None, oversample: int = 8) -> None:
        self.metric = metric
        self.rescore = rescore
        self.oversample = oversample

    # What a subclass says.

    def _make(self, sample: Vectors, quantizer: Quantizer | None) -> Any:
        """Make the empty FAISS index."""
        raise TypeError(f"{type(self).__name__} makes no index; use FlatIndex, HNSWIndex or InvertedFileIndex")

    def _search_parameters(self, n: int, selector: Any) -> Any:
        """Parameters of one FAISS search for n candidates."""
        return engine.faiss().SearchParameters(sel=selector) if selector is not None else None

    # The contract.

    def fit(self, X: Vectors, quantizer: Quantizer | None = None) -> VectorIndex:
        """Prepare the empty index from a sample.

        Parameters
        ----------
        X : ndarray of float32, shape (n, d)
            Vectors like those to come; lists and ranges are learnt from them.
        quantizer : Quantizer or None
            Fitted on vectors like X; None stores float32.

        Returns
        -------
        VectorIndex
            Itself, empty.
        """
        check_parameters(self, self.constraints)
        rows = self._normalised(check_vectors(X))
        self._dim = rows.shape[1]
        self._quantizer = quantizer
        self._index = self._make(engine.turned(rows, quantizer), quantizer)
        self._fine = FineCopy.learn(self.rescore, rows) if self.rescore is not None else None
        self._rows = NamedRows()
        self._structure_changed()
        return self

    def attach(self, quantizer: Quantizer) -> None:
        """Give an index that was opened from disk the quantizer that its codes belong to."""
        self._quantizer = quantizer
        self._structure_changed()

    def add(self, ids: Sequence[str], X: Vectors, attributes: Attributes | None = None) -> None:
        """Add vectors.

        Raises
        ------
        ValueError
            An id that is there already, another width, NaN, or attribute columns of another length or set.
        """
        rows = self._normalised(check_vectors(X, dim=self._dim, min_rows=0))
        names = self._rows.check(ids, len(rows), attributes)
        if not names:
            return
        engine.add(self._index, rows, self._quantizer)
        if self._fine is not None:
            self._fine.append(rows)
        self._rows.append(names, attributes)
        self._structure_changed()

    def delete(self, ids: Sequence[str]) -> None:
        """Take ids out of all later searches; `compact` gives their space back.

        Raises
        ------
        ValueError
            An id that is not in the index; then nothing is deleted.
        """
        self._rows.delete(ids)

    def compact(self) -> None:
        """Give back the space of deleted vectors: what is left is built anew, in the order of adding.

        Vectors that are kept as codes are coded again from what their codes stand for.
        """
        contents = self.contents
        if contents.whole:
            return
        rows = self._rows.compacted()
        self._index = engine.emptied(self._index)
        fine = FineCopy(self._fine.precision, self._dim, self._fine.quantizer) if self._fine is not None else None
        for X in contents.vectors():
            engine.add(self._index, X, self._quantizer)
            if fine is not None:
                fine.append(X)
        self._fine, self._rows = fine, rows
        self._structure_changed()

    @overload
    def search(
        self, Q: Vectors, k: int, where: Where | None = None, *, explain: Literal[False] = False
    ) -> tuple[Ids, Scores]: ...

    @overload
    def search(
        self, Q: Vectors, k: int, where: Where | None = None, *, explain: Literal[True]
    ) -> tuple[Ids, Scores, SearchPlan]: ...

    def search(
        self, Q: Vectors, k: int, where: Where | None = None, *, explain: bool = False
    ) -> tuple[Ids, Scores] | tuple[Ids, Scores, SearchPlan]:
        """Find the best k ids for every row of Q.

        Parameters
        ----------
        Q : ndarray of float32, shape (q, d)
            Queries.
        k : int
            Hits a query; more than there are is allowed.
        where : mapping or str, optional
            Filter on attributes, such as ``"year >= 1965"``; see `theatrum.search.filters`.
        explain : bool, default=False
            Return the plan too.

        Returns
        -------
        ids : ndarray of str, shape (q, k)
            Best first, equal scores in the order of adding; ``""`` where there are no more.
        scores : ndarray of float32, shape (q, k)
            Larger is better; ``-inf`` where there are no more.
        plan : SearchPlan
            How the search went and why, with ``explain=True``.
        """
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"k must be a whole number of at least 1, got {k!r}")
        self._check_attached()
        queries = self._normalised(check_vectors(Q, name="Q", dim=self._dim, min_rows=0))
        ids = np.full((len(queries), k), "", dtype=object)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        survivors = self._rows.survivors(where)
        wanted = min(k, len(survivors))
        if wanted and len(queries):
            found, values, plan = self._planned(queries, wanted, survivors)
            ids[:, :wanted], scores[:, :wanted] = self._rows.labels[found], values
        else:
            plan = SearchPlan("exact", 0, self._rows.total, "there is nothing to compare", 0.0)
        return (ids, scores, plan) if explain else (ids, scores)

    def __len__(self) -> int:
        """Vectors that can be found."""
        return len(self._rows)

    @property
    def memory_bytes(self) -> int:
        """Bytes in memory that grow with the collection: vectors or codes, links, lists; no ids, no codebooks."""
        return engine.memory_bytes(self._index)

    @property
    def disk_bytes(self) -> int:
        """Bytes of the finer copy on disk."""
        return self._rows.total * self._fine.bytes_per_vector if self._fine is not None else 0

    @property
    def attributes(self) -> Mapping[str, list[Any]]:
        """Attribute columns of the vectors that can be found, in the order of adding."""
        return self._rows.attributes

    @property
    def ids(self) -> list[str]:
        """Ids that can be found, in the order of adding."""
        return self._rows.ids

    @property
    def contents(self) -> IndexContents:
        """What it holds, for those who hand it over to other libraries.

        Raises
        ------
        ValueError
            Not fitted, or opened from disk and still without its quantizer.
        """
        if not hasattr(self, "_index"):
            raise ValueError(f"{type(self).__name__} is not fitted; there is nothing in it")
        self._check_attached()
        return IndexContents(self._rows, self.metric, self._dim, self._index, self._quantizer, self._fine)

    def adopt(
        self, structure: Any, ids: Sequence[str], attributes: Attributes | None, quantizer: Quantizer | None
    ) -> None:
        """Become the index of a FAISS structure, of the kind that this class makes, that was built elsewhere."""
        rows = NamedRows()
        rows.append(rows.check(ids, int(structure.ntotal), attributes), attributes)
        self._dim, self._index, self._quantizer, self._fine = int(structure.d), structure, quantizer, None
        self._rows = rows
        self._structure_changed()

    def _structure_changed(self) -> None:
        """Forget what was learnt of the structure."""
        self.__dict__.pop("_stored", None)

    @cached_property
    def _stored(self) -> StoredRows | None:
        """Vectors or codes where they lie; None where they do not lie in one piece."""
        stored = engine.stored_rows(self._index, self._quantizer)
        if stored is not None:
            ask_for_huge_pages(stored.codes)
        return stored

    # How a search goes.

    def _planned(self, Q: Vectors, k: int, survivors: Survivors) -> tuple[Positions, Scores, SearchPlan]:
        """Choose a way, take it, and say which."""
        p, n = len(survivors), self._rows.total
        if survivors.everything:
            return *self._fast(Q, k, None), SearchPlan("index", p, n, "every row may be found")
        if p <= max(_EXACT_BELOW, k * self.oversample):
            found, values = self._exact(Q, survivors.rows, k)
            return found, values, SearchPlan("exact", p, n, "so few rows are compared one by one", float(p))
        if not engine.can_filter(self._index):
            found, values = self._exact(Q, survivors.rows, k)
            return found, values, SearchPlan("exact", p, n, "FAISS cannot filter this kind of codes", float(p))
        return *self._fast(Q, k, survivors), SearchPlan("selector", p, n, "the index leaves the others out by itself")

    def _normalised(self, X: Vectors) -> Vectors:
        return unit_rows(X) if self.metric == "cosine" else X

    def _check_attached(self) -> None:
        if self._quantizer is None and self._has_codes:
            raise ValueError("this index holds codes and was opened without their quantizer; call attach first")

    @property
    def _has_codes(self) -> bool:
        lib = engine.faiss()
        full = (lib.IndexFlat, lib.IndexHNSWFlat, lib.IndexIVFFlat)
        return not isinstance(self._index, full)

    def _fast(self, Q: Vectors, k: int, survivors: Survivors | None) -> tuple[Positions, Scores]:
        kind = engine.kind_of(self._quantizer)
        # Hamming distances and distances between codes only find candidates; their scores come from the decoded codes.
        rough = kind == "binary" or (kind == "product" and hasattr(self._index, "hnsw"))
        n = min(k * self.oversample if rough or self._fine is not None else k, self._rows.total)
        found, values = self._candidates(Q, n, survivors)
        if (found[:, :k] < 0).any() and hasattr(self._index, "hnsw"):
            # A graph under a filter can run dry; the survivors cannot.
            return self._exact(Q, self._rows.living if survivors is None else survivors.rows, k)
        if rough or self._fine is not None:
            return self._score_again(Q, found, k)
        return _ordered(found, values, k)

    def _candidates(self, Q: Vectors, n: int, survivors: Survivors | None) -> tuple[Positions, Scores]:
        """Positions (q, n) that the codes find, -1 where there are no more, and what the codes score them."""
        # FAISS keeps a pointer to the bits, which live as long as the survivors.
        selector = None if survivors is None else engine.faiss().IDSelectorBitmap(survivors.bits)
        binary = engine.kind_of(self._quantizer) == "binary" and self._quantizer is not None
        asked = self._quantizer.encode(Q) if binary and self._quantizer else engine.turned(Q, self._quantizer)
        values, found = engine.search(self._index, asked, n, self._search_parameters(n, selector))
        return found, -values if self.metric == "l2" else values

    def _score_again(self, Q: Vectors, found: Positions, k: int) -> tuple[Positions, Scores]:
        """Score candidates (q, n) from the finer copy, or from the decoded codes."""
        flat = np.unique(found[found >= 0])
        vectors, queries = self._vectors(flat, Q)
        places = np.searchsorted(flat, np.maximum(found, flat[0] if len(flat) else 0))
        values = np.full(found.shape, -np.inf, dtype=np.float32)
        for row, place in enumerate(places):
            values[row] = self._scores(queries[row : row + 1], vectors[place])[0]
        values[found < 0] = -np.inf
        return _ordered(found, values, k)

    def _exact(self, Q: Vectors, positions: Positions, k: int) -> tuple[Positions, Scores]:
        """Compare with every one of some positions."""
        stored = self._stored
        if stored is not None and self._fine is None:
            return best_rows(stored, Q, min(k, len(positions)), squared=self.metric == "l2", rows=positions)
        best_values = np.full((len(Q), 0), -np.inf, dtype=np.float32)
        best = np.zeros((len(Q), 0), dtype=np.int64)
        for start in range(0, len(positions), _EXACT_BELOW * 4):
            block = positions[start : start + _EXACT_BELOW * 4]
            vectors, queries = self._vectors(block, Q)
            best = np.hstack([best, np.broadcast_to(block, (len(Q), len(block)))])
            best_values = np.hstack([best_values, self._scores(queries, vectors)])
            best, best_values = _ordered(best, best_values, min(k, best.shape[1]))
        return best, best_values

    def _vectors(self, positions: Positions, Q: Vectors) -> tuple[Vectors, Vectors]:
        """Best known vectors at some positions, and the queries in the same space."""
        if self._fine is not None:
            return self._fine.rows(positions), Q
        kind = engine.kind_of(self._quantizer)
        queries = Q if kind == "binary" else engine.turned(Q, self._quantizer)
        return engine.stored(self._index, positions, self._quantizer), queries

    def _scores(self, Q: Vectors, X: Vectors) -> Scores:
        products: Scores = Q @ X.T
        if self.metric != "l2":
            return products
        return 2 * products - (Q**2).sum(axis=1)[:, None] - (X**2).sum(axis=1)

    # Its folder.

    def save_state(self, folder: Path) -> None:
        """Write the FAISS file, the rows (ids, attributes), and the finer copy."""
        engine.write(self._index, folder / INDEX_FILE)
        self._rows.save(folder)
        state = {"dim": self._dim, "binary": engine.kind_of(self._quantizer) == "binary"}
        (folder / STATE_FILE).write_text(json.dumps(state) + "\n", encoding="utf-8")
        if self._fine is not None:
            self._fine.save(folder)
            if self._fine.quantizer is not None:
                ranges = {"low": self._fine.quantizer.low_, "span": self._fine.quantizer.span_}
                save_arrays(ranges, folder / RANGES_FILE)

    def open_state(self, folder: Path) -> None:
        """Read back what ``save_state`` wrote; an index of codes then needs ``attach``.

        Raises
        ------
        ValueError
            A file is missing, damaged, or belongs to another index.
        """
        try:
            state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
            rows = NamedRows.open(folder)
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder}: the index is incomplete or damaged: {error}") from None
        self._dim = int(state["dim"])
        self._quantizer = None
        self._rows = rows
        self._index = engine.read(
            folder / INDEX_FILE, binary=bool(state["binary"]), dim=self._dim, rows=self._rows.total
        )
        self._fine = self._open_fine(folder) if self.rescore is not None else None
        self._structure_changed()

    def _open_fine(self, folder: Path) -> FineCopy:
        quantizer = None
        if self.rescore == "int8":
            ranges = load_arrays(folder / RANGES_FILE)
            quantizer = Int8Quantizer()
            quantizer.low_, quantizer.span_ = ranges["low"], ranges["span"]
        assert self.rescore is not None
        fine = FineCopy(self.rescore, self._dim, quantizer, folder / FINE_FILE)
        there = fine.path.stat().st_size if fine.path.is_file() else -1
        if there != self._rows.total * fine.bytes_per_vector:
            raise ValueError(f"{fine.path} is missing or cut short; the index cannot score again without it")
        return fine


def _ordered(found: Positions, values: Scores, k: int) -> tuple[Positions, Scores]:
    """Best k of each row, equal scores by position; positions below 0 last."""
    values = np.where(found < 0, -np.inf, values).astype(np.float32)
    order = np.lexsort((found, -values), axis=1)[:, :k]
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)
