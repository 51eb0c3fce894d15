"""The zero-shot recommender: against a slow version, filters, cold starts, parts, bad input, its folder."""

from __future__ import annotations

import numpy as np
import pytest

from theatrum.refine import PrincipalComponents
from theatrum.search import FlatIndex, TextRecommender
from theatrum.text.latent_semantic import LatentSemanticEncoder

rng = np.random.default_rng(0)
N = 60
X = rng.normal(size=(N, 8)).astype(np.float32) + 0.3
IDS = [f"i{row:02d}" for row in rng.permutation(N)]
YEARS = {"year": [1950 + row for row in range(N)]}
HISTORIES = [[IDS[3]], [IDS[5], IDS[40], IDS[7], IDS[8]], [IDS[1], IDS[1], IDS[2]]]
TEXTS = ["alien space war", "aliens space war", "emma drama village", "persuasion drama village", "space village"]


def slow(history, pooling, k, *, exclude=True, allowed=lambda row: True, decay=3.0):
    units = X / np.linalg.norm(X, axis=1, keepdims=True)
    rows = [IDS.index(name) for name in history]
    if pooling == "max":
        scores = [max(units[row] @ units[own] for own in rows) for row in range(N)]
    else:
        weights = {
            "mean": [1.0] * len(rows),
            "last": [0.0] * (len(rows) - 1) + [1.0],
            "decay": [np.exp(-(len(rows) - t) / decay) for t in range(1, len(rows) + 1)],
        }[pooling]
        user = sum(weight * units[row] for weight, row in zip(weights, rows, strict=True))
        scores = units @ (user / np.linalg.norm(user))
    left = [row for row in range(N) if allowed(row) and not (exclude and row in rows)]
    best = sorted(left, key=lambda row: (-scores[row], IDS[row]))[:k]
    return [IDS[row] for row in best], [scores[row] for row in best]


@pytest.mark.parametrize("pooling", ["mean", "last", "decay", "max"])
@pytest.mark.parametrize("exclude", [True, False])
def test_against_a_slow_version(pooling, exclude):
    recommender = TextRecommender(pooling=pooling, exclude_history=exclude).fit(X, IDS, YEARS)
    ids, scores = recommender.recommend(HISTORIES, 9)
    assert (ids.shape, scores.dtype) == ((3, 9), np.float32)
    for row, history in enumerate(HISTORIES):
        names, values = slow(history, pooling, 9, exclude=exclude)
        assert scores[row].tolist() == pytest.approx(values, abs=1e-5)
        # Items of the history are all at a cosine of 1 from themselves, in some order of rounding.
        assert (sorted(ids[row]) == sorted(names)) if pooling == "max" and not exclude else (ids[row].tolist() == names)


@pytest.mark.parametrize("pooling", ["decay", "max"])
def test_a_filter_goes_to_the_index(pooling):
    recommender = TextRecommender(pooling=pooling).fit(X, IDS, YEARS)
    ids, scores = recommender.recommend(HISTORIES, 8, where={"year": {"lt": 1956}})
    for row, history in enumerate(HISTORIES):
        names, _ = slow(history, pooling, 8, allowed=lambda place: place < 6)
        assert ids[row].tolist() == names + [""] * (8 - len(names))
        assert np.isneginf(scores[row, len(names) :]).all()
    assert (recommender.recommend(HISTORIES, 3, where={"year": 1900})[0] == "").all()


@pytest.mark.parametrize("index", ["hnsw", FlatIndex()])
def test_other_indexes(index):
    recommender = TextRecommender(index=index).fit(X, IDS)
    assert recommender.recommend(HISTORIES, 5)[0].tolist() == [slow(one, "decay", 5)[0] for one in HISTORIES]
    # Fitted again, an index holds the new catalogue only.
    assert len(recommender.fit(X[:9], IDS[:9])) == len(recommender.index_) == 9


