"""A two-layer map from class semantics into the space of the features: its weights, its formula, its problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.contracts import ClassSemantics, Vectors
from theatrum.extras import require
from theatrum.predict.semantic_ridge import class_means


@dataclass(frozen=True)
class MapSettings:
    """What is tuned of a map.

    Parameters
    ----------
    alpha : tuple of float
        L2 penalty of each branch; the first is that of the last layer too.
    branch_weights : tuple of float
        Of each branch in the sum.
    """

    alpha: tuple[float, ...]
    branch_weights: tuple[float, ...]


@dataclass(frozen=True)
class MapProblem:
    """Classes with examples, as tensors.

    Parameters
    ----------
    signatures : list of Tensor, shape (C, a)
        Unit rows, one matrix a branch.
    means, shares : Tensor, shape (C, d), (C,)
        Mean features of each class, and its share of the rows.
    rows, codes : Tensor, shape (n, d), (n,)
        Scaled features and their classes.
    """

    signatures: list[Any]
    means: Any
    shares: Any
    rows: Any
    codes: Any

    @classmethod
    def of(cls, signatures: Sequence[Vectors], features: Vectors, codes: NDArray[np.intp]) -> MapProblem:
        """Gather what a training needs."""
        torch = require("torch", "torch")
        means, counts = class_means(features, codes, len(signatures[0]))
        shares = torch.from_numpy((counts / counts.sum()).astype(np.float32))
        told = [torch.from_numpy(matrix) for matrix in signatures]
        of_class = torch.from_numpy(means.astype(np.float32))
        return cls(told, of_class, shares, torch.from_numpy(features), torch.from_numpy(codes))


def new_network(widths: Sequence[int], hidden_dim: int, d: int) -> Any:
    """Make the weights of a two-layer map by name: truncated normal (0.1), biases 0.1. Call it inside `seeded`.

    Parameters
    ----------
    widths : sequence of int
        Of the signatures, one a branch.
    hidden_dim, d : int
        Of the hidden layer and of the features.
    """
    torch = require("torch", "torch")
    shapes = {str(branch): (width, hidden_dim) for branch, width in enumerate(widths)} | {"out": (hidden_dim, d)}
    weights = {}
    for name, shape in shapes.items():
        weights[f"w_{name}"] = torch.nn.init.trunc_normal_(torch.empty(shape), std=0.1, a=-0.2, b=0.2)
        weights[f"b_{name}"] = torch.full(shape[1:], 0.1)
    return torch.nn.ParameterDict(weights)


def mapped(network: Any, signatures: Sequence[Any], branch_weights: Sequence[float], activation: str) -> Any:
    """Map signatures into the space of the features, (C, d).

    One branch: ``W2 relu(W1 s + b1) + b2``. Several: the hidden layer is ``sum_k v_k tanh(W_k s_k + b_k)``. The last
    activation is "relu" or "linear".

    Examples
    --------
    >>> import torch
    >>> one = {"w_0": torch.eye(2), "b_0": torch.zeros(2), "w_out": torch.ones(2, 1), "b_out": torch.ones(1)}
    >>> mapped(one, [torch.tensor([[2.0, -3.0]])], [1.0], "linear").tolist()
    [[3.0]]
    """
    before = [s @ network[f"w_{branch}"] + network[f"b_{branch}"] for branch, s in enumerate(signatures)]
    if len(before) == 1:
        hidden = before[0].relu()
    else:
        hidden = sum(weight * one.tanh() for weight, one in zip(branch_weights, before, strict=True))
    out = hidden @ network["w_out"] + network["b_out"]
    return out.relu() if activation == "relu" else out


def penalised(network: Any, alpha: Sequence[float]) -> list[dict[str, Any]]:
    """Groups of weights for Adam, whose weight decay is the gradient of ``alpha / 2 |W|^2``: an L2 penalty."""
    groups = []
    for name, weight in network.items():
        branch = name.partition("_")[2]
        groups.append({"params": [weight], "weight_decay": alpha[int(branch)] if branch.isdigit() else alpha[0]})
    return groups


def nearest_hits(rows: Any, codes: Any, prototypes: Any, metric: str) -> float:
    """Per-class accuracy of the nearest prototype, for tensors; every class of ``codes`` has rows.

    Examples
    --------
    >>> import torch
    >>> nearest_hits(torch.eye(2), torch.tensor([0, 1]), torch.tensor([[1.0, 0.0], [2.0, -1.0]]), "cosine")
    0.5
    """
    torch = require("torch", "torch")
    if metric == "cosine":
        scores = rows @ torch.nn.functional.normalize(prototypes, dim=1).T
    else:
        scores = rows @ prototypes.T - (prototypes**2).sum(dim=1) / 2
    counts = torch.bincount(codes, minlength=len(prototypes))
    hit = (scores.argmax(dim=1) == codes).float()
    return float((hit / counts[codes]).sum() / len(prototypes))


def first_of(branches: Sequence[ClassSemantics]) -> ClassSemantics | None:
    """Semantics that stand for all branches; a ValueError where they are not of the same classes."""
    for number, one in enumerate(branches):
        if not isinstance(one, ClassSemantics):
            raise ValueError(f"semantics: ClassSemantics (or a list of them) are needed, got {type(one).__name__}")
        if one.names != branches[0].names:
            raise ValueError(f"semantics: branch {number} names other classes than branch 0, or in another order")
    told = [one for one in branches if one.seen is not None]
    masks = [one.seen for one in told if one.seen is not None]
    if any(not np.array_equal(mask, masks[0]) for mask in masks):
        raise ValueError("semantics: the branches do not agree on which classes are seen")
    return told[0] if told else (branches[0] if branches else None)
