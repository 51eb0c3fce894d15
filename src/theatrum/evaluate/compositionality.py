"""How compositional vectors are: what a sum of one vector per factor value explains, and what it foretells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag, null_space
from scipy.sparse import csr_matrix
from sklearn.utils import check_random_state

from theatrum.checks import Range, check_vectors, unit_rows
from theatrum.extras import require

Matrix: TypeAlias = NDArray[np.float64]
Value: TypeAlias = str | int
_NOTHING = 1e-9  # share of the largest eigenvalue below which one is rounding
_DRAWS = 100  # tries to hold out cells so that those left still determine every value


def factorize(labels: Any, n: int, factors: Any = None) -> tuple[NDArray[np.int64], list[list[Value]]]:
    """Turn labels into places in lists of values.

    Parameters
    ----------
    labels : array-like of str or int, shape (n, k) or (n,)
        The value of each of k factors, a row an item; one factor may come as (n,).
    n : int
        Rows that there must be.
    factors : sequence of sequences, optional
        The values of each factor, in the order wanted; those that occur, sorted, by default.

    Returns
    -------
    ndarray of int64, shape (n, k)
        Place of each label among the values of its factor.
    list of list
        The values, a list a factor.

    Raises
    ------
    ValueError
        Missing or ragged labels, mixed types, unknown values, or a factor with fewer than two.

    Examples
    --------
    >>> codes, values = factorize([("red", 1), ("blue", 1), ("blue", 2)], 3)
    >>> codes.tolist(), values
    ([[1, 0], [0, 0], [0, 1]], [['blue', 'red'], [1, 2]])
    """
    table = label_table(labels, n)
    k = table.shape[1]
    if factors is not None and len(factors) != k:
        raise ValueError(f"labels: rows have {k} label(s), but factors lists the values of {len(factors)}")
    codes, values = np.empty((n, k), dtype=np.int64), []
    for factor in range(k):
        column = [plain_value(value, row, factor) for row, value in enumerate(table[:, factor])]
        kinds = sorted({type(value).__name__ for value in column})
        if len(kinds) > 1:
            raise ValueError(f"labels: factor {factor} mixes {' and '.join(kinds)}; turn its values into one type")
        known = sorted(set(column)) if factors is None else list(factors[factor])
        place = {value: j for j, value in enumerate(known)}
        for row, value in enumerate(column):
            if value not in place:
                raise ValueError(f"labels: row {row}: {value!r} is no value of factor {factor}; it has {listed(known)}")
        if absent := set(known) - set(column):
            raise ValueError(f"factors: {listed(sorted(absent))} of factor {factor} never occurs; leave it out")
        if len(known) < 2:
            raise ValueError(f"labels: factor {factor} has the value {known[0]!r} only; at least two are needed")
        codes[:, factor] = [place[value] for value in column]
        values.append(known)
    return codes, values


def label_table(labels: Any, n: int, *, name: str = "labels") -> NDArray[np.object_]:
    """Return labels as an array (n, k) of objects: no number becomes a text as in an array of mixed columns."""
    table = np.array(labels, dtype=object)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"{name}: expected (n, k), one column a factor, got shape {table.shape}")
    if len(table) != n:
        raise ValueError(f"{name}: {len(table)} rows for {n} vectors; one row a vector is needed")
    ragged = [row for row, value in enumerate(table[:, 0]) if isinstance(value, (list, tuple))]
    if ragged:
        raise ValueError(f"{name}: rows differ in length (row {ragged[0]} is {table[ragged[0], 0]!r}); give k a row")
    return table


def plain_value(value: Any, row: int, factor: int) -> Value:
    """Return one label as a plain text or whole number, or say where it is neither."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)  # tables turn whole numbers into floats when a column had gaps
    if not isinstance(value, (str, int)):
        raise ValueError(f"labels: row {row}, factor {factor} is {value!r}; a value is a text or a whole number")
    return value


def listed(values: Sequence[Value]) -> str:
    """Write the first few values for a message."""
    return ", ".join(map(repr, values[:6])) + (f" and {len(values) - 6} more" if len(values) > 6 else "")