def test_k_is_cut_to_the_catalogue_and_short_rankings_end():
    recommender = TextRecommender().fit(X[:3], ["a", "b", "c"])
    ids, scores = recommender.recommend([["a"], ["a", "b", "c"]], 10)
    assert ids.shape == (2, 3)
    assert (ids[0, 2], ids[1].tolist()) == ("", ["", "", ""])
    assert np.isneginf(scores[1]).all()
    assert recommender.recommend([], 2)[0].shape == (0, 2)


def test_equal_items_are_counted_and_ranked_by_id():
    same = np.repeat(X[:2], [5, 1], axis=0)
    recommender = TextRecommender().fit(same, ["e", "c", "a", "d", "b", "z"])
    assert recommender.duplicates == 4
    assert recommender.recommend([["z"]], 5)[0].tolist() == [["a", "b", "c", "d", "e"]]


def test_texts_search_and_recommend():
    recommender = TextRecommender(LatentSemanticEncoder(3, min_count=1)).fit(
        TEXTS, list("abcde"), {"n": [1, 2, 3, 4, 5]}
    )
    assert recommender.recommend([["a"], ["c"]], 1)[0].tolist() == [["b"], ["d"]]
    assert sorted(recommender.search(["village drama"], 2)[0][0]) == ["c", "d"]
    assert recommender.search(["village drama"], 2, where={"n": {"gt": 3}})[0].tolist() == [["d", "e"]]
    Q = recommender.encoder_.encode(["village drama"])
    assert recommender.search(Q, 2)[0].tolist() == recommender.search(["village drama"], 2)[0].tolist()
    assert recommender.search([], 2)[0].shape == (0, 2)


def test_a_refiner_maps_items_and_queries():
    reduced = PrincipalComponents(3).fit(X).transform(X)
    refined, by_hand = TextRecommender(refiner=PrincipalComponents(3)).fit(X, IDS), TextRecommender().fit(reduced, IDS)
    assert refined.vectors_.shape == (N, 3)
    assert refined.recommend(HISTORIES, 5)[0].tolist() == by_hand.recommend(HISTORIES, 5)[0].tolist()
    assert refined.search(X[:4], 5)[0].tolist() == by_hand.search(reduced[:4], 5)[0].tolist()


def test_unknown_ids_are_dropped_and_counted():
    recommender = TextRecommender().fit(X, IDS)
    with pytest.warns(UserWarning, match="3 ids are not in the catalogue"):
        ids, _ = recommender.recommend([[IDS[3], "?"], ["??", "?", IDS[4]]], 5)
    assert ids[0].tolist() == slow([IDS[3]], "decay", 5)[0]


def test_cold_starts():
    popular = TextRecommender(cold_start="popularity").fit(X, IDS, YEARS, popularity=[row % 7 for row in range(N)])
    ids, scores = popular.recommend([[], [IDS[3]], []], 4)
    ranked = sorted(range(N), key=lambda row: (-(row % 7), IDS[row]))
    assert ids[0].tolist() == ids[2].tolist() == [IDS[row] for row in ranked[:4]]
    assert scores[0].tolist() == [6, 6, 6, 6]
    assert ids[1].tolist() == slow([IDS[3]], "decay", 4)[0]
    ids, scores = popular.recommend([[]], 4, where={"year": {"lt": 1953}})
    assert ids[0].tolist() == [IDS[2], IDS[1], IDS[0], ""]
    assert scores[0].tolist() == [2, 1, 0, -np.inf]
    central = TextRecommender(cold_start="centroid").fit(X, IDS)
    units = X / np.linalg.norm(X, axis=1, keepdims=True)
    assert central.recommend([[]], 3)[0][0].tolist() == [
        IDS[row] for row in np.argsort(-units @ units.mean(axis=0))[:3]
    ]


