"""Static text encoder: a vector a token, read off a transformer once; a text is the mean of its tokens."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from tokenizers import Tokenizer

from theatrum.checks import Constraint, Options, Range, check_parameters, check_texts
from theatrum.contracts import Role, Vectors
from theatrum.persistence import load_arrays, save_arrays
from theatrum.text import token_table
from theatrum.text.cached_tokenizer import CachedTokenizer
from theatrum.text.distillation import Teacher, TextSample
from theatrum.text.minilm import NAME, packaged_folder
from theatrum.text.model_folders import model_folder
from theatrum.text.static_folders import read_static, read_tokenizer, static_part
from theatrum.text.tokens import check_tokens

_BLOCK_TEXTS, _BLOCK_CHARACTERS = 4096, 4_000_000  # texts handled at a time
_WINDOW = 254  # most tokens of one sampled text that the transformer reads, if its own limit is not lower
_DIM = 384
_TABLE, _TOKENIZER, _STATE = "table.safetensors", "tokenizer.json", "static.json"


def mean_rows(ids: NDArray[np.int32], lengths: NDArray[np.int64], table: Vectors) -> Vectors:
    """Unit mean of the table's rows for each text.

    Each row is summed token by token in the order of the text, so its bytes do not depend on the texts beside it.

    Parameters
    ----------
    ids : ndarray of int32, shape (sum of lengths,)
        Tokens of all texts, one text after the other.
    lengths : ndarray of int64, shape (n,)
        Tokens of each text.
    table : ndarray of float32, shape (V, d)
        Vectors of the tokens.

    Returns
    -------
    ndarray of float32, shape (n, d)
        Rows of length 1; zero where the tokens sum up to zero.

    Examples
    --------
    >>> table = np.array([[3.0, 0.0], [0.0, 4.0]], dtype=np.float32)
    >>> mean_rows(np.array([0, 1, 1], dtype=np.int32), np.array([2, 0, 1]), table).round(2).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0], [0.0, 1.0]]
    """
    starts = np.concatenate([[0], np.cumsum(lengths)])
    bags = csr_matrix((np.ones(len(ids), dtype=np.float32), ids, starts), shape=(len(lengths), len(table)))
    sums: Vectors = bags @ table
    norms = np.sqrt((sums.astype(np.float64) ** 2).sum(axis=1)).astype(np.float32)[:, None]
    norms[norms == 0] = 1
    return np.divide(sums, norms, dtype=np.float32)


@dataclass(frozen=True)
class _Source:
    """Where token vectors come from: a transformer, or a folder that is static already (no teacher)."""

    tokens: CachedTokenizer
    raw: NDArray[np.float32]
    real: NDArray[np.bool_]
    law: NDArray[np.float64]
    teacher: Teacher | None


class StaticEncoder:
    """Encodes texts as the mean of token vectors that were read off a transformer once; keeps the Encoder contract.

    Hundreds of times faster than the transformer on a CPU and close to it in retrieval, because the table is made for
    the corpus: `fit` lets the transformer read a sample of the corpus and takes the mean of what each token meant
    there, and Zipfian whitening then weighs the tokens by how often the corpus uses them. Take the transformer itself
    where the order of words decides ("dog bites man"), and `LatentSemanticEncoder` where nothing may be downloaded.

    Nothing is cut: a text of any length is read whole. Any text has one vector, the same bytes in every batch.

    The first use of a transformer runs its whole vocabulary once (half a minute for MiniLM on two cores); the result,
    and that of every sample read, is kept in the cache folder (``THEATRUM_CACHE``). After `fit`, or when opened from a
    folder, the transformer is not needed.

    Parameters
    ----------
    model : str, default="minilm"
        ``"minilm"``, or folder or Hugging Face name of a sentence-transformers model, of a model2vec model or of a
        StaticEmbedding.
    n_components : int or None, default=None
        Dimensions wanted (``dim`` in the pipeline notation). None takes up to 384 of a transformer, all of a table.
    weighting : {"zipf", "sif", "none"} or None, default=None
        Zipfian whitening; principal components and smooth inverse frequencies, as model2vec does; or the vectors as
        they are. None takes ``"zipf"`` for a transformer, and a static table as it is.
    context_tokens : int, default=262144
        Tokens of the corpus that the transformer reads in `fit`, about a minute for MiniLM on two cores;
        more is better up to the whole corpus. 0 reads nothing: tokens keep their meaning out of context.

    Attributes
    ----------
    table_ : ndarray of float32, shape (V, dim)
        Vector of each token, weights included.
    teacher_tokens_ : int
        Tokens of the corpus that the transformer has read.

    Examples
    --------
    >>> import tempfile
    >>> from tokenizers import models, pre_tokenizers
    >>> tokenizer = Tokenizer(models.WordLevel({"?": 0, "wing": 1, "flow": 2, "heat": 3}, unk_token="?"))
    >>> tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> table = np.array([[0, 0], [3, 0], [1, 0], [0, 2]], dtype=np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:  # a model2vec folder
    ...     tokenizer.save(folder + "/tokenizer.json")
    ...     save_arrays({"embeddings": table}, Path(folder) / "model.safetensors")
    ...     _ = (Path(folder) / "config.json").write_text('{"model_type": "model2vec"}')
    ...     encoder = StaticEncoder(folder)
    ...     X = encoder.encode(["wing flow", "heat in the wing", "nothing known"])
    >>> X.round(2).tolist()
    [[1.0, 0.0], [0.8299999833106995, 0.550000011920929], [0.0, 0.0]]

    References
    ----------
    S. Tulkens, T. van Dongen: Model2Vec: Fast State-of-the-Art Static Embeddings, 2024.
    P. Gupta, M. Jaggi: Obtaining Better Static Word Embeddings Using Contextual Embedding Models, ACL 2021.
    S. Yokoi, H. Bao, H. Kurita, H. Shimodaira: Zipfian Whitening, NeurIPS 2024. Atlas 089.
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "model": [str],
        "n_components": [Range(int, 1), None],
        "weighting": [Options(("zipf", "sif", "none")), None],
        "context_tokens": [Range(int, 0)],
    }

    def __init__(
        self,
        model: str = "minilm",
        *,
        n_components: int | None = None,
        weighting: str | None = None,
        context_tokens: int = 262_144,
    ) -> None:
        self.model = model
        self.n_components = n_components
        self.weighting = weighting
        self.context_tokens = context_tokens

    @property
    def dim(self) -> int:
        """Number of dimensions: those found once there is a table, those wanted before."""
        if not hasattr(self, "table_") and self.n_components is not None:
            return self.n_components
        return int(self._table().shape[1])

    def fit(self, items: Iterable[str]) -> StaticEncoder:
        """Count the tokens of a corpus, let the transformer read a sample of it, and make the table.

        Parameters
        ----------
        items : iterable of str
            The texts that will be searched; read once, so it may be a stream.

        Returns
        -------
        StaticEncoder
            Itself.

        Raises
        ------
        ValueError
            An item that is no text, or no known token in any of them.
        ImportError, OSError
            The model, or what is needed to run it, is not there.
        """
        check_parameters(self, self.constraints)
        source = self._source
        if self._weighting == "none":
            self._make(source.raw, np.zeros(len(source.raw)), 0)
            return self
        sample = TextSample(self.context_tokens if source.teacher else 0, _WINDOW)
        counts = np.zeros(len(source.raw), dtype=np.int64)
        for texts in _blocks(_checked(items)):
            ids, lengths = source.tokens(texts)
            counts += np.bincount(ids, minlength=len(counts))
            for text in np.split(ids, np.cumsum(lengths)[:-1]) if sample.budget else ():
                sample.add(text)
        if not counts[source.real].any():
            raise ValueError(
                f"items: no token that {self.model!r} knows is in the texts; there is nothing to learn from"
            )
        vectors: NDArray[np.floating] = source.raw
        read = sample.texts()
        if read and source.teacher:
            sums, found = source.teacher.read(read, len(source.raw))
            vectors = token_table.in_context(source.raw, sums, found)
        self._make(vectors, token_table.frequencies(counts, source.real, source.law), sum(map(len, read)))
        return self

    def encode(
        self, items: Sequence[str], *, role: Role = "document", batch_size: int = 64, show_progress: bool = False
    ) -> Vectors:
        """Encode texts; before `fit`, with frequencies guessed from the ranks of the tokens.

        Parameters
        ----------
        items : sequence of str
            Texts.
        role : {"document", "query"}, default="document"
            Both are encoded alike.
        batch_size : int, default=64
            Kept for the contract: memory is bounded by blocks of characters.
        show_progress : bool, default=False
            Kept for the contract; a hundred thousand texts take seconds.

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Unit rows; a text without a known token is a zero row.

        Raises
        ------
        ValueError
            An item that is no text.
        """
        texts = check_texts(items, name="items")
        table = self._table()
        vectors = np.empty((len(texts), table.shape[1]), dtype=np.float32)
        row = 0
        for block in _blocks(texts):
            vectors[row : row + len(block)] = mean_rows(*self._tokens(block), table)
            row += len(block)
        return vectors

    def decode_tokens(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Texts of ids of this encoder's own tokenizer; an id that it does not have is a ValueError."""
        self._table()
        tokenizer = self._tokens.tokenizer
        check_tokens(tokens, tokenizer.get_vocab_size())
        decoded: list[str] = tokenizer.decode_batch([list(one) for one in tokens], skip_special_tokens=True)
        return decoded

    def fingerprint(self) -> str:
        """Hex digest of the table and the tokenizer."""
        if not hasattr(self, "_fingerprint"):
            digest = hashlib.sha256(self._table().tobytes())
            digest.update(self._tokens.tokenizer.to_str().encode())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def save_state(self, folder: Path) -> None:
        """Write table and tokenizer into an existing, empty folder."""
        save_arrays({"table": self._table()}, folder / _TABLE)
        (folder / _TOKENIZER).write_text(self._tokens.tokenizer.to_str(), encoding="utf-8")
        (folder / _STATE).write_text(json.dumps({"teacher_tokens": self.teacher_tokens_}), encoding="utf-8")

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote; the model is not needed."""
        self._tokens = CachedTokenizer(read_tokenizer(folder / _TOKENIZER))
        self.table_: Vectors = load_arrays(folder / _TABLE)["table"]
        self.teacher_tokens_ = int(json.loads((folder / _STATE).read_text(encoding="utf-8"))["teacher_tokens"])

    @cached_property
    def _source(self) -> _Source:
        packaged = packaged_folder() if self.model == "minilm" else None
        folder = packaged or model_folder(NAME if self.model == "minilm" else self.model)
        part = static_part(folder)
        teacher = Teacher(folder) if part is None else None
        tokenizer, raw = read_static(part) if part is not None else Teacher(folder).vocabulary()
        vocabulary = tokenizer.get_vocab()
        real = token_table.real_tokens(vocabulary, _special(tokenizer), len(raw)) & raw.any(axis=1)
        law = token_table.zipf_law(real, token_table.single_characters(vocabulary, len(raw)))
        return _Source(CachedTokenizer(tokenizer), raw, real, law, teacher)

    @property
    def _weighting(self) -> str:
        return self.weighting or ("zipf" if self._source.teacher else "none")

    def _table(self) -> Vectors:
        """The table; before `fit`, one made with the general law of frequencies."""
        if not hasattr(self, "table_"):
            check_parameters(self, self.constraints)
            source = self._source
            # model2vec's weights are made for the plain ranks.
            p = token_table.zipf_law(source.real) if self._weighting == "sif" else source.law
            self._make(source.raw, p, 0)
        return self.table_

    def _make(self, vectors: NDArray[np.floating], p: NDArray[np.float64], teacher_tokens: int) -> None:
        source = self._source
        wanted = self.n_components or (_DIM if source.teacher else vectors.shape[1])
        X = vectors.astype(np.float64)
        if self._weighting == "zipf":
            X = token_table.whitened(X, p, wanted)
        elif self._weighting == "sif":
            X = token_table.sif_principal(X, p, wanted, source.real)
        elif wanted < X.shape[1]:
            X = token_table.rotated(X, wanted, source.real)
        if self.n_components is not None and X.shape[1] < self.n_components:
            warnings.warn(
                f"StaticEncoder: the token vectors have {X.shape[1]} dimensions; {self.n_components} were asked for",
                stacklevel=3,
            )
        if source.teacher or self._weighting != "none":
            X[~source.real] = 0.0
        self.table_ = np.ascontiguousarray(X, dtype=np.float32)
        self.teacher_tokens_ = teacher_tokens
        self._tokens = source.tokens
        self.__dict__.pop("_fingerprint", None)
        del self._source  # the raw vectors and the transformer are large, and the cache folder has what `fit` would ask


def _special(tokenizer: Tokenizer) -> set[int]:
    return {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def _checked(texts: Iterable[str]) -> Iterator[str]:
    """Texts of a stream, each checked."""
    if isinstance(texts, str):
        raise ValueError("items: expected texts, got one text; put it in a list")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"items: row {row} is {type(text).__name__}, expected a text")
        yield text


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in lists of bounded length."""
    block: list[str] = []
    characters = 0
    for text in texts:
        block.append(text)
        characters += len(text)
        if len(block) == _BLOCK_TEXTS or characters >= _BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block
