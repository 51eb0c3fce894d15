"""The claim of row 063: its tasks and baselines by hand, and the whole measurement on a tiny BERT and made-up texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from theatrum.claims.predict import multiple_choice as claim
from theatrum.data import LabelledTexts
from theatrum.predict.multiple_choice import MultipleChoiceClassifier, MultipleChoiceTask
from theatrum.predict.multiple_choice_inputs import choice_lines

COLOURS = {"R": "red", "G": "green", "B": "blue"}
SIZES = {"S": "small", "L": "large"}
VOCABULARY = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] yes no red green blue small large sky sea plum pear this is about .".split()
)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = BertTokenizer(vocab={word: row for row, word in enumerate(VOCABULARY)})
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return str(folder)


def made_up(words, n=120, seed=0):
    """Texts of any split that name their own label among other words."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(words), size=n).tolist()
    texts = [" ".join(rng.permutation([words[label], *rng.choice(["sky", "sea", "plum"], 2)])) for label in labels]
    return LabelledTexts(tuple(texts), tuple(labels), ("train", "test") * (n // 2))


@pytest.fixture
def small_world(backbone, monkeypatch):
    sets = {"colours": COLOURS, "sizes": SIZES, "agnews-test": COLOURS}
    monkeypatch.setattr(claim, "load", lambda name: made_up(sets[name]))
    monkeypatch.setattr(
        claim, "training_tasks", lambda: [claim.labelled(name, "train", sets[name]) for name in ("colours", "sizes")]
    )
    monkeypatch.setattr(claim, "_HELD_OUT", {"sizes": SIZES, "agnews-test": COLOURS})
    monkeypatch.setattr(claim, "_SETTINGS", {**claim._SETTINGS, "backbone": backbone, "learning_rate": 3e-3})
    monkeypatch.setattr(claim, "_ENTAILMENT_SETTINGS", {**claim._ENTAILMENT_SETTINGS, "backbone": backbone})
    monkeypatch.setattr(claim, "cosines", lambda task: np.ones((len(task.texts), len(task.options))))
    small = {"smoke": claim.Sizes(1, 40, 10), "cpu": claim.Sizes(2, 40, 10)}
    monkeypatch.setattr(claim, "_SIZES", small)


def test_the_smoke_run_is_exact_and_learns(small_world):
    outcome = claim.claim_063("smoke")
    assert [one.says for one in outcome.inequalities] == [
        "largest change of a score under 10 orders, as a share of the largest score, <= 1e-5 in every run",
        "the loss falls",
    ]  # fmt: skip
    assert outcome.holds
    assert set(outcome.measurements) == {
        "multiple choice", "without mask and restarted positions", "untrained", "entailment, one pass an option",
        "MiniLM cosine",
    }  # fmt: skip
    for arm in outcome.measurements.values():
        assert list(arm) == ["sizes", "agnews-test", "mean"]
        assert arm["mean"][0] == pytest.approx((arm["sizes"][0] + arm["agnews-test"][0]) / 2)


def test_the_full_run_has_the_inequalities_of_the_check(small_world):
    outcome = claim.claim_063("cpu")
    assert [one.margin for one in outcome.inequalities] == [0.0, 1e-3, 0.15, 0.01, -0.01]
    assert [one.bound for one in outcome.inequalities] == [None, None, 0.0, 0.0, None]
    assert [len(one.differences) for one in outcome.inequalities] == [1, 1, 2, 2, 2]
    assert outcome.inequalities[0].holds
    assert outcome.inequalities[1].holds
    orders = outcome.recorded["over 10 orders of the options"]
    assert all(value == 0 for value in orders["multiple choice"]["sizes, standard deviation of the accuracy"])


def test_held_out_tasks_share_nothing_with_those_of_training():
    assert set(claim._HELD_OUT) == {"agnews-test", "mr", "trec"}
    options = {option for words in claim._HELD_OUT.values() for option in words.values()}
    assert not options & {*claim._R8.values(), *claim._NEWSGROUPS.values(), *claim._SICK.values()}
    assert len(claim._NEWSGROUPS) == 20
    assert len(set(claim._NEWSGROUPS.values())) == 20


def test_an_even_sample_is_even_and_a_plain_one_is_not():
    task = MultipleChoiceTask([f"t{row}" for row in range(100)], ["a", "b"], ["a"] * 90 + ["b"] * 10)
    even = claim.even_sample(task, 16, np.random.default_rng(0))
    assert sorted(even.labels) == ["a"] * 8 + ["b"] * 8
    assert all(task.labels[int(text[1:])] == label for text, label in zip(even.texts, even.labels, strict=True))
    assert len(set(claim.plain_sample(task, 60, np.random.default_rng(0)).texts)) == 60
    assert claim.even_sample(task, 40, np.random.default_rng(0)).labels.count("b") == 10


def test_accuracy_by_hand():
    task = MultipleChoiceTask(["x", "y", "z"], ["a", "b"], ["a", "b", "b"])
    assert claim.accuracy(np.array([[2, 1], [0, 1], [1, 0]]), task) == pytest.approx(2 / 3)


def test_the_ablation_sees_everything_and_counts_on(backbone):
    tokenizer = BertTokenizer.from_pretrained(backbone)
    lines = choice_lines(tokenizer, ["sky", "sky sea plum"], ["red", "green"], max_length=64)
    batch = claim.OrderedChoiceClassifier._collate(lines, tokenizer)
    assert batch["position_ids"].tolist() == [[*range(8), 0, 0], [*range(10)]]
    assert batch["attention_mask"][1].all()
    assert batch["attention_mask"][0, :8, :8].all()
    assert not batch["attention_mask"][0, :8, 8:].any()
    ours = MultipleChoiceClassifier._collate(lines, tokenizer)
    assert (ours["input_ids"] == batch["input_ids"]).all()


def test_entailment_judges_one_option_at_a_time(backbone):
    task = claim.chosen(MultipleChoiceTask(["red sky", "blue sea"], ["red", "blue"], ["red", "blue"]), [0, 1])
    model = claim.EntailmentClassifier(backbone, max_length=64, learning_rate=1e-3).fit([task], 0)
    scores = model.scores(task)
    assert scores.shape == (2, 2)
    with torch.inference_mode():
        alone = model._logits([("blue sea", "red")])[0]
    assert scores[1, 0] == pytest.approx(float(alone[1] - alone[0]), abs=1e-5)
