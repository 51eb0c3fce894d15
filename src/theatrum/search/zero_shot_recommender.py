"""Zero-shot recommendation and product search: items are their text, a user is the items used before."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from theatrum import registry
from theatrum.checks import (
    Constraint,
    Options,
    Range,
    check_ids,
    check_k,
    check_parameters,
    check_texts,
    check_vectors,
    unit_rows,
)
from theatrum.contracts import Attributes, Encoder, Ids, Index, Refiner, Scores, Vectors, Where
from theatrum.persistence import (
    fresh_folder,
    load_arrays,
    open_part,
    parameters,
    read_config,
    save_arrays,
    save_part,
    write_config,
)
from theatrum.search.history_pooling import Places, Pooling, best_of_rankings, padded, profiles

_ARRAYS, _ROWS = "items.safetensors", "items.json"
_KIND = "zero-shot recommender"
_PARTS = ("encoder", "refiner", "index")


class TextRecommender:
    """Recommends and searches items by their text alone, with no training and no log of interactions.

    For a new catalogue, new items and new users: a profile is the pooled vectors of what the user had, and the items
    near it are recommended. With a log of many interactions, a list of popular items or a sequential model on ids is
    usually better; measure on yours with `theatrum.evaluate.sequential_split`. For search alone a pipeline does.

    Parameters
    ----------
    encoder : Encoder, str or None, default=None
        Makes vectors of texts; a registered name such as ``"minilm"`` will do. None when ``fit`` is given vectors.
    pooling : {"mean", "last", "decay", "max"}, default="decay"
        A profile weighs all items of the history alike, only the last, or recent ones more; with ``"max"`` there is
        no profile, and an item scores its best cosine with any item of the history. Choose on validation users.
    decay : float, default=3.0
        Items after which a weight has fallen to 1/e.
    refiner : Refiner, str or None, default=None
        Maps vectors of items and queries, learnt from the items; such as ``PrincipalComponents(64)``, with as many
        directions as `theatrum.evaluate.fewest_dims` chooses.
    index : Index or str, default="flat"
        Where the vectors go; a registered name, or an index, which ``fit`` empties.
    exclude_history : bool, default=True
        Whether items of the history are never recommended.
    cold_start : {"popularity", "centroid"} or None, default=None
        What an empty history gets: the most popular items (``fit`` needs ``popularity``), the items nearest to the
        mean of all, or a ValueError.

    Attributes
    ----------
    ids_ : list of str
        Items by id: the order in which equal scores are broken.
    vectors_ : ndarray of float32, shape (n, m)
        Their unit vectors.
    popularity_ : ndarray of float64, shape (n,)
        Popularity of each item; empty where none was given.

    References
    ----------
    Attimonelli, De Bellis, Pomo, Jannach, Di Sciascio and Di Noia, "Do We Really Need Specialization? Evaluating
    Generalist Text Embeddings for Zero-Shot Recommendation and Search", 2025, arXiv 2507.05006. Atlas 028. The
    paper's recommender is a sequential model over frozen vectors (`theatrum.nn.sequential_encoder`); pooling without
    any training is the house's own.

    Examples
    --------
    >>> films = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0.9, 0.1]], dtype=np.float32)
    >>> recommender = TextRecommender().fit(films, ["alien", "aliens", "emma", "persuasion"], {"year": [79, 86, 96, 7]})
    >>> ids, scores = recommender.recommend([["alien"], ["aliens", "emma"]], k=1)
    >>> ids.tolist()
    [['aliens'], ['persuasion']]
    >>> recommender.recommend([["alien"]], k=2, where={"year": {"gt": 90}})[0].tolist()
    [['emma', '']]
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "pooling": [Options(("mean", "last", "decay", "max"))],
        "decay": [Range(float, 0, open_low=True)],
        "exclude_history": [bool],
        "cold_start": [Options(("popularity", "centroid")), None],
    }

    def __init__(
        self,
        encoder: Encoder | str | None = None,
        *,
        pooling: Pooling = "decay",
        decay: float = 3.0,
        refiner: Refiner | str | None = None,
        index: Index | str = "flat",
        exclude_history: bool = True,
        cold_start: Literal["popularity", "centroid"] | None = None,
    ) -> None:
        self.encoder = encoder
        self.pooling = pooling
        self.decay = decay
        self.refiner = refiner
        self.index = index
        self.exclude_history = exclude_history
        self.cold_start = cold_start

    def fit(
        self,
        items: Sequence[str] | Vectors,
        ids: Sequence[str] | None = None,
        attributes: Attributes | None = None,
        *,
        popularity: Sequence[float] | None = None,
    ) -> TextRecommender:
        """Index a catalogue.

        Parameters
        ----------
        items : sequence of str, or ndarray of float32, shape (n, d)
            Texts, such as "title. category. brand. description", or their vectors.
        ids : sequence of str, optional
            Unique; row numbers by default.
        attributes : mapping of str to sequence, optional
            Columns to filter on.
        popularity : sequence of float, optional
            How much each item is used, for ``cold_start="popularity"``.

        Returns
        -------
        TextRecommender
            Itself.

        Raises
        ------
        ValueError
            Texts without an encoder, bad vectors or ids, columns or popularity of another length.
        """
        check_parameters(self, self.constraints)
        encoder, refiner, index = (_made(getattr(self, kind), kind) for kind in _PARTS)
        X = _item_vectors(items, encoder)
        names = check_ids([str(row) for row in range(len(X))] if ids is None else ids, len(X))
        if self.cold_start == "popularity" and popularity is None:
            raise ValueError("popularity: cold_start='popularity' needs one number an item; give it to fit")
        counts = np.asarray([] if popularity is None else popularity, dtype=np.float64)
        if popularity is not None and (counts.shape != (len(X),) or not np.isfinite(counts).all()):
            raise ValueError(f"popularity: {len(X)} finite numbers are needed, one an item; got shape {counts.shape}")
        columns = {name: list(values) for name, values in (attributes or {}).items()}
        for name, values in columns.items():
            if len(values) != len(X):
                raise ValueError(f"attributes: {name!r} has {len(values)} values for {len(X)} items; None says missing")
        if refiner is not None:
            refiner.fit(X)
        # An index breaks ties by the order of adding; adding by id breaks them by id.
        order = sorted(range(len(names)), key=names.__getitem__)
        self.encoder_: Encoder | None = encoder
        self.refiner_: Refiner | None = refiner
        self.index_: Index = index
        self._dim = X.shape[1]
        self._number([names[row] for row in order])
        self.popularity_ = counts[order] if len(counts) else counts
        self.vectors_ = self._refined(X[order])
        self.index_.fit(self.vectors_)
        by_id = {name: [values[row] for row in order] for name, values in columns.items()}
        self.index_.add(self.ids_, self.vectors_, by_id)
        return self

    def recommend(
        self, histories: Sequence[Sequence[str]], k: int = 10, where: Where | None = None
    ) -> tuple[Ids, Scores]:
        """Recommend items after histories.

        Parameters
        ----------
        histories : sequence of sequence of str
            Ids of what each user had, oldest first. Unknown ids are dropped, with one warning that counts them.
        k : int, default=10
            Items wanted; cut to the size of the catalogue.
        where : mapping, optional
            Filter on attributes; see `theatrum.search.filters`.

        Returns
        -------
        ids : ndarray of str, shape (q, k)
            Best first, ties by id; ``""`` where there are no more.
        scores : ndarray of float32, shape (q, k)
            Cosines (popularity after an empty history with ``cold_start="popularity"``); ``-inf`` where there are
            no more.

        Raises
        ------
        ValueError
            An empty history without ``cold_start``, or one whose ids are all unknown (with the row).
        """
        self._check_fitted()
        k = check_k(k, len(self))
        known = self._known(histories)
        places = np.full((len(known), k), -1)
        scores = np.full((len(known), k), -np.inf, dtype=np.float32)
        warm = [row for row, history in enumerate(known) if history]
        if warm:
            places[warm], scores[warm] = self._for_histories([known[row] for row in warm], k, where)
        if len(warm) < len(known):
            cold = [row for row, history in enumerate(known) if not history]
            places[cold], scores[cold] = self._for_nobody(k, where)
        return self._labels[places], scores

    def search(self, queries: Sequence[str] | Vectors, k: int = 10, where: Where | None = None) -> tuple[Ids, Scores]:
        """Find items for queries.

        Parameters
        ----------
        queries : sequence of str, or ndarray of float32, shape (q, d)
            Texts, or vectors of the encoder that made those of the items.
        k : int, default=10
            Items wanted; cut to the size of the catalogue.
        where : mapping, optional
            Filter on attributes.

        Returns
        -------
        ids, scores : ndarray
            As `recommend` returns them.
        """
        self._check_fitted()
        k = check_k(k, len(self))
        if not isinstance(queries, np.ndarray):
            queries = check_texts(queries, name="queries")
            if self.encoder_ is None:
                raise ValueError("queries: texts need an encoder; make the recommender with one, or give vectors")
            if not queries:
                return np.empty((0, k), dtype=object), np.empty((0, k), dtype=np.float32)
            queries = self.encoder_.encode(queries, role="query")
        return self.index_.search(self._refined(check_vectors(queries, name="queries", dim=self._dim)), k, where)

    def __len__(self) -> int:
        """Items held."""
        return len(self.ids_) if hasattr(self, "ids_") else 0

    @property
    def memory_bytes(self) -> int:
        """Bytes of the index and of the vectors that profiles are made of."""
        self._check_fitted()
        return self.index_.memory_bytes + self.vectors_.nbytes

    def _refined(self, X: Vectors) -> Vectors:
        return unit_rows(X if self.refiner_ is None else check_vectors(self.refiner_.transform(X), name="refined"))

    @property
    def duplicates(self) -> int:
        """Items whose vector an item before them has too; only their ids tell them apart."""
        return len(self) - len({row.tobytes() for row in self.vectors_})

    def _number(self, ids: list[str]) -> None:
        self.ids_ = ids
        self._places = {name: place for place, name in enumerate(ids)}
        self._labels = np.array([*ids, ""], dtype=object)  # place -1, the last, is no item

    def _check_fitted(self) -> None:
        if not hasattr(self, "vectors_"):
            raise ValueError("TextRecommender has no catalogue yet; call fit(items) first")

    # How it recommends.

    def _known(self, histories: Iterable[Sequence[str]]) -> list[list[int]]:
        """Places of the known ids of each history."""
        dropped, known = 0, []
        for row, history in enumerate(histories):
            if isinstance(history, str):
                raise ValueError(f"histories: row {row} is a text; each history is a list of ids")
            places = [self._places[name] for name in history if name in self._places]
            if not len(history) and self.cold_start is None:
                raise ValueError(f"histories: row {row} is empty; set cold_start to 'popularity' or 'centroid'")
            if len(history) and not places:
                raise ValueError(f"histories: row {row} has {len(history)} ids and none is in the catalogue")
            dropped += len(history) - len(places)
            known.append(places)
        if dropped:
            warnings.warn(f"histories: {dropped} ids are not in the catalogue and were dropped", stacklevel=3)
        return known

    def _for_histories(self, histories: list[list[int]], k: int, where: Where | None) -> tuple[Places, Scores]:
        """Best items (q, k) for histories that are not empty."""
        used = max(len(set(history)) for history in histories) if self.exclude_history else 0
        places, scores = self._ranked(histories, min(k + used, len(self)), where)
        if self.exclude_history:
            for row, history in enumerate(histories):
                places[row, np.isin(places[row], history)] = -1
            left = np.argsort(places < 0, axis=1, kind="stable")[:, :k]
            places, scores = np.take_along_axis(places, left, axis=1), np.take_along_axis(scores, left, axis=1)
        return places, np.where(places < 0, -np.inf, scores)

    def _ranked(self, histories: list[list[int]], depth: int, where: Where | None) -> tuple[Places, Scores]:
        """Best items (q, depth), those of the history still among them."""
        if self.pooling != "max":
            return self._nearest(profiles(self.vectors_, histories, self.pooling, self.decay), depth, where)
        distinct = sorted({place for history in histories for place in history})
        places, scores = self._nearest(self.vectors_[distinct], depth, where)
        rows = [np.searchsorted(distinct, sorted(set(history))) for history in histories]
        merged = [best_of_rankings(places[own], scores[own], len(self), depth) for own in rows]
        return np.stack([one for one, _ in merged]), np.stack([values for _, values in merged])

    def _nearest(self, Q: Vectors, k: int, where: Where | None) -> tuple[Places, Scores]:
        """Search with vectors, for places instead of ids; -1 where there are no more."""
        ids, scores = self.index_.search(Q, k, where)
        numbers = (self._places.get(name, -1) for name in ids.ravel())
        return np.fromiter(numbers, dtype=np.int64, count=ids.size).reshape(ids.shape), scores

    def _for_nobody(self, k: int, where: Where | None) -> tuple[Places, Scores]:
        """Best items (k,) for an empty history."""
        centroid = unit_rows(self.vectors_.mean(axis=0, keepdims=True))
        if self.cold_start == "centroid":
            places, scores = self._nearest(centroid, k, where)
            return places[0], scores[0]
        allowed = np.sort(self._nearest(centroid, len(self), where)[0][0])  # all that the filter leaves, by id
        allowed = allowed[allowed >= 0]
        best = allowed[np.argsort(-self.popularity_[allowed], kind="stable")[:k]]
        return padded(best, self.popularity_[best], k)

    # Its folder.

    def save(self, path: str | Path) -> None:
        """Write the fitted recommender as a folder; an older one at the same path is replaced at the very end."""
        self._check_fitted()
        with fresh_folder(path) as folder:
            plain = {name: value for name, value in parameters(self).items() if name not in _PARTS}
            there = [name for name in _PARTS if getattr(self, f"{name}_") is not None]
            write_config(folder, {"kind": _KIND, "parameters": plain, "parts": there, "dim": self._dim})
            save_arrays({"vectors": self.vectors_, "popularity": self.popularity_}, folder / _ARRAYS)
            (folder / _ROWS).write_text(json.dumps(self.ids_, ensure_ascii=False) + "\n", encoding="utf-8")
            for name in there:
                (folder / name).mkdir()
                save_part(getattr(self, f"{name}_"), folder / name)

    @classmethod
    def open(cls, path: str | Path) -> TextRecommender:
        """Open what `save` wrote; recommendations are the same as before.

        Raises
        ------
        FileNotFoundError
            Nothing of ours is there.
        ValueError
            Another part, damaged, or written by a newer version.
        """
        folder, config = Path(path), read_config(path)
        if config.get("kind") != _KIND:
            raise ValueError(f"{path} holds no recommender; open it with theatrum.open")
        try:
            ids = json.loads((folder / _ROWS).read_text(encoding="utf-8"))
            arrays = load_arrays(folder / _ARRAYS)
            opened = cls(**config["parameters"], **{name: open_part(folder / name) for name in config["parts"]})
            opened.vectors_, opened.popularity_ = arrays["vectors"], arrays["popularity"]
            opened._dim = config["dim"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{folder}: the recommender is incomplete or damaged: {error}") from None
        check_parameters(opened, cls.constraints)
        for name in _PARTS:
            setattr(opened, f"{name}_", getattr(opened, name))
        opened._number(ids)
        return opened


def _item_vectors(items: Sequence[str] | Vectors, encoder: Any) -> Vectors:
    if not isinstance(items, np.ndarray):
        texts = check_texts(items, name="items")
        if encoder is None:
            raise ValueError("items: texts need an encoder, such as TextRecommender('minilm'); or give vectors")
        if not texts:
            raise ValueError("items: the catalogue is empty; there is nothing to recommend")
        if hasattr(encoder, "fit"):
            encoder.fit(texts)
        items = encoder.encode(texts)
    return check_vectors(items, name="items")


def _made(part: Any, kind: str) -> Any:
    """Make a part that is given by its registered name; a part itself is used as it is."""
    if not isinstance(part, str):
        return part
    entry = registry.part(part)
    if entry.kind != kind:
        raise ValueError(f"TextRecommender: {kind}={part!r} names no {kind}; that part is of the kind {entry.kind!r}")
    return entry.load()()
