"""Vectors with ids and attributes that come and go: one folder on disk that many processes read while one writes.

A LanceDB table is the truth: ids, vectors as they were given, attributes; a change is one commit. Beside it lie codes
in memory-mapped segments, by which searches go; they are derived and are made again wherever they are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, overload

import numpy as np

from theatrum.checks import check_ids, check_k, check_vectors, unit_rows
from theatrum.contracts import Attributes, Encoder, Ids, Scores, Vectors, Where
from theatrum.persistence import CONFIG, fresh_folder, link_or_copy, read_config, write_config
from theatrum.search.arrow_columns import column_from_arrow
from theatrum.search.search_plan import SearchPlan
from theatrum.store.code_segment import Precision
from theatrum.store.collection_rows import (
    ID,
    VECTOR,
    arrow_columns,
    check_columns,
    collection_schema,
    matrix,
    row_batch,
)
from theatrum.store.collection_view import CollectionView
from theatrum.store.lance_table import LanceTable, storage_errors
from theatrum.store.segment_folder import SegmentFolder

Metric = Literal["cosine", "ip", "l2"]

_PART = "collection"
TABLE = "rows"
SEGMENTS = "segments"
_OVERSAMPLE = 8  # candidates a hit for scoring again
_MANY_PIECES = 64  # so many small files of Lance are put together
_DAY = timedelta(days=1)


class VectorCollection:
    """A folder of vectors that can be added, replaced, deleted and searched, safe against crashes.

    Keeps ``add``, ``search`` and ``delete`` of the Index contract, and compares a query with every vector: at 384
    dimensions some hundred thousand vectors a core and second in float32, four times as many in int8. Take it when
    vectors come and go, when several processes share them, or when a crash must lose nothing; take an index of
    `theatrum.search` inside a saved pipeline for a corpus that stands still.

    What a method has returned from is on the disk. A process that is killed in a change leaves the collection as it was
    before it or after it. An object looks at the collection as it was when it was opened or last changed by itself;
    `refresh` takes in what others did. One writer at a time, others wait; readers never wait.

    Parameters
    ----------
    path : str or Path
        The folder; `create` makes it.
    encoder : Encoder, optional
        If given, must be the one that the collection was made for.

    Raises
    ------
    FileNotFoundError
        No collection is there.
    ValueError
        The folder is damaged, or holds vectors of another encoder.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> collection = VectorCollection.create(folder.name + "/planes", dim=2)
    >>> collection.add(["a", "b"], [[1.0, 0.0], [0.0, 1.0]], {"year": [1958, 1962]})
    >>> collection.upsert(["b", "c"], [[1.0, 1.0], [0.0, -1.0]], {"year": [1965, 1970]})
    >>> ids, scores = collection.search([[1.0, 0.1]], 2, where="year >= 1960")
    >>> ids.tolist(), scores.round(2).tolist()
    ([['b', 'c']], [[0.77..., -0.10...]])
    >>> folder.cleanup()
    """

    def __init__(self, path: str | Path, *, encoder: Encoder | None = None) -> None:
        self.path = Path(path)
        config = read_config(self.path)
        if config.get("part") != _PART:
            raise ValueError(f"{self.path} is a saved {config.get('part')!r}, not a collection of vectors")
        self.dim: int = config["dim"]
        self.metric: Metric = config["metric"]
        self.precision: Precision = config["precision"]
        self.fingerprint: str = config["fingerprint"]
        if encoder is not None and encoder.fingerprint() != self.fingerprint:
            raise ValueError(
                f"{self.path} holds vectors of another encoder (fingerprint {self.fingerprint or 'missing'}, expected "
                f"{encoder.fingerprint()}); vectors of two encoders cannot be compared: encode its texts anew"
            )
        self.codes = SegmentFolder(self.path / SEGMENTS, self.precision, self._normalised)
        self._view = self._look()

    @classmethod
    def create(
        cls,
        path: str | Path,
        dim: int,
        *,
        metric: Metric = "cosine",
        precision: Precision = "int8",
        encoder: Encoder | None = None,
    ) -> VectorCollection:
        """Make an empty collection.

        Parameters
        ----------
        path : str or Path
            A folder that is not there yet, or empty.
        dim : int
            Width of the vectors.
        metric : {"cosine", "ip", "l2"}, default="cosine"
            The score of l2 is minus the squared distance.
        precision : {"int8", "float32"}, default="int8"
            What searches read; vectors as they were given are kept in any case.
        encoder : Encoder, optional
            What makes the vectors; opening with another one is refused then.

        Returns
        -------
        VectorCollection
            Open.

        Raises
        ------
        ValueError
            A parameter that is not among those above.
        FileExistsError
            The folder is there already.
        """
        if metric not in get_args(Metric) or precision not in get_args(Precision):
            raise ValueError(
                f"metric must be one of {get_args(Metric)} and precision one of {get_args(Precision)}, "
                f"got {metric!r} and {precision!r}"
            )
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1:
            raise ValueError(f"dim must be a whole number of at least 1, got {dim!r}")
        if Path(path).exists() and any(Path(path).iterdir()):
            raise FileExistsError(f"{path} is there already; open it with VectorCollection(path)")
        fingerprint = "" if encoder is None else encoder.fingerprint()
        with storage_errors(path), fresh_folder(path) as folder:
            table = LanceTable(folder, TABLE)
            table.create(collection_schema(int(dim)))
            (folder / SEGMENTS).mkdir()
            config = {"part": _PART, "dim": int(dim), "metric": metric, "precision": precision}
            write_config(folder, {**config, "fingerprint": fingerprint})
        return cls(path)

    # Changing.

    def add(self, ids: Sequence[str], X: Vectors, attributes: Attributes | None = None) -> None:
        """Add vectors; all of them or, when something is wrong, none.

        Parameters
        ----------
        ids : sequence of str
            New names.
        X : ndarray of float32, shape (n, d)
            Vectors.
        attributes : mapping of str to sequence, optional
            Columns of n values (numbers, dates, texts, truth values, lists), None where a value is missing. Columns
            that are new have no values in the rows before; columns left out have none in these rows.

        Raises
        ------
        ValueError
            An id that is there already, another width, NaN, columns of another length, values of another kind.
        StoreError
            The disk is full or read-only; nothing was added.
        """
        self._put(ids, X, attributes or {}, replace=False)

    def upsert(self, ids: Sequence[str], X: Vectors, attributes: Attributes | None = None) -> None:
        """Add vectors, replacing whole rows whose ids are there already; see `add`."""
        self._put(ids, X, attributes or {}, replace=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete vectors.

        Raises
        ------
        ValueError
            An id that is not there; nothing is deleted then.
        """
        names = check_ids(ids, len(ids))
        with self._table().writing():
            self.refresh()
            places = self._view.places_of_ids(names)
            unknown = next((name for name in names if name not in places), None)
            if unknown is not None:
                raise ValueError(f"ids: {unknown!r} is not in the collection; nothing was deleted")
            if names:
                rows = self._view.row_ids[list(places.values())]
                self._table().open().delete(f"_rowid IN ({','.join(map(str, rows.tolist()))})")
                self.refresh()

    def _put(self, ids: Sequence[str], X: Vectors, attributes: Attributes, *, replace: bool) -> None:
        rows = check_vectors(X, dim=self.dim, min_rows=0)
        names = check_ids(ids, len(rows))
        columns = arrow_columns(attributes, len(rows))
        with self._table().writing():
            self.refresh()
            taken = self._view.places_of_ids(names)
            if taken and not replace:
                raise ValueError(f"ids: {min(taken)!r} is in the collection already; upsert replaces it")
            if not names:
                return
            table = self._table().open()
            check_columns(table, columns)
            batch = row_batch(table, names, rows, columns)
            if taken:
                table.upsert(batch, ID)
            else:
                table.add(batch)
            if table.pieces > _MANY_PIECES:
                table.compact(_DAY)
            self._cover()

    def compact(self, keep: timedelta = _DAY) -> None:
        """Give back the space of deleted and replaced rows, and make many small files few.

        Parameters
        ----------
        keep : timedelta, default=1 day
            For how long those who opened the collection before may go on without `refresh`.
        """
        with self._table().writing():
            self._table().open().compact(keep)
            self._cover()

    def snapshot(self, path: str | Path) -> VectorCollection:
        """Keep the collection as it is now under another path, at once and without taking space.

        Files are linked, not copied, where the file system can do that; since they never change, the two collections
        go their own ways from here. A snapshot is a collection like any other: open it, or go on from it.

        Parameters
        ----------
        path : str or Path
            A folder that is not there yet, or empty.

        Returns
        -------
        VectorCollection
            The snapshot, open.
        """
        if Path(path).exists() and any(Path(path).iterdir()):
            raise FileExistsError(f"{path} is there already; choose another path for the snapshot")
        with self._table().writing(), fresh_folder(path) as folder:
            for source in [self.path / CONFIG, *self._table().root.rglob("*"), *(self.path / SEGMENTS).glob("[!.]*/*")]:
                if source.is_file():
                    target = folder / source.relative_to(self.path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    link_or_copy(source, target)
            (folder / SEGMENTS).mkdir(exist_ok=True)
        return type(self)(path)

    # Reading.

    def refresh(self) -> bool:
        """Take in what others have changed; returns whether there was anything."""
        if self._table().open().version == self._view.table.version:
            return False
        self._view = self._look()
        return True

    @overload
    def search(
        self, Q: Vectors, k: int, where: Where | None = None, *, rescore: bool = False, explain: Literal[False] = False
    ) -> tuple[Ids, Scores]: ...

    @overload
    def search(
        self, Q: Vectors, k: int, where: Where | None = None, *, rescore: bool = False, explain: Literal[True]
    ) -> tuple[Ids, Scores, SearchPlan]: ...

    def search(
        self, Q: Vectors, k: int, where: Where | None = None, *, rescore: bool = False, explain: bool = False
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
        rescore : bool, default=False
            Score the best by the vectors as they were given; some milliseconds more.
        explain : bool, default=False
            Return the plan too.

        Returns
        -------
        ids : ndarray of str, shape (q, k)
            Best first, equal scores in the order of the table; ``""`` where there are no more.
        scores : ndarray of float32, shape (q, k)
            Larger is better; ``-inf`` where there are no more.
        plan : SearchPlan
            With ``explain=True``.
        """
        check_k(k, k if isinstance(k, int) else 0)
        view = self._view  # the whole search looks at one commit, whatever other threads do
        queries = self._normalised(check_vectors(Q, name="Q", dim=self.dim, min_rows=0))
        ids = np.full((len(queries), k), "", dtype=object)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        survivors = view.survivors(where)
        wanted = min(k, len(survivors))
        if wanted and len(queries):
            depth = min(wanted * _OVERSAMPLE, len(survivors)) if rescore else wanted
            found, values = view.best(queries, depth, survivors, self.metric == "l2")
            if rescore:
                found, values = view.scored_again(queries, found, wanted, self._normalised, self.metric == "l2")
            names = view.ids.take(found.ravel()).to_numpy(zero_copy_only=False)
            ids[:, :wanted], scores[:, :wanted] = names.reshape(found.shape), values
        if not explain:
            return ids, scores
        reason = "every row that may be found is compared"
        return ids, scores, SearchPlan("exact", len(survivors), len(view.row_ids), reason, float(len(survivors)))

    def get(self, ids: Sequence[str]) -> tuple[Vectors, dict[str, list[Any]]]:
        """Vectors as they were given, (n, d), and attributes of some ids, in the order asked for.

        Raises
        ------
        ValueError
            An id that is not there.
        """
        view = self._view
        places = view.places_of_ids(list(ids))
        unknown = next((name for name in ids if name not in places), None)
        if unknown is not None:
            raise ValueError(f"ids: {unknown!r} is not in the collection")
        rows = view.row_ids[[places[name] for name in ids]]
        if not len(rows):
            return np.empty((0, self.dim), dtype=np.float32), {name: [] for name in view.columns}
        found = view.table.take(rows.tolist(), [VECTOR, *view.columns])
        return matrix(found[VECTOR], self.dim), {name: column_from_arrow(found[name]).values() for name in view.columns}

    def __len__(self) -> int:
        """Vectors that can be found."""
        return len(self._view.row_ids)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._view.places_of_ids([name]))

    @property
    def ids(self) -> list[str]:
        """Ids that can be found, in the order of the table."""
        names: list[str] = self._view.ids.to_pylist()
        return names

    @property
    def attributes(self) -> Mapping[str, list[Any]]:
        """Attribute columns, in the order of the table."""
        return {name: self._view.columns[name].values() for name in self._view.columns}

    @property
    def version(self) -> int:
        """Number of the commit that this object looks at."""
        return self._view.table.version

    @property
    def memory_bytes(self) -> int:
        """Bytes of codes that a search reads, mapped; ids are not counted."""
        return int(sum(segment.stored.codes.nbytes for segment in self._view.segments))

    @property
    def disk_bytes(self) -> int:
        """Bytes of all files in the folder."""
        return sum(entry.stat().st_size for entry in self.path.rglob("*") if entry.is_file())

    # Within.

    def _table(self) -> LanceTable:
        return LanceTable(self.path, TABLE)

    def _normalised(self, X: Vectors) -> Vectors:
        return unit_rows(X) if self.metric == "cosine" else X

    def _look(self) -> CollectionView:
        """Look at the newest commit."""
        return self.codes.view(self._table().open())

    def _cover(self) -> None:
        """Look at the newest commit and write the codes that are missing; only while being the writer."""
        try:
            self._view = self.codes.cover(self._table().open())
        except OSError:  # no room for codes: the change is committed all the same
            self._view = self._look()
