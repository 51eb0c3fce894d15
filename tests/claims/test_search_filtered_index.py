"""The claim of row 027 at its smoke scale."""

from __future__ import annotations

import numpy as np

from theatrum.claims.search.filtered_index import claim_027, noisy_copies


def test_smoke():
    outcome = claim_027("smoke")
    cells = outcome.recorded["cells"]
    assert len(cells) == 18
    for cell in cells.values():
        assert cell["exact"]["recall"] == 1.0
        assert cell["auto"]["recall"] >= 0.95 and cell["graph"]["recall"] >= 0.9
    assert outcome.inequalities[0].holds


def test_noise_is_a_share_of_the_distance_to_the_neighbour():
    X = np.array([[1.0, 0.0], [0.6, 0.8]], dtype=np.float32)
    made = noisy_copies(X, 50, 0)
    away = 2 - 2 * (made @ X.T).max(axis=1)
    assert (away < 1.3 * 0.3**2 * 0.8).all() and away.max() > 0  # back on the sphere, a step may reach a little farther
