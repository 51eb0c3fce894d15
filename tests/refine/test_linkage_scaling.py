"""Linkage scaling: scikit-learn's checks, its special cases, new rows, landmarks, pictures, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.manifold import MDS, spectral_embedding
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.refine import linkage_scaling
from theatrum.refine.linkage_scaling import LinkageScaling
from theatrum.refine.pairwise_losses import classical_start, eigenmaps, place_by_stress, smacof

rng = np.random.default_rng(0)
X = rng.normal(size=(90, 4))
D = squareform(pdist(X))
CHAINS = (rng.normal(size=(8, 1, 5)) * 6 + np.cumsum(rng.normal(size=(8, 12, 5)) * 0.3, axis=1)).reshape(96, 5)


@parametrize_with_checks(
    [
        LinkageScaling(),
        LinkageScaling(linkage="maximal"),
        LinkageScaling(linkage="path"),
        LinkageScaling(linkage="geodesic", connect="mst"),
        LinkageScaling(linkage="fuzzy", loss="spectral"),
        LinkageScaling(metric="precomputed"),
    ]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_maximal_and_stress_are_metric_scaling():
    start = rng.normal(size=(90, 2))
    peer = MDS(2, metric_mds=True, metric="precomputed", init="random", n_init=1, eps=1e-6, normalized_stress=False)
    embedding, stress, _ = smacof(D, start)
    assert np.allclose(embedding, peer.fit_transform(D, init=start))
    assert np.isclose(stress, peer.stress_)
    assert np.isclose(stress, ((pdist(embedding) - squareform(D)) ** 2).sum())


def test_stress_never_grows_and_float32_is_enough():
    start = rng.normal(size=(90, 2))
    found = [smacof(D, start, max_iter=steps)[1] for steps in (0, 1, 2, 5, 20, 100)]
    assert (np.diff(found) <= 0).all()
    assert np.isclose(smacof(D.astype(np.float32), start)[1], smacof(D, start)[1], rtol=1e-4)
    exact = squareform(pdist(X[:, :2]))
    assert smacof(exact, classical_start(exact, 2, 0))[1] < 1e-12


def test_equal_places_do_no_harm():
    start = np.zeros((90, 2))
    start[45:] = 1
    embedding, stress, _ = smacof(D, start)
    assert np.isfinite(embedding).all() and np.isfinite(stress)


def test_classical_start_is_that_of_the_whole_spectrum():
    start = classical_start(D, 3, 0)
    centring = np.eye(90) - 1 / 90
    values, axes = np.linalg.eigh(-0.5 * centring @ D**2 @ centring)
    slow = axes[:, -3:] * np.sqrt(values[-3:])
    assert np.allclose(start @ start.T, slow @ slow.T, atol=1e-3)
    assert classical_start(D[:2, :2], 4, 0).shape == (2, 4)


def test_stress_is_that_of_the_embedding():
    for linkage in ("single", "maximal", "path"):
        scaling = LinkageScaling(linkage=linkage).fit(X)
        slow = ((pdist(scaling.embedding_) - squareform(scaling.dissimilarity_, checks=False)) ** 2).sum()
        assert np.isclose(scaling.stress_, slow, rtol=1e-3)


def test_more_starts_are_no_worse():
    few, many = LinkageScaling(n_init=1).fit(X).stress_, LinkageScaling(n_init=6).fit(X).stress_
    assert many <= few


def test_chains_keep_their_origin():
    many = (rng.normal(size=(40, 1, 200)) + np.cumsum(rng.normal(size=(40, 8, 200)) * 0.2, axis=1)).reshape(320, 200)
    hits = {}
    for linkage in ("single", "maximal"):
        Z = LinkageScaling(linkage=linkage).fit_transform(many)
        hits[linkage] = (cdist(Z[7::8], Z[::8]).argmin(axis=1) == np.arange(40)).mean()
    assert hits["single"] > hits["maximal"] + 0.15


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_and_determinism(dtype):
    first = LinkageScaling(random_state=3).fit(X.astype(dtype))
    again = LinkageScaling(random_state=3).fit(X.astype(dtype))
    assert first.embedding_.dtype == first.transform(X[:3].astype(dtype)).dtype == dtype
    assert first.dissimilarity_.dtype == np.float32
    assert first.embedding_.tobytes() == again.embedding_.tobytes()
    assert list(first.get_feature_names_out()) == ["linkagescaling0", "linkagescaling1"]


def test_precomputed_is_the_same():
    ours = LinkageScaling(random_state=0).fit(X)
    given = LinkageScaling(metric="precomputed", random_state=0).fit(D)
    assert np.allclose(ours.embedding_, given.embedding_, atol=1e-3)
    new = X[:4] + 0.05
    assert np.allclose(ours.transform(new), given.transform(cdist(new, X)), atol=1e-3)


def test_lumap_is_the_spectral_embedding_of_the_fuzzy_graph():
    scaling = LinkageScaling(3, linkage="fuzzy", loss="spectral", n_neighbors=10).fit(X)
    graph = np.exp(-scaling.dissimilarity_.astype(float))
    np.fill_diagonal(graph, 0)
    slow = spectral_embedding(graph, n_components=3, random_state=0)
    slow *= np.linalg.norm(scaling.embedding_, axis=0) / np.linalg.norm(slow, axis=0)
    assert np.allclose(np.abs(scaling.embedding_), np.abs(slow), atol=1e-5)
    assert scaling.stress_ is None


def test_eigenmaps_solve_their_equation():
    graph = np.exp(-D)
    np.fill_diagonal(graph, 0)
    maps = eigenmaps(graph, 2, np.random.RandomState(0))
    walked = graph @ maps / graph.sum(axis=1, keepdims=True)
    ratio = (walked * maps).sum(axis=0) / (maps**2).sum(axis=0)
    assert np.allclose(walked, maps * ratio)


@pytest.mark.parametrize("linkage", ["fuzzy", "maximal"])
def test_cross_entropy_separates_groups(linkage):
    pytest.importorskip("umap")
    groups = np.concatenate([rng.normal(size=(40, 4)), rng.normal(size=(40, 4)) + 8])
    scaling = LinkageScaling(linkage=linkage, loss="cross_entropy", n_neighbors=20)
    with np.errstate(all="ignore"):
        Z = scaling.fit_transform(groups)
    away = cdist(Z, Z)
    np.fill_diagonal(away, np.inf)
    assert (away.argmin(axis=1) // 40 == np.arange(80) // 40).all()
    inside = scaling.transform(groups[:3] + 0.01)
    assert (cdist(inside, Z).argmin(axis=1) < 40).all()


def test_new_rows_take_the_place_of_least_stress():
    from scipy.optimize import minimize

    scaling = LinkageScaling(linkage="maximal").fit(X)
    new = rng.normal(size=(5, 4))
    d = cdist(new, X)
    places = scaling.transform(new)
    for row, place in zip(d, places, strict=True):

        def stress(a, row=row):
            return ((np.linalg.norm(scaling.embedding_ - a, axis=1) - row) ** 2).sum()

        found = minimize(stress, place, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
        assert stress(place) <= found.fun * (1 + 1e-3)


def test_new_rows_alone_and_together_and_twins():
    for scaling in (
        LinkageScaling(),
        LinkageScaling(linkage="path", p=2),
        LinkageScaling(linkage="geodesic", radius=1.5, connect="mst"),
        LinkageScaling(linkage="geodesic", n_neighbors=8, connect="mst"),
        LinkageScaling(linkage="fuzzy", loss="spectral"),
        LinkageScaling(linkage="single", loss="spectral", metric="cosine"),
    ):
        scaling.fit(X)
        new = np.concatenate([X[:3], rng.normal(size=(4, 4)), [[50.0, 0, 0, 0]]])
        places = scaling.transform(new)
        assert np.array_equal(places[:3], scaling.embedding_[:3])
        assert np.isfinite(places).all()
        assert np.allclose(places, np.concatenate([scaling.transform(row[None]) for row in new]), atol=1e-9)


def test_one_step_of_placing():
    places = place_by_stress(np.array([[2.0]]), np.array([[0.0, 0.0]]), np.array([[0.5, 0.0]]))
    assert np.allclose(places, [[2, 0]])


def test_many_rows_are_placed_around_landmarks(monkeypatch):
    monkeypatch.setattr(linkage_scaling, "_DENSE", 60)
    scaling = LinkageScaling(random_state=0).fit(CHAINS)
    assert scaling.embedding_.shape == (96, 2) and scaling.dissimilarity_.shape == (60, 60)
    assert np.allclose(scaling.transform(CHAINS), scaling.embedding_, atol=1e-6)
    given = LinkageScaling(metric="precomputed", random_state=0).fit(cdist(CHAINS, CHAINS))
    assert np.allclose(given.embedding_, scaling.embedding_, atol=0.05)
    assert 0 <= scaling.refinement_report(CHAINS).chaining_index <= 1


def test_refinement_report():
    scaling = LinkageScaling(linkage="path").fit(X)
    report = scaling.refinement_report(X)
    assert report.share_at_least_single == report.share_at_most_maximal == 1
    assert np.isclose(report.root_stress_maximal**2, LinkageScaling(linkage="maximal").fit(X).stress_, rtol=0.05)
    assert "100.0% of pairs" in str(report) and "warning" not in str(report)
    line = np.linspace(0, 9, 80)[:, None]
    assert "warning: small steps join" in str(LinkageScaling(1).fit(line).refinement_report(line))
    longer = LinkageScaling(linkage="geodesic", radius=2.0, connect="mst").fit(X).refinement_report(X)
    assert longer.share_at_least_single == 1 > longer.share_at_most_maximal


def test_degenerate_spaces():
    assert np.isfinite(LinkageScaling(3).fit_transform([[0.0, 1], [2, 3]])).all()
    assert np.allclose(LinkageScaling().fit_transform(np.ones((5, 2))), 0)
    outlier = np.concatenate([X, [[1e6, 0, 0, 0]]])
    assert np.isfinite(LinkageScaling(linkage="maximal", loss="spectral").fit_transform(outlier)).all()


@pytest.mark.parametrize(
    "scaling",
    [LinkageScaling(), LinkageScaling(linkage="path"), LinkageScaling(linkage="fuzzy", loss="spectral")],
)
def test_save_and_open(scaling, tmp_path):
    scaling.fit(X)
    theatrum.save(scaling, tmp_path / "s")
    opened = theatrum.open(tmp_path / "s")
    new = rng.normal(size=(5, 4))
    assert opened.transform(new).tobytes() == scaling.transform(new).tobytes()
    assert opened.embedding_.tobytes() == scaling.embedding_.tobytes()
    assert opened.stress_ == scaling.stress_


def test_plot():
    scaling = LinkageScaling().fit(CHAINS)
    axes = scaling.plot(np.arange(96) // 12).axes[0]
    assert len(axes.collections) == 8 and len(axes.get_legend().get_texts()) == 8
    assert axes.get_xlabel() == "dimension 1 (units of the distances)"
    assert sum(len(drawn.get_offsets()) for drawn in axes.collections) == 96
    plain = scaling.plot().axes[0]
    assert len(plain.collections) == 1 and plain.get_legend() is None


NOT_JOINED = np.concatenate([X[:20], X[:20] + 100])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LinkageScaling(linkage="average").fit(X), "linkage must be one of 'single', 'maximal', 'path'"),
        (lambda: LinkageScaling(p=0.5).fit(X), "p must be a number between 1 and 64"),
        (lambda: LinkageScaling(radius=0).fit(X), "radius must be a number above 0 or None"),
        (lambda: LinkageScaling(linkage="fuzzy").fit(X), "use loss='spectral' or 'cross_entropy'"),
        (lambda: LinkageScaling().fit(X[:1]), "minimum of 2"),
        (lambda: LinkageScaling().fit(np.where(X > 2, np.nan, X)), "NaN"),
        (lambda: LinkageScaling(metric="cosine").fit(X * (np.arange(90) != 4)[:, None]), "row 4 is zero"),
        (lambda: LinkageScaling(metric="precomputed").fit(X), "expected a square matrix"),
        (lambda: LinkageScaling(metric="precomputed").fit(np.triu(D)), "give a symmetric matrix"),
        (lambda: LinkageScaling(metric="precomputed").fit(1 - np.eye(3) * 2), "from 0 to 0 it is -1"),
        (lambda: LinkageScaling(metric="precomputed").fit(D).transform(-D[:2]), "distances are at least 0"),
        (lambda: LinkageScaling(linkage="geodesic").fit(NOT_JOINED), "in 2 pieces; raise radius or n_neighbors"),
        (lambda: LinkageScaling(linkage="geodesic", radius=9.0).fit(X).transform([[99.0] * 4]), "row 0 is .* raise"),
        (lambda: LinkageScaling(90, loss="spectral").fit(X), "90 rows are too few for 90 spectral dimensions; 92 are"),
        (lambda: LinkageScaling().fit(X).refinement_report(X[:9]), "9 rows, but 90 were fitted"),
        (lambda: LinkageScaling(1).fit(X).plot(), "plot needs two dimensions"),
        (lambda: LinkageScaling().fit(X).plot([1, 2]), "2 labels for 90 rows"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
