"""Fixed dimensional encodings: the laws, a slow version from the definition, bad input, save and open."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import theatrum
from theatrum.checks import unit_rows
from theatrum.contracts import TokenReducer
from theatrum.search import FixedDimensionalEncoding, chamfer
from theatrum.search import fixed_dimensional_encoding as module

rng = np.random.default_rng(0)
DIM = 12


def tokens(n, random=rng):
    return unit_rows(random.normal(size=(n, DIM)).astype(np.float32))


DOCS = [tokens(n) for n in (3, 50, 1, 20, 7)]


def slow(encoding, X, document):
    """One set, bucket by bucket, as the definition says it."""
    bits, width = encoding.n_simhash_bits, encoding.projection_dim
    dense = encoding.projection == "dense"
    normals, signs = module._maps(DIM, encoding.n_repetitions, bits, width, dense, encoding.random_state)
    found = []
    for r in range(encoding.n_repetitions):
        sides = X @ normals[:, r * bits : (r + 1) * bits] > 0
        projected = X if width is None else X @ signs[:, r * width : (r + 1) * width]
        for bucket in range(2**bits):
            wanted = np.array([bool(bucket >> (bits - 1 - i) & 1) for i in range(bits)], dtype=bool)
            differing = (sides != wanted).sum(axis=1)
            inside = projected[differing == 0]
            if not document:
                found.append(inside.sum(axis=0))
            elif len(inside):
                found.append(inside.mean(axis=0))
            elif encoding.fill_empty:
                found.append(projected[differing.argmin()])
            else:
                found.append(np.zeros(projected.shape[1]))
    return np.concatenate(found)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"projection": "sparse"},
        {"fill_empty": False},
        {"projection_dim": None},
        {"n_simhash_bits": 0},
        {"n_simhash_bits": 7, "n_repetitions": 1},
        {"random_state": 5},
    ],
)
def test_the_definition(changed):
    encoding = FixedDimensionalEncoding(
        **{"n_repetitions": 3, "n_simhash_bits": 4, "projection_dim": 8, **changed}
    ).fit(DOCS)
    documents, queries = encoding.encode_documents(DOCS), encoding.encode_queries(DOCS)
    assert documents.shape == queries.shape == (5, encoding.output_dim_)
    assert np.allclose(documents, [slow(encoding, X, True) for X in DOCS], atol=1e-5)
    assert np.allclose(queries, [slow(encoding, X, False) for X in DOCS], atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_one_token_on_each_side_gives_its_product_exactly(seed, n):
    random = np.random.default_rng(seed)
    q, p = random.normal(size=(2, n)).astype(np.float32)
    encoding = FixedDimensionalEncoding(1, 0, None, random_state=seed)
    product = encoding.encode_queries([[q]])[0] @ encoding.encode_documents([[p]])[0]
    assert product == q @ p


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 9), st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_one_bucket_gives_the_product_with_the_mean(seed, n_query, n_doc, repetitions):
    random = np.random.default_rng(seed)
    Q, P = random.normal(size=(n_query, 5)), random.normal(size=(n_doc, 5))
    encoding = FixedDimensionalEncoding(repetitions, 0, None)
    product = encoding.encode_queries([Q])[0] @ encoding.encode_documents([P])[0]
    assert product / repetitions == pytest.approx((Q @ P.mean(axis=0)).sum(), abs=1e-4)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_a_filled_document_of_one_token_has_its_chamfer_similarity(seed, bits):
    # Every block holds that token, so that whatever bucket a query's token falls into, it meets it.
    random = np.random.default_rng(seed)
    Q, P = random.normal(size=(6, 5)), random.normal(size=(1, 5))
    encoding = FixedDimensionalEncoding(2, bits, None, random_state=seed)
    product = encoding.encode_queries([Q])[0] @ encoding.encode_documents([P])[0]
    assert product / 2 == pytest.approx(chamfer(Q, [P])[0], abs=1e-3)


def test_the_error_shrinks_with_repetitions_and_buckets():
    random = np.random.default_rng(1)
    docs = [tokens(12, random) for _ in range(200)]
    queries = [unit_rows((doc[:4] + random.normal(size=(4, DIM)) / 8).astype(np.float32)) for doc in docs]
    exact = np.array([chamfer(query, [doc])[0] for query, doc in zip(queries, docs, strict=True)])

    def errors(repetitions, bits):
        encoding = FixedDimensionalEncoding(repetitions, bits, 8)
        products = (encoding.encode_queries(queries) * encoding.encode_documents(docs)).sum(axis=1)
        return products / repetitions - exact

    def mean(repetitions, bits):
        return np.abs(errors(repetitions, bits)).mean()

    assert mean(1, 1) > mean(4, 3) > mean(16, 5)
    assert mean(8, 1) > mean(8, 3) > mean(8, 5) > mean(8, 8)  # buckets: less averaging, so less bias
    spreads = [errors(repetitions, 5).std() for repetitions in (1, 4, 16)]
    assert spreads[0] > spreads[1] > spreads[2]  # repetitions: less chance


def test_projections_keep_products_on_average():
    Q, P = tokens(1), tokens(1)
    for dense in (True, False):
        drawn = module.sign_projections(DIM, 4000, 4, 0, dense=dense)
        products = (Q @ drawn).reshape(-1, 4) * (P @ drawn).reshape(-1, 4)
        assert products.sum(axis=1).mean() == pytest.approx((Q @ P.T).item(), abs=0.03)
    assert set(np.unique(np.abs(module.sign_projections(DIM, 2, 4, 0, dense=True)))) == {0.5}
    sparse = module.sign_projections(DIM, 2, 4, 0, dense=False)
    assert (np.abs(sparse).reshape(DIM, 2, 4).sum(axis=2) == 1).all()


def test_the_final_sketch_is_one_for_queries_and_documents():
    wide = FixedDimensionalEncoding(10, 3, None)
    short = FixedDimensionalEncoding(10, 3, None, final_dim=400)
    F = [one.encode_queries(DOCS) @ one.encode_documents(DOCS).T for one in (wide, short)]
    assert short.output_dim_ == 400
    assert np.corrcoef(F[0].ravel(), F[1].ravel())[0, 1] > 0.95
    sketch = module._final_sketch(wide.output_dim_, 400, 0).toarray()
    assert np.allclose(short.encode_documents(DOCS), wide.encode_documents(DOCS) @ sketch, atol=1e-4)


@pytest.mark.parametrize("final_dim", [None, 30])
def test_blocks_change_nothing(final_dim, monkeypatch):
    encoding = FixedDimensionalEncoding(3, 3, 4, final_dim=final_dim)
    whole = encoding.encode_documents(DOCS)
    monkeypatch.setattr(module, "_BLOCK", 100)
    assert np.allclose(encoding.encode_documents(DOCS), whole, atol=1e-6)


def test_the_seed_decides_everything():
    one, same, other = (FixedDimensionalEncoding(4, 3, 8, random_state=seed) for seed in (1, 1, 2))
    assert one.encode_documents(DOCS).tobytes() == same.encode_documents(DOCS).tobytes()
    assert not np.allclose(one.encode_documents(DOCS), other.encode_documents(DOCS))
    # These numbers are kept in folders on disk as a seed; they must never change.
    assert np.allclose(module.gaussian_directions(2, 2, 1, 7), [[-0.0398, -1.006], [0.3644, -0.6444]], atol=1e-4)
    assert np.flatnonzero(module.sign_projections(1, 1, 8, 7, dense=False)).tolist() == [1]


def test_save_and_open_keep_the_seed_only(tmp_path):
    encoding = FixedDimensionalEncoding(4, 3, 8, fill_empty=False, random_state=9).fit(DOCS)
    theatrum.save(encoding, tmp_path / "fde")
    opened = theatrum.open(tmp_path / "fde")
    module._maps.cache_clear()
    assert opened.encode_documents(DOCS).tobytes() == encoding.encode_documents(DOCS).tobytes()
    assert [path.name for path in (tmp_path / "fde").iterdir()] == ["config.json"]
    assert isinstance(opened, TokenReducer)


def test_nothing_to_encode_is_nothing():
    encoding = FixedDimensionalEncoding(2, 2, 4).fit(DOCS)
    assert encoding.encode_queries([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FixedDimensionalEncoding(0).fit(DOCS), "n_repetitions must be a whole number of at least 1, got 0"),
        (lambda: FixedDimensionalEncoding(1, 17).fit(DOCS), "n_simhash_bits must be a whole number between 0 and 16"),
        (lambda: FixedDimensionalEncoding(projection="x").fit(DOCS), "projection must be one of 'dense', 'sparse'"),
        (lambda: FixedDimensionalEncoding(random_state=None).fit(DOCS), "random_state must be a whole number"),
        (lambda: FixedDimensionalEncoding(40, 16, 8).fit(DOCS), "20971520 dimensions, 80 MiB a document"),
        (lambda: FixedDimensionalEncoding(final_dim=2**21).fit(DOCS), "2097152 dimensions"),
        (lambda: FixedDimensionalEncoding().fit([]), "at least one set"),
        (lambda: FixedDimensionalEncoding().encode_documents([]), "at least one set"),
        (lambda: FixedDimensionalEncoding().encode_documents([tokens(2), tokens(0)]), "docs: set 1: at least 1 row"),
        (lambda: FixedDimensionalEncoding().fit(DOCS).encode_queries([np.ones((1, 3))]), "expected 12 columns, got 3"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
