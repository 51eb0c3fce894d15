"""Texts into classes in three lines: an encoder, what is known of the classes, and a predictor, as one part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from theatrum import registry
from theatrum.checks import check_texts
from theatrum.contracts import ClassSemantics, Encoder
from theatrum.persistence import open_part, read_fitted, save_part, write_fitted
from theatrum.predict.class_name_cosine import ClassNameCosine
from theatrum.predict.semantics import from_names, pseudo_unseen, seen_mask
from theatrum.predict.zero_shot_predictor import Candidates, candidate_codes, check_labels, class_codes

# For cosines of sentence encoders: a difference of 0.05 in cosine makes a class e times as likely.
_COSINE_TEMPERATURE = 0.05
_HELD_OUT = 0.2  # share of the examples on which the temperature is chosen
_TEMPERATURES = np.geomspace(0.002, 5.0, 60)  # as shares of the spread of the scores


@dataclass(frozen=True)
class Decisions:
    """Answers with how sure they are.

    Parameters
    ----------
    labels : ndarray of str, shape (n,)
        Best class of each text; empty where the classifier abstained.
    confidence : ndarray of float64, shape (n,)
        Probability of the best class, between 1 / candidates and 1.
    """

    labels: NDArray[np.str_]
    confidence: NDArray[np.float64]


def softmax(scores: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Scores (n, C) into probabilities; the smaller the temperature, the surer.

    Examples
    --------
    >>> softmax(np.array([[0.1, 0.1], [0.2, 0.1]]), 0.1).round(2).tolist()
    [[0.5, 0.5], [0.73, 0.27]]
    """
    shifted = (scores - scores.max(axis=1, keepdims=True)).astype(np.float64) / temperature
    weights = np.exp(shifted)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def spread(scores: NDArray[np.floating]) -> float:
    """Standard deviation of scores around each row's mean: the natural unit of their differences."""
    return float(np.sqrt(((scores - scores.mean(axis=1, keepdims=True)) ** 2).mean())) or 1.0


def fitted_temperature(scores: NDArray[np.floating], codes: NDArray[np.intp]) -> float:
    """Temperature under which the true classes of held-out rows are likeliest (from a grid of 60)."""
    unit = spread(scores)
    rows = np.arange(len(codes))
    losses = [-np.log(np.maximum(softmax(scores, unit * t)[rows, codes], 1e-12)).mean() for t in _TEMPERATURES]
    return unit * float(_TEMPERATURES[int(np.argmin(losses))])