@pytest.mark.parametrize(
    ("parameters", "items", "options", "message"),
    [
        ({"pooling": "sum"}, X, {}, "pooling must be one of 'mean'"),
        ({"decay": 0.0}, X, {}, "decay must be a number above 0"),
        ({"encoder": "flat"}, X, {}, "encoder='flat' names no encoder"),
        ({"index": "minilm"}, X, {}, "of the kind 'encoder'"),
        ({}, TEXTS, {}, "texts need an encoder"),
        ({"encoder": "lsa"}, [], {}, "the catalogue is empty"),
        ({}, np.full((2, 2), np.nan), {}, "row 0 holds NaN"),
        ({}, X, {"ids": ["a"]}, "1 ids for 60 rows"),
        ({}, X, {"ids": ["a"] * N}, "must be unique"),
        ({}, X, {"attributes": {"year": [1]}}, "'year' has 1 values for 60 items"),
        ({"cold_start": "popularity"}, X, {}, "needs one number an item"),
        ({"cold_start": "popularity"}, X, {"popularity": [1.0]}, "60 finite numbers are needed"),
    ],
)
def test_bad_catalogues(parameters, items, options, message):
    with pytest.raises(ValueError, match=message):
        TextRecommender(**parameters).fit(items, **options)


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ([[IDS[0]], []], "row 1 is empty; set cold_start"),
        ([["?", "!"]], "row 0 has 2 ids and none is in the catalogue"),
        ([IDS[0]], "row 0 is a text; each history is a list"),
        (IDS[0], "row 0 is a text"),
    ],
)
def test_bad_histories(histories, message):
    with pytest.raises(ValueError, match=message):
        TextRecommender().fit(X, IDS).recommend(histories)


def test_bad_questions():
    with pytest.raises(ValueError, match="call fit"):
        TextRecommender().recommend([["a"]])
    recommender = TextRecommender().fit(X, IDS)
    with pytest.raises(ValueError, match="k must be a whole number"):
        recommender.recommend(HISTORIES, 0)
    with pytest.raises(ValueError, match="queries: texts need an encoder"):
        recommender.search(["space"])
    with pytest.raises(ValueError, match="expected 8 columns"):
        recommender.search(X[:, :4])
    with pytest.raises(ValueError, match="there is no attribute 'year'"):
        recommender.recommend(HISTORIES, where={"year": 1})


def test_a_failed_fit_keeps_the_old_catalogue():
    recommender = TextRecommender().fit(X, IDS)
    with pytest.raises(ValueError, match="unique"):
        recommender.fit(X, ["a"] * N)
    assert recommender.recommend(HISTORIES, 2)[0].tolist() == [slow(one, "decay", 2)[0] for one in HISTORIES]


def test_save_and_open(tmp_path):
    recommender = TextRecommender(
        LatentSemanticEncoder(4, min_count=1), refiner=PrincipalComponents(3), pooling="max", cold_start="popularity"
    ).fit(TEXTS, list("edcba"), {"n": [1, 2, 3, 4, 5]}, popularity=[5, 4, 3, 2, 1])
    recommender.save(tmp_path / "films")
    opened = TextRecommender.open(tmp_path / "films")
    assert (len(opened), opened.pooling, opened.memory_bytes) == (5, "max", recommender.memory_bytes)
    opened.save(tmp_path / "films")
    for part in (opened, TextRecommender.open(tmp_path / "films")):
        for one, two in zip(everything_of(recommender), everything_of(part), strict=True):
            assert one.tolist() == two.tolist()


def everything_of(recommender):
    recommended = recommender.recommend([["e"], ["a", "b"], []], 3)
    return [*recommended, *recommender.search(["war"], 2, where={"n": {"lt": 3}})]


def test_a_folder_of_something_else_or_a_damaged_one(tmp_path):
    import theatrum

    theatrum.save(PrincipalComponents(2).fit(X), tmp_path / "pca")
    with pytest.raises(ValueError, match="holds no recommender"):
        TextRecommender.open(tmp_path / "pca")
    with pytest.raises(FileNotFoundError):
        TextRecommender.open(tmp_path / "nothing")
    for name in ("items.json", "items.safetensors"):
        TextRecommender().fit(X, IDS).save(tmp_path / "films")
        (tmp_path / "films" / name).write_text("[")
        with pytest.raises(ValueError, match="incomplete or damaged"):
            TextRecommender.open(tmp_path / "films")
        (tmp_path / "films" / name).unlink()
        with pytest.raises(ValueError, match="incomplete or damaged"):
            TextRecommender.open(tmp_path / "films")
