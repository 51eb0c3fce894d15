"""A tiny random BERT as a sentence-transformers folder: two layers of 32, about a hundred word pieces, no download."""

from __future__ import annotations

from pathlib import Path

import pytest

_WORDS = (
    "the a of in and on wing wings flow heat shock wave waves plate plates boundary layer layers thin swept body "
    "bodies drag lift mach number pressure speed sonic super hyper blunt cone nose jet gas air theory method test "
    "tunnel solution stress load buckling shell cylinder panel temperature transfer query passage"
).split()
_PIECES = [*"abcdefghijklmnopqrstuvwxyz0123456789:,.-", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]


def write_tiny_model(folder: Path, *, seed: int = 0, pooling: str = "mean", max_seq_length: int = 24) -> Path:
    """Write the folder; everything about it follows from the arguments."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizer

    base = folder.with_name(folder.name + "-base")
    base.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_WORDS, *_PIECES]
    BertTokenizer(vocab={word: row for row, word in enumerate(vocabulary)}).save_pretrained(base)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,  # wide, so that different texts get clearly different vectors
    )
    BertModel(config).save_pretrained(base)
    transformer = Transformer(str(base), max_seq_length=max_seq_length)
    model = SentenceTransformer(modules=[transformer, Pooling(32, pooling_mode=pooling), Normalize()], device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny model: mean pooling, 24 tokens, 32 dimensions."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny-bert")
