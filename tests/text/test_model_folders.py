from __future__ import annotations

import hashlib
import os

import pytest

from theatrum.text.model_folders import file_digest, folder_digest, model_folder


def test_file_digest_is_sha256_and_sees_a_change(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"wing")
    assert file_digest(path) == hashlib.sha256(b"wing").hexdigest()
    path.write_bytes(b"flow")
    os.utime(path, ns=(1, 1))
    assert file_digest(path) == hashlib.sha256(b"flow").hexdigest()


def test_folder_digest_counts_only_what_decides_the_vectors(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "onnx").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    first = folder_digest(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / "onnx" / "config.json").write_text("{}")
    assert folder_digest(tmp_path) == first
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    assert folder_digest(tmp_path) != first


def test_a_folder_is_found_as_it_is(tmp_path):
    assert model_folder(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["/no/such/model", "./model", "~/model", "a/b/c"])
def test_a_missing_folder_is_not_taken_for_a_name(name):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        model_folder(name)


def test_a_name_is_found_in_the_cache_or_told(monkeypatch, tmp_path):
    import huggingface_hub

    asked = []

    def snapshot(name, **options):
        asked.append(name)
        if options.get("local_files_only") and name == "sentence-transformers/cached":
            return str(tmp_path)
        if options.get("local_files_only"):
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert model_folder("cached") == tmp_path
    with pytest.raises(OSError, match="cannot be downloaded: no network"):
        model_folder("owner/absent")
    assert asked == ["sentence-transformers/cached", "owner/absent", "owner/absent"]
