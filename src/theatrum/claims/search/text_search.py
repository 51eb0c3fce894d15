"""Searching texts with all dimensions of an encoder and with the principal ones, for claim 028."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theatrum.claims.encoded import encode_cached
from theatrum.claims.outcome import Inequality
from theatrum.contracts import Encoder
from theatrum.data import Collection
from theatrum.evaluate import SpectrumReport, compression_curve, judge, ndcg_at, paired_bootstrap, spectrum_report
from theatrum.text.bm25 import BM25
from theatrum.text.latent_semantic import LatentSemanticEncoder
from theatrum.text.tfidf import TfidfRetriever

_DIMS = (8, 16, 32, 64, 128, 192, 256)
_SEEDS, _RESAMPLES = 3, 1000


@dataclass(frozen=True)
class Searched:
    """One encoder on one collection.

    Parameters
    ----------
    curve, centred : dict of int to ndarray of float64, shape (q,)
        Dimensions kept -> nDCG@10 of every answerable query, as they are and from the documents' mean.
    spectrum : SpectrumReport
        Of the documents.
    """

    curve: Mapping[int, NDArray[np.float64]]
    centred: Mapping[int, NDArray[np.float64]]
    spectrum: SpectrumReport

    @property
    def full(self) -> NDArray[np.float64]:
        """Scores with all dimensions."""
        return self.curve[max(self.curve)]

    @property
    def half(self) -> NDArray[np.float64]:
        """Scores with half of the dimensions."""
        return self.curve[max(self.curve) // 2]


def answerable(collection: Collection) -> dict[str, str]:
    """Queries that have a relevant document."""
    return {
        query: text
        for query, text in collection.queries.items()
        if any(grade > 0 for grade in collection.qrels.get(query, {}).values())
    }


def searched(encoder: Encoder, collection: Collection) -> Searched:
    """Measure one encoder; the directions are learnt from the documents alone."""
    queries = answerable(collection)
    X = encode_cached(encoder, [document.content for document in collection.documents])
    Q = encode_cached(encoder, list(queries.values()))
    d = X.shape[1]
    plain, centred = (
        compression_curve(
            X,
            Q,
            collection.qrels,
            sorted({*(m for m in _DIMS if m < d), d // 2, d}),
            ids=[document.id for document in collection.documents],
            query_ids=list(queries),
            center=center,
        )
        for center in (False, True)
    )
    return Searched(plain, centred, spectrum_report(X))


def baselines(collection: Collection) -> dict[str, float]:
    """Mean nDCG@10 of word matching, and of LSA fitted on the documents."""
    ids, texts = [document.id for document in collection.documents], [one.content for one in collection.documents]
    queries = answerable(collection)
    rankings = {
        "BM25": BM25().fit(ids, texts).search(list(queries.values()), 10)[0],
        "TF-IDF": TfidfRetriever().fit(ids, texts).search(list(queries.values()), 10)[0],
    }
    lsa = LatentSemanticEncoder().fit(texts)
    similarities = lsa.encode(list(queries.values())) @ lsa.encode(texts).T
    rankings["LSA"] = np.array(ids, dtype=object)[np.argsort(-similarities, axis=1, kind="stable")[:, :10]]
    return {
        name: float(ndcg_at(judge(ranking, list(queries), collection.qrels), 10).mean())
        for name, ranking in rankings.items()
    }


def chosen_gain(curve: Mapping[int, NDArray[np.float64]], seed: int) -> float:
    """Gain of the best smaller size over all dimensions, chosen on one half of the queries, taken on the other.

    Examples
    --------
    >>> curve = {1: np.full(6, 0.5), 2: np.full(6, 0.3), 3: np.full(6, 0.4)}
    >>> round(chosen_gain(curve, 0), 3)
    0.1
    """
    d = max(curve)
    side = np.random.default_rng(seed).permutation(len(curve[d])) % 2
    gains = np.empty(len(side))
    for half in (0, 1):
        choose, report = side == half, side != half
        best = max((m for m in curve if m < d), key=lambda m: curve[m][choose].mean())
        gains[report] = curve[best][report] - curve[d][report]
    return float(gains.mean())


def search_and_compression(
    encoders: Mapping[str, Sequence[Encoder]],
    sets: Sequence[Collection],
    measurements: dict[str, dict[str, list[float]]],
) -> list[Inequality]:
    """Compare MiniLM with the specialised encoders, and each with its own principal directions.

    Parameters
    ----------
    encoders : mapping of str to sequence of Encoder
        "MiniLM" and "specialised"; one encoder, or one a seed.
    sets : sequence of Collection
        What is searched.
    measurements : dict
        Filled.

    Returns
    -------
    list of Inequality
        MiniLM against specialised on each set; compression over all of them.
    """
    found = {
        (arm, collection.name): [searched(one, collection) for one in seeds]
        for collection in sets
        for arm, seeds in encoders.items()
    }
    gains: dict[str, list[list[float]]] = {arm: [] for arm in encoders}
    inequalities = []
    for collection in sets:
        name = collection.name
        for arm, value in baselines(collection).items():
            measurements[f"{name}, {arm}"] = {"nDCG@10": [value]}
        for arm in encoders:
            runs = found[arm, name]
            gains[arm].append([chosen_gain(runs[seed % len(runs)].curve, seed) for seed in range(_SEEDS)])
            measurements[f"{name}, {arm}"] = {
                **_means(runs),
                "gain of PCA, size chosen on other queries": gains[arm][-1],
            }
        general, special = (
            np.mean([run.full for run in found[arm, name]], axis=0) for arm in ("MiniLM", "specialised")
        )
        better = paired_bootstrap(general, special, n_resamples=_RESAMPLES).resamples
        says = f"{name}: MiniLM >= specialised + 0.02 (nDCG@10)"
        inequalities.append(Inequality(says, better.tolist(), "resamples", 0.02))
    rank = {
        arm: np.mean([run.spectrum.effective_rank for one in sets for run in found[arm, one.name]]) for arm in encoders
    }
    lower = min(encoders, key=rank.__getitem__)
    says = f"PCA >= all dimensions + 0.005 for the encoder of the lower effective rank, {lower} (nDCG@10, mean of sets)"
    inequalities.append(Inequality(says, np.mean(gains[lower], axis=0).tolist(), "seeds", 0.005))
    halved = [
        paired_bootstrap(run.half, run.full, n_resamples=_RESAMPLES).resamples
        for one in sets
        for run in found["MiniLM", one.name]
    ]
    says = "MiniLM: half of the dimensions >= all - 0.01 (nDCG@10, mean of sets)"
    inequalities.append(Inequality(says, np.mean(halved, axis=0).tolist(), "resamples", -0.01, None))
    return inequalities


def _means(runs: Sequence[Searched]) -> dict[str, list[float]]:
    """What is written down of an encoder, one value a seed."""
    d = max(runs[0].curve)
    return {
        "nDCG@10": [float(run.full.mean()) for run in runs],
        **{f"nDCG@10, m={m}": [float(run.curve[m].mean()) for run in runs] for m in runs[0].curve if m < d},
        "nDCG@10, centred": [float(run.centred[d].mean()) for run in runs],
        f"nDCG@10, m={d // 2}, centred": [float(run.centred[d // 2].mean()) for run in runs],
        "effective rank": [run.spectrum.effective_rank for run in runs],
        "directions of 90% of the variance": [float(run.spectrum.dims90) for run in runs],
        "mean cosine": [run.spectrum.mean_cosine for run in runs],
    }
