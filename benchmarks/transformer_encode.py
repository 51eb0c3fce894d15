"""Encoding texts of log-normal lengths with MiniLM: SentenceTransformerEncoder / SentenceTransformer.encode.

Prints one JSON line: texts per second of both, the median ratio of interleaved rounds with its spread, the noise of
the peer against itself, and the share of the matrix product's speed that we reach. About 50 seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from functools import partial

import numpy as np
from timing import comparison, interleaved, seconds

MINILM_FLOP_A_TOKEN = 21e6  # 6 layers of 12 * 384 * 384 weights, twice


def log_normal_texts(n: int, words: list[str], *, median: float, sigma: float, seed: int) -> list[str]:
    """Texts without repetition whose numbers of words are log-normal, at most 200 (so that neither side cuts)."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(median), sigma, n), 1, 200).astype(int)
    return [" ".join(rng.choice(words, length)) for length in lengths]


def matrix_flops(torch) -> float:
    """Best rate of a float32 product of MiniLM's shape, in FLOP a second."""
    a, b = torch.randn(1024, 384), torch.randn(384, 1536)
    best = min(seconds(lambda: [a @ b for _ in range(20)]) for _ in range(5))
    return 20 * 2 * 1024 * 384 * 1536 / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=80)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32, help="of both sides; 32 is the peer's default")
    parser.add_argument("--median", type=float, default=40, help="words")
    parser.add_argument("--sigma", type=float, default=0.8)
    options = parser.parse_args()

    import torch
    from sentence_transformers import SentenceTransformer

    from theatrum.text import MiniLM
    from theatrum.text.minilm import packaged_folder

    torch.set_num_threads(options.threads)
    encoder, peer = MiniLM(device="cpu"), SentenceTransformer(str(packaged_folder()), device="cpu")
    words = [word for word in sorted(peer.tokenizer.get_vocab()) if word.isascii() and word.isalpha() and len(word) > 2]
    texts = log_normal_texts(options.texts, words, median=options.median, sigma=options.sigma, seed=0)

    start = time.perf_counter()
    X = encoder.encode(texts, batch_size=options.batch_size)
    Y = peer.encode(texts, batch_size=options.batch_size)
    warm_up = time.perf_counter() - start
    difference = float(np.abs(X - Y).max())
    if difference > 1e-5:
        raise SystemExit(f"the vectors differ by {difference}: the comparison is void")

    ours, theirs = (partial(model.encode, texts, batch_size=options.batch_size) for model in (encoder, peer))
    times = interleaved({"ours": ours, "peer": theirs, "again": theirs})
    took = {name: statistics.median(values) for name, values in times.items()}
    tokens = int(encoder.token_counts(texts).sum())
    reached = tokens * MINILM_FLOP_A_TOKEN / took["ours"]
    line = {
        "benchmark": "transformer_encode",
        "texts": len(texts),
        "tokens": tokens,
        "threads": options.threads,
        "batch_size": options.batch_size,
        "max_difference": difference,
        "ours": round(len(texts) / took["ours"], 2),
        "peer": round(len(texts) / took["peer"], 2),
        "unit": "texts/s",
        **comparison(times),
        "limit_fraction": round(reached / matrix_flops(torch), 3),
        "warm_up_s": round(warm_up, 2),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
