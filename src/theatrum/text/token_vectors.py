"""Token vectors: one vector for every token of a text, for late interaction (MaxSim)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from theatrum.checks import Constraint, Range, check_parameters, check_texts, unit_rows
from theatrum.contracts import Role, TruncationWarning, Vectors
from theatrum.extras import require
from theatrum.text.minilm import NAME, MiniLM
from theatrum.text.sentence_transformer import SentenceTransformerEncoder
from theatrum.text.transformer_engine import PROMPT_NAMES, TransformerEngine, length_batches


def is_late_interaction(folder: Path) -> bool:
    """Whether a model folder was made for late interaction: by sentence-transformers, PyLate or ColBERT's authors.

    Examples
    --------
    >>> is_late_interaction(Path("no/such/folder"))
    False
    """

    def setting(file: str, key: str) -> object:
        path = folder / file
        return json.loads(path.read_text(encoding="utf-8")).get(key) if path.is_file() else None

    if (kind := setting("config_sentence_transformers.json", "model_type")) is not None:
        return kind in ("MultiVectorEncoder", "ColBERT")
    return setting("config.json", "architectures") == ["HF_ColBERT"]


class LateInteractionEngine(TransformerEngine):
    """A model in memory that gives a unit vector for every token; padding never comes out.

    Of a model that was not made for late interaction the token vectors are those before pooling.

    Parameters
    ----------
    folder : Path
        The model folder.
    device : str or None
        Where it runs.
    skip_special_tokens : bool or None
        See `TokenVectorEncoder`.
    token_limit : int or None
        Most tokens read of a text; None leaves the model's own limit.

    Raises
    ------
    ValueError
        ``skip_special_tokens`` is given for a late-interaction model.
    """

    def __init__(
        self, folder: Path, device: str | None, *, skip_special_tokens: bool | None, token_limit: int | None
    ) -> None:
        late = is_late_interaction(folder)
        if late and skip_special_tokens is not None:
            raise ValueError(
                f"{folder} is a late-interaction model and has its own rule for special tokens; "
                "leave skip_special_tokens out"
            )
        if late:
            self.loader = "MultiVectorEncoder"
        super().__init__(folder, device)
        if not late:
            self._take_tokens(skip_special_tokens is not False)
        self._limit(token_limit)

    def _take_tokens(self, skip_special_tokens: bool) -> None:
        """Put what makes token vectors in the place of pooling."""
        library = require("sentence_transformers", "torch")
        from sentence_transformers.base.modules import Normalize
        from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

        frame = self.tokenizer.convert_ids_to_tokens([*self.prefix, *self.suffix]) if skip_special_tokens else []
        self.model = library.MultiVectorEncoder(
            modules=[
                self.model[0],
                MultiVectorMask(skiplist_words=frame, skiplist_tasks=["query", "document"]),
                Normalize(module_input_name="token_embeddings"),
            ],
            prompts=self.model.prompts,
            default_prompt_name=self.model.default_prompt_name,
            device=str(self.model.device),
        ).eval()
        self.dim = int(self.model.get_embedding_dimension())

    def _limit(self, token_limit: int | None) -> None:
        """Set the most tokens read of a document; late-interaction models have a limit for each role."""
        first = self.model[0]
        limits = [n for n in (token_limit, first.document_length, self.limit) if n is not None]
        if limits:
            self.limit = first.document_length = min(limits)
            self.model.max_seq_length = min([n for n in (token_limit, self.model.max_seq_length) if n is not None])

    def token_vectors(self, texts: Sequence[str], role: Role, prompt: str) -> list[Vectors]:
        """Unit vectors of each text's tokens, in one batch."""
        encode = self.model.encode_query if role == "query" else self.model.encode_document
        made: list[Vectors] = encode(
            list(texts), prompt=prompt, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True
        )
        return made


