"""The network of the multiple-choice classifier: a BERT that says yes or no at each option, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoTokenizer, BertForMaskedLM
from transformers.utils import logging

from theatrum import registry
from theatrum.predict.multiple_choice_inputs import ChoiceLine, Tokens, check_distinct, choice_line, tokenize

_WEIGHT_DECAY, _WARM_UP, _LARGEST_GRADIENT = 0.1, 0.01, 1.0
_POOL = 32  # batches whose examples are sorted by length together
_HIDDEN_SHARES, _HOW_OFTEN = (0.0, 0.1, 0.2, 0.3), (0.3, 0.3, 0.25, 0.15)  # tokens hidden of a text, and how often
_TO_MASK, _TO_RANDOM = 0.8, 0.1  # of the hidden ones: most become [MASK], some another token, the others stay

Inputs = dict[str, NDArray[Any]]


def additive_mask(may_look: Any) -> Any:
    """Mask (b, t, t) as what attention adds to its logits, float32 (b, 1, t, t): 0, or a very negative number."""
    # Not minus infinity: kernels of attention may subtract a row's largest entry.
    lowest = torch.finfo(torch.float32).min
    return torch.zeros(may_look.shape, device=may_look.device).masked_fill(~may_look, lowest)[:, None]


def hidden_states(model: Any, inputs: Mapping[str, NDArray[Any]]) -> Any:
    """Last hidden states (b, t, d) of a BERT for the inputs of `build_multiple_choice_inputs`."""
    on = {name: torch.from_numpy(values).to(model.device) for name, values in inputs.items()}
    states: Any = model.bert(
        input_ids=on["input_ids"],
        attention_mask=additive_mask(on["attention_mask"]),
        position_ids=on["position_ids"],
        token_type_ids=on["token_type_ids"],
    ).last_hidden_state
    return states


def answer_logits(model: Any, states: Any, option_positions: NDArray[np.int64], words: Sequence[int]) -> Any:
    """Logits (b, N, 2) of the words yes and no where each option answers; ``-inf`` where there is no option."""
    at = torch.from_numpy(option_positions).to(states.device)
    marks = states.gather(1, at.clamp(min=0)[..., None].expand(-1, -1, states.shape[-1]))
    # The decoder is as large as the vocabulary; only two of its rows are needed.
    decoder = model.cls.predictions.decoder
    logits = model.cls.predictions.transform(marks) @ decoder.weight[words].T + decoder.bias[words]
    return logits.masked_fill((at < 0)[..., None], -torch.inf)


def choice_loss(answers: Any, right: Any) -> Any:
    """Cross-entropy of the softmax over the options' logits of yes; answers (b, N, 2), right options (b,)."""
    return torch.nn.functional.cross_entropy(answers[..., 0], right)


def yes_no_loss(answers: Any, right: Any) -> Any:
    """Cross-entropy between the two words, mean over all options: yes at the right one, no at the others."""
    there = torch.isfinite(answers[..., 0])
    is_no = (torch.arange(answers.shape[1], device=right.device) != right[:, None]).long()
    return torch.nn.functional.cross_entropy(answers[there], is_no[there])


