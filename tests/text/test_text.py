from __future__ import annotations

import subprocess
import sys

import pytest

import theatrum.text


def test_names_are_handed_on_lazily():
    code = (
        "import sys, theatrum.text; assert not {'torch', 'sklearn', 'numpy'} & set(sys.modules);"
        "theatrum.text.BM25; theatrum.text.MiniLM;"
        "assert not {'torch', 'sklearn', 'bm25s', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_listed_and_unknown_ones_are_refused():
    assert dir(theatrum.text) == sorted(theatrum.text.__all__)
    assert set(theatrum.text.__all__) == set(theatrum.text._EXPORTS)
    with pytest.raises(AttributeError, match="no attribute 'Word2Vec'"):
        _ = theatrum.text.Word2Vec
