"""MTEB: an encoder or a dense pipeline as a model that ``mteb.evaluate`` measures. Needs ``theatrum[mteb]``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from theatrum.contracts import Encoder, Role, Vectors
from theatrum.extras import require
from theatrum.interop.dense_vectors import DenseVectors
from theatrum.pipelines.pipeline import Pipeline

require("mteb", "mteb")

from mteb.models.abs_encoder import AbsEncoder  # noqa: E402  # after the check that names the extra
from mteb.models.model_meta import ModelMeta, ScoringFunction  # noqa: E402
from mteb.types import PromptType  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

_MEASURES = {"cosine": ScoringFunction.COSINE, "ip": ScoringFunction.DOT_PRODUCT}


class MtebEncoder(AbsEncoder):
    """Measures an encoder or a dense pipeline with MTEB's tasks.

    Queries are encoded in the role of queries, everything else in the role of documents; what a quantizer keeps of a
    document is what MTEB compares with. The index of a pipeline plays no part: MTEB compares with everything.

    Parameters
    ----------
    source : Encoder, Pipeline or str
        What learns from a corpus must have been fitted.
    name : str, optional
        Under which results are kept, ``organisation/name``; by default ``theatrum/`` and the notation.

    Attributes
    ----------
    mteb_model_meta : ModelMeta
        Its revision changes whenever the vectors would, so that kept results are never those of another model.

    Raises
    ------
    ValueError
        A pipeline that makes rankings, or that compares by l2, which MTEB does not.

    Examples
    --------
    >>> import mteb
    >>> model = MtebEncoder("minilm")  # doctest: +SKIP
    >>> mteb.evaluate(model, mteb.get_tasks(["NFCorpus"]))  # doctest: +SKIP
    """

    def __init__(self, source: Encoder | Pipeline | str, *, name: str | None = None) -> None:
        self.model = DenseVectors(source)
        if self.model.metric not in _MEASURES:
            raise ValueError(f"mteb compares by cosine or product, not by {self.model.metric}; use metric='cosine'")
        encoder: Any = self.model.dense.encoder
        self.mteb_model_meta = ModelMeta(
            loader=None,
            name=name or "theatrum/" + re.sub(r"[^\w.=+-]+", "_", self.model.name).strip("_"),
            revision=self.model.fingerprint(),
            release_date=None,
            languages=None,
            n_parameters=None,
            memory_usage_mb=None,
            max_tokens=getattr(encoder, "max_tokens", None),
            embed_dim=self.model.dim,
            license=None,
            open_weights=None,
            public_training_code=None,
            public_training_data=None,
            framework=["NumPy"],
            # Decoded codes are not of unit length, and an index does not make them so: it takes the product.
            similarity_fn_name=_MEASURES["ip" if self.model.dense.quantizer is not None else self.model.metric],
            use_instructions=False,
            training_datasets=None,
        )

    def encode(
        self,
        inputs: Iterable[Any],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> Vectors:
        """Encode what MTEB's loader gives; called by MTEB."""
        texts = [text for batch in inputs for text in batch["text"]]
        role: Role = "query" if prompt_type == PromptType.query else "document"
        return self.model.encode(texts, role=role, batch_size=kwargs.get("batch_size", 64), quantized=True)