@dataclass(frozen=True)
class ChoiceNetwork:
    """A BERT with its tokenizer and the tokens of its two answers.

    Parameters
    ----------
    model : BertForMaskedLM
        Reads the lines.
    tokenizer : PreTrainedTokenizer
        Its own.
    words : list of int
        Tokens of yes and no.
    collate : callable
        Makes a batch of lines: `theatrum.predict.multiple_choice_inputs.collate`, or another layout to compare with.
    """

    model: Any
    tokenizer: Any
    words: list[int]
    collate: Callable[[Sequence[ChoiceLine], Any], Inputs]

    def answers(self, inputs: Inputs) -> Any:
        """Logits of yes and no (b, N, 2)."""
        return answer_logits(self.model, hidden_states(self.model, inputs), inputs["option_positions"], self.words)

    def loss(
        self, lines: Sequence[ChoiceLine], right: Any, choice_weight: float, mlm_weight: float, rng: np.random.Generator
    ) -> Any:
        """Loss of lines with their right options (b,): yes or no, the choice, and the words hidden of the text."""
        inputs = self.collate(lines, self.tokenizer)
        ids, hidden = inputs["input_ids"], np.zeros(inputs["input_ids"].shape, dtype=bool)
        if mlm_weight:
            frame = [self.tokenizer.cls_token_id, self.tokenizer.sep_token_id, self.tokenizer.pad_token_id]
            text = (inputs["token_type_ids"] == 0) & ~np.isin(ids, frame)
            inputs["input_ids"], hidden = hide_text(ids, text, len(self.tokenizer), self.tokenizer.mask_token_id, rng)
        states = hidden_states(self.model, inputs)
        answers = answer_logits(self.model, states, inputs["option_positions"], self.words)
        loss = yes_no_loss(answers, right) + choice_weight * choice_loss(answers, right)
        if hidden.any():  # the decoder is as large as the vocabulary: it is asked at hidden words only
            said = self.model.cls(states[torch.from_numpy(hidden).to(states.device)])
            stood = torch.from_numpy(ids[hidden]).to(states.device)
            loss = loss + mlm_weight * torch.nn.functional.cross_entropy(said, stood)
        return loss


@dataclass(frozen=True)
class TokenizedTask:
    """A task to learn from, as tokens; ``right`` are the places of the right options."""

    texts: Sequence[Tokens]
    texts_b: Sequence[Tokens | None]
    question: Tokens
    options: Sequence[Tokens]
    right: Sequence[int]

    @classmethod
    def of(cls, task: Any, tokenizer: Any) -> TokenizedTask:
        """Tokenise a `MultipleChoiceTask`; what is wrong is told with its name."""
        try:
            texts = tokenize(tokenizer, task.texts, "texts")
            second = [None] * len(texts) if task.texts_b is None else tokenize(tokenizer, task.texts_b, "texts_b")
            question = () if task.question is None else tokenize(tokenizer, [task.question], "question")[0]
            options = tokenize(tokenizer, task.options, "options")
            check_distinct(options)
        except ValueError as error:
            raise ValueError(f"{task.name}: {error}") from None
        place = {option: number for number, option in enumerate(task.options)}
        return cls(texts, second, question, options, [place[label] for label in task.labels])

    def example(
        self, row: int, tokenizer: Any, max_options: int, max_length: int, rng: np.random.Generator
    ) -> tuple[ChoiceLine, int]:
        """Line of one text with options drawn anew, and the place of the right one."""
        drawn = drawn_options(len(self.options), self.right[row], max_options, rng)
        options = [self.options[number] for number in drawn]
        line = choice_line(
            tokenizer, options, self.texts[row],
            question=self.question, text_b=self.texts_b[row], max_length=max_length,
        )  # fmt: skip
        return line, int(np.flatnonzero(drawn == self.right[row])[0])


