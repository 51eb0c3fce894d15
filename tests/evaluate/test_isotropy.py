import sys

import numpy as np
import pytest

from theatrum.evaluate.isotropy import isotropy, spectral_entropy


def test_equals_a_slow_version_with_weights():
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(300, 6)) * [3, 1, 1, 0.5, 0.2, 0.1] + [2, 0, 1, 0, 0, 0]).astype(np.float32)
    counts = rng.integers(0, 50, 300)
    p = counts / counts.sum()
    mean = sum(pi * x for pi, x in zip(p, X.astype(float), strict=True))
    C = sum(pi * np.outer(x - mean, x - mean) for pi, x in zip(p, X.astype(float), strict=True))
    values = np.linalg.eigvalsh(C) / np.trace(C)
    found = isotropy(X, weights=counts)
    assert found.centrality == pytest.approx(
        1 - np.linalg.norm(mean) / sum(pi * np.linalg.norm(x) for pi, x in zip(p, X.astype(float), strict=True))
    )
    assert found.spectral_entropy == pytest.approx(-(values * np.log(values)).sum() / np.log(6))


def test_whitened_is_isotropic_and_weights_are_repetitions():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 5)) + 3
    counts = rng.integers(1, 6, 500)
    repeated = np.repeat(X, counts, axis=0)
    a, b = isotropy(X, weights=counts), isotropy(repeated)
    assert (a.centrality, a.spectral_entropy) == pytest.approx((b.centrality, b.spectral_entropy))
    centred = repeated - repeated.mean(axis=0)
    _, _, Vt = np.linalg.svd(centred, full_matrices=False)
    Z = centred @ Vt.T
    white = isotropy(Z / Z.std(axis=0))
    assert white.centrality == pytest.approx(1, abs=1e-6)
    assert white.spectral_entropy == pytest.approx(1, abs=1e-6)
    assert a.spectral_entropy < 0.99 and a.centrality < 0.9


def test_does_not_depend_on_scale_or_on_the_blocks(monkeypatch):
    X = np.random.default_rng(2).normal([1, 0, 0, 0], size=(1000, 4))
    whole = isotropy(X)
    assert isotropy(X * 1000).spectral_entropy == pytest.approx(whole.spectral_entropy, abs=1e-6)
    monkeypatch.setattr(sys.modules["theatrum.evaluate.isotropy"], "_BLOCK", 7)
    cut = isotropy(X)
    assert (cut.centrality, cut.spectral_entropy) == pytest.approx((whole.centrality, whole.spectral_entropy))


def test_degenerate_sets():
    assert isotropy([[1.1, 2.3], [1.1, 2.3], [1.1, 2.3]]).spectral_entropy == 0
    line = isotropy([[1, 1], [2, 2], [5, 5]])
    assert line.spectral_entropy == pytest.approx(0, abs=1e-9)
    assert line.centrality == pytest.approx(0, abs=1e-9)
    assert spectral_entropy([0.0, 0.0]) == 0
    assert spectral_entropy([1.0, 1.0, 1.0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("X", "weights", "message"),
    [
        ([[1, 2]], None, "at least 2 row"),
        ([[1], [2]], None, "two columns"),
        ([[0, 0], [0, 0]], None, "every vector with a weight is zero"),
        ([[1, 2], [np.nan, 0]], None, "row 1 holds NaN"),
        ([[1, 2], [3, 4]], [1], "expected 2 numbers"),
        ([[1, 2], [3, 4]], [1, -1], "row 1 is -1.0"),
        ([[1, 2], [3, 4]], [np.nan, 1], "row 0 is nan"),
        ([[1, 2], [3, 4]], [0, 0], "all are zero"),
    ],
)
def test_bad_input_is_refused(X, weights, message):
    with pytest.raises(ValueError, match=message):
        isotropy(X, weights=weights)
