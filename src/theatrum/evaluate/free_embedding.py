"""Free embeddings: the vectors themselves are optimised on the answers, the best that training could ever reach."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import Vectors
from theatrum.extras import require

_CHECK_EVERY = 50  # steps between two looks at the accuracy
_PROGRESS = 1e-5  # a loss that falls by less has stalled
_ENTRIES = 50_000_000  # scores held at a time
_BETAS = (0.9, 0.999)  # of Adam


@dataclass(frozen=True)
class FreeEmbeddingResult:
    """What optimising queries and documents on the answers themselves reached.

    Parameters
    ----------
    accuracy : float
        Share of the relevant documents that are among the first k of their query, k being its number of answers; the
        best seen at any check.
    complete : float
        Share of the queries with all their answers in front, at that check.
    margin : float
        Score of the worst relevant document minus that of the best other one, smallest over the queries, at that
        check; above 0 when solved.
    steps : int
        Steps taken.
    solved : bool
        Whether every query has exactly its answers in front, by the margin asked for.
    Q, D : ndarray of float32, shape (q, d), (n, d)
        The vectors of that check, unit rows.
    """

    accuracy: float
    complete: float
    margin: float
    steps: int
    solved: bool
    Q: Vectors = field(repr=False)
    D: Vectors = field(repr=False)


def all_subsets(n: int, k: int) -> NDArray[np.int64]:
    """All k of n documents, as rows of positions in lexicographic order.

    Raises
    ------
    ValueError
        k is below 1 or not below n.

    Examples
    --------
    >>> all_subsets(3, 2).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    if not 1 <= k < n:
        raise ValueError(f"k must be at least 1 and below the number of documents, got k={k} of n={n}")
    count = math.comb(n, k)
    return np.fromiter(chain.from_iterable(combinations(range(n), k)), np.int64, count * k).reshape(count, k)


def separation(scores: NDArray[Any], wanted: NDArray[np.int64]) -> NDArray[Any]:
    """Score of the worst relevant document minus that of the best other one, per query.

    Parameters
    ----------
    scores : ndarray of float, shape (q, n)
        Every query against every document.
    wanted : ndarray of int64, shape (q, k)
        Positions of the relevant documents; a shorter list repeats one of its own.

    Returns
    -------
    ndarray of float, shape (q,)
        Above 0 where exactly the relevant documents come first.

    Examples
    --------
    >>> separation(np.array([[0.9, 0.5, 0.25]]), np.array([[0, 1]])).tolist()
    [0.25]
    """
    others = scores.copy()
    np.put_along_axis(others, wanted, -np.inf, axis=1)
    return np.take_along_axis(scores, wanted, axis=1).min(axis=1) - others.max(axis=1)


