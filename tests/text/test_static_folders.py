from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from theatrum.text.static_folders import read_static, static_part, unknown_token

TOKENS = ["[UNK]", "wing", "flow", "heat"]
TABLE = np.arange(12, dtype=np.float32).reshape(4, 3) + 1


def write(folder, arrays, *, config=True, modules=None):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.WordLevel({token: n for n, token in enumerate(TOKENS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(arrays, folder / "model.safetensors")
    if config:
        (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True}))
    if modules is not None:
        (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def test_a_model2vec_folder(tmp_path):
    part = static_part(write(tmp_path / "m", {"embeddings": TABLE}))
    tokenizer, table = read_static(part)
    assert tokenizer.token_to_id("heat") == 3
    assert table[0].tolist() == [0, 0, 0]  # unknown tokens are left out of the mean
    np.testing.assert_array_equal(table[1:], TABLE[1:])


def test_shared_rows_weights_and_half_precision(tmp_path):
    arrays = {"embeddings": TABLE[:2].astype(np.float16), "mapping": np.array([0, 1, 1, 0]), "weights": np.arange(4.0)}
    table = read_static(static_part(write(tmp_path / "m", arrays)))[1]
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table[1:], [TABLE[1], TABLE[1] * 2, TABLE[0] * 3])


def test_a_sentence_transformers_folder(tmp_path):
    modules = [{"idx": 0, "path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding"}]
    write(tmp_path / "m" / "0_StaticEmbedding", {"embedding.weight": TABLE}, config=False)
    (tmp_path / "m" / "modules.json").write_text(json.dumps(modules))
    np.testing.assert_array_equal(read_static(static_part(tmp_path / "m"))[1], TABLE)


def test_a_transformer_is_not_static(tmp_path, tiny_model_folder):
    assert static_part(tiny_model_folder) is None
    assert static_part(tmp_path) is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": TABLE}, "no table of token vectors"),
        ({"embeddings": TABLE[:2]}, "knows 4 tokens, the table has 2 rows"),
        ({"embeddings": np.where(TABLE == 5, np.nan, TABLE)}, "row 1 holds NaN"),
    ],
)
def test_bad_tables_are_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        read_static(write(tmp_path / "m", arrays))


def test_missing_and_damaged_files_are_named(tmp_path):
    folder = write(tmp_path / "m", {"embeddings": TABLE})
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        read_static(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        read_static(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        static_part(folder)


def test_the_unknown_token_of_each_kind_of_model():
    assert unknown_token(Tokenizer(models.Unigram([("a", 0.0), ("?", -1.0)], unk_id=1))) == 1
    assert unknown_token(Tokenizer(models.WordPiece({"a": 0, "?": 1}, unk_token="?"))) == 1
    assert unknown_token(Tokenizer(models.BPE({"a": 0}, []))) is None
