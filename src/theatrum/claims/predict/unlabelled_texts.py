"""Texts with class names, for classification without labels: what claims and the comparison page share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from theatrum.claims.encoded import encode_cached
from theatrum.contracts import ClassSemantics
from theatrum.data import LabelledTexts, load
from theatrum.predict.semantics import from_names
from theatrum.text.minilm import MiniLM

TextSet: TypeAlias = Literal["CLINC150", "AG News", "20 Newsgroups", "TREC"]
TEXT_SETS: tuple[TextSet, ...] = get_args(TextSet)
_MOST = 3000  # texts taken of a set, drawn once

# Names as a person would write them; all were written before anything was measured.
_PHRASES: dict[str, dict[str, str]] = {
    "AG News": {
        "World": "world news and politics",
        "Sports": "sports",
        "Business": "business and the economy",
        "Sci/Tech": "science and technology",
    },
    "TREC": {
        "ABBR": "what an abbreviation stands for",
        "DESC": "a description, definition, manner or reason",
        "ENTY": "a thing: an animal, a product, a work of art, a food",
        "HUM": "a person, a group or a company",
        "LOC": "a place: a city, a country, a mountain",
        "NUM": "a number: a date, an amount, a distance",
    },
    "20 Newsgroups": {
        "alt.atheism": "atheism",
        "comp.graphics": "computer graphics",
        "comp.os.ms-windows.misc": "Microsoft Windows",
        "comp.sys.ibm.pc.hardware": "PC hardware",
        "comp.sys.mac.hardware": "Macintosh hardware",
        "comp.windows.x": "the X Window System",
        "misc.forsale": "items for sale",
        "rec.autos": "cars",
        "rec.motorcycles": "motorcycles",
        "rec.sport.baseball": "baseball",
        "rec.sport.hockey": "hockey",
        "sci.crypt": "cryptography",
        "sci.electronics": "electronics",
        "sci.med": "medicine",
        "sci.space": "space",
        "soc.religion.christian": "Christianity",
        "talk.politics.guns": "gun politics",
        "talk.politics.mideast": "politics of the Middle East",
        "talk.politics.misc": "politics",
        "talk.religion.misc": "religion",
    },
}


@dataclass(frozen=True)
class TextPile:
    """Vectors of texts, their true classes, and what the classes are called.

    Parameters
    ----------
    texts : tuple of str
        The texts.
    X : ndarray of float32, shape (n, d)
        Their vectors.
    codes : ndarray of int, shape (n,)
        Their classes, as positions in ``semantics.names``.
    semantics : ClassSemantics
        Vectors of the classes' names.
    """

    texts: tuple[str, ...]
    X: NDArray[np.float32]
    codes: NDArray[np.intp]
    semantics: ClassSemantics


def text_pile(name: TextSet, n: int = _MOST) -> TextPile:
    """Load a set, draw ``n`` of its texts once, and encode them (MiniLM, messages cut at 128 tokens)."""
    encoder = MiniLM(token_limit=128) if name == "20 Newsgroups" else MiniLM()
    rows: LabelledTexts = load(
        {"CLINC150": "clinc150", "AG News": "agnews-test", "20 Newsgroups": "20newsgroups"}.get(name, "trec")
    )
    rows = rows.split("train" if name == "TREC" else "test")
    usable = np.array([row for row, text in enumerate(rows.texts) if text.strip()])
    drawn = np.sort(np.random.default_rng(0).permutation(usable)[:n])
    labels = tuple(sorted(set(rows.labels)))
    phrases = _PHRASES.get(name) or {label: label.replace("_", " ") for label in labels}
    semantics = from_names(labels, encoder, descriptions=[phrases[label] for label in labels])
    place = {label: code for code, label in enumerate(labels)}
    texts = tuple(rows.texts[row] for row in drawn)
    codes = np.array([place[rows.labels[row]] for row in drawn])
    return TextPile(texts, encode_cached(encoder, texts), codes, semantics)
