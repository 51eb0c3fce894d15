"""The map of a corpus: documents as points in the plane, near where their vectors are near."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Vectors
from theatrum.serve.documents import DocumentTable
from theatrum.serve.facets import Facet

Points = NDArray[np.float32]  # (n, 2), both coordinates between 0 and 1

_LANDMARKS = 4000  # points that t-SNE places in about half a minute on one core
_NEIGHBOURS = 5
_COMPONENTS = 50
_CHUNK = 8  # documents encoded at once: so long a search may have to wait while a map is made
_COLOURS = 8


def sampled_rows(n: int, limit: int) -> list[int]:
    """Choose rows of a corpus for the map: all, or a draw that is the same every time, in the order of the corpus.

    Examples
    --------
    >>> sampled_rows(3, 10), len(sampled_rows(1000, 10))
    ([0, 1, 2], 10)
    """
    if n <= limit:
        return list(range(n))
    rows: list[int] = np.sort(np.random.default_rng(0).choice(n, limit, replace=False)).tolist()
    return rows


def placed_beside(X: Vectors, landmarks: Vectors, points: Points) -> Points:
    """Place each row at the weighted mean of the points of its nearest landmarks.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
        Rows to place.
    landmarks : ndarray of float32, shape (m, d)
        Rows that have their place.
    points : ndarray of float32, shape (m, 2)
        Those places.
    """
    placed = np.empty((len(X), 2), dtype=np.float32)
    k = min(_NEIGHBOURS, len(landmarks))
    squares = np.einsum("ij,ij->i", landmarks, landmarks)
    for start in range(0, len(X), 1024):
        block = X[start : start + 1024]
        # Up to a constant a row, minus half the squared distance.
        nearness = block @ landmarks.T - squares / 2
        nearest = np.argpartition(-nearness, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(nearness, nearest, axis=1)
        weights = np.exp(20 * (values - values.max(axis=1, keepdims=True)))
        weights /= weights.sum(axis=1, keepdims=True)
        placed[start : start + len(block)] = np.einsum("nk,nkc->nc", weights, points[nearest])
    return placed


def layout(X: Vectors) -> Points:
    """Lay vectors out in the plane: principal components first, then t-SNE, the same every time.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
        Unit rows.

    Returns
    -------
    ndarray of float32, shape (n, 2)
        Between 0 and 1. Of more than 4,000 rows, 4,000 are laid out and the others put beside their nearest.

    References
    ----------
    L. van der Maaten, G. Hinton: Visualizing data using t-SNE, 2008.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    n, d = X.shape
    if n < 5:
        places = np.linspace(0.2, 0.8, n, dtype=np.float32)
        return np.column_stack([places, places[::-1]])
    with np.errstate(invalid="ignore"):  # rows that are all alike have no variance to take shares of
        reduced = PCA(min(_COMPONENTS, n, d), svd_solver="full").fit_transform(X).astype(np.float32)
    chosen = np.array(sampled_rows(n, _LANDMARKS))
    landmarks = reduced[chosen]
    tsne = TSNE(2, init="pca", perplexity=min(30.0, (len(chosen) - 1) / 3), random_state=0, n_jobs=1)
    # One dimension cannot start a plane by its principal components.
    start = tsne if landmarks.shape[1] > 1 else tsne.set_params(init="random")
    points = np.empty((n, 2), dtype=np.float32)
    points[chosen] = start.fit_transform(landmarks)
    rest = np.setdiff1d(np.arange(n), chosen)
    if len(rest):
        points[rest] = placed_beside(reduced[rest], landmarks, points[chosen])
    low = points.min(axis=0)
    span: Any = np.maximum(points.max(axis=0) - low, 1e-9)
    scaled: Points = ((points - low) / span).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class Colouring:
    """A facet to colour the points by.

    Parameters
    ----------
    name : str
        The attribute.
    values : list of str
        The most frequent values; a point of another has code -1.
    codes : list of int
        One a point.
    """

    name: str
    values: list[str]
    codes: list[int]


def colourings(facets: Sequence[Facet], columns: dict[str, list[Any]], rows: Sequence[int]) -> list[Colouring]:
    """Colour points by every facet that has values to pick from."""
    made = []
    for facet in facets:
        if facet.kind != "values":
            continue
        values = [value for value, _ in sorted(facet.values, key=lambda pair: -pair[1])[:_COLOURS]]
        places = {value: place for place, value in enumerate(values)}
        codes = [places.get(columns[facet.name][row], -1) for row in rows]
        made.append(Colouring(facet.name, [str(value) for value in values], codes))
    return made


class CorpusMap:
    """A map that is made in the background when it is first asked for.

    Parameters
    ----------
    documents : DocumentTable
        The corpus.
    encode : callable
        Texts -> unit vectors, awaited; called with a few texts at a time, so that searches come in between.
    positions : str
        Whose vectors these are, for the caption.
    limit : int
        Most documents on the map.
    """

    def __init__(
        self,
        documents: DocumentTable,
        encode: Callable[[list[str]], Awaitable[Vectors]],
        positions: str,
        limit: int,
    ) -> None:
        self.documents = documents
        self.rows = sampled_rows(len(documents), limit)
        self.points: Points | None = None
        self.failed = ""
        self.step = "not begun"
        self.progress = 0.0
        self._encode = encode
        self._positions = positions
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it was begun before."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._make())

    async def stop(self) -> None:
        """Give up what is not done."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def caption(self) -> str:
        """What the map shows, and what it leaves out."""
        n, shown = len(self.documents), len(self.rows)
        text = f"All {n:,} documents" if shown == n else f"{shown:,} of {n:,} documents, drawn at random"
        text += f", placed by {self._positions} (t-SNE"
        if shown > _LANDMARKS:
            text += f" of {_LANDMARKS:,}, the others beside their nearest"
        return text + "). Neighbours are alike; distances across the map say little."

    async def _make(self) -> None:
        try:
            vectors = []
            self.step = "reading the documents"
            for start in range(0, len(self.rows), _CHUNK):
                chunk = self.documents.rows(self.rows[start : start + _CHUNK])
                vectors.append(await self._encode([document.content for document in chunk]))
                self.progress = 0.8 * (start + len(chunk)) / len(self.rows)
            self.step = "laying out the map"
            self.points = await _in_own_thread(lambda: layout(np.vstack(vectors)))
            self.step, self.progress = "done", 1.0
        except Exception as error:  # the page says so; the service goes on without a map
            self.failed = f"the map could not be made: {error}"


async def _in_own_thread(work: Callable[[], Points]) -> Points:
    """Run work in a thread that the end of the process does not wait for: t-SNE cannot be interrupted."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Points] = loop.create_future()

    def settle(points: Points | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        elif points is not None:
            answer.set_result(points)

    def run() -> None:
        points, failure = None, None
        try:
            points = work()
        except Exception as error:
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, points, failure)

    threading.Thread(target=run, name="map", daemon=True).start()
    return await answer
