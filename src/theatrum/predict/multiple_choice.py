"""UniMC: any classification as a multiple choice in plain words, also for tasks and labels never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from theatrum.checks import Constraint, Range, check_parameters, check_texts
from theatrum.extras import require
from theatrum.persistence import load_arrays, save_arrays
from theatrum.predict.multiple_choice_inputs import (
    check_options,
    check_pairs,
    choice_lines,
    collate,
    count_cut,
    tell_cut,
)

_BLOCK, _MODEL, _LOSSES = 4096, "model", "losses.safetensors"  # texts laid out at a time; what is saved


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
            if self.texts_b is not None:
                check_pairs(self.texts_b, n)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        if not n:
            raise ValueError(f"{self.name}: texts: there is none to learn from")
        if len(labels) != n:
            raise ValueError(f"{self.name}: labels: {len(labels)} for {n} texts; one for each is needed")
        for row, label in enumerate(labels):
            if label not in known:
                raise ValueError(f"{self.name}: labels: row {row} is {label!r}, which is none of the options")


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

    Training minimises three cross-entropies: of the softmax over the options, of yes and no at every option, and of
    hidden words of the text. The paper takes the second one over the vocabulary; here it is between the two words.

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
    network_ : ChoiceNetwork
        Its ``model``, a BertForMaskedLM, and ``tokenizer``.
    losses_ : ndarray of float64, shape (steps,)
        Loss of every step, in nats.

    Notes
    -----
    On one CPU core MiniLM trains on about 30 examples a second of up to 64 tokens, and chooses for about 90.

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

    reads_texts: ClassVar[bool] = True
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
        from theatrum.predict.multiple_choice_network import backbone_folder

        seed = int(check_random_state(self.random_state).randint(2**31))
        with seeded(seed):
            network = self._network(backbone_folder(self.backbone))
            losses = self._train(network, tasks, np.random.default_rng(seed), show_progress)
        self.network_, self.losses_ = network, np.array(losses)
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

        from theatrum.predict.multiple_choice_network import progress

        check_is_fitted(self, "network_")
        choices, rows = check_options(options), check_texts(texts, name="texts")
        seconds = None if texts_b is None else check_pairs(texts_b, len(rows))
        scores = np.empty((len(rows), len(choices)), dtype=np.float32)
        cut = np.zeros(2, dtype=np.int64)
        with torch.inference_mode(), progress("choosing", len(rows), show_progress) as advance:
            for start in range(0, len(rows), _BLOCK):
                block = slice(start, start + _BLOCK)
                lines = choice_lines(
                    self.network_.tokenizer, rows[block], choices, question=question, max_length=self.max_length,
                    texts_b=None if seconds is None else seconds[block], first_row=start,
                )  # fmt: skip
                cut += count_cut(lines)
                # Lines of near-equal length together: hardly any padding.
                order = np.argsort([len(line.ids) for line in lines], kind="stable")
                for batch in np.split(order, range(self.batch_size, len(order), self.batch_size)):
                    inputs = self._collate([lines[row] for row in batch], self.network_.tokenizer)
                    scores[start + batch] = self.network_.answers(inputs)[..., 0].cpu().numpy()
                    advance(len(batch))
        tell_cut(cut, len(rows), self.max_length)
        return scores

    def save_state(self, folder: Path) -> None:
        """Write model and tokenizer as a folder of transformers, and the losses."""
        check_is_fitted(self, "network_")
        from theatrum.predict.multiple_choice_network import quiet

        with quiet():
            self.network_.model.save_pretrained(folder / _MODEL)
            self.network_.tokenizer.save_pretrained(folder / _MODEL)
        save_arrays({"losses": self.losses_}, folder / _LOSSES)

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote; the backbone is not needed."""
        require("torch", "torch")
        check_parameters(self, self.constraints)
        self.network_ = self._network(folder / _MODEL)
        self.losses_ = load_arrays(folder / _LOSSES)["losses"]

    # A static method, so that a claim can measure what another layout of the same lines would give.
    _collate = staticmethod(collate)

    def _network(self, folder: Path) -> Any:
        from theatrum.predict.multiple_choice_network import ChoiceNetwork, answer_words, load_network

        model, tokenizer = load_network(folder, self.max_length, self.device)
        return ChoiceNetwork(model, tokenizer, answer_words(tokenizer, self.yes_token, self.no_token), self._collate)

    def _train(
        self, network: Any, tasks: Sequence[MultipleChoiceTask], rng: np.random.Generator, shown: bool
    ) -> list[float]:
        """Train in place; returns the loss of each step."""
        import torch

        from theatrum.predict import multiple_choice_network as training

        model, tokenizer = network.model, network.tokenizer
        read = [training.TokenizedTask.of(task, tokenizer) for task in tasks]
        examples = [(task, row) for task in read for row in range(len(task.texts))]
        n_steps = self.epochs * -(-len(examples) // self.batch_size)
        optimizer, scheduler = training.decaying_adamw(model, self.learning_rate, n_steps)
        losses: list[float] = []
        model.train()
        with training.progress("training", self.epochs * len(examples), shown) as advance:
            for epoch in range(self.epochs):
                drawn = [task.example(row, tokenizer, self.max_options, self.max_length, rng) for task, row in examples]
                lines = [line for line, _ in drawn]
                right = torch.tensor([place for _, place in drawn], device=model.device)
                if epoch == 0:
                    tell_cut(count_cut(lines), len(lines), self.max_length)
                for batch in training.shuffled_batches([len(line.ids) for line in lines], self.batch_size, rng):
                    chosen = [lines[row] for row in batch]
                    loss = network.loss(chosen, right[batch], self.choice_weight, self.mlm_weight, rng)
                    losses.append(training.gradient_step(network, loss, optimizer, scheduler))
                    advance(len(batch))
        model.eval()
        return losses
