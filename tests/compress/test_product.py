"""Product quantisation against the slow definition."""

from __future__ import annotations

import numpy as np
import pytest

import theatrum
from theatrum.compress import OptimizedProductQuantizer, ProductQuantizer

rng = np.random.default_rng(0)
X = (rng.normal(size=(600, 12)) @ rng.normal(size=(12, 24))).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
def test_codes_are_the_nearest_codewords(bits):
    quantizer = ProductQuantizer(m=4, bits=bits).fit(X)
    parts = X.reshape(600, 4, 6)
    distances = ((parts[:, :, None] - quantizer.codebooks_[None]) ** 2).sum(axis=-1)
    nearest = distances.argmin(axis=-1)
    slow = np.stack([quantizer.codebooks_[part, nearest[:, part]] for part in range(4)], axis=1).reshape(600, 24)
    assert np.allclose(quantizer.decode(quantizer.encode(X)), slow, atol=1e-5)
    assert quantizer.encode(X).shape[1] == quantizer.bytes_per_vector == 4 * bits // 8


def test_the_rotation_is_orthogonal_and_undone():
    quantizer = OptimizedProductQuantizer(m=4, bits=6).fit(X)
    assert np.allclose(quantizer.rotation_ @ quantizer.rotation_.T, np.eye(24), atol=1e-4)
    error = ((quantizer.decode(quantizer.encode(X)) - X) ** 2).mean()
    plain = ProductQuantizer(m=4, bits=6).fit(X)
    assert error < ((plain.decode(plain.encode(X)) - X) ** 2).mean()


@pytest.mark.parametrize("cls", [ProductQuantizer, OptimizedProductQuantizer])
def test_fitting_again_gives_the_same_codes(cls, tmp_path):
    one, two = cls(m=4).fit(X), cls(m=4).fit(X)
    assert (one.encode(X) == two.encode(X)).all()
    theatrum.save(one, tmp_path / "q")
    opened = theatrum.open(tmp_path / "q")
    assert (opened.encode(X) == one.encode(X)).all()
    assert (opened.decode(one.encode(X)) == one.decode(one.encode(X))).all()


def test_bad_input():
    with pytest.raises(ValueError, match=r"m=5 does not divide 24 dimensions; these do: .*4, 6"):
        ProductQuantizer(m=5).fit(X)
    with pytest.raises(ValueError, match="256 codewords need at least as many rows, got 100; use bits=6"):
        ProductQuantizer(m=4).fit(X[:100])
    with pytest.raises(ValueError, match="bits must be a whole number between 1 and 12"):
        ProductQuantizer(bits=0).fit(X)
