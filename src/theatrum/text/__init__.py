"""Text: encoders that turn texts into vectors, and retrievers that find texts by their words."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theatrum.text.bm25 import BM25
    from theatrum.text.latent_semantic import LatentSemanticEncoder
    from theatrum.text.layer_pooling import LayerPooling, fold_into, layer_average_encoder, search_layers
    from theatrum.text.minilm import MiniLM
    from theatrum.text.sentence_transformer import SentenceTransformerEncoder
    from theatrum.text.static import StaticEncoder
    from theatrum.text.tfidf import TfidfRetriever
    from theatrum.text.token_vectors import MiniLMTokens, TokenVectorEncoder

_EXPORTS = {
    "BM25": "theatrum.text.bm25",
    "LatentSemanticEncoder": "theatrum.text.latent_semantic",
    "LayerPooling": "theatrum.text.layer_pooling",
    "MiniLM": "theatrum.text.minilm",
    "MiniLMTokens": "theatrum.text.token_vectors",
    "SentenceTransformerEncoder": "theatrum.text.sentence_transformer",
    "StaticEncoder": "theatrum.text.static",
    "TfidfRetriever": "theatrum.text.tfidf",
    "TokenVectorEncoder": "theatrum.text.token_vectors",
    "fold_into": "theatrum.text.layer_pooling",
    "layer_average_encoder": "theatrum.text.layer_pooling",
    "search_layers": "theatrum.text.layer_pooling",
}

__all__ = [
    "BM25",
    "LatentSemanticEncoder",
    "LayerPooling",
    "MiniLM",
    "MiniLMTokens",
    "SentenceTransformerEncoder",
    "StaticEncoder",
    "TfidfRetriever",
    "TokenVectorEncoder",
    "fold_into",
    "layer_average_encoder",
    "search_layers",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'theatrum.text' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