def says_confounded(confounded: NDArray[np.bool_], values: Sequence[Sequence[Value]]) -> str:
    """Say which values the labels cannot tell apart."""
    parts = np.split(confounded, np.cumsum([len(known) for known in values])[:-1])
    found = [np.array(known, dtype=object)[part].tolist() for known, part in zip(values, parts, strict=True)]
    names = " and ".join(f"factor {i} ({listed(some)})" for i, some in enumerate(found) if some)
    return f"the effects of {names} cannot be told apart; add vectors of other combinations of these values"


def average_cells(U: NDArray[np.floating], codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], Matrix]:
    """Average vectors with the same labels: the cells that occur (m, k), and their means (m, d)."""
    cells, cell, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    cell = cell.ravel()
    averaging = csr_matrix((1 / counts[cell], (cell, np.arange(len(U)))), shape=(len(cells), len(U)))
    return cells, averaging @ U


@dataclass(frozen=True)
class AdditiveModel:
    """Weighted least squares of ``u_z = u_0 + sum_i u_{z_i}`` with ``sum_j alpha_i(j) u_{i,j} = 0`` for every factor.

    Parameters
    ----------
    incidence : csr_matrix, shape (m, 1 + p)
        Rows are cells: a 1 for the origin and a 1 for each of their k values, of p in all.
    weights : ndarray of float64, shape (m,)
        Of cells; sum 1.
    root : ndarray of float64, shape (1 + p, r)
        Columns that are orthonormal over the cells and obey the constraints: the solution is ``root root' moments``.
    confounded : ndarray of bool, shape (p,)
        Values whose vector the cells do not determine; they get the shortest that fits.
    """

    incidence: csr_matrix
    weights: Matrix
    root: Matrix
    confounded: NDArray[np.bool_]

    def coordinates(self, U: Matrix) -> Matrix:
        """Vectors of cells (m, d) in the model's orthonormal columns (r, d)."""
        return self.root.T @ (self.incidence.T @ (self.weights[:, None] * U))

    def solve(self, U: Matrix) -> Matrix:
        """Vectors of cells (m, d) -> the origin, and below it the vectors of all values: (1 + p, d)."""
        return self.root @ self.coordinates(U)


def additive_model(cells: NDArray[np.int64], weights: Sequence[Matrix], ridge: float = 0.0) -> AdditiveModel:
    """Prepare the decomposition for the cells of a grid, whole or not.

    Parameters
    ----------
    cells : ndarray of int64, shape (m, k)
        Places of each cell's values.
    weights : sequence of ndarray of float64, (n_i,) each
        Above 0, sum 1 for each factor; a cell counts as the product of its values' weights.
    ridge : float, default=0.0
        Penalty on ``sum_i sum_j alpha_i(j) ||u_{i,j}||^2``: those of a whole grid shrink by ``1 / (1 + ridge)``.

    Returns
    -------
    AdditiveModel
        Independent of the vectors, so that many can be decomposed with it.

    Examples
    --------
    >>> cells = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> model = additive_model(cells, [np.full(2, 0.5), np.full(2, 0.5)])
    >>> model.solve(np.array([[0.0], [1.0], [10.0], [11.0]])).ravel().round(6).tolist()
    [5.5, -5.0, 5.0, -0.5, 0.5]
    """
    m, k = cells.shape
    sizes = [len(alpha) for alpha in weights]
    columns = np.hstack([np.zeros((m, 1), dtype=np.int64), cells + np.cumsum([1, *sizes[:-1]])])
    incidence = csr_matrix((np.ones(m * (k + 1)), columns.ravel(), np.arange(m + 1) * (k + 1)), (m, 1 + sum(sizes)))
    p = np.prod([alpha[column] for alpha, column in zip(weights, cells.T, strict=True)], axis=0)
    p = p / p.sum()
    # The constraints are built in: contrasts that are orthonormal under the weights, so a whole grid's matrix is I.
    contrasts = [null_space(np.sqrt(alpha)[None]) / np.sqrt(alpha)[:, None] for alpha in weights]
    basis = block_diag(1.0, *contrasts)
    gram = basis.T @ (incidence.T @ incidence.multiply(p[:, None])).toarray() @ basis
    penalty = np.diag(np.r_[0.0, np.full(len(gram) - 1, ridge)])
    values, axes = np.linalg.eigh(gram + penalty)
    kept = values > _NOTHING * values[-1]
    loose = np.linalg.norm((basis @ axes[:, ~kept])[1:], axis=1) * np.sqrt(np.concatenate(weights))
    return AdditiveModel(incidence, p, basis @ (axes[:, kept] / np.sqrt(values[kept])), loose > 1e-6)


