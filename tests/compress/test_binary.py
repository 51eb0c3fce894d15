"""Binary: signs, and what can be read off them."""

from __future__ import annotations

import numpy as np
import pytest

import theatrum
from theatrum.compress import BinaryQuantizer

X = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)


def test_decoded_vectors_have_unit_length_and_the_same_signs():
    quantizer = BinaryQuantizer().fit(X)
    back = quantizer.decode(quantizer.encode(X))
    assert np.allclose(np.linalg.norm(back, axis=1), 1)
    assert (np.sign(back) == np.where(X > 0, 1, -1)).all()


def test_inner_products_of_codes_are_hamming_distances():
    quantizer = BinaryQuantizer().fit(X)
    codes = quantizer.encode(X[:5])
    hamming = np.unpackbits(codes[:, None] ^ codes[None], axis=-1).sum(axis=-1)
    back = quantizer.decode(codes)
    assert np.allclose(back @ back.T, 1 - 2 * hamming / 64, atol=1e-6)


def test_size_round_trip_and_bad_input(tmp_path):
    quantizer = BinaryQuantizer().fit(X)
    assert quantizer.bytes_per_vector == quantizer.encode(X).shape[1] == 8
    theatrum.save(quantizer, tmp_path / "q")
    assert (theatrum.open(tmp_path / "q").encode(X) == quantizer.encode(X)).all()
    with pytest.raises(ValueError, match="a multiple of 8 dimensions, got 10; cut to 8"):
        BinaryQuantizer().fit(X[:, :10])
