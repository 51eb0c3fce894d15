"""LARS: layer-wise adaptive rate scaling, for large batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


class LARS(torch.optim.Optimizer):
    """Momentum, with each matrix's step scaled to the ratio of its norm to its gradient's norm.

    Vectors (biases and norm parameters) take plain momentum steps without decay: adapted, they make training diverge.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
        What to train.
    lr : float
        Learning rate.
    momentum, weight_decay, trust : float
        Momentum, decay of matrices, and the factor of the ratio.

    References
    ----------
    You, Gitman and Ginsburg, "Large batch training of convolutional networks", arXiv 1708.03888.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 1e-6,
        trust: float = 1e-3,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch's types are not read here
    def step(self, closure: Any = None) -> None:
        """Take one step along the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                change = parameter.grad
                if parameter.ndim > 1:
                    change = change + group["weight_decay"] * parameter
                    norm, size = parameter.norm(), change.norm()
                    if norm > 0 and size > 0:
                        change = change * (group["trust"] * norm / size)
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].mul_(group["momentum"]).add_(change)
                parameter.sub_(group["lr"] * state["momentum"])