@dataclass(frozen=True)
class CompositionalityScore:
    """How far vectors of combinations are sums of vectors of their parts.

    Parameters
    ----------
    r2 : float
        Share of the variance between cells that the sum explains; 1 is exactly additive.
    share : tuple of float
        What each factor explains that the others do not; on a whole grid they sum to ``r2``.
    cosine : float
        Mean cosine between the vector of a cell and its sum.
    permuted_r2 : float
        Mean ``r2`` when vectors are dealt to cells at random: what so few cells a value give for nothing.
    p_value : float
        Share of permutations with at least this ``r2``, itself counted.
    heldout_rank : float
        Median rank, among all cells' vectors, of the true vector of a cell that the fit did not see; 1 is the first.
    heldout_top1 : float
        Share of such cells with rank 1.
    heldout_cosine : float
        Mean cosine between their vector and the sum.
    n_cells : int
        Different combinations.
    permutations : tuple of float
        ``r2`` of every permutation.
    """

    r2: float
    share: tuple[float, ...]
    cosine: float
    permuted_r2: float
    p_value: float
    heldout_rank: float
    heldout_top1: float
    heldout_cosine: float
    n_cells: int
    permutations: tuple[float, ...] = field(repr=False)

    def plot(self) -> Any:
        """Draw ``r2`` beside those of the permutations.

        Returns
        -------
        matplotlib.figure.Figure
            6 by 4 inches.

        Raises
        ------
        ImportError
            matplotlib is missing.
        """
        figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.hist(self.permutations, bins=20, range=(0, 1), color="#0b3954", label="vectors dealt at random")
        axes.axvline(self.r2, color="#bf1a2f", linewidth=2, label=f"these vectors ({self.r2:.2f})")
        axes.set(xlabel="share of variance that the sum explains (R²)", ylabel="permutations", xlim=(0, 1))
        axes.legend(frameon=False)
        return figure


