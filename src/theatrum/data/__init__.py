"""Data: known sets by name, and users' files."""

from __future__ import annotations

from theatrum.cache import cache_folder
from theatrum.data.collection import Collection, Document, LabelledImages, LabelledTexts, PlainText, SentencePairs
from theatrum.data.corpus import CorpusReader, CorpusSummary, read_corpus
from theatrum.data.datasets import describe, is_collection, load, names
from theatrum.data.interactions import Interactions
from theatrum.data.judgements import read_qrels, read_queries
from theatrum.data.limit import make_limit

__all__ = [
    "Collection",
    "CorpusReader",
    "CorpusSummary",
    "Document",
    "Interactions",
    "LabelledImages",
    "LabelledTexts",
    "PlainText",
    "SentencePairs",
    "cache_folder",
    "describe",
    "is_collection",
    "load",
    "make_limit",
    "names",
    "read_corpus",
    "read_qrels",
    "read_queries",
]