def drawn_options(n: int, right: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw at most ``most`` of n options, the right one among them, in random order.

    Examples
    --------
    >>> chosen = drawn_options(150, 7, 4, np.random.default_rng(0))
    >>> len(chosen), 7 in chosen
    (4, True)
    """
    if n <= most:
        return rng.permutation(n)
    others = rng.choice(n - 1, size=most - 1, replace=False)
    return rng.permutation(np.append(others + (others >= right), right))


def hide_text(
    ids: NDArray[np.int64], text: NDArray[np.bool_], vocab_size: int, mask_id: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Hide tokens of texts for the masked-language-model loss: each line its own share, from none to 30%.

    Parameters
    ----------
    ids : ndarray of int64, shape (b, t)
        Tokens.
    text : ndarray of bool, shape (b, t)
        Those that may be hidden.
    vocab_size, mask_id : int
        Tokens there are, and the one that hides.
    rng : Generator
        Draws.

    Returns
    -------
    inputs : ndarray of int64, shape (b, t)
        What the model reads.
    hidden : ndarray of bool, shape (b, t)
        Where it has to say what stood there.
    """
    share = rng.choice(_HIDDEN_SHARES, size=(len(ids), 1), p=_HOW_OFTEN)
    hidden = text & (rng.random(ids.shape) < share)
    fate = rng.random(ids.shape)
    inputs = np.where(hidden & (fate < _TO_MASK), mask_id, ids)
    other = rng.integers(vocab_size, size=ids.shape)
    return np.where(hidden & (fate >= _TO_MASK) & (fate < _TO_MASK + _TO_RANDOM), other, inputs), hidden


def shuffled_batches(lengths: Sequence[int], size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Batches of an epoch: random examples, those of near-equal length together, in random order.

    Sorting within pools of 32 batches leaves little padding and much chance.
    """
    order = rng.permutation(len(lengths))
    pools = np.split(order, range(_POOL * size, len(order), _POOL * size))
    order = np.concatenate([pool[np.argsort(np.take(lengths, pool), kind="stable")] for pool in pools])
    batches = np.split(order, range(size, len(order), size))
    return [batches[place] for place in rng.permutation(len(batches))]


def gradient_step(network: ChoiceNetwork, loss: Any, optimizer: Any, scheduler: Any) -> float:
    """Go one step down; gives the loss as a number."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.model.parameters(), _LARGEST_GRADIENT)
    optimizer.step()
    scheduler.step()
    return float(loss.detach())


def decaying_adamw(model: Any, learning_rate: float, n_steps: int) -> tuple[Any, Any]:
    """AdamW and its schedule: a short warm-up, then linearly to 0; biases and LayerNorm do not decay."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": _WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    warm_up = max(int(_WARM_UP * n_steps), 1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (n_steps - step) / max(n_steps - warm_up, 1))
    )
    return optimizer, scheduler


def backbone_folder(name: str) -> Path:
    """Folder of a backbone: a path, or that of a registered encoder."""
    if Path(name).is_dir():
        return Path(name)
    if name != "minilm":
        raise ValueError(f"backbone: {name!r} is no folder; give one with a BERT and its tokenizer, or 'minilm'")
    encoder: Any = registry.part(name).load()()
    folder: Path = encoder._folder  # checked by its SHA-256 there
    return folder


def load_network(folder: Path, max_length: int, device: str | None) -> tuple[Any, Any]:
    """Load a BERT, with a head if it had none, and its tokenizer.

    Raises
    ------
    ValueError
        No BERT, damaged or incomplete, or one that reads fewer than ``max_length`` tokens.
    """
    try:
        with quiet():
            kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
            if kind != "bert":
                raise ValueError(f"it is of the type {kind!r}, and a BERT is needed")
            model, report = BertForMaskedLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # safetensors and tokenizers have errors of their own for a damaged file
        raise ValueError(f"{folder} cannot be used as a model: {error}") from error
    lost = sorted(name for name in report["missing_keys"] if not name.startswith("cls."))
    if lost:
        raise ValueError(f"{folder} cannot be used as a model: its weights lack {lost[0]}")
    if any("transform" in name for name in report["missing_keys"]):
        torch.nn.init.eye_(model.cls.predictions.transform.dense.weight)  # its biases are 0
    most = model.config.max_position_embeddings
    if max_length > most:
        raise ValueError(f"max_length is {max_length}; {folder} reads at most {most} tokens")
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval(), tokenizer


def answer_words(tokenizer: Any, yes: str, no: str) -> list[int]:
    """Tokens of the words for yes and no.

    Raises
    ------
    ValueError
        A word of several pieces or unknown, or twice the same.
    """
    found = []
    for name, word in {"yes_token": yes, "no_token": no}.items():
        ids = tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
            raise ValueError(f"{name}: {word!r} is no single word piece of the backbone; take another")
        found += ids
    if found[0] == found[1]:
        raise ValueError(f"yes_token and no_token are the same to the backbone ({yes!r}); they must differ")
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing: that a head is new is known here."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


@contextmanager
def progress(what: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr, or nothing; gives the function that moves it on."""
    if not shown:
        yield lambda amount: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount: bar.advance(task, amount)
