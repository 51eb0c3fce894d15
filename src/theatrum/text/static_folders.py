"""Reading folders of static embeddings as model2vec and sentence-transformers write them, without either library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from theatrum.persistence import load_arrays

_WEIGHTS, _TOKENIZER = "model.safetensors", "tokenizer.json"


def static_part(folder: Path) -> Path | None:
    """Find where in a model folder a static table lies.

    Parameters
    ----------
    folder : Path
        A folder of sentence-transformers or model2vec.

    Returns
    -------
    Path or None
        None if the model is not static.
    """
    if (folder / "modules.json").is_file():
        modules = _json(folder / "modules.json")
        if not modules or not str(modules[0].get("type", "")).endswith("StaticEmbedding"):
            return None
        return folder / str(modules[0].get("path", ""))
    config = _json(folder / "config.json") if (folder / "config.json").is_file() else {}
    return folder if config.get("model_type") == "model2vec" else None


def read_static(part: Path) -> tuple[Tokenizer, NDArray[np.float32]]:
    """Read a static table and its tokenizer.

    Parameters
    ----------
    part : Path
        What `static_part` found.

    Returns
    -------
    tokenizer : tokenizers.Tokenizer
        As saved.
    table : ndarray of float32, shape (V, d)
        One row a token, weights multiplied in. model2vec leaves unknown tokens out of the mean, so they are zero there.

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ValueError
        A damaged file, a table without vectors, NaN, or fewer rows than tokens.
    """
    for file in (_WEIGHTS, _TOKENIZER):
        if not (part / file).is_file():
            raise FileNotFoundError(f"{part} is no folder of static embeddings: it has no {file}")
    tokenizer = read_tokenizer(part / _TOKENIZER)
    arrays = load_arrays(part / _WEIGHTS)
    name = next((name for name in ("embeddings", "embedding.weight") if name in arrays), "")
    if not name or arrays[name].ndim != 2:
        raise ValueError(f"{part / _WEIGHTS} holds no table of token vectors (found: {', '.join(sorted(arrays))})")
    table = arrays[name].astype(np.float32)
    if "mapping" in arrays:  # several tokens share a row
        table = table[arrays["mapping"].astype(np.int64)]
    if "weights" in arrays:
        table *= arrays["weights"].astype(np.float32)[:, None]
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if max(vocabulary.values(), default=-1) >= len(table):
        raise ValueError(f"{part}: the tokenizer knows {len(vocabulary)} tokens, the table has {len(table)} rows")
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if bad.size:
        raise ValueError(f"{part / _WEIGHTS}: row {bad[0]} holds NaN or infinity")
    unknown = unknown_token(tokenizer)
    if name == "embeddings" and unknown is not None:
        table[unknown] = 0
    return tokenizer, table


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json``, or say that it is damaged."""
    try:
        return read_tokenizer_text(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; it was damaged or cut short") from None


def read_tokenizer_text(text: str) -> Tokenizer:
    """Make a tokenizer from its JSON text."""
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exception
        raise ValueError(f"not a readable tokenizer ({error})") from None


def unknown_token(tokenizer: Tokenizer) -> int | None:
    """Return the number of the token for everything unknown, if there is one."""
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    token = model.get("unk_token")
    number: int | None = tokenizer.token_to_id(token) if token else None
    return number


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error})") from None
