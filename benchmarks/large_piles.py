"""Label propagation and class discovery on 60,000 x 384 vectors: seconds and peak memory, each in a process of its own.

The vectors are drawn around 100 centres (nothing of that size is among the data sets at hand). Prints one JSON line a
method; each must stay under two minutes and 2 GB on two cores.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import numpy as np
from timing import seconds

ROWS, DIM, CLASSES = 60_000, 384, 100


def pile() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, DIM)).astype(np.float32)
    codes = rng.integers(0, CLASSES, ROWS)
    return centres, codes, centres[codes] + 2 * rng.standard_normal((ROWS, DIM), dtype=np.float32)


def label_propagation() -> tuple[float, float]:
    from theatrum.contracts import ClassSemantics
    from theatrum.predict.label_propagation import ZeroShotLabelPropagation

    centres, codes, X = pile()
    semantics = ClassSemantics(tuple(f"class {i}" for i in range(CLASSES)), vectors=centres)
    model = ZeroShotLabelPropagation()
    took = seconds(lambda: model.fit(X, semantics=semantics))
    return took, float((model.scores_.argmax(axis=1) == codes).mean())


def incremental_discovery() -> tuple[float, float]:
    from sklearn.metrics import normalized_mutual_info_score

    from theatrum.predict.incremental_discovery import IncrementalClassDiscovery

    _, codes, X = pile()
    model = IncrementalClassDiscovery(CLASSES, random_state=0)
    took = seconds(lambda: model.fit(X))
    return took, float(normalized_mutual_info_score(codes, model.predict(X)))


METHODS = {"label_propagation": label_propagation, "incremental_discovery": incremental_discovery}


def main() -> None:
    if len(sys.argv) > 1:
        took, quality = METHODS[sys.argv[1]]()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        line = {"benchmark": "large_piles", "method": sys.argv[1], "rows": ROWS, "seconds": round(took, 1)}
        print(json.dumps(line | {"peak_gb": round(peak, 2), "quality": round(quality, 4)}), flush=True)
        return
    for name in METHODS:
        subprocess.run([sys.executable, __file__, name], check=True)


if __name__ == "__main__":
    main()
