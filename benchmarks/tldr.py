"""Reducing real sentence vectors from 384 to 64 dimensions: TLDR against PCA, UMAP and a random projection.

Fit and transform in the same run; ``recall_at_10`` is the share of a vector's ten nearest neighbours that are still
among its ten nearest, over vectors that no method was fitted on. TLDR's fit is iterative: what it costs is shown as a
ratio, and the claim (``theatrum claim 82``) shows what it buys. Prints one JSON line. Needs THEATRUM_DATA.
"""

from __future__ import annotations

import json
import statistics

import numpy as np
from sklearn.decomposition import PCA
from sklearn.random_projection import GaussianRandomProjection
from timing import comparison, interleaved, seconds
from umap import UMAP

from theatrum import data
from theatrum.refine import TwinLearningReduction
from theatrum.text import StaticEncoder

DIM, HELD_OUT = 64, 1000


def neighbours(X):
    """Ten nearest rows by cosine, without the row itself."""
    X = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)
    near = X @ X.T
    np.fill_diagonal(near, -np.inf)
    return np.argpartition(-near, 10, axis=1)[:, :10]


def main() -> None:
    """Compare."""
    collection = data.load("cranfield")
    texts = [
        sentence
        for document in collection.documents
        for sentence in document.text.split(" . ")
        if len(sentence.split()) > 4
    ]
    X = StaticEncoder().fit(texts).encode(texts)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(X))
    train, held = X[order[HELD_OUT:]], X[order[:HELD_OUT]]
    truth = neighbours(held)
    methods = {
        "tldr": TwinLearningReduction(DIM),
        "pca": PCA(DIM),
        "umap": UMAP(n_components=DIM, metric="cosine", random_state=0),
        "random": GaussianRandomProjection(DIM, random_state=0),
    }
    found = {}
    for name, method in methods.items():
        fit = seconds(lambda method=method: method.fit(train))
        transform = seconds(lambda method=method: method.transform(held))
        kept = (neighbours(method.transform(held))[:, :, None] == truth[:, None, :]).any(axis=2).mean()
        found[name] = {
            "fit_s": round(fit, 3),
            "transform_1000_s": round(transform, 4),
            "recall_at_10": round(float(kept), 3),
        }
    times = interleaved(
        {
            "ours": lambda: methods["tldr"].transform(X),
            "peer": lambda: methods["pca"].transform(X),
            "again": lambda: methods["pca"].transform(X),
        },
        rounds=21,
    )
    line = {
        "benchmark": "tldr",
        "rows": len(train),
        **found,
        "fit_ratio": round(found["pca"]["fit_s"] / found["tldr"]["fit_s"], 4),
        "ours": round(len(X) / statistics.median(times["ours"])),
        "peer": round(len(X) / statistics.median(times["peer"])),
        "unit": "vectors/s transformed",
        **comparison(times),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
