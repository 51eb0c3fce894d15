import subprocess
import sys

import pytest

import theatrum.evaluate


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_every_name_is_handed_out():
    assert dir(theatrum.evaluate) == sorted(theatrum.evaluate.__all__)
    for name in theatrum.evaluate.__all__:
        assert callable(getattr(theatrum.evaluate, name)), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        theatrum.evaluate.nothing  # noqa: B018


def test_functions_named_like_their_module_stay_functions():
    code = "import theatrum.evaluate.isotropy; from theatrum.evaluate import isotropy; print(callable(isotropy))"
    assert run(code) == "True"


def test_import_loads_nothing_heavy():
    code = "import sys, theatrum.evaluate; print([m for m in ('scipy', 'sklearn', 'torch') if m in sys.modules])"
    assert run(code) == "[]"
