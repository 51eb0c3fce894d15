"""Incremental class discovery: cosine heads trained stage by stage on unlabelled vectors, and put side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from theatrum.checks import Constraint, Options, Range, check_parameters, check_vectors, unit_rows
from theatrum.contracts import Vectors
from theatrum.extras import require
from theatrum.refine.neighbors import knn

if TYPE_CHECKING:
    from torch import Generator, Tensor

    Targets: TypeAlias = Callable[[Tensor], Tensor]  # cosines (n, C) -> what the softmax should be

_NEIGHBORS, _DROPOUT, _MOMENTUM, _LAST_RATE = 5, 0.1, 0.9, 1e-4
_EPOCHS, _MOST_STEPS = 200, 10_000
_ROWS_A_CLASS = 4  # of a batch, on average: with fewer, equal shares say little
_SAMPLE, _MOST_CLASSES, _GRID = 2000, 128, 12  # of the estimate of the number of classes
_FLOATS, _EPS = ("float64", "float32"), 1e-5  # the latter added to variances


def learning_rate(step: int, n_steps: int, first: float) -> float:
    """Cosine decay to 0.0001; step 0 is already one step down, as in the released training."""
    return _LAST_RATE + (first - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * (step + 1) / n_steps))


def cross_entropy_slope(cosines: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Derivative of ``-mean_i sum_c q_ic log softmax(l_i / T)_c`` by the cosines l, (n, C); rows of q sum to 1."""
    return ((cosines / temperature).softmax(dim=1) - targets) / (temperature * len(cosines))


def swapped(assign: Targets) -> Targets:
    """Targets for two views on top of each other, (2n, C): each view learns what the other one was assigned to."""

    def targets(cosines: Tensor) -> Tensor:
        import torch

        first, second = cosines.chunk(2)
        return torch.cat([assign(second), assign(first)])

    return targets


def train_head(
    W: Tensor, steps: Iterator[tuple[Tensor, Targets]], n_steps: int, *, lr: float, temperature: float
) -> Tensor:
    """Train the unit rows W (C, d) by gradient descent with momentum on batches of unit rows with their targets.

    Rows are brought back to length 1 after every step, so that heads of different stages stay comparable; that also
    undoes the paper's weight decay, which is left out.
    """
    import torch

    velocity = torch.zeros_like(W)
    with torch.no_grad():
        for step, (V, targets) in enumerate(islice(steps, n_steps)):
            cosines = V @ W.T
            slope = cross_entropy_slope(cosines, targets(cosines), temperature)
            velocity.mul_(_MOMENTUM).addmm_(slope.T, V)
            W = torch.nn.functional.normalize(W - learning_rate(step, n_steps, lr) * velocity)
    return W


def class_statistics(
    rows: Vectors, codes: NDArray[np.integer], n_classes: int
) -> tuple[Vectors, Vectors, NDArray[np.int64]]:
    """Mean and standard deviation per dimension of each class, (C, d), and its rows; zeros where there are none.

    Examples
    --------
    >>> means, scale, counts = class_statistics(np.float32([[0.0], [2.0], [5.0]]), np.array([0, 0, 2]), 3)
    >>> means.ravel().tolist(), scale.ravel().round(2).tolist(), counts.tolist()
    ([1.0, 0.0, 5.0], [1.0, 0.0, 0.0], [2, 0, 1])
    """
    counts = np.bincount(codes, minlength=n_classes)
    ones = np.ones(len(rows), dtype=np.float64)
    members = csr_matrix((ones, (codes, np.arange(len(rows)))), shape=(n_classes, len(rows)))
    per_class = np.maximum(counts, 1)[:, None]
    means = (members @ rows) / per_class
    # Around the mean, not as a difference of squares, which would cancel.
    deviations = rows - means[codes].astype(np.float32)
    variances = (members @ np.square(deviations, out=deviations)) / per_class
    scale = np.sqrt(variances + _EPS) * (counts > 0)[:, None]
    return means.astype(np.float32), scale.astype(np.float32), counts.astype(np.int64)


