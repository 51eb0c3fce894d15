"""Layer pooling: sentence vectors from several layers of a transformer, averaged, and whitened if wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.base.modules.module import Module
from sentence_transformers.sentence_transformer.modules import Pooling, WeightedLayerPooling

from theatrum.evaluate import cosine_scores, spearman
from theatrum.refine.whitening import Whitening

TokenPooling: TypeAlias = Literal["mean", "cls", "max", "weightedmean"]
_POOLINGS: tuple[TokenPooling, ...] = ("mean", "cls", "max", "weightedmean")


def pool_tokens(states: torch.Tensor, mask: torch.Tensor, pooling: TokenPooling) -> torch.Tensor:
    """Pool the token states of one layer, padding left out.

    Parameters
    ----------
    states : Tensor of float, shape (b, t, d)
        Token states.
    mask : Tensor, shape (b, t)
        1 for tokens, 0 for padding.
    pooling : {"mean", "cls", "max", "weightedmean"}
        The last one weighs token i by i, counted from 1.

    Returns
    -------
    Tensor of float, shape (b, d)
        One vector a sentence.
    """
    weights = mask.to(states.dtype)
    if pooling == "cls":
        return states[torch.arange(len(states)), mask.long().argmax(dim=1)]
    if pooling == "max":
        return states.masked_fill(weights[..., None] == 0, -torch.inf).amax(dim=1)
    if pooling == "weightedmean":
        weights = weights * weights.cumsum(dim=1)
    return (states * weights[..., None]).sum(dim=1) / weights.sum(dim=1, keepdim=True).clamp(min=1e-9)


def resolve_layers(layers: Sequence[int], available: int) -> list[int]:
    """Turn layer numbers into positions among the hidden states; 0 is the embedding output, -1 the last layer.

    Raises
    ------
    ValueError
        A number that names no layer.

    Examples
    --------
    >>> resolve_layers((1, -1), 13)
    [1, 12]
    """
    for layer in layers:
        if not -available <= layer < available:
            raise ValueError(
                f"layers: there is no layer {layer}; the model has {available - 1} layers, numbered 1 to "
                f"{available - 1}, and 0 for the embeddings (negative numbers count from the end)"
            )
    return [layer % available for layer in layers]


def hidden_states(features: dict[str, Any]) -> Sequence[torch.Tensor]:
    """Return the states of all layers that a transformer has put into the features.

    Raises
    ------
    TypeError
        The transformer was not asked for them.
    """
    states: Sequence[torch.Tensor] | None = features.get("all_layer_embeddings")
    if states is None:
        raise TypeError(
            "the transformer gives no hidden states; set model.config.output_hidden_states = True, "
            "or make the encoder with layer_average_encoder"
        )
    return states


class LayerPooling(Module):
    """Averages the pooled vectors of some layers; a sentence-transformers module.

    For pretrained transformers that nobody tuned for similarity, averaging the first and the last layer is much better
    than the last one or the [CLS] token. For tuned models the pooling that they were tuned with is best.

    Parameters
    ----------
    layers : sequence of int, default=(1, -1)
        Hidden states to average: 0 is the embedding output, 1 the first layer, -1 the last.
    pooling : {"mean", "cls", "max", "weightedmean"}, default="mean"
        How the tokens of a layer are pooled; padding never counts.

    References
    ----------
    Huang et al., "WhiteningBERT: An easy unsupervised sentence embedding approach", Findings of EMNLP 2021. Atlas 092.

    Examples
    --------
    >>> states = [torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[[3.0], [5.0], [9.0]]])]
    >>> features = {"all_layer_embeddings": states, "attention_mask": torch.tensor([[1, 1, 0]])}
    >>> LayerPooling((0, 1))(features)["sentence_embedding"].tolist()
    [[3.0]]
    """

    config_keys: list[str] = ["layers", "pooling"]  # noqa: RUF012 - the name and kind that Module asks for

    def __init__(self, layers: Sequence[int] = (1, -1), pooling: TokenPooling = "mean") -> None:
        super().__init__()
        if not layers:
            raise ValueError("layers: name at least one layer")
        if pooling not in _POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(_POOLINGS)}, got {pooling!r}")
        self.layers = list(layers)
        self.pooling = pooling

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Write ``sentence_embedding`` (b, d) from ``all_layer_embeddings`` and ``attention_mask``."""
        states = hidden_states(features)
        chosen = resolve_layers(self.layers, len(states))
        pooled = [pool_tokens(states[layer], features["attention_mask"], self.pooling) for layer in chosen]
        features["sentence_embedding"] = torch.stack(pooled).mean(dim=0)
        return features

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the configuration; there are no weights."""
        self.save_config(output_path)


def layer_average_encoder(
    model: str | Path,
    *,
    layers: Sequence[int] = (1, -1),
    pooling: TokenPooling = "mean",
    whitening: Whitening | None = None,
    max_seq_length: int | None = None,
) -> SentenceTransformer:
    """Make a sentence encoder of any transformer: token pooling, layer average, whitening.

    Parameters
    ----------
    model : str or Path
        Folder or Hugging Face name of a transformer.
    layers, pooling
        As in `LayerPooling`.
    whitening : Whitening, optional
        Fitted on vectors of the encoder without it; becomes a linear layer.
    max_seq_length : int, optional
        Most tokens read.

    Returns
    -------
    SentenceTransformer
        Saves and loads like any other: it is made of sentence-transformers' own modules, because averaging layers and
        pooling tokens linearly can change places. Only ``pooling="max"`` cannot; it uses `LayerPooling`, and loading
        it asks for ``trust_remote_code=True``.
    """
    transformer = Transformer(str(model), max_seq_length=max_seq_length)
    transformer.auto_model.config.output_hidden_states = True
    width, depth = transformer.auto_model.config.hidden_size, transformer.auto_model.config.num_hidden_layers
    chosen = resolve_layers(layers, depth + 1)
    modules = [LayerPooling(layers, pooling)]
    if pooling != "max":
        shares = torch.nn.Parameter(torch.bincount(torch.tensor(chosen), minlength=depth + 1).float())
        average = WeightedLayerPooling(width, num_hidden_layers=depth, layer_start=0, layer_weights=shares)
        modules = [average, Pooling(width, pooling_mode=pooling)]
    encoder = SentenceTransformer(modules=[transformer, *modules], device="cpu")
    if whitening is not None:
        fold_into(encoder, whitening)
    return encoder


def fold_into(model: SentenceTransformer, whitening: Whitening) -> SentenceTransformer:
    """Append a fitted whitening to a model as a linear layer: weight W, bias ``-mean W``.

    Parameters
    ----------
    model : SentenceTransformer
        Changed in place.
    whitening : Whitening
        Fitted on vectors of this model.

    Returns
    -------
    SentenceTransformer
        The same model.

    Raises
    ------
    ValueError
        The whitening was fitted on vectors of another width.
    """
    out, width = whitening.components_.shape
    given = _width(model)
    if given is not None and given != width:
        raise ValueError(f"the whitening was fitted on {width} dimensions, the model gives {given}")
    dense = Dense(in_features=width, out_features=out, bias=True, activation_function=torch.nn.Identity())
    with torch.no_grad():
        dense.linear.weight.copy_(torch.from_numpy(whitening.components_))
        dense.linear.bias.copy_(torch.from_numpy(-whitening.components_ @ whitening.mean_))
    model.append(dense)
    return model


def _width(model: SentenceTransformer) -> int | None:
    """Width of a model's vectors: of its last linear layer, else of the transformer."""
    for module in reversed(list(model)):
        if isinstance(module, Dense):
            return int(module.out_features)
        if isinstance(module, Transformer):
            return int(module.auto_model.config.hidden_size)
    return None


