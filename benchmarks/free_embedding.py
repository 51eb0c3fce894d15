"""Optimising free embeddings: gradients written out, against the same steps by autograd and ``torch.optim.Adam``.

All pairs of 22 documents in 5 dimensions and of 80 in 14, 200 steps of one random start, nothing solved on the way.
Both end at the same vectors (``largest_difference``). Prints one JSON line a size.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from timing import comparison, interleaved

from theatrum.evaluate import free_embedding_fit
from theatrum.evaluate.free_embedding import all_subsets

STEPS = 200
SIZES = ((22, 5), (80, 14))


def by_autograd(wanted, n, dim):
    """The optimisation as it is usually written."""
    q = len(wanted)
    X = torch.randn((1, q + n, dim), generator=torch.Generator().manual_seed(0))[0]
    X = (X / X.norm(dim=-1, keepdim=True)).requires_grad_()
    answers = torch.from_numpy(wanted)
    adam = torch.optim.Adam([X], lr=0.01)
    for _ in range(STEPS):
        adam.zero_grad()
        shares = (X[:q] @ X[q:].T / 0.1).log_softmax(dim=1)
        (-shares.gather(1, answers).mean()).backward()
        adam.step()
        with torch.no_grad():
            X /= X.norm(dim=-1, keepdim=True)
    return X.detach().numpy()[:q]


def main() -> None:
    """Compare."""
    for n, dim in SIZES:
        wanted = all_subsets(n, 2)
        ours = free_embedding_fit((n, 2), dim, max_steps=STEPS)
        assert not ours.solved
        times = interleaved(
            {
                "ours": lambda n=n, dim=dim: free_embedding_fit((n, 2), dim, max_steps=STEPS),
                "peer": lambda n=n, dim=dim, wanted=wanted: by_autograd(wanted, n, dim),
                "again": lambda n=n, dim=dim, wanted=wanted: by_autograd(wanted, n, dim),
            }
        )
        found = comparison(times)
        found["largest_difference"] = float(np.abs(ours.Q - by_autograd(wanted, n, dim)).max())
        print(json.dumps({"benchmark": "free_embedding", "documents": n, "dim": dim, "steps": STEPS, **found}))


if __name__ == "__main__":
    main()
