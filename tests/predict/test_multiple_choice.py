"""The multiple-choice classifier on a tiny BERT: exchangeable options, both attentions, losses, learning, bad input."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer, DistilBertConfig, DistilBertModel

import theatrum
from theatrum.contracts import TruncationWarning
from theatrum.predict import multiple_choice as module
from theatrum.predict.multiple_choice import (
    MultipleChoiceClassifier,
    MultipleChoiceTask,
)
from theatrum.predict.multiple_choice_inputs import build_multiple_choice_inputs, collate
from theatrum.predict.multiple_choice_network import (
    additive_mask,
    answer_logits,
    choice_loss,
    drawn_options,
    hidden_states,
    hide_text,
    shuffled_batches,
    yes_no_loss,
)
from theatrum.text.minilm import packaged_folder

WORDS = "yes no red green blue large small apple pear plum sky sea is a the and of what colour size fruit or".split()
TEXTS = ["the sky is a large pear", "apple", "the sea and the sky and the plum", "small green", "of what is the sea"]
OPTIONS = ["red", "large green fruit", "small", "blue or green"]


def write_bert(folder, cls=BertModel, *, seed=0, **config):
    """A tiny random BERT with its tokenizer."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    BertTokenizer(vocab={word: row for row, word in enumerate(vocabulary)}).save_pretrained(folder)
    torch.manual_seed(seed)
    sizes = {
        "vocab_size": len(vocabulary), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 80, "initializer_range": 0.3,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    cls(BertConfig(**{**sizes, **config})).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return str(write_bert(tmp_path_factory.mktemp("bert")))


def colours(n=60, seed=0):
    """Texts that name a colour among other words; the option of that colour is right."""
    rng = np.random.default_rng(seed)
    options = ["red", "green", "blue"]
    labels = rng.choice(options, size=n).tolist()
    fillers = ["the", "sky", "sea", "is", "a", "plum"]
    texts = [" ".join(rng.permutation([label, *rng.choice(fillers, size=3)])) for label in labels]
    return MultipleChoiceTask(texts, options, labels, name="colours")


def classifier(backbone, **more):
    return MultipleChoiceClassifier(
        backbone, **{"max_length": 64, "learning_rate": 1e-3, "random_state": 0, "device": "cpu", **more}
    )


@pytest.fixture(scope="module")
def fitted(backbone):
    return classifier(backbone, epochs=2).fit([colours()])


# Options are exchangeable.


def test_permuted_options_have_permuted_scores(fitted):
    scores = fitted.decision_function(TEXTS, OPTIONS, question="what is it")
    assert np.ptp(scores, axis=1).min() > 1e-3  # not all the same, or there would be nothing to see
    rng = np.random.default_rng(0)
    for _ in range(5):
        order = rng.permutation(len(OPTIONS))
        turned = fitted.decision_function(TEXTS, [OPTIONS[place] for place in order], question="what is it")
        assert np.abs(turned - scores[:, order]).max() < 1e-5


@pytest.mark.parametrize("gone", [{"attention_mask"}, {"position_ids"}, {"attention_mask", "position_ids"}])
def test_without_mask_or_positions_they_do_not(fitted, gone, monkeypatch):
    def layout(lines, tokenizer):
        batch = collate(lines, tokenizer)
        if "attention_mask" in gone:
            batch["attention_mask"][:] = True
        if "position_ids" in gone:
            batch["position_ids"][:] = np.arange(batch["position_ids"].shape[1])
        return batch

    monkeypatch.setattr(fitted, "_collate", layout)
    scores, turned = (fitted.decision_function(TEXTS[:1], options) for options in (OPTIONS, OPTIONS[::-1]))
    if gone == {"attention_mask"}:
        assert np.ptp(scores) < 1e-5  # at equal positions, [O] that see everything cannot be told apart
    else:
        assert np.abs(turned - scores[:, ::-1]).max() > 1e-3


def test_one_more_option_changes_the_scores_of_the_others(fitted):
    few, more = (fitted.decision_function(TEXTS, OPTIONS[:n]) for n in (3, 4))
    assert np.abs(more[:, :3] - few).max() > 1e-3  # documented: the text sees all options


def test_the_mask_reaches_both_kinds_of_attention(backbone):
    """Eager and SDPA agree with each other, and with a model that computes attention by hand."""
    tokenizer = BertTokenizer.from_pretrained(backbone)
    inputs = build_multiple_choice_inputs(tokenizer, TEXTS, OPTIONS, max_length=64)
    found = {}
    for kind in ("eager", "sdpa"):
        model = BertModel.from_pretrained(backbone, attn_implementation=kind).eval()
        assert model.config._attn_implementation == kind
        with torch.inference_mode():
            masked = hidden_states(_Wrapped(model), inputs)
            free = hidden_states(_Wrapped(model), {**inputs, "attention_mask": np.ones_like(inputs["attention_mask"])})
        found[kind] = masked.numpy()
        assert np.isfinite(found[kind]).all()  # padded rows too
        assert np.abs(found[kind] - free.numpy()).max() > 1e-2  # the mask is not passed over
    assert np.abs(found["eager"] - found["sdpa"]).max() < 1e-5
    assert np.abs(found["sdpa"] - by_hand(model, inputs)).max() < 1e-4


class _Wrapped:
    """A bare BERT where a model with a head is expected."""

    def __init__(self, bert):
        self.bert, self.device = bert, bert.device


def by_hand(model, inputs):
    """BERT written out in NumPy: softmax over the columns that the mask allows, and over no others."""
    p = {name: value.detach().numpy().astype(np.float64) for name, value in model.named_parameters()}

    def linear(x, name):
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def normal(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def gelu(x):
        return torch.nn.functional.gelu(torch.from_numpy(x)).numpy()

    tables = {"word": "input_ids", "position": "position_ids", "token_type": "token_type_ids"}
    x = sum(p[f"embeddings.{name}_embeddings.weight"][inputs[key]] for name, key in tables.items())
    x = normal(x, "embeddings.LayerNorm")
    b, t, d = x.shape
    for layer in range(2):
        at = f"encoder.layer.{layer}"
        q, k, v = (
            linear(x, f"{at}.attention.self.{one}").reshape(b, t, 2, d // 2).swapaxes(1, 2)
            for one in ("query", "key", "value")
        )
        odds = np.exp(q @ k.swapaxes(2, 3) / np.sqrt(d // 2)) * inputs["attention_mask"][:, None]
        seen = (odds / odds.sum(-1, keepdims=True) @ v).swapaxes(1, 2).reshape(b, t, d)
        x = normal(x + linear(seen, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        wide = gelu(linear(x, f"{at}.intermediate.dense"))
        x = normal(x + linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return x


def test_additive_mask():
    mask = additive_mask(torch.tensor([[[True, False], [True, True]]]))
    assert mask.shape == (1, 1, 2, 2)
    assert mask[0, 0, 0, 1] < -1e38
    assert (mask == 0).sum() == 3


# Scores and losses.


def test_scores_are_the_yes_logits_of_the_full_head(fitted):
    """Two rows of the decoder give what the whole masked-language-model head gives."""
    inputs = build_multiple_choice_inputs(fitted.network_.tokenizer, TEXTS, OPTIONS, max_length=64)
    with torch.inference_mode():
        whole = fitted.network_.model.cls(hidden_states(fitted.network_.model, inputs)).numpy()
    yes = fitted.network_.tokenizer.convert_tokens_to_ids("yes")
    slow = np.take_along_axis(whole[..., yes], inputs["option_positions"], axis=1)
    scores = fitted.decision_function(TEXTS, OPTIONS)
    assert np.abs(scores - slow).max() < 1e-4
    proba = fitted.predict_proba(TEXTS, OPTIONS)
    assert proba.dtype == np.float32
    assert np.allclose(proba, np.exp(slow) / np.exp(slow).sum(axis=1, keepdims=True), atol=1e-4)
    assert fitted.predict(TEXTS, OPTIONS).tolist() == [OPTIONS[best] for best in slow.argmax(axis=1)]


def test_losses_by_hand():
    answers = torch.tensor([[[2.0, 1.0], [0.0, 1.0], [1.0, 3.0]], [[0.5, 0.0], [1.0, 1.0], [-torch.inf, -torch.inf]]])
    right = torch.tensor([0, 1])
    choice = [-2 + np.log(np.exp([2.0, 0.0, 1.0]).sum()), -1 + np.log(np.exp([0.5, 1.0]).sum())]
    assert float(choice_loss(answers, right)) == pytest.approx(np.mean(choice), rel=1e-5)
    pairs = [(2.0, 1.0), (1.0, 0.0), (3.0, 1.0), (0.0, 0.5), (1.0, 1.0)]  # logit of the right word, and of the other
    slow = [np.log1p(np.exp(other - wanted)) for wanted, other in pairs]
    assert float(yes_no_loss(answers, right)) == pytest.approx(np.mean(slow), rel=1e-5)


def test_missing_options_get_no_answer(fitted):
    states = torch.randn(2, 5, 32)
    answers = answer_logits(fitted.network_.model, states, np.array([[1, 2, 3], [1, 2, -1]]), [5, 6])
    assert torch.isinf(answers[1, 2]).all()
    assert torch.isfinite(answers[1, :2]).all()


def test_a_new_head_starts_as_the_identity_and_an_old_one_is_kept(backbone, tmp_path):
    new = classifier(backbone, epochs=0).fit([colours(4)]).network_.model
    assert torch.equal(new.cls.predictions.transform.dense.weight, torch.eye(32))
    assert new.cls.predictions.decoder.weight is new.bert.embeddings.word_embeddings.weight
    old = BertForMaskedLM.from_pretrained(write_bert(tmp_path, BertForMaskedLM))
    kept = classifier(str(tmp_path), epochs=0).fit([colours(4)])
    assert kept.losses_.shape == (0,)
    assert all(torch.equal(a, b) for a, b in zip(old.parameters(), kept.network_.model.parameters(), strict=True))


# Learning.


@pytest.mark.parametrize("weights", [{}, {"mlm_weight": 1.0}, {"choice_weight": 0.0}])
def test_it_learns_and_the_loss_falls(backbone, weights):
    model = classifier(backbone, epochs=12, **weights).fit([colours(400)])
    losses = model.losses_
    assert len(losses) == 12 * 25
    assert losses[-25:].mean() < 0.8 * losses[:25].mean()
    test = colours(60, seed=1)
    assert (model.predict(test.texts, test.options) == test.labels).mean() > 0.9


def test_the_weights_of_the_loss(backbone):
    """Without dropout and hidden words the first loss is the sum of its parts."""
    quiet = {"batch_size": 60}
    both, words_only = (
        classifier(backbone, choice_weight=weight, **quiet).fit([colours()]).losses_[0] for weight in (1.0, 0.0)
    )
    twice = classifier(backbone, choice_weight=2.0, **quiet).fit([colours()]).losses_[0]
    assert twice - both == pytest.approx(both - words_only, rel=1e-4)
    assert both > words_only > 0


def test_questions_pairs_and_many_options_are_learnt_from(backbone):
    many = MultipleChoiceTask(["sky", "sea"], [f"{a} {b}" for a in WORDS for b in WORDS[:8]], ["yes red", "no yes"])
    pairs = MultipleChoiceTask(["sky"], ["a", "b"], ["a"], question="what is it", texts_b=["the sea"])
    model = classifier(backbone, max_options=5).fit([many, pairs, colours(10)])
    assert np.isfinite(model.losses_).all()
    assert model.predict(["sky"], ["a", "the"], "what is it", ["the sea"]).shape == (1,)
    scores = [model.decision_function(["sky"], ["a", "the"], "what is it", [b])[0, 0] for b in ("sea", "plum")]
    assert scores[0] != scores[1]


def test_training_follows_its_random_state(backbone):
    one, again, other = (classifier(backbone, random_state=seed).fit([colours()]) for seed in (0, 0, 1))
    assert one.losses_.tolist() == again.losses_.tolist()
    assert one.losses_.tolist() != other.losses_.tolist()
    scores = [model.decision_function(TEXTS, OPTIONS) for model in (one, again, other)]
    assert (scores[0] == scores[1]).all()
    assert (scores[0] != scores[2]).any()


def test_nobody_elses_random_numbers_are_touched(backbone):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    classifier(backbone).fit([colours(4)])
    assert torch.equal(torch.rand(2), expected)


def test_drawn_options_hold_the_right_one_at_every_place_alike():
    rng = np.random.default_rng(0)
    places = Counter()
    for _ in range(4000):
        chosen = drawn_options(30, 7, 5, rng)
        assert len(set(chosen.tolist())) == 5
        places[chosen.tolist().index(7)] += 1
    assert set(places) == set(range(5))
    assert max(places.values()) < 1.15 * min(places.values())
    few = Counter(drawn_options(3, 1, 12, rng).tolist().index(1) for _ in range(3000))
    assert max(few.values()) < 1.15 * min(few.values())
    others = Counter(other for _ in range(3000) for other in drawn_options(6, 2, 3, rng).tolist() if other != 2)
    assert sorted(others) == [0, 1, 3, 4, 5]


def test_words_are_hidden_at_the_shares_of_the_paper():
    rng = np.random.default_rng(0)
    ids = np.full((4000, 60), 7)
    text = np.zeros(ids.shape, dtype=bool)
    text[:, 10:] = True
    inputs, hidden = hide_text(ids, text, 1000, 4, rng)
    assert not hidden[:, :10].any()
    assert (inputs[~hidden] == 7).all()
    shares = hidden[:, 10:].mean(axis=1)
    assert abs((shares == 0).mean() - 0.3 - 0.3 * 0.9**50) < 0.03  # none at share 0, and by chance at 0.1
    assert abs(shares.mean() - (0.3 * 0.1 + 0.25 * 0.2 + 0.15 * 0.3)) < 0.005
    assert abs((inputs[hidden] == 4).mean() - 0.8) < 0.01
    assert abs((inputs[hidden] == 7).mean() - 0.1) < 0.01


def test_batches_of_an_epoch_hold_every_example_once():
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 90, size=1003)
    batches = shuffled_batches(lengths, 8, rng)
    assert sorted(np.concatenate(batches).tolist()) == list(range(1003))
    assert max(map(len, batches)) == 8
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()
    assert [batch.tolist() for batch in shuffled_batches([3, 3], 4, rng)] in ([[0, 1]], [[1, 0]])


# Using it.


def test_batches_blocks_and_progress_change_nothing(fitted, monkeypatch, capsys):
    texts = [f"{a} {b} {c}" for a in WORDS[:6] for b in WORDS[6:9] for c in WORDS[9:11]]
    expected = fitted.decision_function(texts, OPTIONS)
    monkeypatch.setattr(module, "_BLOCK", 7)
    monkeypatch.setattr(fitted, "batch_size", 3)
    found = fitted.decision_function(texts, OPTIONS, show_progress=True)
    assert np.abs(found - expected).max() < 1e-5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "choosing" in captured.err
    texts[30] = " "
    with pytest.raises(ValueError, match="texts: row 30 "):
        fitted.predict(texts, OPTIONS)


def test_no_texts_no_choices(fitted):
    assert fitted.predict([], OPTIONS).shape == (0,)
    assert fitted.predict_proba([], OPTIONS).shape == (0, 4)


def test_what_is_cut_is_told(fitted, backbone):
    with pytest.warns(TruncationWarning, match="of 2 texts, 1 were cut and 0 had their options cut to fit 64 tokens"):
        fitted.predict(["sea", "sky " * 90], OPTIONS)
    with pytest.warns(TruncationWarning, match="of 1 texts, 0 were cut and 1 had their options cut"):
        fitted.predict(["sea"], ["red " * 30, "blue " * 30])
    with pytest.warns(TruncationWarning, match="of 1 texts, 1 were cut"):
        classifier(backbone).fit([MultipleChoiceTask(["sky " * 90], ["red", "blue"], ["red"])])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(["sea"], OPTIONS)


def test_save_and_open(fitted, tmp_path, backbone):
    theatrum.save(fitted, tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["config.json", "losses.safetensors", "model"]
    assert not [file for file in (tmp_path / "m").rglob("*") if file.suffix in (".bin", ".pkl", ".pt")]
    opened = theatrum.open(tmp_path / "m")
    assert isinstance(opened, MultipleChoiceClassifier)
    assert (opened.decision_function(TEXTS, OPTIONS) == fitted.decision_function(TEXTS, OPTIONS)).all()
    assert opened.losses_.tolist() == fitted.losses_.tolist()
    assert BertForMaskedLM.from_pretrained(tmp_path / "m" / "model").config.hidden_size == 32  # a standard folder
    again = classifier(str(tmp_path / "m" / "model")).fit([colours(4)])  # which one can go on from
    assert len(again.losses_) == 1
    with pytest.raises(NotFittedError):
        theatrum.save(classifier(backbone), tmp_path / "n")


def test_damaged_folders_say_so(fitted, tmp_path):
    theatrum.save(fitted, tmp_path / "m")
    weights = tmp_path / "m" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be used as a model"):
        theatrum.open(tmp_path / "m")


def test_it_is_a_scikit_learn_citizen(backbone):
    model = classifier(backbone, epochs=3)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict(TEXTS, OPTIONS)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": ["red"]}, "fruit: labels: 1 for 2 texts"),
        ({"labels": ["red", "pink"]}, "fruit: labels: row 1 is 'pink', which is none of the options"),
        ({"labels": [0, 1]}, "fruit: labels: row 0 is int, expected a text"),
        ({"texts": [], "labels": []}, "fruit: texts: there is none to learn from"),
        ({"texts": "apple"}, "fruit: texts: expected a list of texts"),
        ({"texts_b": ["a"]}, "fruit: texts_b: 1 texts for 2 in texts"),
        ({"options": ["red", "red"]}, "fruit: options: 'red' stands there twice"),
        ({"options": ["red"]}, "fruit: options: 1 given"),
    ],
)
def test_bad_tasks(more, message):
    task = {"texts": ["apple", "pear"], "options": ["red", "green"], "labels": ["red", "green"], "name": "fruit"}
    with pytest.raises(ValueError, match=message):
        MultipleChoiceTask(**{**task, **more})


@pytest.mark.parametrize(
    ("parameters", "tasks", "message"),
    [
        ({}, [], "tasks: there is none to learn from"),
        ({}, colours(4), "expected a list of MultipleChoiceTask"),
        ({}, [("apple", "red")], "expected a list of MultipleChoiceTask"),
        ({}, [MultipleChoiceTask(["sky", " "], ["red", "blue"], ["red", "red"])], r"task: texts: row 1 \(' '\) has no"),
        ({"yes_token": "yesterday"}, None, "yes_token: 'yesterday' is no single word piece"),
        ({"no_token": "no no"}, None, "no_token: 'no no' is no single word piece"),
        ({"no_token": "yes"}, None, "yes_token and no_token are the same"),
        ({"max_length": 81}, None, "max_length is 81; .* reads at most 80 tokens"),
        ({"max_length": 20}, None, "max_length must be a whole number of at least 48"),
        ({"learning_rate": 0.0}, None, "learning_rate must be a number of at|above 0"),
        ({"max_options": 1}, None, "max_options must be a whole number of at least 2"),
        ({"backbone": "no/such/folder"}, None, "backbone: 'no/such/folder' is no folder"),
    ],
)
def test_bad_fits(backbone, parameters, tasks, message):
    with pytest.raises(ValueError, match=message):
        classifier(**{"backbone": backbone, **parameters}).fit([colours(4)] if tasks is None else tasks)


def test_other_kinds_of_model_are_refused(backbone, tmp_path):
    BertTokenizer.from_pretrained(backbone).save_pretrained(tmp_path)
    DistilBertModel(DistilBertConfig(vocab_size=30, dim=32, n_layers=1, n_heads=2, hidden_dim=32)).save_pretrained(
        tmp_path
    )
    with pytest.raises(ValueError, match="it is of the type 'distilbert', and a BERT is needed"):
        classifier(str(tmp_path)).fit([colours(4)])


@pytest.mark.skipif(packaged_folder() is None, reason="the weights of MiniLM are not installed")
def test_minilm_is_found():
    model = MultipleChoiceClassifier(epochs=0, max_length=64, device="cpu").fit([colours(4)])
    assert model.network_.model.config.num_hidden_layers == 6
    scores = model.decision_function(["a goal"], ["sports", "world news"])
    turned = model.decision_function(["a goal"], ["world news", "sports"])
    assert np.abs(turned[:, ::-1] - scores).max() < 1e-4
