"""UniMC: any classification as a multiple choice in plain words, also for tasks and labels never seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from theatrum import registry
from theatrum.checks import Constraint, Range, check_parameters, check_texts
from theatrum.contracts import TruncationWarning
from theatrum.extras import require
from theatrum.persistence import load_arrays, save_arrays
from theatrum.predict.multiple_choice_inputs import (
    ChoiceLine,
    check_distinct,
    check_options,
    choice_line,
    choice_lines,
    collate,
    drawn_options,
    hide_text,
    shuffled_batches,
    tokenize,
)

_WEIGHT_DECAY, _WARM_UP = 0.1, 0.01
_BLOCK = 4096  # texts laid out at a time
_MODEL, _LOSSES = "model", "losses.safetensors"


@dataclass(frozen=True)
class MultipleChoiceTask:
    """Texts, the options that one chooses from, and the right choice of each text: something to learn from.

    Parameters
    ----------
    texts : sequence of str, length n
        What the choice is about.
    options : sequence of str
        Two or more different ones, in plain words.
    labels : sequence of str, length n
        The right option of each text.
    question : str, optional
        What is asked of every text.
    texts_b : sequence of str, length n, optional
        Second texts, where a pair is judged.
    name : str, default="task"
        What to call it in a message.

    Raises
    ------
    ValueError
        Lengths differ, there is no text, or a label is no option; row and task are named.

    Examples
    --------
    >>> task = MultipleChoiceTask(["a late goal"], ["sports", "world news"], ["sports"], name="news")
    """

    texts: Sequence[str]
    options: Sequence[str]
    labels: Sequence[str]
    question: str | None = None
    texts_b: Sequence[str] | None = None
    name: str = "task"

    def __post_init__(self) -> None:
        try:
            n, known = len(check_texts(self.texts, name="texts")), set(check_options(self.options))
            labels = check_texts(self.labels, name="labels")
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        if not n:
            raise ValueError(f"{self.name}: texts: there is none to learn from")
        for field, values in {"labels": labels, "texts_b": self.texts_b}.items():
            if values is not None and len(values) != n:
                raise ValueError(f"{self.name}: {field}: {len(values)} for {n} texts; one for each is needed")
        for row, label in enumerate(labels):
            if label not in known:
                raise ValueError(f"{self.name}: labels: row {row} is {label!r}, which is none of the options")


def additive_mask(may_look: Any) -> Any:
    """Mask (b, t, t) as what attention adds to its logits, float32 (b, 1, t, t): 0, or a very negative number."""
    import torch

    # Not minus infinity: kernels of attention may subtract a row's largest entry.
    lowest = torch.finfo(torch.float32).min
    return torch.zeros(may_look.shape, device=may_look.device).masked_fill(~may_look, lowest)[:, None]


def hidden_states(model: Any, inputs: Mapping[str, NDArray[Any]]) -> Any:
    """Last hidden states (b, t, d) of a BERT for the inputs of `build_multiple_choice_inputs`."""
    import torch

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
    import torch

    at = torch.from_numpy(option_positions).to(states.device)
    marks = states.gather(1, at.clamp(min=0)[..., None].expand(-1, -1, states.shape[-1]))
    # The decoder is as large as the vocabulary; only two of its rows are needed.
    decoder = model.cls.predictions.decoder
    logits = model.cls.predictions.transform(marks) @ decoder.weight[words].T + decoder.bias[words]
    return logits.masked_fill((at < 0)[..., None], -torch.inf)


def choice_loss(answers: Any, right: Any) -> Any:
    """Cross-entropy of the softmax over the options' logits of yes; answers (b, N, 2), right options (b,)."""
    import torch

    return torch.nn.functional.cross_entropy(answers[..., 0], right)


def yes_no_loss(answers: Any, right: Any) -> Any:
    """Cross-entropy between the two words, mean over all options: yes at the right one, no at the others."""
    import torch

    there = torch.isfinite(answers[..., 0])
    is_no = (torch.arange(answers.shape[1], device=right.device) != right[:, None]).long()
    return torch.nn.functional.cross_entropy(answers[there], is_no[there])


