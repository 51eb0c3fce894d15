"""The one place that talks to LanceDB: a table of rows whose every change is one commit.

Lance writes new files and then one manifest that names them, so a process that is killed leaves the table as it was
before or after a change. What LanceDB does not do is done here: one writer at a time, bytes that are on the disk when a
change returns, and errors that say what happened.
"""

from __future__ import annotations

import errno
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

ROW_ID = "_rowid"  # Lance's own address of a row; it never names another row, and changes when a table is compacted
_SIGNS_OF_A_FULL_DISK = ("No space left", "os error 28", "os error 27", "File too large", "quota")
_FOREVER = timedelta(days=36500)
_PRIMARY_KEY = b"lance-schema:unenforced-primary-key"  # with it, Lance finds that two commits insert the same key


class StoreError(OSError):
    """The store cannot be written (full disk, no permission); what was committed before stays readable."""


def is_remote(folder: str | Path) -> bool:
    """Whether a folder is named by a URI, such as ``s3://bucket/vectors``, and not by a path.

    Examples
    --------
    >>> is_remote("s3://bucket/vectors"), is_remote("vectors")
    (True, False)
    """
    return "://" in str(folder)


class LanceTable:
    """A table in a folder, on disk or on whatever else Lance opens.

    Parameters
    ----------
    folder : str or Path
        The folder or URI of the database.
    name : str
        The table; ``name.lance`` in the folder.

    Examples
    --------
    >>> import tempfile, pyarrow as pa
    >>> rows = pa.table({"id": ["a", "b"], "year": [1958, 1962]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = LanceTable(folder, "rows")
    ...     with table.writing():
    ...         table.create(rows.schema)
    ...         table.add(rows)
    ...         table.delete("year < 1960")
    ...     table.rows(["id"])["id"].to_pylist()
    ['b']
    """

    def __init__(self, folder: str | Path, name: str) -> None:
        self.folder = str(folder) if is_remote(folder) else Path(folder)
        self.name = name
        self._table: Any = None

    # Opening.

    @property
    def root(self) -> Path:
        """Where the files of the table are, on this machine."""
        return Path(self.folder) / f"{self.name}.lance"

    def exists(self) -> bool:
        """Whether the table has been made."""
        if not is_remote(self.folder):
            return self.root.is_dir()
        return self.name in self._database().list_tables(limit=1_000_000).tables

    def create(self, schema: Any, key: str | None = None) -> None:
        """Make the table, empty; on object storage, take the one that another writer has made meanwhile.

        Parameters
        ----------
        schema : pyarrow.Schema
            Columns.
        key : str, optional
            Column of which `add_new` keeps every value unique.
        """
        remote = is_remote(self.folder)
        if remote and key is not None:
            field = schema.field(key)
            field = field.with_nullable(False).with_metadata({**(field.metadata or {}), _PRIMARY_KEY: b"true"})
            schema = schema.set(schema.get_field_index(key), field)
        self._table = self._database().create_table(self.name, schema=schema, exist_ok=remote)

    def open(self) -> LanceTable:
        """Open the table as it is now.

        Raises
        ------
        ValueError
            It is not there, or damaged.
        """
        try:
            self._table = self._database().open_table(self.name)
        except (ValueError, RuntimeError, OSError) as error:
            raise ValueError(f"{self.folder}: table {self.name!r} cannot be opened: {error}") from None
        return self

    def _database(self) -> Any:
        import lancedb

        try:
            return lancedb.connect(self.folder)
        except ValueError as error:  # so LanceDB says that a bucket is missing or refuses
            raise OSError(f"{self.folder} cannot be reached: {error}") from None

    # Reading. A table stands still at the version that was last looked at.

    @property
    def schema(self) -> Any:
        """Arrow schema."""
        return self._table.schema

    @property
    def version(self) -> int:
        """Number of the commit that is looked at."""
        return int(self._table.version)

    @property
    def pieces(self) -> int:
        """Files of data that are small enough to be put together."""
        return int(self._table.stats()["fragment_stats"]["num_small_fragments"])

    def __len__(self) -> int:
        return int(self._table.count_rows())

    def refresh(self) -> None:
        """Look at the newest version."""
        self._table.checkout_latest()

    def at(self, version: int) -> None:
        """Look at one version."""
        self._table.checkout(version)

    def versions(self) -> list[int]:
        """Versions that can still be looked at, newest first."""
        return sorted((int(entry["version"]) for entry in self._table.list_versions()), reverse=True)

    def rows(self, columns: Sequence[str]) -> Any:
        """Columns of all rows, with their row ids: an Arrow table."""
        with self._reading():
            query = self._table.search().select(list(columns)).with_row_id(True)
            return query.limit(max(len(self), 1)).to_arrow()

    def batches(self, columns: Sequence[str], size: int) -> Iterator[Any]:
        """Columns of all rows and their row ids, in pieces of at most so many rows."""
        ids = self.rows([columns[0]])[ROW_ID].to_numpy()
        for start in range(0, len(ids), size):
            yield self.take(ids[start : start + size].tolist(), columns)

    def take(self, row_ids: Sequence[int], columns: Sequence[str]) -> Any:
        """Columns of rows by row id, in the order asked for and as often: an Arrow table."""
        distinct, places = np.unique(np.asarray(row_ids, dtype=np.uint64), return_inverse=True)
        with self._reading():
            found = self._table.take_row_ids(distinct.tolist()).select(list(columns)).to_arrow()
        return found if np.array_equal(places, np.arange(len(distinct))) else found.take(places)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, ValueError, OSError) as error:
            raise ValueError(
                f"{self.folder}: table {self.name!r} cannot be read: {error}; if files are damaged, "
                "'theatrum store check' tells what is lost"
            ) from error

    # Writing.

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer, and leave what was committed on the disk.

        The lock is the system's: it is free again when its holder dies. On object storage there is none; there Lance
        itself refuses the second of two changes that contradict each other.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        started = time.time()
        with storage_errors(self.folder):
            if not is_remote(self.folder):
                Path(self.folder).mkdir(parents=True, exist_ok=True)
            with self._lock():
                yield
                if not is_remote(self.folder):
                    sync_files(self.root, started)

    def _lock(self) -> Any:
        from filelock import FileLock

        return nullcontext() if is_remote(self.folder) else FileLock(Path(self.folder) / f"{self.name}.lock")

    def add(self, batch: Any) -> None:
        """Add rows."""
        self._table.add(batch)

    def add_new(self, batch: Any, key: str) -> None:
        """Add rows whose keys the caller has found to be new.

        Where the lock does not reach, another writer may have added some since. There Lance looks through the keys as
        it commits, and leaves out the rows whose keys are there.
        """
        if is_remote(self.folder):
            self._table.merge_insert(key).when_not_matched_insert_all().execute(batch.cast(self.schema))
            self.refresh()
        else:
            self.add(batch)

    def upsert(self, batch: Any, key: str) -> None:
        """Add rows, replacing those that have the same key."""
        merge = self._table.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
        merge.execute(batch)
        self.refresh()

    def delete(self, where: str) -> None:
        """Take out the rows that an SQL condition chooses."""
        self._table.delete(where)

    def add_columns(self, fields: Any) -> None:
        """Give the table further columns, without values so far."""
        self._table.add_columns(fields)

    def widen(self, column: str, kind: Any) -> None:
        """Give the values of a column another type that can hold them all."""
        self._table.alter_columns({"path": column, "data_type": kind})

    def compact(self, keep: timedelta = _FOREVER, *, orphans: bool = False) -> None:
        """Put small files together and really remove deleted rows.

        Parameters
        ----------
        keep : timedelta
            Versions older than this are forgotten, and their files removed; who still reads them gets errors.
        orphans : bool, default=False
            Remove what killed writers left, too; only right while nobody writes, which `writing` sees to.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "optimize")  # what it warns of is said above
            self._table.optimize(cleanup_older_than=keep, delete_unverified=orphans)

    def restore(self, version: int) -> None:
        """Make a version the newest again, as a new commit."""
        self.at(version)
        self._table.restore()


@contextmanager
def storage_errors(folder: str | Path) -> Iterator[None]:
    """Turn what the storage layer says about a disk that cannot be written into one clear error."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, StoreError):
            raise
        codes = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        full = getattr(error, "errno", None) in codes or any(sign in str(error) for sign in _SIGNS_OF_A_FULL_DISK)
        reason = "the disk is full" if full else f"it cannot be written ({error})"
        raise StoreError(
            errno.ENOSPC if full else errno.EIO,
            f"store {folder}: {reason}; what was committed before is safe, and the next run goes on from there",
        ) from error


def sync_files(root: Path, since: float) -> None:
    """Make sure that files and folders changed since a time are on the disk, which Lance leaves to the system."""
    for entry in [*root.rglob("*"), root, root.parent]:
        if entry.stat().st_mtime >= since - 1:  # file systems round times
            handle = os.open(entry, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
