"""Folders appear whole, open again, and refuse what is damaged or foreign."""

from __future__ import annotations

import json

import numpy as np
import pytest

import theatrum
from theatrum.persistence import fresh_folder, parameters, read_config
from theatrum.refine.truncation import Truncation


@pytest.fixture
def saved(tmp_path):
    theatrum.save(Truncation(2).fit(np.eye(4, dtype=np.float32)), tmp_path / "cut")
    return tmp_path / "cut"


def test_round_trip(saved):
    part = theatrum.open(saved)
    assert part.n_components == 2
    assert part.transform(np.eye(4, dtype=np.float32)).shape == (4, 2)


def test_nothing_is_left_when_writing_fails(tmp_path):
    with pytest.raises(RuntimeError), fresh_folder(tmp_path / "new") as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_old_folder_stays_when_writing_fails(saved):
    before = (saved / "config.json").read_bytes()
    with pytest.raises(RuntimeError), fresh_folder(saved) as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert (saved / "config.json").read_bytes() == before


def test_saving_again_replaces(saved):
    theatrum.save(Truncation(3).fit(np.eye(4, dtype=np.float32)), saved)
    assert theatrum.open(saved).n_components == 3
    assert [path.name for path in saved.parent.iterdir()] == ["cut"]


def test_foreign_folder_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not written by theatrum"):
        theatrum.save(Truncation(2).fit(np.eye(4)), tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_newer_format_says_so(saved):
    edit(saved, format=99)
    with pytest.raises(ValueError, match="format 99, this theatrum reads up to 1"):
        theatrum.open(saved)


@pytest.mark.parametrize("number", [None, "1", True])
def test_missing_format_says_so(saved, number):
    edit(saved, format=number)
    with pytest.raises(ValueError, match="no format number"):
        read_config(saved)


def test_broken_json_says_so(saved):
    (saved / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        theatrum.open(saved)


def test_not_a_folder_of_ours(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a saved part"):
        theatrum.open(tmp_path)


def test_a_foreign_config_cannot_replace_a_method(saved):
    edit(saved, fitted={"transform": 1})
    with pytest.raises(ValueError, match="'transform' is not a fitted attribute"):
        theatrum.open(saved)


def test_a_foreign_config_cannot_name_an_import_path(saved):
    edit(saved, part="os:system")
    with pytest.raises(ValueError, match="no part is called 'os:system'"):
        theatrum.open(saved)


def test_damaged_arrays_say_so(tmp_path):
    from theatrum.refine.whitening import Whitening

    theatrum.save(Whitening().fit(np.random.default_rng(0).normal(size=(50, 4))), tmp_path / "w")
    (tmp_path / "w" / "arrays.safetensors").write_bytes(b"\x10garbage")
    with pytest.raises(ValueError, match="damaged or cut short"):
        theatrum.open(tmp_path / "w")


def test_only_changed_parameters_are_kept():
    assert parameters(Truncation(5)) == {"n_components": 5}


def stacked(path):
    from theatrum.predict.calibrated_stacking import CalibratedStacking
    from theatrum.predict.semantic_ridge import SemanticRidge

    theatrum.save(CalibratedStacking(SemanticRidge(alpha=0.5)), path)
    return path


def test_a_part_as_a_parameter_has_a_folder_of_its_own(tmp_path):
    path = stacked(tmp_path / "s")
    assert read_config(path)["parts"] == ["base"]
    assert theatrum.open(path).base.alpha == 0.5


@pytest.mark.parametrize("name", ["../../other", "a/b", "", 3])
def test_a_foreign_config_cannot_point_to_other_folders(name, tmp_path):
    path = stacked(tmp_path / "s")
    edit(path, parts=[name])
    with pytest.raises(ValueError, match="'parts' must list names of parameters"):
        theatrum.open(path)


def test_damaged_fitted_values_say_so(tmp_path):
    from theatrum.predict.class_name_cosine import ClassNameCosine

    theatrum.save(ClassNameCosine().fit(np.eye(2), ["a", "b"]), tmp_path / "c")
    (tmp_path / "c" / "fitted.json").write_text("{")
    with pytest.raises(ValueError, match="damaged or edited"):
        theatrum.open(tmp_path / "c")
