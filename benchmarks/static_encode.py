"""Static encoding of abstracts: StaticEncoder against model2vec (else StaticEmbedding) with the same table, and MiniLM.

Interleaved rounds over the same texts; ``ours`` starts every round with nothing remembered, ``ours_warm`` knows the
words already. model2vec runs without its own processes and cuts nothing. The limit is what cannot be left out here:
cutting the texts at white space and adding up the rows of the table. Prints one JSON line. Needs THEATRUM_DATA.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from timing import comparison, seconds

import theatrum
from theatrum import data
from theatrum.text import MiniLM, StaticEncoder
from theatrum.text.static import mean_rows

ROUNDS = 7


def peer_of(encoder, tokenizer_json: str, folder: Path):
    """Name of the peer, and its encoding function, with our table in it."""
    if importlib.util.find_spec("model2vec") is not None:
        from model2vec import StaticModel

        save_file({"embeddings": encoder.table_}, folder / "model.safetensors")
        (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
        settings = {"model_type": "model2vec", "normalize": True, "max_length": None}
        (folder / "config.json").write_text(json.dumps(settings))
        model = StaticModel.from_pretrained(folder)
        return "model2vec", lambda texts: model.encode(texts, use_multiprocessing=False)
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer

    static = StaticEmbedding(Tokenizer.from_str(tokenizer_json), embedding_weights=encoder.table_)
    model = SentenceTransformer(modules=[static, Normalize()], device="cpu")
    return "StaticEmbedding", lambda texts: model.encode(texts, batch_size=1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", default="cranfield")
    parser.add_argument("--teacher-texts", type=int, default=100)
    options = parser.parse_args()
    texts = [document.content for document in data.load(options.collection).documents]

    encoder = StaticEncoder().fit(texts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theatrum.save(encoder, folder / "ours")
        tokenizer_json = (folder / "ours" / "tokenizer.json").read_text(encoding="utf-8")
        (folder / "peer").mkdir()
        peer_name, peer = peer_of(encoder, tokenizer_json, folder / "peer")
        difference = float(np.abs(encoder.encode(texts) - peer(texts)).max())
        if difference > 1e-4:
            raise SystemExit(f"the vectors differ by {difference}: the comparison is void")

        tokens = theatrum.open(folder / "ours")
        ids, lengths = tokens._tokens(texts)
        times: dict[str, list[float]] = {name: [] for name in ("ours", "ours_warm", "peer", "again", "limit")}
        for _ in range(ROUNDS):
            fresh = theatrum.open(folder / "ours")
            times["ours"].append(seconds(lambda fresh=fresh: fresh.encode(texts)))
            times["peer"].append(seconds(lambda: peer(texts)))
            times["ours_warm"].append(seconds(lambda fresh=fresh: fresh.encode(texts)))
            times["again"].append(seconds(lambda: peer(texts)))
            split = seconds(lambda: [text.split() for text in texts])
            times["limit"].append(split + seconds(lambda: mean_rows(ids, lengths, encoder.table_)))

    minilm = MiniLM(on_overflow="split", device="cpu")
    some = texts[:: max(1, len(texts) // options.teacher_texts)]
    minilm.encode(some[:8])
    slow = len(some) / seconds(lambda: minilm.encode(some))

    rate = {name: len(texts) / statistics.median(values) for name, values in times.items()}
    line = {
        "benchmark": "static_encode",
        "collection": options.collection,
        "texts": len(texts),
        "tokens": int(lengths.sum()),
        "max_difference": difference,
        "peer_is": peer_name,
        "ours": round(rate["ours"]),
        "ours_warm": round(rate["ours_warm"]),
        "peer": round(rate["peer"]),
        "unit": "texts/s",
        **comparison(times),
        "limit_fraction": round(rate["ours"] / rate["limit"], 3),
        "limit_fraction_warm": round(rate["ours_warm"] / rate["limit"], 3),
        "minilm": round(slow, 1),
        "ratio_to_minilm": round(rate["ours"] / slow),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
