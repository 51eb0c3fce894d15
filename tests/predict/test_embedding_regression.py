"""Regression on text embeddings: scikit-learn's checks, heads against slow versions, kinds of rows, saving."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.nn.mlp import mlp, network_arrays, seeded
from theatrum.predict import embedding_regression as module
from theatrum.predict.embedding_regression import EmbeddingRegressor
from theatrum.predict.regression_heads import neighbor_means, network_values
from theatrum.predict.row_texts import row_text
from theatrum.text.latent_semantic import LatentSemanticEncoder

pandas = pytest.importorskip("pandas")
rng = np.random.default_rng(0)
X = rng.normal(size=(300, 4))
Y = 10 + 3 * np.sin(X[:, 0]) + X[:, 1] ** 2
TOWNS = {"Lyon": 4.0, "Paris": 9.0, "Nice": 6.0}
FLATS = [{"town": list(TOWNS)[i % 3], "rooms": 1 + i % 4} | ({"lift": True} if i % 2 else {}) for i in range(60)]
PRICES = np.array([TOWNS[row["town"]] * row["rooms"] for row in FLATS])
HEADS = ("mlp", "ridge", "knn")


class Letters:
    """Counts of characters: an encoder for tests."""

    dim = 128

    def encode(self, items, *, role="document", batch_size=64, show_progress=False):
        return np.array([np.bincount([min(ord(c), 127) for c in text], minlength=128) for text in items], np.float32)


@parametrize_with_checks([EmbeddingRegressor(None, head, hidden=(16,)) for head in HEADS])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_learns(head):
    regressor = EmbeddingRegressor(None, head, random_state=0).fit(X[:200], Y[:200])
    tau = regressor.kendall_tau(X[200:], Y[200:])
    assert tau == kendalltau(Y[200:], regressor.predict(X[200:])).statistic > 0.35
    assert regressor.score(X[200:], Y[200:]) > 0.3


def test_the_network_bends_where_a_line_cannot():
    taus = [EmbeddingRegressor(None, head, random_state=0).fit(X, Y).kendall_tau(X, Y) for head in HEADS[:2]]
    assert taus[0] > taus[1] + 0.2


def test_network_values_are_those_of_torch():
    with seeded(0):
        network = mlp([4, 8, 3, 1])
    expected = network(torch.from_numpy(X.astype(np.float32))).detach().numpy()[:, 0]
    assert np.allclose(network_values(network_arrays(network), X), expected, atol=1e-5)


def test_ridge_is_ridge_on_standardised_rows():
    ours = EmbeddingRegressor(None, "ridge").fit(X, Y)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    oracle = Ridge(ours.chosen_["alpha"]).fit(Z, Y)
    assert np.allclose(ours.predict(X), oracle.predict(Z))


def test_neighbour_means_against_loops():
    found = neighbor_means(X[:50], Y[:50], X[50:60], [1, 4])
    for q in range(10):
        order = np.argsort(((X[:50] - X[50 + q]) ** 2).sum(axis=1))
        assert found[:, q] == pytest.approx([Y[order[0]], Y[order[:4]].mean()])


def test_constant_coordinates_are_dropped_even_if_they_move_later():
    constant = np.hstack([X, np.full((300, 1), 0.1)])
    moved = np.hstack([X, rng.normal(size=(300, 1))])
    for scaled in (True, False):
        regressor = EmbeddingRegressor(None, "ridge", scale_features=scaled).fit(constant, Y)
        assert np.allclose(regressor.predict(constant), regressor.predict(moved))


def test_scales_matter_only_when_not_scaled():
    stretched = X * [1, 100, 1, 1]
    for scaled, same in ((True, True), (False, False)):
        plain, other = (
            EmbeddingRegressor(None, "knn", scale_features=scaled, random_state=0).fit(rows, Y).predict(rows)
            for rows in (X, stretched)
        )
        assert np.allclose(plain, other) == same


def test_ranks_do_not_see_heavy_tails():
    heavy = np.exp(Y**1.5 / 5)
    ranked = EmbeddingRegressor(None, "ridge", target_transform="rank").fit(X[:200], heavy[:200])
    assert np.allclose(
        np.argsort(ranked.predict(X)),
        np.argsort(EmbeddingRegressor(None, "ridge", target_transform="rank").fit(X[:200], Y[:200]).predict(X)),
    )
    predicted = ranked.predict(X)
    assert heavy[:200].min() <= predicted.min() and predicted.max() <= heavy[:200].max()


def test_the_seed_decides():
    one, two, other = (
        EmbeddingRegressor(None, hidden=(16,), random_state=seed).fit(X, Y).predict(X) for seed in (0, 0, 1)
    )
    assert one.tobytes() == two.tobytes() != other.tobytes()
    state = torch.random.get_rng_state()
    EmbeddingRegressor(None, hidden=(4,)).fit(X[:20], Y[:20])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_dictionaries_texts_and_data_frames():
    texts = [row_text({key: row[key] for key in ("town", "rooms", "lift") if key in row}) for row in FLATS]
    by_row = EmbeddingRegressor(Letters(), "ridge").fit(FLATS, PRICES)
    by_text = EmbeddingRegressor(Letters(), "ridge").fit(texts, PRICES)
    assert np.array_equal(by_row.predict(FLATS), by_text.predict(texts))
    assert by_row.kinds_ == {"town": "text", "rooms": "number", "lift": "truth value"}
    turned = [dict(reversed(row.items())) for row in FLATS]
    assert np.array_equal(by_row.predict(turned), by_row.predict(FLATS))
    assert by_row.score(FLATS, PRICES) > 0.7
    frame = pandas.DataFrame(FLATS)[["town", "rooms"]]
    by_frame = EmbeddingRegressor(Letters(), "ridge").fit(frame, PRICES)
    short = [{"town": row["town"], "rooms": row["rooms"]} for row in FLATS]
    assert np.array_equal(by_frame.predict(frame), by_frame.predict(short))
    series = EmbeddingRegressor(Letters(), "ridge").fit(pandas.Series(texts), PRICES)
    assert np.array_equal(series.predict(np.array(texts)), by_text.predict(texts))


def test_keys_are_written_in_the_order_of_fit():
    seen = []

    class Listening(Letters):
        def encode(self, items, **options):
            seen.append(list(items))
            return super().encode(items, **options)

    regressor = EmbeddingRegressor(Listening(), "ridge").fit(FLATS, PRICES)
    regressor.predict([{"new": 1, "lift": True, "rooms": 2, "town": "Nice"}])
    assert seen[0][1] == "town: Paris, rooms: 2, lift: true"
    assert seen[1] == ["town: Nice, rooms: 2, lift: true, new: 1"]


def test_a_frame_of_numbers_is_a_matrix_without_an_encoder():
    frame = pandas.DataFrame(X, columns=list("abcd"))
    regressor = EmbeddingRegressor(None, "ridge").fit(frame, Y)
    assert regressor.feature_names_in_.tolist() == list("abcd")
    assert np.allclose(regressor.predict(frame), EmbeddingRegressor(None, "ridge").fit(X, Y).predict(X))


def test_precision_and_serializer_change_the_text():
    seen = []

    class Listening(Letters):
        def encode(self, items, **options):
            seen.append(items[0])
            return super().encode(items, **options)

    rows = [{"x": i + 0.123456, "y": "abc"[i % 3]} for i in range(20)]
    spaced = partial(row_text, number_format="spaced")
    for parameters in ({}, {"precision": 2}, {"serializer": spaced}):
        EmbeddingRegressor(Listening(), "ridge", **parameters).fit(rows, np.arange(20))
    assert seen == ["x: 0.1235, y: a", "x: 0.12, y: a", "x: 0 . 1 2 3 5, y: a"]


@pytest.mark.filterwarnings("ignore:LatentSemanticEncoder")
def test_a_named_encoder_is_made_once_and_fitted_when_it_learns(monkeypatch):
    made = []
    monkeypatch.setattr(module, "_named_encoder", lambda name: made.append(name) or Letters())
    EmbeddingRegressor("minilm", "ridge").fit(FLATS, PRICES)
    assert made == ["minilm"]
    monkeypatch.undo()
    learnt = EmbeddingRegressor("lsa", "ridge").fit(FLATS, PRICES).encoder_
    assert learnt is not EmbeddingRegressor("lsa", "ridge").fit(FLATS, PRICES).encoder_
    assert len(learnt.encode(["town: Lyon"])) == 1


@pytest.mark.parametrize("head", HEADS)
def test_save_and_open_vectors(head, tmp_path):
    regressor = EmbeddingRegressor(None, head, hidden=(8,), target_transform="rank", random_state=0).fit(X, Y)
    theatrum.save(regressor, tmp_path / "r")
    opened = theatrum.open(tmp_path / "r")
    assert opened.predict(X).tobytes() == regressor.predict(X).tobytes()
    assert opened.chosen_ == regressor.chosen_ and opened.n_features_in_ == 4


@pytest.mark.filterwarnings("ignore:LatentSemanticEncoder")
@pytest.mark.parametrize("given", ["name", "object"])
def test_save_and_open_with_an_encoder(given, tmp_path):
    texts = [row_text(row) for row in FLATS]
    encoder = "lsa" if given == "name" else LatentSemanticEncoder(8).fit(texts)
    regressor = EmbeddingRegressor(encoder, "ridge").fit(FLATS, PRICES)
    theatrum.save(regressor, tmp_path / "r")
    opened = theatrum.open(tmp_path / "r")
    assert opened.predict(FLATS).tobytes() == regressor.predict(FLATS).tobytes()
    assert opened.kinds_ == regressor.kinds_
    assert (opened.encoder == "lsa") == (given == "name")


def test_a_frozen_named_encoder_is_saved_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_named_encoder", lambda name: Letters())
    regressor = EmbeddingRegressor(head="ridge").fit(FLATS, PRICES)
    theatrum.save(regressor, tmp_path / "r")
    assert not (tmp_path / "r" / "encoder").exists()
    assert theatrum.open(tmp_path / "r").predict(FLATS).tobytes() == regressor.predict(FLATS).tobytes()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"encoder": Letters()}, "encoder: it cannot be saved: Letters is not registered.*fit on its vectors"),
        ({"encoder": "lsa", "serializer": row_text}, "serializer: a function cannot be saved"),
    ],
)
@pytest.mark.filterwarnings("ignore:LatentSemanticEncoder")
def test_what_cannot_be_saved(parameters, message, tmp_path):
    regressor = EmbeddingRegressor(head="ridge", **parameters).fit(FLATS, PRICES)
    with pytest.raises(ValueError, match=message):
        theatrum.save(regressor, tmp_path / "r")


def fit(X=FLATS, y=PRICES, **parameters):
    return EmbeddingRegressor(**{"encoder": Letters(), "head": "ridge", **parameters}).fit(X, y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit(y=np.ones(60)), "y: all 60 values are 1"),
        (lambda: fit(y=PRICES[:9]), "expected 60 numbers"),
        (lambda: fit(y=np.where(PRICES > 30, np.nan, PRICES)), "y: row 7 is nan"),
        (lambda: fit([*FLATS[:59], {"rooms": "two"}]), "row 59, key 'rooms' holds a text, other rows a number"),
        (lambda: fit([*FLATS[:59], {"rooms": float("nan")}]), "row 59, key 'rooms' is nan"),
        (lambda: fit([*FLATS[:59], "a flat"]), "row 59 is str"),
        (lambda: fit(["a flat", *FLATS[:59]]), "X: row 1 is dict, expected a text"),
        (lambda: fit("a flat"), "put it in a list"),
        (lambda: fit(["same"] * 60), "all rows are the same vector"),
        (lambda: fit(FLATS[:2], PRICES[:2]), "minimum of 3"),
        (lambda: fit(FLATS, encoder=None), "row 0 is dict; with encoder=None"),
        (lambda: fit(encoder="pca"), "'pca' is a registered refiner, not an encoder; the encoders are: .*minilm"),
        (lambda: fit(encoder="minilmm"), "did you mean 'minilm'"),
        (lambda: fit(encoder=3), "encoder must be a registered name"),
        (lambda: fit(head="tree"), "head must be one of 'mlp', 'ridge', 'knn'"),
        (lambda: fit(hidden=(8, 0)), "hidden must be widths of at least 1"),
        (lambda: fit(serializer="yaml"), "serializer must be 'json' or a function"),
        (lambda: fit(serializer=len), "row 0 is int, expected a text"),
        (lambda: fit(precision=0), "precision must be a whole number of at least 1"),
        (lambda: fit(validation_fraction=0.0), "validation_fraction must be"),
        (lambda: fit(target_transform="log"), "target_transform must be one of 'rank' or None"),
        (lambda: fit().predict(["a flat"]), "fit saw dictionaries, these are texts"),
        (lambda: fit().predict([{"rooms": "two"}]), "row 0, key 'rooms' holds a text, other rows a number"),
        (lambda: fit(X, Y, encoder=None).predict(X[:, :2]), "2 features, but EmbeddingRegressor is expecting 4"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_clone_keeps_its_parameters():
    regressor = EmbeddingRegressor("lsa", "knn", precision=2)
    assert clone(regressor).get_params() == regressor.get_params()