def free_embedding_fit(
    relevance: Any,
    dim: int,
    *,
    temperature: float = 0.1,
    lr: float = 0.01,
    max_steps: int = 100_000,
    patience: int = 1_000,
    margin: float | None = None,
    restarts: int = 1,
    random_state: int = 0,
) -> FreeEmbeddingResult:
    """Optimise query and document vectors on the answers themselves: what no encoder of this dimension can beat.

    Pick it to see whether training could reach a relevance pattern in so many dimensions. Failing here proves
    nothing about existence (`trigonometric_embedding` often exists where this fails); succeeding says nothing about
    an encoder, which must also read the texts.

    Rows start as normal noise of unit length and are scaled back to unit length after every step of Adam. The loss is
    the mean over all pairs of a query and its relevant document of the softmax cross-entropy over all documents at
    the temperature; with a margin, the squared shortfall of every (relevant, other) score difference below it.

    Parameters
    ----------
    relevance : sparse matrix (q, n), array of 0 and 1 (q, n), or tuple of int (n, k)
        Which documents answer which query; (n, k) stands for all k of n documents.
    dim : int
        Dimensions of the vectors.
    temperature : float, default=0.1
        Of the softmax; unused with a margin.
    lr : float, default=0.01
        Step size of Adam.
    max_steps : int, default=100_000
        Most steps.
    patience : int, default=1_000
        Stop when the loss has not fallen by 1e-5 for so many steps.
    margin : float or None, default=None
        Score difference that counts as solved; None asks for any above 0, as the paper does.
    restarts : int, default=1
        Random starts optimised side by side; the first to solve it wins, else the best.
    random_state : int, default=0
        Seed.

    Returns
    -------
    FreeEmbeddingResult
        Accuracy, margin, steps, whether it was solved, and the vectors.

    Raises
    ------
    ValueError
        k not below n, a query without answers or with all documents as answers, or a parameter out of range.
    ImportError
        torch is missing.

    References
    ----------
    Weller, Boratko, Naim and Lee, "On the Theoretical Limitations of Embedding-Based Retrieval", 2025,
    arXiv 2508.21038. Atlas 006.

    Examples
    --------
    >>> result = free_embedding_fit((4, 2), 3, restarts=3)
    >>> result.solved, result.accuracy, result.D.shape
    (True, 1.0, (4, 3))
    """
    wanted, real, n = _answers(relevance)
    if dim < 1 or max_steps < 1 or patience < 1 or restarts < 1 or temperature <= 0 or lr <= 0:
        raise ValueError(
            "dim, max_steps, patience and restarts must be at least 1, temperature and lr above 0; got "
            f"dim={dim}, max_steps={max_steps}, patience={patience}, restarts={restarts}, "
            f"temperature={temperature}, lr={lr}"
        )
    if margin is not None and not 0 < margin < 2:
        raise ValueError(f"margin must be between 0 and 2 (unit rows), got {margin}")
    torch = require("torch", "torch")
    noise = torch.Generator().manual_seed(random_state)
    # (restarts, q + n, dim): small problems cost mostly the calls, so that several starts side by side are nearly free
    X = torch.randn((restarts, len(wanted) + n, dim), generator=noise)
    X /= X.norm(dim=-1, keepdim=True)
    weight = torch.from_numpy((real / real.sum()).astype(np.float32))
    answers = torch.from_numpy(wanted).expand(restarts, -1, -1)
    chunk = max(1, _ENTRIES // (restarts * n))
    slope = _ranking_slope(temperature) if margin is None else _hinge_slope(1.25 * margin, len(wanted))
    gradient, first, second = torch.empty_like(X), torch.zeros_like(X), torch.zeros_like(X)
    best: FreeEmbeddingResult | None = None
    lowest, fell = torch.full((restarts,), float("inf")), 0
    for step in range(1, max_steps + 1):
        look = step % _CHECK_EVERY == 0 or step == max_steps
        Q, D = X[:, : len(wanted)], X[:, len(wanted) :]
        into_q, into_d = gradient[:, : len(wanted)], gradient[:, len(wanted) :].zero_()
        loss = torch.zeros(restarts)
        for start in range(0, len(wanted), chunk):
            rows = slice(start, start + chunk)
            G, part = slope(Q[:, rows] @ D.transpose(1, 2), answers[:, rows], weight[rows], look)  # (restarts, rows, n)
            into_q[:, rows] = G @ D
            into_d += G.transpose(1, 2) @ Q[:, rows]
            loss += part
        # Adam, then back to unit length with its moments kept: projected gradient descent.
        first.lerp_(gradient, 1 - _BETAS[0])
        second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        root = second.sqrt().div_((1 - _BETAS[1] ** step) ** 0.5).add_(1e-8)
        X.addcdiv_(first, root, value=-lr / (1 - _BETAS[0] ** step))
        X /= X.norm(dim=-1, keepdim=True)
        if not look:
            continue
        if bool((loss < lowest - _PROGRESS).any()):
            lowest, fell = torch.minimum(lowest, loss), step
        for queries, documents in zip(Q.numpy(), D.numpy(), strict=True):
            seen = _look(queries, documents, wanted, real, chunk)
            solved = seen[2] > 0 and seen[2] >= (margin or 0.0)
            if best is None or (solved, seen[0], seen[2]) > (best.solved, best.accuracy, best.margin):
                best = FreeEmbeddingResult(*seen, step, solved, queries.copy(), documents.copy())
        if (best is not None and best.solved) or step - fell >= patience:
            break
    assert best is not None
    return replace(best, steps=step)


_Slope: TypeAlias = Callable[[Any, Any, Any, bool], tuple[Any, Any]]


def _ranking_slope(temperature: float) -> _Slope:
    """Softmax cross-entropy over all documents: its gradient by the scores, and its value where asked for."""

    def slope(scores: Any, answers: Any, weight: Any, look: bool) -> tuple[Any, Any]:
        share = (scores / temperature).softmax(dim=-1)
        pull = weight.expand_as(answers)
        loss = -(share.gather(2, answers).clamp_min(1e-38).log() * pull).sum(dim=(1, 2)) if look else 0.0
        share *= weight.sum(dim=-1, keepdim=True)
        return share.scatter_add_(2, answers, -pull).div_(temperature), loss

    return slope


def _hinge_slope(target: float, q: int) -> _Slope:
    """Squared shortfall of the worst answer against each other document, as a share of the target: gradient and value.

    A shorter list of answers repeats one of its own, which changes nothing here.
    """

    def slope(scores: Any, answers: Any, weight: Any, look: bool) -> tuple[Any, Any]:
        worst, at = scores.gather(2, answers).min(dim=-1, keepdim=True)
        short = (1.0 - (worst - scores) / target).clamp_min_(0.0).scatter_(2, answers, 0.0)
        loss = short.square().sum(dim=(1, 2)) / q if look else 0.0
        short *= 2 / (q * target)
        total = short.sum(dim=-1, keepdim=True)
        return short.scatter_(2, answers.gather(2, at), -total), loss

    return slope


def _look(
    Q: Vectors, D: Vectors, wanted: NDArray[np.int64], real: NDArray[np.bool_], chunk: int
) -> tuple[float, float, float]:
    """How one of the starts does now: share of answers in front, share of queries with all, smallest margin."""
    counts = real.sum(axis=1)
    hits, complete, least = 0, 0, np.inf
    for start in range(0, len(wanted), chunk):
        rows = slice(start, start + chunk)
        scores = Q[rows] @ D.T
        gaps = separation(scores, wanted[rows])
        ordered = -np.partition(-scores, range(wanted.shape[1]), axis=1)[:, : wanted.shape[1]]
        last = np.take_along_axis(ordered, counts[rows, None] - 1, axis=1)  # score at rank k of each query
        hits += int(((np.take_along_axis(scores, wanted[rows], axis=1) >= last) & real[rows]).sum())
        complete += int((gaps > 0).sum())
        least = min(least, float(gaps.min()))
    return hits / int(counts.sum()), complete / len(wanted), least


def binary_matrix(relevance: Any) -> Any:
    """Relevance as a sparse matrix of its own, with sorted ones and nothing else.

    Raises
    ------
    ValueError
        Not a matrix, an empty one, or an entry other than 0 and 1 (with its row).

    Examples
    --------
    >>> binary_matrix([[0, 1], [1, 1]]).indices.tolist()
    [1, 0, 1]
    """
    from scipy.sparse import csr_matrix, issparse

    A = csr_matrix(relevance if issparse(relevance) else np.atleast_2d(relevance), dtype=np.float64, copy=True)
    A.sum_duplicates()
    A.eliminate_zeros()
    if 0 in A.shape:
        raise ValueError(f"relevance: expected a matrix (queries, documents), got shape {A.shape}")
    strange = np.flatnonzero(A.data != 1)
    if strange.size:
        row = int(np.searchsorted(A.indptr, strange[0], side="right")) - 1
        raise ValueError(f"relevance: row {row} holds {A.data[strange[0]]:g}; entries are 0 and 1")
    return A


def _answers(relevance: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
    """Positions of the relevant documents of each query, padded with the first one, and which are not padding."""
    if isinstance(relevance, tuple):
        wanted = all_subsets(*relevance)
        return wanted, np.ones(wanted.shape, dtype=np.bool_), int(relevance[0])
    matrix = binary_matrix(relevance)
    counts = np.diff(matrix.indptr)
    n = matrix.shape[1]
    bad = np.flatnonzero((counts == 0) | (counts == n))
    if bad.size:
        raise ValueError(
            f"relevance: row {bad[0]} has {counts[bad[0]]} of {n} documents relevant; every query needs at least one "
            "relevant document and one other"
        )
    real = np.arange(counts.max()) < counts[:, None]
    wanted = np.repeat(matrix.indices[matrix.indptr[:-1]][:, None].astype(np.int64), counts.max(), axis=1)
    wanted[real] = matrix.indices
    return wanted, real, n
