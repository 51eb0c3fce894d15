"""Sign rank: how few dimensions could answer a set of queries at all, whatever the training and the margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, svds

from theatrum.evaluate.free_embedding import all_subsets, binary_matrix, free_embedding_fit, separation

_DENSE = 250_000  # entries up to which ranks and norms are taken of the dense matrix
_CHUNK = 4_000_000  # scores held at a time


@dataclass(frozen=True)
class SignRankBounds:
    """Brackets of the dimensions that a relevance matrix needs.

    Parameters
    ----------
    forster : float
        Forster's lower bound on the sign rank of ``2 A - 1``.
    lower, upper : int
        The fewest dimensions in which every query can rank exactly its answers first lie between these.
    upper_kind : {"rank", "trigonometric", "simplex", "free embedding"}
        Which construction gives ``upper``: the factors of A or of ``2 A - 1``, `trigonometric_embedding`, one direction
        a document, or a fit by gradient descent.
    """

    forster: float
    lower: int
    upper: int
    upper_kind: Literal["rank", "trigonometric", "simplex", "free embedding"]


def trigonometric_embedding(n: int, k: int = 2) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Embed n documents in ``2 k`` dimensions such that every k of them are exactly the answer to some query.

    It shows that the ceiling met in practice is one of training and of precision, not of existence. No index should
    use it: the margin falls like ``n^(-2 k)``, and float16 already fails for 46 documents and k = 2.

    Document j sits at the angle ``t_j = 2 pi j / n`` of the curve ``(cos t, sin t, ..., cos k t, sin k t) / sqrt(k)``.
    For wanted documents R the function ``-prod_r (1 - cos(t - t_r))`` is 0 at R and negative elsewhere; it is a
    trigonometric polynomial of degree k, and its coefficients without the constant one are the query.

    Parameters
    ----------
    n : int
        Documents.
    k : int, default=2
        Documents of an answer.

    Returns
    -------
    Q : ndarray of float64, shape (C(n, k), 2 k)
        Unit rows, one a k-subset in lexicographic order (`all_subsets`).
    D : ndarray of float64, shape (n, 2 k)
        Unit rows.
    margin : float
        Score of the worst answer minus that of the best other document, smallest over all queries.

    Raises
    ------
    ValueError
        k is below 1 or not below n.

    References
    ----------
    Weller et al. 2025, arXiv 2508.21038, asks what training reaches; this is what exists. Atlas 006.

    Examples
    --------
    >>> Q, D, margin = trigonometric_embedding(46)
    >>> Q.shape, D.shape, margin > 1e-5
    ((1035, 4), (46, 4), True)
    """
    wanted = all_subsets(n, k)
    angles = 2 * np.pi * np.arange(n) / n
    turns = np.outer(angles, np.arange(1, k + 1))
    D = np.stack([np.cos(turns), np.sin(turns)], axis=2).reshape(n, 2 * k) / math.sqrt(k)
    # prod (1 - cos(t - a)) as coefficients of exp(i m t), m = -k..k: one factor after the other
    product = np.zeros((len(wanted), 2 * k + 1), dtype=np.complex128)
    product[:, k] = 1.0
    for column in range(k):
        half = 0.5 * np.exp(-1j * angles[wanted[:, column]])[:, None]
        product = product - half * _shifted(product, 1) - half.conj() * _shifted(product, -1)
    positive = product[:, k + 1 :]
    Q = np.stack([-positive.real, positive.imag], axis=2).reshape(len(wanted), 2 * k)
    Q /= np.linalg.norm(Q, axis=1, keepdims=True)
    step = max(1, _CHUNK // n)
    margin = min(
        float(separation(Q[start : start + step] @ D.T, wanted[start : start + step]).min())
        for start in range(0, len(wanted), step)
    )
    return Q, D, margin


def forster_bound(relevance: Any) -> float:
    """Forster's lower bound on the sign rank of ``S = 2 A - 1``: ``sqrt(m n) / ||S||_2``.

    References
    ----------
    Forster, "A linear lower bound on the unbounded error probabilistic communication complexity", JCSS 65, 2002.

    Examples
    --------
    >>> round(forster_bound(np.array([[1, 1], [1, 0]])), 6)  # a Hadamard matrix: the square root of its size
    1.414214
    """
    A = binary_matrix(relevance)
    m, n = A.shape
    if m * n <= _DENSE or min(m, n) < 3:
        norm = float(np.linalg.norm(2 * A.toarray() - 1, 2))
    else:
        signs = LinearOperator(
            (m, n),
            matvec=lambda x: 2 * (A @ x.ravel()) - x.sum(),
            rmatvec=lambda y: 2 * (A.T @ y.ravel()) - y.sum(),
            dtype=np.float64,
        )
        # A start at random, but the same one each time: rows that are half answers send the vector of ones to 0.
        start = np.random.default_rng(0).normal(size=min(m, n))
        norm = float(svds(signs, k=1, return_singular_vectors=False, v0=start)[0])
    return math.sqrt(m * n) / norm


def sign_rank_bounds(
    relevance: Any, *, try_dims: Sequence[int] = (), max_steps: int = 20_000, random_state: int = 0
) -> SignRankBounds:
    """Bracket the fewest dimensions in which every query can rank exactly its answers first.

    With S = 2 A - 1, that number d lies between ``signrank(S) - 1`` and ``signrank(S)``; the sign rank itself is
    NP-hard, so that the bracket is what can be computed. Pick it for your own judgements, to know that a dimension is
    impossible (rare: sparse judgements have a low sign rank) or possible. It says nothing about margins or training.

    Parameters
    ----------
    relevance : sparse matrix or array of 0 and 1, shape (q, n)
        Which documents answer which query.
    try_dims : sequence of int, default=()
        Dimensions to try by `free_embedding_fit`, below the other upper bounds; needs torch.
    max_steps, random_state
        Of those fits.

    Returns
    -------
    SignRankBounds
        Lower and upper bound, and what gives the upper one.

    Raises
    ------
    ValueError
        Not a matrix of 0 and 1, or an empty one.

    References
    ----------
    Weller, Boratko, Naim and Lee, "On the Theoretical Limitations of Embedding-Based Retrieval", 2025,
    arXiv 2508.21038. Atlas 006.

    Examples
    --------
    >>> sign_rank_bounds(np.eye(50, dtype=int))
    SignRankBounds(forster=1.04..., lower=1, upper=2, upper_kind='trigonometric')
    """
    A = binary_matrix(relevance)
    m, n = A.shape
    forster = forster_bound(A)
    candidates: list[tuple[int, Literal["rank", "trigonometric", "simplex", "free embedding"]]] = [
        (2 * int(np.diff(A.indptr).max()), "trigonometric"),
        (n - 1, "simplex"),
    ]
    if m * n <= _DENSE:
        dense = A.toarray()
        candidates.append((int(min(np.linalg.matrix_rank(dense), np.linalg.matrix_rank(2 * dense - 1))), "rank"))
    upper, kind = min(candidates)
    for dim in sorted(try_dims):
        if dim < upper and free_embedding_fit(A, dim, max_steps=max_steps, random_state=random_state).solved:
            upper, kind = dim, "free embedding"
    # One document or empty rows need no dimension, but a vector has at least one.
    lower = max(1, math.ceil(forster - 1e-9) - 1)
    return SignRankBounds(forster, lower, max(lower, upper), kind)


def _shifted(product: NDArray[np.complex128], by: int) -> NDArray[np.complex128]:
    moved = np.zeros_like(product)
    if by > 0:
        moved[:, by:] = product[:, :-by]
    else:
        moved[:, :by] = product[:, -by:]
    return moved