def estimate_n_classes(rows: Vectors, rng: np.random.RandomState) -> int:
    """Number of groups with the largest silhouette under cosine, on at most 2,000 unit rows.

    K-means with twelve numbers from 2 to 128 (or half the rows); the paper has no such step. Rows of fewer than four
    different directions are one group.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    rows = np.unique(rows[rng.permutation(len(rows))[:_SAMPLE]], axis=0)
    if len(rows) < 4:
        return 1
    distances = np.clip(1 - rows @ rows.T, 0, 2)
    np.fill_diagonal(distances, 0)
    best, best_score = 1, -np.inf
    for k in np.unique(np.geomspace(2, min(len(rows) // 2, _MOST_CLASSES), _GRID).round().astype(int)):
        found = KMeans(int(k), n_init=1, random_state=rng).fit_predict(rows)
        # Nearly equal rows may leave fewer groups than were asked for.
        if len(np.unique(found)) == k:
            score = silhouette_score(distances, found, metric="precomputed")
            if score > best_score:
                best, best_score = int(k), score
    return best


class IncrementalClassDiscovery(ClusterMixin, BaseEstimator):
    """Finds new classes in unlabelled vectors stage by stage, and tells all found so far apart; a clusterer.

    For topics, intents or products that appear over months: every `partial_fit` finds the classes of one stage of
    vectors from a frozen encoder, and `predict` chooses among those of all stages. No labels are needed and no rows
    are kept. With all data at hand at once, few dimensions (heads then lean away from their classes' means), or
    classes of very different sizes, plain clustering is better.

    Parameters
    ----------
    n_classes : int or None, default=None
        New classes of a stage. None estimates them by silhouette (ours, not the paper's, and rough).
    method : {"concat", "replay"}, default="concat"
        Heads side by side; or a joint head that is trained after each further stage on the stage's rows and on
        features drawn from the means and the spread of the earlier classes.
    temperature : float, default=0.1
        Of the softmax over cosines.
    sinkhorn_eps, sinkhorn_iters : float and int, default=0.05 and 3
        Entropy and iterations of the balanced assignment.
    class_prior : {"uniform", "free"}, default="uniform"
        Whether a batch is assigned to the classes of a stage in equal shares; without, some may find nothing.
    views : {"neighbors", "dropout", "given"}, default="neighbors"
        Second view of a row: one of its 5 nearest neighbours in the stage, a tenth of both dropped; itself, a tenth
        dropped; or ``X_view``.
    lr : float, default=0.1
        Learning rate, decaying to 0.0001 along a cosine.
    epochs : int or "auto", default="auto"
        Passes over the rows of a stage. "auto" are 200, or as many as fit into 10,000 steps: 42 for 60,000 rows.
    batch_size : int, default=256
        Rows a step at least (fewer only where a stage has fewer); raised to 4 for each class of the stage.
    n_replay : int, default=20
        Features drawn a step for each earlier class, with ``method="replay"``.
    merge_threshold : float, default=0.95
        Cosine between the means of an earlier and a new class from which they count as probable duplicates.
    random_state : int, RandomState or None, default=None
        Draws of weights, batches and views.

    Attributes
    ----------
    heads_ : ndarray of float32, shape (C, d)
        Unit rows, one for each class of all stages.
    stage_of_class_ : ndarray of int64, shape (C,)
        Stage, from 0, in which a class was found.
    class_means_, class_scale_, class_counts_ : ndarray, shapes (C, d), (C, d), (C,)
        Mean and standard deviation of the unit rows taken for a class in its stage (0 where none), and their number.
    probable_duplicates_ : ndarray of int64, shape (p, 2)
        Pairs of an earlier class and one of a later stage that may be the same. They are not merged.
    labels_ : ndarray of int64, shape (n,)
        Class of each row of the last stage, among the classes of that stage.

    References
    ----------
    Liu, Roy, Zhong, Sebe and Ricci, "Large-scale pre-trained models are surprisingly strong in incremental novel class
    discovery", ICPR 2024. Atlas 047.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> first, second = (np.repeat(np.eye(4)[rows], 30, axis=0) + 0.1 * rng.normal(size=(60, 4))
    ...                  for rows in ([0, 1], [2, 3]))
    >>> model = IncrementalClassDiscovery(2, epochs=20, random_state=0).partial_fit(first).partial_fit(second)
    >>> model.stage_of_class_.tolist(), len(set(model.predict(np.eye(4))))
    ([0, 0, 1, 1], 4)
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "n_classes": [Range(int, 1), None],
        "method": [Options(("concat", "replay"))],
        "temperature": [Range(float, 0, open_low=True)],
        "sinkhorn_eps": [Range(float, 0, open_low=True)],
        "sinkhorn_iters": [Range(int, 1)],
        "class_prior": [Options(("uniform", "free"))],
        "views": [Options(("neighbors", "dropout", "given"))],
        "lr": [Range(float, 0, open_low=True)],
        "epochs": [Range(int, 1), Options(("auto",))],
        "batch_size": [Range(int, 2)],
        "n_replay": [Range(int, 1)],
        "merge_threshold": [Range(float, -1, 1)],
    }

    def __init__(
        self,
        n_classes: int | None = None,
        *,
        method: Literal["concat", "replay"] = "concat",
        temperature: float = 0.1,
        sinkhorn_eps: float = 0.05,
        sinkhorn_iters: int = 3,
        class_prior: Literal["uniform", "free"] = "uniform",
        views: Literal["neighbors", "dropout", "given"] = "neighbors",
        lr: float = 0.1,
        epochs: int | Literal["auto"] = "auto",
        batch_size: int = 256,
        n_replay: int = 20,
        merge_threshold: float = 0.95,
        random_state: Any = None,
    ) -> None:
        self.n_classes = n_classes
        self.method = method
        self.temperature = temperature
        self.sinkhorn_eps = sinkhorn_eps
        self.sinkhorn_iters = sinkhorn_iters
        self.class_prior = class_prior
        self.views = views
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.n_replay = n_replay
        self.merge_threshold = merge_threshold
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, X_view: Any = None) -> IncrementalClassDiscovery:
        """Forget earlier stages and find the classes of one; as `partial_fit`. A fit that fails forgets nothing."""
        found = clone(self).partial_fit(X, X_view=X_view)
        own = {name: value for name, value in vars(self).items() if not name.endswith("_")}
        self.__dict__ = {**vars(found), **own}
        return self

    def partial_fit(
        self, X: Any, y: Any = None, *, n_classes: int | None = None, X_view: Any = None
    ) -> IncrementalClassDiscovery:
        """Find the classes of a further stage.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Vectors of the stage; their lengths do not matter. ``y`` is there for scikit-learn only.
        n_classes : int, optional
            New classes of this stage, instead of the parameter of that name.
        X_view : array-like of shape (n, d), optional
            With ``views="given"``: other vectors of the same items, such as of the texts with words left out.

        Raises
        ------
        ValueError
            Fewer than two rows a class, a zero row, NaN, another width than in earlier stages, or an ``X_view``
            that is missing, not asked for, or of another shape.
        """
        check_parameters(self, self.constraints)
        torch = require("torch", "torch")
        earlier = len(getattr(self, "heads_", ()))
        given = validate_data(self, X, dtype=_FLOATS, reset=not earlier, ensure_min_samples=2)
        rows = _directed(given, "X")
        second = self._second_view(X_view, rows)
        stage = int(self.stage_of_class_.max()) + 1 if earlier else 0
        # A seed of its own for each stage, the same after saving and opening.
        rng = np.random.RandomState(check_random_state(self.random_state).randint(2**31, size=stage + 1)[-1])
        n_new = self._n_new(n_classes, rows, rng)
        generator = torch.Generator().manual_seed(int(rng.randint(2**31)))
        data = torch.from_numpy(rows)
        batch = max(self.batch_size, _ROWS_A_CLASS * n_new)
        an_epoch = max(len(rows) // batch, 1)
        n_steps = min(_EPOCHS * an_epoch, _MOST_STEPS) if self.epochs == "auto" else self.epochs * an_epoch
        # Only the direction of the paper's normal start is ever used.
        head = torch.nn.functional.normalize(torch.randn(n_new, rows.shape[1], generator=generator))
        steps = self._discovery_steps(data, second, batch, generator)
        head = train_head(head, steps, n_steps, lr=self.lr, temperature=self.temperature)
        codes = (data @ head.T).argmax(dim=1).numpy()
        if earlier:
            head = torch.cat([torch.from_numpy(self.heads_), head])
            if self.method == "replay":
                steps = self._replay_steps(data, torch.from_numpy(codes + earlier), len(head), batch, generator)
                head = train_head(head, steps, n_steps, lr=self.lr, temperature=self.temperature)
        self._keep(rows, codes, n_new, stage)
        self.heads_: Vectors = head.numpy()
        self.labels_ = codes + earlier
        return self

    def _second_view(self, X_view: Any, rows: Vectors) -> Any:
        """Rows of the second view (n, d), or numbers of the rows to draw it from (n, k)."""
        import torch

        if (X_view is not None) != (self.views == "given"):
            state = "missing" if X_view is None else "given"
            raise ValueError(f"X_view: {state}, but views={self.views!r}; give it with views='given' and only then")
        if self.views == "dropout":
            return torch.arange(len(rows))[:, None]
        if self.views == "neighbors":
            return torch.from_numpy(knn(rows, min(_NEIGHBORS, len(rows) - 1))[0].astype(np.int64))
        view = check_vectors(X_view, name="X_view", dim=rows.shape[1])
        if len(view) != len(rows):
            raise ValueError(f"X_view: {len(view)} rows for {len(rows)} rows of X; one each, in the same order")
        return torch.from_numpy(_directed(view, "X_view"))

    def _n_new(self, n_classes: int | None, rows: Vectors, rng: np.random.RandomState) -> int:
        wanted = self.n_classes if n_classes is None else n_classes
        if wanted is None:
            return estimate_n_classes(rows, rng)
        if not Range(int, 1).allows(wanted):
            raise ValueError(f"n_classes must be a whole number of at least 1, got {wanted!r}")
        if len(rows) < 2 * wanted:
            raise ValueError(
                f"X: {len(rows)} rows for {wanted} new classes; give two a class at least, or ask for fewer"
            )
        return int(wanted)

    def _discovery_steps(
        self, data: Tensor, second: Tensor, batch: int, generator: Generator
    ) -> Iterator[tuple[Tensor, Targets]]:
        """Both views of each batch on top of each other, and their targets."""
        import torch

        from theatrum.nn.sinkhorn import sinkhorn

        def assign(cosines: Tensor) -> Tensor:
            if self.class_prior == "free":
                return (cosines / self.sinkhorn_eps).softmax(dim=1)
            return sinkhorn(cosines, eps=self.sinkhorn_eps, n_iterations=self.sinkhorn_iters)

        targets = swapped(assign)
        for chosen in _batches(len(data), batch, generator):
            if self.views == "given":
                yield torch.cat([data[chosen], second[chosen]]), targets
                continue
            drawn = torch.randint(second.shape[1], (len(chosen),), generator=generator)
            V = data[torch.cat([chosen, second[chosen, drawn]])]
            kept = torch.empty_like(V).bernoulli_(1 - _DROPOUT, generator=generator)
            yield torch.nn.functional.normalize(V.mul_(kept)), targets

    def _replay_steps(
        self, data: Tensor, codes: Tensor, n_classes: int, batch: int, generator: Generator
    ) -> Iterator[tuple[Tensor, Targets]]:
        """Rows of the stage with the classes found for them, and features drawn for the earlier classes."""
        import torch

        alive = np.flatnonzero(self.class_counts_)
        means = torch.from_numpy(self.class_means_[alive]).repeat_interleave(self.n_replay, dim=0)
        # One spread for all: that of a small class would be a guess.
        scale = torch.from_numpy(self.class_scale_[alive].mean(axis=0))
        old = torch.from_numpy(alive).repeat_interleave(self.n_replay)
        for chosen in _batches(len(data), batch, generator):
            drawn = torch.randn(means.shape, generator=generator).mul_(scale).add_(means)
            hard = torch.nn.functional.one_hot(torch.cat([codes[chosen], old]), n_classes)
            yield torch.cat([data[chosen], torch.nn.functional.normalize(drawn)]), hard.expand_as

    def _keep(self, rows: Vectors, codes: NDArray[np.int64], n_new: int, stage: int) -> None:
        """Add the statistics of the stage's classes, and look for duplicates among them."""
        means, scale, counts = class_statistics(rows, codes, n_new)
        stages = np.full(n_new, stage, dtype=np.int64)
        if stage == 0:
            self.class_means_, self.class_scale_, self.class_counts_ = means, scale, counts
            self.stage_of_class_, self.probable_duplicates_ = stages, np.empty((0, 2), dtype=np.int64)
            return
        alike = unit_rows(self.class_means_) @ unit_rows(means).T >= self.merge_threshold
        alike &= np.logical_and.outer(self.class_counts_ > 0, counts > 0)
        pairs = np.argwhere(alike) + np.array([0, len(self.class_means_)])
        self.probable_duplicates_ = np.concatenate([self.probable_duplicates_, pairs])
        self.class_means_ = np.concatenate([self.class_means_, means])
        self.class_scale_ = np.concatenate([self.class_scale_, scale])
        self.class_counts_ = np.concatenate([self.class_counts_, counts])
        self.stage_of_class_ = np.concatenate([self.stage_of_class_, stages])

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Cosine of each row with each class of all stages, (n, C); 0 for zero rows."""
        check_is_fitted(self, "heads_")
        rows = validate_data(self, X, dtype=_FLOATS, reset=False)
        return np.asarray(unit_rows(rows) @ self.heads_.T, dtype=np.float32)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Class of each row among those of all stages, (n,); a zero row is in class 0."""
        return self.decision_function(X).argmax(axis=1).astype(np.int64)


def _directed(rows: NDArray[Any], name: str) -> Vectors:
    """Unit rows; zero rows are refused."""
    zero = np.flatnonzero(~rows.any(axis=1))
    if zero.size:
        raise ValueError(f"{name}: row {zero[0]} is all zeros and has no direction; leave such rows out")
    return unit_rows(rows)


def _batches(n: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Shuffled batches without end, of ``size`` rows at least: a short last one could not be balanced."""
    import torch

    while True:
        yield from torch.randperm(n, generator=generator).tensor_split(max(n // size, 1))
