"""TLDR: scikit-learn's checks, the loss against loops, folding, and neighbourhoods that stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

import theatrum
from theatrum.refine import PrincipalComponents, TwinLearningReduction, knn
from theatrum.refine.lars import LARS
from theatrum.refine.twin_learning import cross_correlation, twin_loss

rng = np.random.default_rng(0)
# 40 small clusters in 24 dimensions, and louder noise in 8 others, which the principal components follow.
LABELS = np.arange(800) % 40
X = np.hstack([rng.normal(size=(40, 24))[LABELS] + 0.1 * rng.normal(size=(800, 24)), 1.3 * rng.normal(size=(800, 8))])
X = (X @ np.linalg.qr(rng.normal(size=(32, 32)))[0]).astype(np.float32)


@pytest.mark.filterwarnings("ignore:TwinLearningReduction")
@parametrize_with_checks([TwinLearningReduction(1, epochs=2, random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_the_loss_is_that_of_the_loops():
    torch.manual_seed(0)
    z, z2 = (torch.randn(20, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    alike, redundant = twin_loss(cross_correlation(z, z2), 0.3)
    slow_alike, slow_redundant = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for i in range(5):
        for j in range(5):
            c = sum(z[b, i] * z2[b, j] for b in range(20)) / 20
            if i == j:
                slow_alike = slow_alike + (c - 1) ** 2
            else:
                slow_redundant = slow_redundant + 0.3 * c**2
    assert torch.allclose(alike, slow_alike) and torch.allclose(redundant, slow_redundant)
    ours = torch.autograd.grad(alike + redundant, z, retain_graph=True)[0]
    assert torch.allclose(ours, torch.autograd.grad(slow_alike + slow_redundant, z)[0])


def test_equal_sides_correlate_perfectly():
    z = torch.nn.BatchNorm1d(6, affine=False, eps=1e-12, dtype=torch.float64)(torch.randn(64, 6, dtype=torch.float64))
    assert torch.allclose(cross_correlation(z, z).diagonal(), torch.ones(6, dtype=torch.float64))


def hits(Z):
    neighbours, _ = knn(Z, 5)
    return (LABELS[neighbours] == LABELS[:, None]).mean()


def test_neighbourhoods_stay_better_than_with_principal_components():
    tldr = TwinLearningReduction(6, epochs=40, random_state=0).fit(X)
    assert hits(tldr.transform(X)) > hits(PrincipalComponents(6, center=True).fit_transform(X)) + 0.02
    assert tldr.loss_curve_[-1].sum() < tldr.loss_curve_[0].sum()
    assert np.allclose(np.linalg.norm(tldr.transform(X), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("encoder", ["factorized", "mlp"])
def test_folded_encoders_are_the_trained_ones(encoder, monkeypatch):
    kept = {}
    fold = TwinLearningReduction._fold

    def keep(self, network):
        kept["network"] = network
        fold(self, network)

    monkeypatch.setattr(TwinLearningReduction, "_fold", keep)
    tldr = TwinLearningReduction(4, encoder=encoder, epochs=3, normalize=False, random_state=0).fit(X)
    with torch.no_grad():
        expected = kept["network"](torch.from_numpy(X)).numpy()
    assert np.allclose(tldr.transform(X), expected, atol=1e-4)


def test_the_same_seed_gives_the_same_map_and_disturbs_nobody():
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    one = TwinLearningReduction(4, epochs=3, random_state=1).fit(X)
    assert torch.rand(1) == before
    two = TwinLearningReduction(4, epochs=3, random_state=1).fit(X)
    other = TwinLearningReduction(4, epochs=3, random_state=2).fit(X)
    assert (one.components_ == two.components_).all()
    assert (one.components_ != other.components_).any()


def test_pairs_instead_of_neighbours():
    first, second = np.arange(760), np.arange(40, 800)  # rows of one label
    tldr = TwinLearningReduction(6, epochs=40, random_state=0).fit(X, pairs=(first, second))
    assert hits(tldr.transform(X)) > 0.5


def test_lars_trains_and_steps_by_its_formula():
    tldr = TwinLearningReduction(4, optimizer="lars", epochs=15, batch_size=256, random_state=0).fit(X)
    assert tldr.loss_curve_[-1].sum() < tldr.loss_curve_[0].sum()
    w, b = torch.nn.Parameter(torch.tensor([[3.0, 4.0]])), torch.nn.Parameter(torch.tensor([1.0]))
    w.grad, b.grad = torch.tensor([[0.0, 2.0]]), torch.tensor([0.5])
    LARS([w, b], lr=0.1, weight_decay=0.0, trust=0.01).step()
    assert torch.allclose(w, torch.tensor([[3.0, 4.0 - 0.1 * 0.01 * 5 / 2 * 2]]))
    assert torch.allclose(b, torch.tensor([0.95]))


@pytest.mark.parametrize("encoder", ["linear", "mlp"])
def test_save_and_open(encoder, tmp_path):
    tldr = TwinLearningReduction(4, encoder=encoder, epochs=2, random_state=0).fit(X)
    theatrum.save(tldr, tmp_path / "t")
    assert theatrum.open(tmp_path / "t").transform(X).tobytes() == tldr.transform(X).tobytes()


def test_few_rows_and_zero_rows_are_told():
    with pytest.warns(UserWarning, match="20 rows are too few"):
        TwinLearningReduction(4).fit(X[:20])
    with pytest.warns(UserWarning, match="2 zero rows take no part"):
        TwinLearningReduction(4, epochs=1).fit(np.vstack([X[:100], np.zeros((2, 32), np.float32)]))
    with pytest.warns(UserWarning, match="batch_size is lowered from 900 to the 800 rows"):
        TwinLearningReduction(4, epochs=1, batch_size=900).fit(X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TwinLearningReduction(33).fit(X), "cannot keep 33 of 32 dimensions"),
        (lambda: TwinLearningReduction(4, n_neighbors=100).fit(X[:100]), "100 neighbours need more rows than 100"),
        (lambda: TwinLearningReduction(4, encoder="cnn").fit(X), "encoder must be one of"),
        (lambda: TwinLearningReduction(4).fit(X * np.nan), "NaN"),
        (lambda: TwinLearningReduction(4).fit(X, pairs=([0], [1, 2])), "equal length"),
        (lambda: TwinLearningReduction(4).fit(X, pairs=([0, 1], [1, 800])), "entry 1 names a row outside 0 to 799"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
