"""Bodies of the requests and answers about vectors: OpenAI's for embeddings, Cohere's and Jina's for rerank."""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from theatrum.contracts import Role, Vectors
from theatrum.serve.errors import whole

Text = Annotated[str, Field(min_length=1)]
Token = Annotated[int, Field(ge=0, lt=2**31)]
Texts = Annotated[list[Text], Field(min_length=1)]
Tokens = Annotated[list[Token], Field(min_length=1)]
Format = Literal["float", "base64"]
Model = Annotated[
    str | None, Field(description="Name of a pipeline, see /v1/models; the first one that can, where none is given.")
]
InputType = Annotated[Role, Field(description="Whether the texts are documents or queries; some encoders differ.")]


class EmbeddingRequest(BaseModel):
    """Texts to turn into vectors."""

    model_config = ConfigDict(strict=True)
    model: Model = None
    input: Text | Texts | Tokens | Annotated[list[Tokens], Field(min_length=1)] = Field(
        description="A text, texts, token ids, or lists of token ids (of this encoder's own tokenizer)."
    )
    encoding_format: Format = "float"
    dimensions: Annotated[int, Field(ge=1), whole] | None = Field(
        None, description="Fewer dimensions than the vectors have; only where their first ones stand by themselves."
    )
    input_type: InputType = "document"
    user: str | None = None


class WordRequest(BaseModel):
    """Texts whose words to weigh."""

    model_config = ConfigDict(strict=True)
    model: Model = None
    input: Text | Texts
    input_type: InputType = "document"


class TokenVectorRequest(WordRequest):
    """Texts to turn into one vector a token."""

    encoding_format: Format = "float"


class RerankDocument(BaseModel):
    """A document given as an object."""

    model_config = ConfigDict(strict=True)
    text: Text


class RerankRequest(BaseModel):
    """Documents to put into the order of a query."""

    model_config = ConfigDict(strict=True)
    model: Model = None
    query: Text
    documents: Annotated[list[Text | RerankDocument], Field(min_length=1)]
    top_n: Annotated[int, Field(ge=1), whole] | None = None
    return_documents: bool = False


class Usage(BaseModel):
    """Tokens read; words where the encoder has no tokens."""

    prompt_tokens: int
    total_tokens: int


class Embedding(BaseModel):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="Numbers, or base64 of little-endian float32.")


class EmbeddingAnswer(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"] = "list"
    model: str
    data: list[Embedding]
    usage: Usage
    truncated: int = Field(description="Texts that were longer than the encoder reads, and were cut.")


class WordVector(BaseModel):
    """The words of one text; columns are those of the pipeline's vocabulary."""

    object: Literal["sparse_embedding"] = "sparse_embedding"
    index: int
    words: list[str]
    indices: list[int]
    values: list[float]


class WordAnswer(BaseModel):
    """Word weights in the order of the texts."""

    object: Literal["list"] = "list"
    model: str
    data: list[WordVector]


class TokenVectors(BaseModel):
    """The token vectors of one text."""

    object: Literal["multi_embedding"] = "multi_embedding"
    index: int
    shape: tuple[int, int] = Field(description="Tokens, dimensions.")
    embedding: list[list[float]] | str


class TokenVectorAnswer(BaseModel):
    """Token vectors in the order of the texts."""

    object: Literal["list"] = "list"
    model: str
    data: list[TokenVectors]


class RerankResult(BaseModel):
    """One document in its place."""

    index: int = Field(description="Its place in the request.")
    relevance_score: float
    document: RerankDocument | None = None


class RerankAnswer(BaseModel):
    """Documents, best first."""

    object: Literal["list"] = "list"
    model: str
    scored_by: str = Field(description="What the scores are.")
    results: list[RerankResult]


class ModelEntry(BaseModel):
    """A pipeline that makes vectors."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "theatrum"
    dimensions: int
    max_tokens: int | None = Field(description="Most tokens read of a text; null where it reads all.")


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


def packed(X: Vectors) -> str:
    """Pack numbers as OpenAI does: base64 of little-endian float32, row by row.

    Examples
    --------
    >>> import numpy as np
    >>> packed(np.array([1.0, -2.0], dtype=np.float32))
    'AACAPwAAAMA='
    """
    rows = X.astype("<f4", copy=False) if sys.byteorder == "big" else X
    return base64.b64encode(rows.tobytes()).decode("ascii")


def written(X: Vectors, form: Format) -> Any:
    """Write a vector, or a matrix, in the form asked for."""
    return packed(X) if form == "base64" else X.tolist()


def is_token_input(value: Any) -> bool:
    """Whether an input is token ids rather than texts."""
    return isinstance(value, list) and isinstance(value[0], (int, list))


def token_lists(value: Sequence[Any]) -> list[list[int]]:
    """Make a list of token lists of one or of several.

    Examples
    --------
    >>> token_lists([1, 2]), token_lists([[1], [2]])
    ([[1, 2]], [[1], [2]])
    """
    return [list(value)] if isinstance(value[0], int) else [list(one) for one in value]