class OptionReader:
    """A trained multiple-choice model as a predictor: it reads texts, not vectors, and class names are its options.

    Parameters
    ----------
    model : MultipleChoiceClassifier
        Fitted.
    names : sequence of str
        Classes.
    options : sequence of str
        Words for each.
    """

    def __init__(self, model: Any, names: Sequence[str], options: Sequence[str]) -> None:
        self.model = model
        self.options = list(options)
        self.classes_ = np.array(list(names))
        self.semantics_ = ClassSemantics(tuple(names), seen=np.zeros(len(names), dtype=bool))

    def class_scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Logits of the options, (n, C)."""
        scores: NDArray[np.float32] = self.model.decision_function(texts, self.options)
        return scores


class ZeroShotTextClassifier(BaseEstimator):
    """Classifies texts into classes that are named or described, with examples of all, some or none of them.

    Parameters
    ----------
    class_names : sequence of str
        The classes.
    encoder : Encoder or str, default="minilm"
        Of texts; a registered name or any object with the contract.
    predictor : zero-shot predictor or str, default="cosine"
        A registered name or an object. ``"cosine"`` and ``"label_propagation"`` need no example; the others learn
        from examples of some of the classes. A fitted ``MultipleChoiceClassifier`` reads the texts itself.
    descriptions : sequence of str or of sequences of str, optional
        Longer words for the classes, one or several each, in place of their names.
    template : str or sequence of str, default="{}"
        Text around a name, such as ``"a question about {}"``; several are averaged.
    calibrated : bool, default=False
        Take an amount off the scores of classes with examples, so that those without get their share (atlas 119).
    random_state : int, default=0
        Draws the examples that are held out to find the temperature.

    Attributes
    ----------
    encoder_, predictor_ : object
        The parts at work.
    temperature_ : float
        Turns scores into probabilities: fitted on held-out examples where there are any.

    Examples
    --------
    >>> from theatrum.text import LatentSemanticEncoder
    >>> texts = ["a red apple", "a green apple", "the fast car", "a slow car"]
    >>> model = ZeroShotTextClassifier(["apple", "car"], encoder=LatentSemanticEncoder(2)).fit(texts)
    >>> model.predict(["green apple", "fast car"]).tolist()
    ['apple', 'car']
    """

    def __init__(
        self,
        class_names: Sequence[str] = (),
        *,
        encoder: Encoder | str = "minilm",
        predictor: Any = "cosine",
        descriptions: Sequence[str | Sequence[str]] | None = None,
        template: str | Sequence[str] = "{}",
        calibrated: bool = False,
        random_state: int = 0,
    ) -> None:
        self.class_names = class_names
        self.encoder = encoder
        self.predictor = predictor
        self.descriptions = descriptions
        self.template = template
        self.calibrated = calibrated
        self.random_state = random_state

    def fit(self, texts: Sequence[str] | None = None, labels: Any = None) -> ZeroShotTextClassifier:
        """Learn from what there is.

        Parameters
        ----------
        texts : sequence of str, optional
            Examples, or texts without labels (for label propagation, and for encoders that learn from a corpus).
        labels : sequence of str, optional
            A class name for each text; classes without any example are the unseen ones.

        Raises
        ------
        ValueError
            Fewer than two classes, labels that are no class, a predictor that needs examples and got none, and
            whatever the encoder or the predictor finds wrong.
        """
        if len(self.class_names) < 2:
            raise ValueError(f"class_names: at least two classes are needed, got {len(self.class_names)}")
        if getattr(self.predictor, "reads_texts", False):
            return self._take_reader(labels)
        predictor = self._made(self.predictor, "predictor")
        if getattr(predictor, "reads_texts", False):
            raise ValueError(
                f"{self.predictor!r} has to be trained on some tasks first: fit one or open a saved one, and give the "
                "object (on the command line its folder)"
            )
        encoder = self._made(self.encoder, "encoder")
        rows = None if texts is None else check_texts(texts, name="texts")
        if labels is not None and (rows is None or len(labels) != len(rows)):
            raise ValueError(f"labels: {len(labels)} labels for {0 if rows is None else len(rows)} texts; one each")
        if self.calibrated:
            from theatrum.predict.calibrated_stacking import CalibratedStacking

            if labels is None:
                raise ValueError("calibrated=True learns how much to take off from examples; give texts and labels")
            predictor = CalibratedStacking(predictor, random_state=self.random_state)
        if hasattr(encoder, "fit"):
            if rows is None:
                raise ValueError(f"{type(encoder).__name__} learns from a corpus: fit(texts) needs some texts")
            encoder.fit(rows)
        semantics = from_names(list(self.class_names), encoder, template=self.template, descriptions=self.descriptions)
        self.encoder_ = encoder
        self._learn(predictor, rows, labels, semantics)
        return self

    def _learn(self, predictor: Any, rows: list[str] | None, labels: Any, semantics: ClassSemantics) -> None:
        """Fit the predictor by what there is, and find the temperature."""
        encoder = self.encoder_
        if labels is not None:
            X = encoder.encode(rows or [])
            given = check_labels(labels)
            self.temperature_ = self._temperature(predictor, X, given, semantics)
            self.predictor_ = predictor.fit(X, given, semantics)
        elif isinstance(predictor, ClassNameCosine):
            self.predictor_ = predictor.fit(semantics=semantics)
            self.temperature_ = _COSINE_TEMPERATURE
        elif getattr(predictor, "learns_without_labels", False):
            if rows is None:
                raise ValueError(f"{type(predictor).__name__} learns from texts without labels: fit(texts)")
            X = encoder.encode(rows)
            self.predictor_ = predictor.fit(X, semantics=semantics)
            self.temperature_ = spread(self.predictor_.class_scores(X))
        else:
            raise ValueError(
                f"{type(predictor).__name__} learns from examples: call fit(texts, labels); 'cosine' and "
                "'label_propagation' need none"
            )

    def _take_reader(self, labels: Any) -> ZeroShotTextClassifier:
        if labels is not None or self.calibrated:
            raise ValueError("a multiple-choice model learns from tasks, by its own fit; give it no labels here")
        said = self.class_names if self.descriptions is None else self.descriptions
        if any(not isinstance(words, str) for words in said):
            raise ValueError("descriptions: a multiple-choice model reads one option a class; give one text each")
        template = self.template if isinstance(self.template, str) else self.template[0]
        options = [template.replace("{}", str(words).replace("_", " ")) for words in said]
        self.encoder_, self.temperature_ = None, 1.0
        self.predictor_ = OptionReader(self.predictor, self.class_names, options)
        return self

    @staticmethod
    def _made(given: Any, kind: str) -> Any:
        if not isinstance(given, str):
            # An encoder is used as it is; what is trained here is trained on a copy.
            return clone(given) if kind == "predictor" else given
        part = registry.part(given)
        if part.kind != kind:
            names = ", ".join(other.name for other in registry.parts() if other.kind == kind)
            raise ValueError(f"{given!r} is no {kind} but a {part.kind}; there are: {names}")
        return part.load()()

    def _temperature(self, predictor: Any, X: NDArray[np.float32], labels: NDArray[Any], semantics: Any) -> float:
        """Choose it on examples that a trial has not seen; with too few, take the one for cosines.

        Where some classes have no example, some of the others play them: a trial is much surer among classes that it
        was trained on than it may be of new ones.
        """
        names = np.asarray(semantics.names)
        codes = class_codes(labels, semantics)
        told = semantics.with_seen(names[np.unique(codes)].tolist())
        rng = np.random.RandomState(self.random_state)
        seen = seen_mask(told)
        fit_rows, held, inner = np.arange(len(codes)), np.empty(0, dtype=np.intp), told.subset(seen)
        if not seen.all() and seen.sum() >= (6 if self.calibrated else 4):
            fit_rows, held, inner = pseudo_unseen(told, codes, random_state=rng)
        aside = rng.permutation(fit_rows)[: round(_HELD_OUT * len(fit_rows))]
        kept = np.setdiff1d(fit_rows, aside)
        # A class of which no row is left would not be one of the trial's seen classes.
        aside = aside[np.isin(codes[aside], codes[kept])]
        inner = inner.subset(np.isin(np.asarray(inner.names), names[codes[np.concatenate([kept, held])]]))
        judged = np.concatenate([aside, held])
        if len(aside) < 10 or len(np.unique(codes[kept])) < 2:
            return _COSINE_TEMPERATURE
        trial = clone(predictor).fit(X[kept], names[codes[kept]], inner)
        return fitted_temperature(trial.class_scores(X[judged]), class_codes(names[codes[judged]], inner))

    def _scores(self, texts: Sequence[str]) -> NDArray[np.floating]:
        if not hasattr(self, "predictor_"):
            self.fit()
        rows = check_texts(texts, name="texts")
        return self.predictor_.class_scores(rows if self.encoder_ is None else self.encoder_.encode(rows))

    def predict_proba(self, texts: Sequence[str], candidates: Candidates = "all") -> NDArray[np.float64]:
        """Give probabilities of the candidate classes, (n, candidates), in the order of ``class_names``.

        They are a softmax of the predictor's scores. With examples its temperature was fitted on held-out ones (of
        classes that play the unseen ones too, where there are some); without any they are a guess for ranking.
        """
        scores = self._scores(texts)
        allowed = candidate_codes(candidates, self.predictor_.semantics_, self.predictor_.classes_)
        return softmax(scores[:, allowed], self.temperature_)

    def decide(self, texts: Sequence[str], *, abstain: float = 0.0, candidates: Candidates = "all") -> Decisions:
        """Give the best class of every text and how sure it is.

        Parameters
        ----------
        texts : sequence of str
            Texts.
        abstain : float, default=0.0
            Say nothing where the best class has a smaller probability; between 0 and 1.
        candidates : {"all", "seen", "unseen"} or sequence of names, default="all"
            Classes to choose from.
        """
        if not 0 <= abstain <= 1:
            raise ValueError(f"abstain: a probability between 0 and 1 is needed, got {abstain}")
        probabilities = self.predict_proba(texts, candidates)
        allowed = candidate_codes(candidates, self.predictor_.semantics_, self.predictor_.classes_)
        best = probabilities.argmax(axis=1)
        confidence = probabilities[np.arange(len(best)), best]
        labels = np.where(confidence < abstain, "", np.asarray(self.predictor_.classes_)[allowed[best]])
        return Decisions(labels.astype(np.str_), confidence)

    def predict(self, texts: Sequence[str], candidates: Candidates = "all") -> NDArray[np.str_]:
        """Give the best class of every text."""
        return self.decide(texts, candidates=candidates).labels

    def save_state(self, folder: Path) -> None:
        """Write encoder and predictor beside the parameters."""
        check_is_fitted(self)
        # A reader is the parameter itself, which has a folder of its own already.
        for name in ("encoder", "predictor") if self.encoder_ is not None else ():
            (folder / name).mkdir()
            save_part(getattr(self, f"{name}_"), folder / name)
        write_fitted(self, folder, leave=("encoder_", "predictor_"))

    def open_state(self, folder: Path) -> None:
        """Read back what `save_state` wrote."""
        if getattr(self.predictor, "reads_texts", False):
            self._take_reader(None)
        else:
            self.encoder_, self.predictor_ = open_part(folder / "encoder"), open_part(folder / "predictor")
        read_fitted(self, folder)


def make_zero_shot(
    encoder: Encoder | str,
    class_names: Sequence[str],
    descriptions: Sequence[str | Sequence[str]] | None = None,
    *,
    method: Any = "cosine",
    template: str | Sequence[str] = "{}",
    calibrated: bool = False,
) -> ZeroShotTextClassifier:
    """Turn any text encoder into a classifier.

    Parameters
    ----------
    encoder : Encoder or str
        A registered name such as ``"minilm"``, or any object with the contract.
    class_names : sequence of str
        The classes.
    descriptions : sequence of str or of sequences of str, optional
        Longer words for the classes, one or several each.
    method : str or zero-shot predictor, default="cosine"
        ``theatrum parts`` lists the predictors.
    template : str or sequence of str, default="{}"
        Text around a name.
    calibrated : bool, default=False
        Balance classes with and without examples (atlas 119).

    Returns
    -------
    ZeroShotTextClassifier
        Ready to predict with methods that need no example; ``fit(texts, labels)`` first for the others.

    Examples
    --------
    >>> model = make_zero_shot("minilm", ["sports", "business"])  # doctest: +SKIP
    >>> model.predict(["The striker scored twice"])  # doctest: +SKIP
    array(['sports'], dtype='<U6')
    """
    return ZeroShotTextClassifier(
        class_names,
        encoder=encoder,
        predictor=method,
        descriptions=descriptions,
        template=template,
        calibrated=calibrated,
    )