class MultipleChoiceClassifier(BaseEstimator):
    """Chooses among options in plain words, for tasks and label sets that it never saw.

    The choice where labels are words and examples of them are missing: topic, intent, kind of question, entailment.
    The model reads the text together with all options, so that it tells fine wordings apart better than a comparison
    of embeddings, at one pass a text, however many options (a natural-language-inference model needs one pass an
    option). It has to be trained on some tasks, any other ones. For millions of texts or hundreds of options compare
    embeddings, or use this on the best ten of that.

    Each option has its own [O], the mask token, where the model says *yes* or *no*; the scores are its logits of
    *yes*. Options do not see each other and count their positions anew, so that their order does not matter: permuted
    options have permuted scores, up to float rounding. The text does see all options, so that one more option changes
    the scores of the others, not only their softmax.

    Training minimises the cross-entropy of the softmax over the options (weight ``choice_weight``), that of yes and
    no at every option, and that of hidden words of the text (weight ``mlm_weight``), by AdamW with a linear decay.
    The paper takes the second one over the whole vocabulary; here it is between the two words, which a head that
    starts untrained learns sooner.

    Parameters
    ----------
    backbone : str, default="minilm"
        What training starts from: ``"minilm"``, or a folder with a BERT and its tokenizer. Without a masked-language-
        model head, as MiniLM is, it gets one whose first layer starts as the identity.
    yes_token, no_token : str, default="yes", "no"
        The two answers; each a single word piece.
    max_length : int, default=256
        Most tokens read: options, question and text together.
    max_options : int, default=12
        Most options of a training example; of more, the right one and random others are drawn, anew in each epoch.
    mlm_weight : float, default=0.0
        Weight of the hidden words. The paper's is 1, for a backbone whose head is trained. A new head knows no word,
        and its loss drowns the others: with 900 examples it cost MiniLM 26 to 54 points of accuracy on a task to come.
    choice_weight : float, default=1.0
        Weight of the softmax over the options.
    learning_rate : float, default=1e-4
        Peak of AdamW's rate.
    epochs : int, default=1
        Passes over the examples; 0 leaves the backbone as it is, to measure what training gives.
    batch_size : int, default=16
        Examples of a step, and texts of a pass.
    device : str or None, default=None
        Such as ``"cpu"`` or ``"cuda"``; None takes the best one there is.
    random_state : int, RandomState instance or None, default=None
        Order, options drawn, words hidden, dropout.

    Attributes
    ----------
    model_ : BertForMaskedLM
        The trained model.
    tokenizer_ : PreTrainedTokenizer
        Its tokenizer.
    losses_ : ndarray of float64, shape (steps,)
        Loss of every step, in nats.

    Notes
    -----
    On one CPU core MiniLM trains on about 20 examples a second at 64 tokens, and chooses for about 80.

    Examples
    --------
    >>> news = MultipleChoiceTask(
    ...     ["a late goal", "the talks failed"], ["sports", "world news"], ["sports", "world news"]
    ... )
    >>> model = MultipleChoiceClassifier(random_state=0).fit([news])  # doctest: +SKIP
    >>> model.predict(["a touching film"], ["positive", "negative"])  # doctest: +SKIP
    array(['positive'], dtype=object)

    References
    ----------
    P. Yang, J. Wang, R. Gan, X. Zhu, L. Zhang, Z. Wu, X. Gao, J. Zhang, T. Sakai: Zero-Shot Learners for Natural
    Language Understanding via a Unified Multiple Choice Perspective, EMNLP 2022 (atlas 063).
    """

    constraints: ClassVar[Mapping[str, Sequence[Constraint]]] = {
        "backbone": [str],
        "yes_token": [str],
        "no_token": [str],
        "max_length": [Range(int, 48)],
        "max_options": [Range(int, 2)],
        "mlm_weight": [Range(float, 0)],
        "choice_weight": [Range(float, 0)],
        "learning_rate": [Range(float, 0, open_low=True)],
        "epochs": [Range(int, 0)],
        "batch_size": [Range(int, 1)],
        "device": [str, None],
    }

    def __init__(
        self,
        backbone: str = "minilm",
        *,
        yes_token: str = "yes",
        no_token: str = "no",
        max_length: int = 256,
        max_options: int = 12,
        mlm_weight: float = 0.0,
        choice_weight: float = 1.0,
        learning_rate: float = 1e-4,
        epochs: int = 1,
        batch_size: int = 16,
        device: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.backbone = backbone
        self.yes_token = yes_token
        self.no_token = no_token
        self.max_length = max_length
        self.max_options = max_options
        self.mlm_weight = mlm_weight
        self.choice_weight = choice_weight
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state

    def fit(self, tasks: Sequence[MultipleChoiceTask], *, show_progress: bool = False) -> MultipleChoiceClassifier:
        """Learn to choose from examples of tasks.

        Parameters
        ----------
        tasks : sequence of MultipleChoiceTask
            One or more; the more different they are, the better for tasks to come.
        show_progress : bool, default=False
            Whether to show a bar on stderr.

        Returns
        -------
        MultipleChoiceClassifier
            Itself.

        Raises
        ------
        ImportError
            torch or transformers is missing.
        ValueError
            No tasks, bad parameters, options that do not fit, or a backbone that cannot be used.

        Warns
        -----
        TruncationWarning
            Texts or options were cut.
        """
        check_parameters(self, self.constraints)
        if isinstance(tasks, MultipleChoiceTask) or not all(isinstance(task, MultipleChoiceTask) for task in tasks):
            raise ValueError("tasks: expected a list of MultipleChoiceTask; put texts, options and labels into one")
        if not tasks:
            raise ValueError("tasks: there is none to learn from; give at least one")
        require("torch", "torch")
        from theatrum.nn.mlp import seeded

        seed = int(check_random_state(self.random_state).randint(2**31))
        with seeded(seed):
            model, tokenizer = self._loaded(backbone_folder(self.backbone))
            losses = self._train(model, tokenizer, tasks, np.random.default_rng(seed), show_progress)
        self.model_, self.tokenizer_ = model.eval(), tokenizer
        self.losses_ = np.array(losses)
        return self

    def predict(
        self,
        texts: Sequence[str],
        options: Sequence[str],
        question: str | None = None,
        texts_b: Sequence[str] | None = None,
        *,
        show_progress: bool = False,
    ) -> NDArray[np.object_]:
        """Choose the best option for each text; parameters as in `decision_function`.

        Returns
        -------
        ndarray of str, shape (n,)
            Options; of equal ones the first.
        """
        scores = self.decision_function(texts, options, question, texts_b, show_progress=show_progress)
        return np.array(list(options), dtype=object)[scores.argmax(axis=1)]

    def predict_proba(
        self,
        texts: Sequence[str],
        options: Sequence[str],
        question: str | None = None,
        texts_b: Sequence[str] | None = None,
        *,
        show_progress: bool = False,
    ) -> NDArray[np.float32]:
        """Probabilities of the options, the softmax of their scores; parameters as in `decision_function`.

        Returns
        -------
        ndarray of float32, shape (n, N)
            Rows sum to 1, columns as the options are given.
        """
        scores = self.decision_function(texts, options, question, texts_b, show_progress=show_progress)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def decision_function(
        self,
        texts: Sequence[str],
        options: Sequence[str],
        question: str | None = None,
        texts_b: Sequence[str] | None = None,
        *,
        show_progress: bool = False,
    ) -> NDArray[np.float32]:
        """Score every option for every text, one pass a text.

        Parameters
        ----------
        texts : sequence of str, length n
            What to choose for.
        options : sequence of str, length N
            Two or more different ones, such as ``ClassSemantics.names``.
        question : str, optional
            What is asked of every text.
        texts_b : sequence of str, length n, optional
            Second texts, where pairs are judged.
        show_progress : bool, default=False
            Whether to show a bar on stderr.

        Returns
        -------
        ndarray of float32, shape (n, N)
            Logits of *yes*; larger is better.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            Fewer than two options, two that are the same, an empty text (the row is named), or options that do not
            fit (their tokens are told).

        Warns
        -----
        TruncationWarning
            Texts or options were cut; says how many.
        """
        import torch

        check_is_fitted(self, "model_")
        choices, rows = check_options(options), check_texts(texts, name="texts")
        seconds = None if texts_b is None else check_texts(texts_b, name="texts_b")
        if seconds is not None and len(seconds) != len(rows):
            raise ValueError(f"texts_b: {len(seconds)} texts for {len(rows)} in texts; one for each is needed")
        scores = np.empty((len(rows), len(choices)), dtype=np.float32)
        cut = np.zeros(2, dtype=np.int64)
        with torch.inference_mode(), _progress("choosing", len(rows), show_progress) as advance:
            for start in range(0, len(rows), _BLOCK):
                block = slice(start, start + _BLOCK)
                lines = choice_lines(
                    self.tokenizer_, rows[block], choices, question=question, max_length=self.max_length,
                    texts_b=None if seconds is None else seconds[block], first_row=start,
                )  # fmt: skip
                cut += _cut(lines)
                # Lines of near-equal length together: hardly any padding.
                order = np.argsort([len(line.ids) for line in lines], kind="stable")
                for batch in np.split(order, range(self.batch_size, len(order), self.batch_size)):
                    inputs = self._collate([lines[row] for row in batch], self.tokenizer_)
                    states = hidden_states(self.model_, inputs)
                    answers = answer_logits(
                        self.model_, states, inputs["option_positions"], self._words(self.tokenizer_)
                    )
                    scores[start + batch] = answers[..., 0].cpu().numpy()
                    advance(len(batch))
        self._tell(cut, len(rows))
        return scores

    def save_state(self, folder: Path) -> None:
        """Write model and tokenizer as a folder of transformers, and the losses."""
        check_is_fitted(self, "model_")
        with _quiet():
            self.model_.save_pretrained(folder / _MODEL)
            self.tokenizer_.save_pretrained(folder / _MODEL)
        save_arrays({"losses": self.losses_}, folder / _LOSSES)

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote; the backbone is not needed."""
        require("torch", "torch")
        check_parameters(self, self.constraints)
        self.model_, self.tokenizer_ = self._loaded(folder / _MODEL)
        self.losses_ = load_arrays(folder / _LOSSES)["losses"]

    # How it learns.

    # A static method, so that a claim can measure what another layout of the same lines would give.
    _collate = staticmethod(collate)

    def _train(
        self, model: Any, tokenizer: Any, tasks: Sequence[MultipleChoiceTask], rng: np.random.Generator, shown: bool
    ) -> list[float]:
        """Train in place; returns the loss of each step."""
        import torch

        read = [_Read.of(task, tokenizer) for task in tasks]
        examples = [(task, row) for task in read for row in range(len(task.texts))]
        n_steps = self.epochs * -(-len(examples) // self.batch_size)
        weights = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim == 1]  # biases and LayerNorm, which do not decay
        groups = [{"params": weights, "weight_decay": _WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, fused=True)
        warm_up = max(int(_WARM_UP * n_steps), 1)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm_up, (n_steps - step) / max(n_steps - warm_up, 1))
        )
        losses: list[float] = []
        model.train()
        with _progress("training", self.epochs * len(examples), shown) as advance:
            for epoch in range(self.epochs):
                drawn = [task.example(row, tokenizer, self.max_options, self.max_length, rng) for task, row in examples]
                lines, right = [line for line, _ in drawn], np.array([place for _, place in drawn])
                if epoch == 0:
                    self._tell(_cut(lines), len(lines))
                for batch in shuffled_batches([len(line.ids) for line in lines], self.batch_size, rng):
                    loss = self._loss(model, tokenizer, [lines[row] for row in batch], right[batch], rng)
                    optimizer.zero_grad()
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    scheduler.step()
                    losses.append(float(loss.detach()))
                    advance(len(batch))
        model.eval()
        return losses

    def _loss(
        self,
        model: Any,
        tokenizer: Any,
        lines: Sequence[ChoiceLine],
        right: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> Any:
        import torch

        inputs = self._collate(lines, tokenizer)
        ids, hidden = inputs["input_ids"], np.zeros(inputs["input_ids"].shape, dtype=bool)
        if self.mlm_weight:
            frame = [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id]
            text = (inputs["token_type_ids"] == 0) & ~np.isin(ids, frame)
            inputs["input_ids"], hidden = hide_text(ids, text, len(tokenizer), tokenizer.mask_token_id, rng)
        states = hidden_states(model, inputs)
        answers = answer_logits(model, states, inputs["option_positions"], self._words(tokenizer))
        wanted = torch.from_numpy(right).to(states.device)
        loss = yes_no_loss(answers, wanted) + self.choice_weight * choice_loss(answers, wanted)
        if hidden.any():  # the decoder is as large as the vocabulary: it is asked at hidden words only
            said = model.cls(states[torch.from_numpy(hidden).to(states.device)])
            stood = torch.from_numpy(ids[hidden]).to(states.device)
            loss = loss + self.mlm_weight * torch.nn.functional.cross_entropy(said, stood)
        return loss

    def _loaded(self, folder: Path) -> tuple[Any, Any]:
        """Model, with a head if it had none, and tokenizer."""
        import torch
        from transformers import AutoConfig, AutoTokenizer, BertForMaskedLM

        try:
            with _quiet():
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
            torch.nn.init.eye_(model.cls.predictions.transform.dense.weight)
        if self.max_length > model.config.max_position_embeddings:
            raise ValueError(
                f"max_length is {self.max_length}; {folder} reads at most {model.config.max_position_embeddings} tokens"
            )
        self._words(tokenizer)
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        return model.to(device).eval(), tokenizer

    def _words(self, tokenizer: Any) -> list[int]:
        """Tokens of yes and no."""
        found = []
        for name in ("yes_token", "no_token"):
            ids = tokenizer(getattr(self, name), add_special_tokens=False)["input_ids"]
            if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
                raise ValueError(
                    f"{name}: {getattr(self, name)!r} is no single word piece of the backbone; take another"
                )
            found += ids
        if found[0] == found[1]:
            raise ValueError(
                f"yes_token and no_token are the same to the backbone ({self.yes_token!r}); they must differ"
            )
        return found

    def _tell(self, cut: NDArray[np.int64], n: int) -> None:
        if cut.any():
            warnings.warn(
                f"of {n} texts, {cut[0]} were cut and {cut[1]} had their options cut to fit {self.max_length} tokens; "
                "a larger max_length reads more",
                TruncationWarning,
                stacklevel=3,
            )


@dataclass(frozen=True)
class _Read:
    """A task as tokens."""

    texts: list[list[int]]
    texts_b: Sequence[list[int] | None]
    question: Sequence[int]
    options: list[list[int]]
    right: list[int]

    @classmethod
    def of(cls, task: MultipleChoiceTask, tokenizer: Any) -> _Read:
        try:
            texts = tokenize(tokenizer, task.texts, "texts")
            second = [None] * len(texts) if task.texts_b is None else tokenize(tokenizer, task.texts_b, "texts_b")
            question = () if task.question is None else tokenize(tokenizer, [task.question], "question")[0]
            place = {option: number for number, option in enumerate(task.options)}
            right = [place[label] for label in task.labels]
            options = tokenize(tokenizer, task.options, "options")
            check_distinct(options)
            return cls(texts, second, question, options, right)
        except ValueError as error:
            raise ValueError(f"{task.name}: {error}") from None

    def example(
        self, row: int, tokenizer: Any, most: int, max_length: int, rng: np.random.Generator
    ) -> tuple[ChoiceLine, int]:
        """Line of one text with options drawn anew, and the place of the right one."""
        chosen = drawn_options(len(self.options), self.right[row], most, rng)
        line = choice_line(
            tokenizer, [self.options[number] for number in chosen], self.texts[row],
            question=self.question, text_b=self.texts_b[row], max_length=max_length,
        )  # fmt: skip
        return line, int(np.flatnonzero(chosen == self.right[row])[0])


def _cut(lines: Sequence[ChoiceLine]) -> NDArray[np.int64]:
    """Lines whose text is cut, and whose options are."""
    return np.array([sum(line.text_is_cut for line in lines), sum(line.options_are_cut for line in lines)])


def backbone_folder(name: str) -> Path:
    """Folder of a backbone: a path, or that of a registered encoder."""
    if Path(name).is_dir():
        return Path(name)
    if name != "minilm":
        raise ValueError(f"backbone: {name!r} is no folder; give one with a BERT and its tokenizer, or 'minilm'")
    encoder: Any = registry.part(name).load()()
    folder: Path = encoder._folder  # checked by its SHA-256 there
    return folder


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing: that a head is new is known here."""
    from transformers.utils import logging

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
def _progress(what: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
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
