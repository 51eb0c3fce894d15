"""Transformer text encoders: any sentence-transformers folder or name, batched by tokens."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import Constraint, Options, Range, check_parameters, check_texts, unit_rows
from theatrum.contracts import Role, TruncationWarning, Vectors
from theatrum.extras import require
from theatrum.text.model_folders import folder_digest, model_folder
from theatrum.text.tokens import check_tokens
from theatrum.text.transformer_engine import PROMPT_NAMES, TransformerEngine, length_batches, windows

# Texts tokenised and sorted at a time: enough to find equals, small enough to hold the tokens of.
_BLOCK = 4096


@dataclass(frozen=True)
class _Piece:
    """Tokens that go through the model at once: a text, or a window of one."""

    row: int
    tokens: list[int]
    weight: int


class SentenceTransformerEncoder:
    """Encodes texts with a pretrained transformer; keeps the Encoder contract.

    The choice for meaning and paraphrase, at tens to hundreds of texts a second on a CPU. For thousands a second take
    `StaticEncoder` or `LatentSemanticEncoder`.

    Texts are tokenised once, sorted by their number of tokens and run in batches of about a thousand tokens, so that
    hardly anything is padding. A text's vector does not depend on the other texts of the call beyond float rounding:
    with MiniLM, alone against in a mixed batch, no coordinate differed by more than 2e-7. A text that comes twice in
    a call is encoded once. The model runs in float32.

    Parameters
    ----------
    model : str
        Folder of a sentence-transformers model, or its name on the Hugging Face hub. A folder, or a name whose
        weights are in the local cache, needs no network.
    query_prompt, document_prompt : str or None, default=None
        Put before every text of that role; None takes the model's own prompt (often none), ``""`` takes none.
    token_limit : int or None, default=None
        Most tokens read of a text, prompt and special tokens included; None takes the model's own limit.
    on_overflow : {"warn", "split", "error"}, default="warn"
        What to do with longer texts: cut them and say how many in one `TruncationWarning` a call; cut them into
        windows and average the windows' vectors, weighted by their tokens; or refuse.
    normalize : bool, default=True
        Whether to make unit rows.
    device : str or None, default=None
        Such as ``"cpu"`` or ``"cuda"``; None takes the best one there is.

    Examples
    --------
    >>> encoder = SentenceTransformerEncoder("BAAI/bge-small-en-v1.5", on_overflow="split")
    >>> X = encoder.encode(["a wing in a shock wave"])  # doctest: +SKIP

    References
    ----------
    N. Reimers, I. Gurevych: Sentence-BERT, EMNLP 2019.
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "model": [str],
        "query_prompt": [str, None],
        "document_prompt": [str, None],
        "token_limit": [Range(int, 1), None],
        "on_overflow": [Options(("warn", "split", "error"))],
        "normalize": [bool],
        "device": [str, None],
    }
    # The extra that installs what this encoder needs.
    extra: ClassVar[str] = "torch"

    def __init__(
        self,
        model: str,
        *,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        token_limit: int | None = None,
        on_overflow: str = "warn",
        normalize: bool = True,
        device: str | None = None,
    ) -> None:
        self.model = model
        self.query_prompt = query_prompt
        self.document_prompt = document_prompt
        self.token_limit = token_limit
        self.on_overflow = on_overflow
        self.normalize = normalize
        self.device = device
        self._expected: str | None = None

    @property
    def dim(self) -> int:
        """Number of dimensions (loads the model)."""
        return self._engine.dim

    @property
    def max_tokens(self) -> int:
        """Most tokens read of a text, special ones included (loads the model)."""
        limits = [limit for limit in (self.token_limit, self._engine.limit) if limit is not None]
        if not limits:
            raise ValueError(f"the model {self.model!r} states no limit of its own; give token_limit")
        return min(limits)

    def token_counts(self, items: Sequence[str]) -> NDArray[np.int32]:
        """Count the tokens of texts as documents, uncut.

        Parameters
        ----------
        items : sequence of str
            Texts.

        Returns
        -------
        ndarray of int32, shape (n,)
            Tokens with special ones and the document prompt; above ``max_tokens`` a text is cut.
        """
        texts, engine = check_texts(items, name="items"), self._engine
        frame = len(engine.prefix) + len(engine.suffix)
        prompt = self._prompt("document")
        counts = np.empty(len(texts), dtype=np.int32)
        for start in range(0, len(texts), _BLOCK):
            block = [prompt + text for text in texts[start : start + _BLOCK]]
            counts[start : start + len(block)] = [len(tokens) + frame for tokens in engine.tokenize(block)]
        return counts

    def decode_tokens(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Texts of token ids; special tokens are left out.

        Parameters
        ----------
        tokens : sequence of sequence of int
            Ids of this model's own tokenizer.

        Raises
        ------
        ValueError
            An id that the tokenizer does not have.
        """
        tokenizer = self._engine.tokenizer
        check_tokens(tokens, len(tokenizer))
        return [tokenizer.decode(list(one), skip_special_tokens=True) for one in tokens]

    def encode(
        self, items: Sequence[str], *, role: Role = "document", batch_size: int = 64, show_progress: bool = False
    ) -> Vectors:
        """Encode texts.

        Parameters
        ----------
        items : sequence of str
            Texts.
        role : {"document", "query"}, default="document"
            Decides the prompt.
        batch_size : int, default=64
            Most texts of a batch; batches of long texts have fewer.
        show_progress : bool, default=False
            Whether to show a bar on stderr.

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Unit rows; a text without a known token (an empty one, say) is a zero row.

        Raises
        ------
        ValueError
            An item that is no text; with ``on_overflow="error"`` a text that is too long (row and tokens are
            named); a model that is not the one that a saved encoder had.
        """
        texts = check_texts(items, name="items")
        if role not in PROMPT_NAMES:
            raise ValueError(f"role must be 'document' or 'query', got {role!r}")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        engine = self._engine
        place: dict[str, int] = {}
        index = np.array([place.setdefault(text, len(place)) for text in texts], dtype=np.int64)
        unique = list(place)
        vectors = np.zeros((len(unique), engine.dim), dtype=np.float32)
        counts = np.empty(len(unique), dtype=np.int64)
        with _progress(len(unique), show_progress) as advance:
            for start in range(0, len(unique), _BLOCK):
                block = slice(start, min(start + _BLOCK, len(unique)))
                pieces = self._pieces(unique[block], role, counts[block])
                if self.on_overflow == "error" and counts[block].max() > self.max_tokens:
                    long = start + int(np.argmax(counts[block] > self.max_tokens))
                    raise ValueError(
                        f"items: row {int(np.argmax(index == long))} has {counts[long]} tokens, the limit is "
                        f"{self.max_tokens}; shorten it, or set on_overflow to 'warn' (cut) or 'split' (average)"
                    )
                self._run(pieces, role, vectors[block], batch_size, advance)
        if self.on_overflow == "warn":
            self._warn_cut(counts[index])
        if self.normalize:
            vectors = unit_rows(vectors)
        return vectors if len(unique) == len(texts) else vectors[index]

    def fingerprint(self) -> str:
        """Hex digest of the model's files and of the parameters that change vectors (nothing is loaded).

        Returns
        -------
        str
            64 hexadecimal digits.

        Raises
        ------
        ValueError
            The encoder was opened from disk and its model has changed since it was saved.
        """
        check_parameters(self, self.constraints)
        parts = [
            self._model_digest(),
            self.query_prompt,
            self.document_prompt,
            self.token_limit,
            self.on_overflow == "split",
            self.normalize,
        ]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        if self._expected not in (None, digest):
            raise ValueError(
                f"the model in {self._folder} is not the one that this encoder was saved with (fingerprint "
                f"{digest[:12]}, expected {str(self._expected)[:12]}); its vectors would not fit the stored ones. "
                "Put the old model back, or encode again"
            )
        return digest

    def save_state(self, folder: Path) -> None:
        """Write the fingerprint; the model itself stays where it is and is referred to."""
        (folder / "fingerprint.json").write_text(json.dumps(self.fingerprint()) + "\n", encoding="utf-8")

    def open_state(self, folder: Path) -> None:
        """Read the fingerprint, to be compared with the model's at first use."""
        self._expected = json.loads((folder / "fingerprint.json").read_text(encoding="utf-8"))

    @cached_property
    def _folder(self) -> Path:
        return model_folder(self.model)

    def _model_digest(self) -> str:
        return folder_digest(self._folder)

    @cached_property
    def _engine(self) -> TransformerEngine:
        require("sentence_transformers", self.extra)
        check_parameters(self, self.constraints)
        if self._expected is not None:
            self.fingerprint()
        return TransformerEngine(self._folder, self.device)

    def _prompt(self, role: Role) -> str:
        own = self.query_prompt if role == "query" else self.document_prompt
        return self._engine.prompt(role) if own is None else own

    def _pieces(self, texts: Sequence[str], role: Role, counts: NDArray[np.int64]) -> list[_Piece]:
        """Tokenise, note the token counts, and cut or split what is too long."""
        engine, prompt = self._engine, self._prompt(role)
        # Without its last space: that one belongs to the first word of the text in most vocabularies.
        head = len(engine.tokenize([prompt.rstrip()])[0]) if prompt else 0
        frame = len(engine.prefix) + len(engine.suffix)
        size = self.max_tokens - frame - head
        if size < 1:
            raise ValueError(f"the limit of {self.max_tokens} tokens leaves no room for a text after the prompt")
        unknown = engine.tokenizer.unk_token_id
        pieces: list[_Piece] = []
        for row, tokens in enumerate(engine.tokenize([prompt + text for text in texts])):
            counts[row] = len(tokens) + frame
            body = tokens[head:]
            if all(token == unknown for token in body):
                continue
            cuts = windows(len(body), size)
            for start, end in cuts if self.on_overflow == "split" else cuts[:1]:
                framed = [*engine.prefix, *tokens[:head], *body[start:end], *engine.suffix]
                pieces.append(_Piece(row, framed, end - start))
        return pieces

    def _run(
        self, pieces: Sequence[_Piece], role: Role, out: Vectors, batch_size: int, advance: Callable[[float], None]
    ) -> None:
        """Run the pieces of a block through the model and write each text's mean into its row of ``out``."""
        engine, prompt = self._engine, self._prompt(role)
        totals = np.zeros(len(out), dtype=np.float32)
        for piece in pieces:
            totals[piece.row] += piece.weight
        for batch in length_batches(
            [len(piece.tokens) for piece in pieces], rows=batch_size, tokens=engine.batch_tokens
        ):
            chosen = [pieces[position] for position in batch]
            vectors = engine.forward([piece.tokens for piece in chosen], prompt)
            for piece, vector in zip(chosen, vectors, strict=True):
                out[piece.row] += vector * np.float32(piece.weight / totals[piece.row])
            advance(len(out) * len(chosen) / len(pieces))

    def _warn_cut(self, counts: NDArray[np.int64]) -> None:
        cut = int(np.count_nonzero(counts > self.max_tokens))
        if cut:
            warnings.warn(
                f"{cut} of {len(counts)} texts ({cut / len(counts):.1%}) have more than {self.max_tokens} tokens (the "
                f"longest {counts.max()}) and were cut there; on_overflow='split' reads them whole",
                TruncationWarning,
                stacklevel=3,
            )


@contextmanager
def _progress(total: int, shown: bool) -> Iterator[Callable[[float], None]]:
    """Show a bar of texts on stderr, or nothing; gives the function that moves it on."""
    if not shown:
        yield lambda amount: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("encoding", total=total)
        yield lambda amount: bar.advance(task, amount)
