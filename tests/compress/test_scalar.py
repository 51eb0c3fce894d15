"""Int8: half a step of error, the same ranges for everybody."""

from __future__ import annotations

import numpy as np
import pytest

import theatrum
from theatrum.compress import Int8Quantizer

X = np.random.default_rng(0).normal(size=(300, 24)).astype(np.float32) * np.linspace(0.1, 9, 24, dtype=np.float32)


def test_error_is_at_most_half_a_step():
    quantizer = Int8Quantizer().fit(X)
    error = np.abs(quantizer.decode(quantizer.encode(X)) - X)
    assert (error <= quantizer.span_ / 255 / 2 * (1 + 1e-3)).all()


def test_codes_are_those_of_faiss():
    import faiss

    index = faiss.IndexScalarQuantizer(24, faiss.ScalarQuantizer.QT_8bit)
    index.train(X)
    quantizer = Int8Quantizer().fit(X)
    assert (quantizer.encode(X) == index.sa_encode(X)).mean() > 0.999  # rounding at the edges of steps
    assert np.allclose(quantizer.decode(index.sa_encode(X)), index.sa_decode(index.sa_encode(X)), atol=1e-5)


def test_values_outside_the_range_go_to_its_ends():
    quantizer = Int8Quantizer().fit(X)
    assert (quantizer.encode(X[:2] * 100)[X[:2] > 0] == 255).all()
    assert (quantizer.encode(X[:2] * 100)[X[:2] < 0] == 0).all()


def test_a_constant_dimension_stays():
    rows = np.full((5, 2), 3, dtype=np.float32)
    quantizer = Int8Quantizer().fit(rows)
    assert np.allclose(quantizer.decode(quantizer.encode(rows)), 3)


def test_queries_use_the_ranges_of_the_documents():
    quantizer = Int8Quantizer().fit(X)
    before = quantizer.encode(X[:3]).copy()
    quantizer.encode(X * 50)
    assert (quantizer.encode(X[:3]) == before).all()


def test_round_trip_and_bad_input(tmp_path):
    quantizer = Int8Quantizer().fit(X)
    theatrum.save(quantizer, tmp_path / "q")
    assert (theatrum.open(tmp_path / "q").encode(X) == quantizer.encode(X)).all()
    assert quantizer.bytes_per_vector == 24
    with pytest.raises(ValueError, match="expected 24 columns, got 3"):
        quantizer.encode(X[:, :3])
    with pytest.raises(ValueError, match="NaN"):
        Int8Quantizer().fit([[np.nan]])
