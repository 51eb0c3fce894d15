from __future__ import annotations

import asyncio

import numpy as np
import pytest

from theatrum.data import Document
from theatrum.serve import corpus_map
from theatrum.serve.corpus_map import CorpusMap, colourings, layout, placed_beside, sampled_rows
from theatrum.serve.documents import DocumentTable
from theatrum.serve.facets import facets


def three_heaps(n=60):
    rng = np.random.default_rng(0)
    centres = np.eye(3, 8, dtype=np.float32)
    labels = np.arange(n) % 3
    X = centres[labels] + 0.05 * rng.normal(size=(n, 8)).astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True), labels


def same_heap(points, labels):
    """Share of points whose nearest neighbour is of the same heap."""
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(axis=1)] == labels).mean())


def test_what_is_near_stays_near_and_the_map_is_the_same_every_time():
    X, labels = three_heaps()
    points = layout(X)
    assert points.shape == (60, 2)
    assert points.min() == 0 and points.max() == 1
    assert same_heap(points, labels) == 1
    np.testing.assert_array_equal(points, layout(X))


def test_beyond_the_landmarks_the_others_are_put_beside(monkeypatch):
    monkeypatch.setattr(corpus_map, "_LANDMARKS", 40)
    X, labels = three_heaps(90)
    assert same_heap(layout(X), labels) == 1


@pytest.mark.parametrize("n", [1, 2, 4, 5, 7])
def test_small_corpora_have_a_map_too(n):
    points = layout(three_heaps(n)[0])
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()


def test_equal_and_zero_vectors_have_places():
    X = np.zeros((30, 4), dtype=np.float32)
    X[10:] = [1, 0, 0, 0]
    assert np.isfinite(layout(X)).all()
    assert np.isfinite(layout(np.ones((30, 1), dtype=np.float32))).all()


def test_a_row_beside_one_landmark_lies_on_it():
    points = np.array([[0, 0], [1, 1]], dtype=np.float32)
    landmarks = np.array([[9, 0], [0, 9]], dtype=np.float32)
    np.testing.assert_allclose(placed_beside(landmarks, landmarks, points), points, atol=1e-6)


def test_the_sample_is_drawn_once_for_all():
    rows = sampled_rows(100_000, 500)
    assert rows == sampled_rows(100_000, 500)
    assert rows == sorted(set(rows))
    assert np.histogram(rows, bins=4, range=(0, 100_000))[0].min() > 90


def finished(encode, limit=50):
    documents = DocumentTable.of([Document(str(n), f"text {n}") for n in range(60)])

    async def main():
        made = CorpusMap(documents, encode, "lsa", limit)
        made.start()
        made.start()
        for _ in range(600):
            if made.failed or made.points is not None:
                break
            await asyncio.sleep(0.02)
        await made.stop()
        return made

    return asyncio.run(main())


def test_the_map_is_made_in_the_background_and_says_what_it_shows():
    asked = []

    async def encode(texts):
        asked.extend(texts)
        rng = np.random.default_rng(len(asked))
        return rng.normal(size=(len(texts), 4)).astype(np.float32)

    made = finished(encode)
    assert made.points.shape == (50, 2)
    assert len(asked) == 50
    assert made.progress == 1
    assert made.caption.startswith("50 of 60 documents, drawn at random, placed by lsa")


def test_a_map_that_fails_says_why():
    async def encode(texts):
        raise ValueError("no such weights")

    assert "no such weights" in finished(encode).failed


def test_points_are_coloured_by_values():
    columns = {"topic": ["a", "b", "a", None], "year": [1, 2, 3, 4]}
    (topic, year) = colourings(facets(columns), columns, [0, 1, 3])
    assert (topic.values, topic.codes) == (["a", "b"], [0, 1, -1])
    assert year.codes == [0, 1, 3]
