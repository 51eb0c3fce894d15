"""The runner records everything that a reader needs to measure again."""

from __future__ import annotations

import json

import pytest

from theatrum.atlas import entry
from theatrum.claims import runner
from theatrum.claims.outcome import Inequality, Outcome


@pytest.fixture
def fake_claim(monkeypatch):
    outcome = Outcome(
        {"ours": {"map": [0.5, 0.6]}, "pca": {"map": [0.4, 0.4]}},
        [Inequality("ours >= pca", [0.1, 0.2], "seeds"), Inequality("once", [1.0], "seeds", bound=None)],
        notes="made up",
    )
    monkeypatch.setattr(runner, "find_claim", lambda number: (entry(number), lambda scale: outcome))


def test_record_round_trip(fake_claim, tmp_path):
    record = runner.measure(89, "cpu")
    path = runner.write_record(record, tmp_path)
    found = json.loads(path.read_text())
    assert path.name == "089.json"
    assert found["holds"] is record.holds is False  # two seeds: 0.15 is within noise
    assert [one["holds"] for one in found["inequalities"]] == [False, True]
    assert found["inequalities"][1]["low"] is None
    assert found["measurements"]["ours"]["map"] == [0.5, 0.6]
    assert found["versions"]["numpy"] and found["date"] and found["scale"] == "cpu" and found["machine"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_smoke_run_stays_out_of_the_ledger(fake_claim, tmp_path):
    with pytest.raises(ValueError, match="does not belong in the ledger"):
        runner.write_record(runner.measure(89, "smoke"), tmp_path)


def test_unknown_scale(fake_claim):
    with pytest.raises(ValueError, match="scale must be one of smoke, cpu, gpu, got 'huge'"):
        runner.measure(89, "huge")


@pytest.mark.parametrize("number", [89, 92, 82])
def test_written_claims_are_found(number):
    assert runner.find_claim(number)[1].__name__ == f"claim_{number:03d}"


def test_unwritten_claim_says_so():
    with pytest.raises(ValueError, match=r"row 115 .* has no claim yet"):
        runner.find_claim(115)