def compositionality_score(
    U: Any, labels: Any, n_permutations: int = 100, holdout: float = 0.2, random_state: Any = 0
) -> CompositionalityScore:
    """Measure whether vectors of combined concepts add up; before `IdealWords` is used, and to compare encoders.

    Parameters
    ----------
    U : array-like of float, shape (n, d)
        Vectors, taken as they are; those with the same labels are averaged into one cell.
    labels : array-like of str or int, shape (n, k)
        The value of each of at least two factors.
    n_permutations : int, default=100
        Random dealings of vectors to cells; the smallest p-value is ``1 / (1 + n_permutations)``.
    holdout : float, default=0.2
        Share of the cells that a second fit does not see and must foretell.
    random_state : int, RandomState or None, default=0
        Draws of permutations and of cells to hold out.

    Returns
    -------
    CompositionalityScore
        All numbers, with a picture as ``.plot()``.

    Raises
    ------
    ValueError
        Bad vectors or labels, one factor only, not more cells than the sum has free vectors, values that the cells
        cannot tell apart, cells that are all alike, or too few to hold out.

    References
    ----------
    Trager, Perera, Zancato, Achille, Bhatia and Soatto, "Linear spaces of meanings: Compositional structures in
    vision-language models", ICCV 2023. Atlas 086.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> first, second = rng.normal(size=(6, 8)), rng.normal(size=(5, 8))
    >>> labels = [(i, j) for i in range(6) for j in range(5)]
    >>> score = compositionality_score([first[i] + second[j] for i, j in labels], labels)
    >>> round(score.r2, 4), score.heldout_rank, round(score.p_value, 4)
    (1.0, 1.0, 0.0099)
    """
    if not Range(int, 1).allows(n_permutations):
        raise ValueError(f"n_permutations must be a whole number of at least 1, got {n_permutations!r}")
    if not Range(float, 0, open_low=True).allows(holdout) or holdout >= 1:
        raise ValueError(f"holdout must be a share between 0 and 1 (neither itself), got {holdout!r}")
    vectors = check_vectors(U, name="U", min_rows=2)
    codes, values = factorize(labels, len(vectors))
    if len(values) < 2:
        raise ValueError("labels: one factor explains everything; at least two are needed")
    rng = check_random_state(random_state)
    cells, means = average_cells(vectors, codes)
    weights = [np.full(len(known), 1 / len(known)) for known in values]
    model = additive_model(cells, weights)
    if model.confounded.any():
        raise ValueError(f"labels: {says_confounded(model.confounded, values)}")
    if len(cells) <= model.root.shape[1]:
        raise ValueError(
            f"labels: a sum with {model.root.shape[1]} free vectors fits any {len(cells)} cells; more are needed"
        )
    # Everything below is about the mean: it is no part of what is to be explained.
    centred = means - means.mean(axis=0)
    total = float((centred**2).sum()) / len(cells)
    if total <= _NOTHING**2 * float((means**2).sum()):
        raise ValueError("U: all cells have the same vector; there is nothing to explain")

    def explained(one: AdditiveModel, cell_vectors: Matrix) -> float:
        return float((one.coordinates(cell_vectors) ** 2).sum()) / total

    r2 = explained(model, centred)
    others = [[i for i in range(len(values)) if i != factor] for factor in range(len(values))]
    without = [explained(additive_model(cells[:, kept], [weights[i] for i in kept]), centred) for kept in others]
    permutations = [explained(model, centred[rng.permutation(len(cells))]) for _ in range(n_permutations)]
    held, made = foretell(cells, means, weights, holdout, rng)
    ranks = heldout_ranks(means, held, made)
    return CompositionalityScore(
        r2=r2,
        share=tuple(r2 - rest for rest in without),
        cosine=float(_cosines(means, model.incidence @ model.solve(means)).mean()),
        permuted_r2=float(np.mean(permutations)),
        p_value=(1 + sum(one >= r2 - _NOTHING for one in permutations)) / (1 + n_permutations),
        heldout_rank=float(np.median(ranks)),
        heldout_top1=float((ranks == 1).mean()),
        heldout_cosine=float(_cosines(means[held], made).mean()),
        n_cells=len(cells),
        permutations=tuple(permutations),
    )


def foretell(
    cells: NDArray[np.int64], means: Matrix, weights: Sequence[Matrix], holdout: float, rng: np.random.RandomState
) -> tuple[NDArray[np.int64], Matrix]:
    """Fit without some cells and make their vectors: the cells held out (h,), and what was made of them (h, d).

    Raises
    ------
    ValueError
        However the cells are drawn, those left do not determine every value.
    """
    h = max(1, round(holdout * len(cells)))
    for _ in range(_DRAWS):
        drawn = rng.permutation(len(cells))
        held, seen = drawn[:h], drawn[h:]
        model = additive_model(cells[seen], weights)
        if not model.confounded.any():
            solution = model.solve(means[seen])
            places = cells[held] + np.cumsum([1, *(len(alpha) for alpha in weights[:-1])])
            return held, solution[0] + solution[places].sum(axis=1)
    raise ValueError(
        f"holdout: without {h} of {len(cells)} cells the rest do not determine every value; lower it, or fill the grid"
    )


def heldout_ranks(means: Matrix, held: NDArray[np.int64], made: Matrix) -> NDArray[np.int64]:
    """Rank of each held-out cell's vector among all cells' vectors, by cosine with what was made of it; 1 is first."""
    similarity = unit_rows(made.astype(np.float32)) @ unit_rows(means.astype(np.float32)).T
    own = similarity[np.arange(len(held)), held]
    ranks: NDArray[np.int64] = 1 + (similarity > own[:, None]).sum(axis=1)
    return ranks


def _cosines(A: Matrix, B: Matrix) -> Matrix:
    lengths = np.linalg.norm(A, axis=1) * np.linalg.norm(B, axis=1)
    return np.einsum("ij,ij->i", A, B) / np.where(lengths > 0, lengths, 1)