def encode_layers(
    model: SentenceTransformer, texts: Sequence[str], *, pooling: TokenPooling = "mean", batch_size: int = 64
) -> NDArray[np.float32]:
    """Pooled vectors of every layer from one pass through the transformer.

    Parameters
    ----------
    model : SentenceTransformer
        Its first module must be a transformer.
    texts : sequence of str
        Texts.
    pooling : {"mean", "cls", "max", "weightedmean"}
        How tokens are pooled.
    batch_size : int, default=64
        Texts at a time; only pooled vectors are kept.

    Returns
    -------
    ndarray of float32, shape (n, L + 1, d)
        Layer 0 is the embedding output.
    """
    transformer = model[0]
    if not len(texts):
        raise ValueError("texts: none were given; there is nothing to encode")
    if not isinstance(transformer, Transformer):
        raise TypeError(f"the model starts with {type(transformer).__name__}, not with a transformer")
    asked = transformer.auto_model.config.output_hidden_states
    transformer.auto_model.config.output_hidden_states = True
    order = np.argsort([-len(text) for text in texts], kind="stable")
    blocks = []
    try:
        transformer.eval()
        with torch.inference_mode():
            for start in range(0, len(texts), batch_size):
                batch = model.preprocess([texts[row] for row in order[start : start + batch_size]])
                device = transformer.auto_model.device
                features = transformer(
                    {name: value.to(device) if torch.is_tensor(value) else value for name, value in batch.items()}
                )
                pooled = [pool_tokens(layer, features["attention_mask"], pooling) for layer in hidden_states(features)]
                blocks.append(torch.stack(pooled, dim=1).float().cpu().numpy())
    finally:
        transformer.auto_model.config.output_hidden_states = asked
    found = np.concatenate(blocks)
    vectors = np.empty_like(found)
    vectors[order] = found
    return vectors


@dataclass(frozen=True)
class LayerScore:
    """How well a set of layers agrees with people.

    Parameters
    ----------
    layers : tuple of int
        Averaged layers; 0 is the embedding output.
    spearman : float
        Correlation of cosine and score.
    """

    layers: tuple[int, ...]
    spearman: float


def search_layers(
    model: SentenceTransformer,
    sentences_a: Sequence[str],
    sentences_b: Sequence[str],
    scores: Sequence[float],
    *,
    max_layers: int = 2,
    whiten: bool = True,
) -> list[LayerScore]:
    """Try every layer and every combination of layers on scored pairs, from one pass through the transformer.

    Parameters
    ----------
    model : SentenceTransformer
        Its first module must be a transformer.
    sentences_a, sentences_b : sequence of str
        Pairs; use a development set, never the set that is reported on.
    scores : sequence of float
        How alike people found them.
    max_layers : int, default=2
        Most layers in a combination.
    whiten : bool, default=True
        Whether each combination is whitened on these sentences first.

    Returns
    -------
    list of LayerScore
        Best first.
    """
    states = encode_layers(model, [*sentences_a, *sentences_b])
    found = []
    for size in range(1, max_layers + 1):
        for layers in combinations(range(states.shape[1]), size):
            vectors = states[:, list(layers)].mean(axis=1)
            if whiten:
                vectors = Whitening().fit_transform(vectors)
            cosines = cosine_scores(vectors[: len(sentences_a)], vectors[len(sentences_a) :])
            found.append(LayerScore(layers, spearman(cosines, scores)))
    return sorted(found, key=lambda one: -one.spearman)
