"""An index over sets of token vectors: fixed dimensional encodings find candidates, MaxSim orders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from theatrum import registry
from theatrum.checks import Constraint, Options, Range, check_parameters
from theatrum.contracts import Attributes, Ids, Index, Quantizer, Scores, TokenReducer, Where
from theatrum.persistence import fresh_folder, open_part, parameters, read_config, save_part, write_config
from theatrum.search.flat import FlatIndex
from theatrum.search.max_sim import MaxSim
from theatrum.search.token_store import Precision

_BLOCK = 2**25  # numbers of encodings made at a time: 128 MiB
_PARTS = ("encoding", "quantizer", "index", "tokens")


class MultiVectorIndex:
    """Finds sets of token vectors by MaxSim; the calls of the Index contract with lists of matrices.

    While the collection is small every document is compared. From ``exact_below`` documents on, each is encoded as one
    vector into an ordinary index, and only the ``n_candidates`` best of that are compared. Not for sentence vectors:
    one vector a text needs no more than an index.

    Parameters
    ----------
    encoding : TokenReducer or None, default=None
        Such as `FixedDimensionalEncoding`; None compares with everything at any size.
    index : Index or None, default=None
        Where encodings go; None takes an exact one. It should compare by inner product.
    quantizer : Quantizer or None, default=None
        How the index stores encodings; learnt from the first ones. None stores float32.
    n_candidates : int, default=200
        Documents of the index compared exactly, or as many as hits are asked for if that is more.
    exact_below : int, default=20000
        Collections smaller than this are compared whole.
    store : {"float16", "float32", "int8"}, default="float16"
        How tokens are kept.

    References
    ----------
    Dhulipala, Hadian, Jayaram, Lee and Mirrokni, "MUVERA: Multi-vector retrieval via fixed dimensional encodings",
    NeurIPS 2024. Atlas 056.

    Examples
    --------
    >>> from theatrum.search import FixedDimensionalEncoding, HNSWIndex
    >>> rng = np.random.default_rng(0)
    >>> docs = [rng.normal(size=(20, 32)).astype(np.float32) for _ in range(50)]
    >>> index = MultiVectorIndex(FixedDimensionalEncoding(), HNSWIndex(metric="ip"), n_candidates=10, exact_below=0)
    >>> index.add([f"d{row}" for row in range(50)], docs, {"year": list(range(1950, 2000))})
    >>> index.search([docs[7][:5]], k=1)[0].tolist()
    [['d7']]
    >>> index.search([docs[7][:5]], k=1, where={"year": {"gte": 1958}})[0].tolist() != [["d7"]]
    True
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_candidates": [Range(int, 1)],
        "exact_below": [Range(int, 0)],
        "store": [Options(("float16", "float32", "int8"))],
    }

    def __init__(
        self,
        encoding: TokenReducer | None = None,
        index: Index | None = None,
        *,
        quantizer: Quantizer | None = None,
        n_candidates: int = 200,
        exact_below: int = 20_000,
        store: Precision = "float16",
    ) -> None:
        self.encoding = encoding
        self.index = index
        self.quantizer = quantizer
        self.n_candidates = n_candidates
        self.exact_below = exact_below
        self.store = store
        self._tokens = MaxSim(n_candidates, store=store)
        self._searched: Index | None = None  # the index, once there is something in it

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
        self._check_metric()
        self._tokens.add(ids, docs, attributes)
        if self.encoding is None or not len(docs):
            return
        if self._searched is not None:
            self._encode([str(name) for name in ids], attributes or {})
        elif len(self) >= self.exact_below:
            self._build(self.encoding)

    def delete(self, ids: Sequence[str]) -> None:
        """Take ids out of all later searches; `compact` gives their space back.

        Raises
        ------
        ValueError
            An id that is not in the index; then nothing is deleted.
        """
        self._tokens.delete(ids)
        if self._searched is not None:
            self._searched.delete(ids)

    def compact(self) -> None:
        """Give back the space of deleted documents: tokens are closed up, the index of encodings is built anew."""
        self._tokens.compact()
        if self._searched is not None and self.encoding is not None:
            self._searched = None
            if len(self):
                self._build(self.encoding)

    def search(self, Q: Sequence[Any], k: int, where: Where | None = None) -> tuple[Ids, Scores]:
        """Find the best k documents for every query.

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
            Exact Chamfer similarities of what is returned; ``-inf`` where there are no more.
        """
        if self._searched is None or self.encoding is None or not len(Q):
            return self._tokens.search(Q, k, where)
        candidates, _ = self._searched.search(self.encoding.encode_queries(Q), max(k, self.n_candidates), where)
        return self._tokens.rescore(Q, candidates, k)

    def __len__(self) -> int:
        """Documents that can be found."""
        return len(self._tokens)

    @property
    def memory_bytes(self) -> int:
        """Bytes of tokens and encodings in memory."""
        return self._tokens.memory_bytes + (self._searched.memory_bytes if self._searched is not None else 0)

    def _build(self, encoding: TokenReducer) -> None:
        """Make the index of encodings from all documents there are."""
        names = self._tokens.ids
        rows = np.linspace(0, len(names) - 1, min(len(names), self._rows_a_block(names))).astype(np.int64)
        sample = encoding.encode_documents(self._tokens.documents([names[row] for row in rows]))
        index = FlatIndex(metric="ip") if self.index is None else self.index
        if self.quantizer is not None:
            self.quantizer.fit(sample)
        index.fit(sample, self.quantizer)
        self._searched = index
        self._encode(names, self._tokens.attributes)

    def _encode(self, names: Sequence[str], attributes: Attributes) -> None:
        """Encode documents into the index; from the tokens as they are kept, so that a rebuilt index is the same."""
        assert self.encoding is not None and self._searched is not None
        size = self._rows_a_block(names)
        for start in range(0, len(names), size):
            block = slice(start, start + size)
            encoded = self.encoding.encode_documents(self._tokens.documents(names[block]))
            self._searched.add(names[block], encoded, {key: values[block] for key, values in attributes.items()})

    def _rows_a_block(self, names: Sequence[str]) -> int:
        """Documents whose encodings fit into a block."""
        assert self.encoding is not None
        width = self._tokens.documents(names[:1])[0].shape[1]
        return max(1, _BLOCK // self.encoding.output_dim(width))

    def _check_metric(self) -> None:
        wanted, used = getattr(self.encoding, "metric", None), getattr(self.index, "metric", None)
        if wanted and used and wanted != used:
            raise ValueError(
                f"the index compares by {used!r}, the encodings must be compared by {wanted!r}; "
                f"make it with metric={wanted!r}"
            )

    def save(self, path: str | Path) -> None:
        """Write a folder; an older one at the same path is replaced at the very end."""
        parts = {"encoding": self.encoding, "quantizer": self.quantizer, "index": self.index}
        # What has learnt nothing yet is kept as its recipe.
        whole: dict[str, Any] = {"encoding": self.encoding, "tokens": self._tokens}
        if self._searched is not None:
            whole |= {"quantizer": self.quantizer, "index": self._searched}
        recipes = {
            name: [registry.name_of(part), parameters(part)]
            for name, part in parts.items()
            if part is not None and name not in whole
        }
        with fresh_folder(path) as folder:
            for name, part in whole.items():
                if part is not None:
                    (folder / name).mkdir()
                    save_part(part, folder / name)
            settings = {"n_candidates": self.n_candidates, "exact_below": self.exact_below}
            write_config(folder, {"multi_vector": settings, "recipes": recipes})

    @classmethod
    def open(cls, path: str | Path) -> MultiVectorIndex:
        """Open what `save` wrote.

        Raises
        ------
        FileNotFoundError
            Nothing of ours is there.
        ValueError
            Damaged, written by a newer version, or something else.
        """
        folder, config = Path(path), read_config(path)
        if "multi_vector" not in config:
            raise ValueError(f"{path} is no multi-vector index; open it with theatrum.open")
        parts: dict[str, Any] = {
            name: registry.part(part).load()(**settings) for name, (part, settings) in config["recipes"].items()
        }
        whole = {name: open_part(folder / name) for name in _PARTS if (folder / name).is_dir()}
        tokens: MaxSim = whole.pop("tokens")
        opened = cls(**parts, **whole, **config["multi_vector"], store=tokens.store)
        opened._tokens, opened._searched = tokens, whole.get("index")
        if opened._searched is not None and opened.quantizer is not None:
            opened._searched.attach(opened.quantizer)
        return opened