class TokenVectorEncoder(SentenceTransformerEncoder):
    """Encodes each text into one unit vector a token; keeps the TokenEncoder contract.

    For late interaction (MaxSim), where every word of a question looks for its best match: finer than one vector a
    text, at about a hundred times the memory. Late-interaction models (ColBERT and its descendants) are read as their
    makers meant them; of any other sentence-transformers model the last hidden states are taken. Texts longer than the
    limit are cut, with one `TruncationWarning` a call.

    Parameters
    ----------
    model : str
        Folder of a sentence-transformers model, or its name on the Hugging Face hub.
    skip_special_tokens : bool or None, default=None
        Whether to leave out the vectors of special tokens such as ``[CLS]``. None leaves them out, except for
        late-interaction models, which have a rule of their own and take no other value.
    query_prompt, document_prompt : str or None, default=None
        Put before every text of that role; None takes the model's own. The prompt's tokens have vectors too.
    token_limit : int or None, default=None
        Most tokens read of a text, prompt and special tokens included; None takes the model's own limit.
    device : str or None, default=None
        Such as ``"cpu"`` or ``"cuda"``; None takes the best one there is.

    Examples
    --------
    >>> encoder = TokenVectorEncoder("lightonai/GTE-ModernColBERT-v1")
    >>> wing, heat = encoder.encode(["a wing in a shock wave", "heat"])  # doctest: +SKIP
    >>> wing.shape  # doctest: +SKIP
    (9, 128)

    References
    ----------
    O. Khattab, M. Zaharia: ColBERT, SIGIR 2020.
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "model": [str],
        "skip_special_tokens": [bool, None],
        "query_prompt": [str, None],
        "document_prompt": [str, None],
        "token_limit": [Range(int, 3), None],
        "device": [str, None],
    }

    def __init__(
        self,
        model: str,
        *,
        skip_special_tokens: bool | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        token_limit: int | None = None,
        device: str | None = None,
    ) -> None:
        # Not super(): beside MiniLM that would be MiniLM's own constructor.
        SentenceTransformerEncoder.__init__(
            self,
            model,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            token_limit=token_limit,
            device=device,
        )
        self.skip_special_tokens = skip_special_tokens

    def encode(  # type: ignore[override]  # a list of matrices: the contract of token encoders
        self, items: Sequence[str], *, role: Role = "document", batch_size: int = 64, show_progress: bool = False
    ) -> list[Vectors]:
        """Encode texts.

        Parameters
        ----------
        items : sequence of str
            Texts.
        role : {"document", "query"}, default="document"
            Decides the prompt; late-interaction models may treat queries otherwise, too.
        batch_size : int, default=64
            Most texts of a batch; batches of long texts have fewer.
        show_progress : bool, default=False
            Whether to show a bar on stderr.

        Returns
        -------
        list of ndarray of float32, shape (t_i, dim)
            Unit rows in the order of the tokens; a text without a token (an empty one, say) is one zero row.

        Raises
        ------
        ValueError
            An item that is no text, or a model that is not the one that a saved encoder had.
        """
        from rich.console import Console
        from rich.progress import track

        texts = check_texts(items, name="items")
        if role not in PROMPT_NAMES:
            raise ValueError(f"role must be 'document' or 'query', got {role!r}")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        engine, prompt = self._engine, self._prompt(role)
        counts = self.token_counts(texts)
        if role == "document":
            self._tell_cut(counts)
        made: list[Vectors] = [np.zeros((1, engine.dim), dtype=np.float32)] * len(texts)
        lengths = np.minimum(counts, self.max_tokens).tolist()
        batches = list(length_batches(lengths, rows=batch_size, tokens=engine.batch_tokens))
        for batch in track(batches, "encoding", console=Console(stderr=True), disable=not show_progress):
            found = engine.token_vectors([texts[row] for row in batch], role, prompt)
            for row, vectors in zip(batch, found, strict=True):
                if len(vectors):
                    made[row] = unit_rows(vectors)
        return made

    def _tell_cut(self, counts: np.ndarray) -> None:
        cut = int(np.count_nonzero(counts > self.max_tokens))
        if cut:
            warnings.warn(
                f"{cut} of {len(counts)} texts ({cut / len(counts):.1%}) have more than {self.max_tokens} tokens (the "
                f"longest {counts.max()}) and were cut there; split them before, if their ends matter",
                TruncationWarning,
                stacklevel=3,
            )

    def _model_digest(self) -> str:
        return f"{super()._model_digest()} token vectors, special ones kept: {self.skip_special_tokens is False}"

    @cached_property
    def _engine(self) -> LateInteractionEngine:
        require("sentence_transformers", self.extra)
        check_parameters(self, self.constraints)
        if self._expected is not None:
            self.fingerprint()
        return LateInteractionEngine(
            self._folder, self.device, skip_special_tokens=self.skip_special_tokens, token_limit=self.token_limit
        )


class MiniLMTokens(TokenVectorEncoder, MiniLM):
    """Encodes each text into the token vectors of all-MiniLM-L6-v2, 384 dimensions; keeps the TokenEncoder contract.

    To try late interaction without another download. The model was tuned for sentence vectors; where MaxSim is to be
    better than its sentence vectors, take a late-interaction model with `TokenVectorEncoder`.

    Parameters
    ----------
    skip_special_tokens : bool or None, default=None
        Whether to leave out the vectors of ``[CLS]`` and ``[SEP]``; None leaves them out.
    token_limit : int or None, default=None
        Most tokens read of a text, special ones included; None takes the model's 256.
    device : str or None, default=None
        Such as ``"cpu"`` or ``"cuda"``; None takes the best one there is.

    Examples
    --------
    >>> (wing,) = MiniLMTokens().encode(["a wing in a shock wave"])  # doctest: +SKIP
    >>> wing.shape  # doctest: +SKIP
    (6, 384)
    """

    def __init__(
        self,
        *,
        skip_special_tokens: bool | None = None,
        token_limit: int | None = None,
        device: str | None = None,
    ) -> None:
        TokenVectorEncoder.__init__(
            self, NAME, skip_special_tokens=skip_special_tokens, token_limit=token_limit, device=device
        )
