"""``theatrum classify``: labels, confidence, abstaining, examples, descriptions, and what it refuses."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from theatrum.cli.app import app
from theatrum.cli.classify import read_descriptions

TEXTS = {
    "fruit": ["a sour red apple", "the crisp apple of the orchard", "sweet apple cider", "orchard fruit and cider"],
    "cars": ["a fast red car", "the engine of the car", "wheel and road", "petrol for the engine on the road"],
}


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "texts.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", "topic"])
        rows.writerows([f"{topic}{i}", text, topic] for topic, texts in TEXTS.items() for i, text in enumerate(texts))
    return path


def classify(*arguments, code=0):
    result = CliRunner().invoke(app, ["classify", *map(str, arguments)])
    if code == 0 and result.exception:
        raise result.exception
    return result


def options(tmp_path, *more):
    return ["--labels", "fruit,cars", "--encoder", "lsa", "--store", tmp_path / "store", *more]


@pytest.fixture
def descriptions(tmp_path):
    path = tmp_path / "said.tsv"
    path.write_text("fruit\tapple orchard\nfruit\tcider\n\ncars\tengine on the road\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("method", ["cosine", "label_propagation"])
def test_labels_without_examples(corpus, descriptions, method, tmp_path):
    out = tmp_path / "out.csv"
    classify(corpus, *options(tmp_path, "--method", method, "--descriptions", descriptions, "--out", out))
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows][:2] == ["fruit0", "fruit1"]
    assert all(row["id"].startswith(row["label"]) for row in rows)
    assert all(0.5 <= float(row["confidence"]) <= 1 for row in rows)


def test_abstaining_leaves_labels_empty(corpus, descriptions, tmp_path):
    out = tmp_path / "out.jsonl"
    classify(corpus, *options(tmp_path, "--descriptions", descriptions, "--abstain", 1.0, "--out", out))
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert all(row["label"] is None or row["confidence"] == 1 for row in rows)


def test_examples_are_learnt_from(corpus, descriptions, tmp_path):
    found = classify(
        corpus, *options(tmp_path, "--method", "semantic_ridge", "--descriptions", descriptions),
        "--examples", corpus, "--label-column", "topic",
    )  # fmt: skip
    rows = list(csv.DictReader(line for line in found.stdout.splitlines() if "," in line))
    assert all(row["id"].startswith(row["label"]) for row in rows)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--method", "semantic_ridge"], "learns from examples|call fit"),
        (["--method", "pca"], "'pca' is no predictor"),
        (["--encoder", "pca"], "'pca' is a refiner"),
        (["--labels", "one"], "at least two classes"),
        (["--out", "x.parquet"], "must end in .csv, .tsv or .jsonl"),
        (["--examples", "CORPUS"], "no value in column 'label' .other columns: topic"),
    ],
)
def test_what_is_refused(corpus, descriptions, more, message, tmp_path):
    arguments = [corpus if value == "CORPUS" else value for value in more]
    described = [] if "--labels" in more else ["--descriptions", descriptions]
    with pytest.raises(ValueError, match=message):
        classify(corpus, *options(tmp_path, *described, *arguments))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fruit apple\n", "line 1: expected a name, a tab"),
        ("pears\tgreen\n", "line 1: 'pears' is none of the labels fruit, cars"),
        ("fruit\tapple\n", "'cars' has no description"),
    ],
)
def test_bad_descriptions(text, message, tmp_path):
    path = tmp_path / "d.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_descriptions(path, ["fruit", "cars"])
