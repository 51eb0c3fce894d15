"""Code kept on disk for one thread is never run for all, nor the other way round."""

import subprocess
import sys
import textwrap

CODE = """
import numpy as np
from numba import prange
from theatrum.search.compiled_twice import for_one_and_all

def total(values):
    found = 0.0
    for at in prange(len(values)):
        found += values[at]
    return found

alone, together = for_one_and_all(total)
X = np.arange(1000.0)
for run in (alone, together):
    assert run(X) == X.sum()
    print(len(run.stats.cache_hits))
"""


def test_each_process_runs_what_it_means_to(tmp_path):
    script = tmp_path / "loop.py"
    script.write_text(textwrap.dedent(CODE))
    runs = [
        subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=200, check=True).stdout.split(
            "\n"
        )
        for _ in range(2)
    ]
    assert [run[:2] for run in runs] == [["0", "0"], ["1", "1"]]  # compiled, and found on disk
    assert len(list((tmp_path / "__pycache__").glob("*.nbi"))) == 2
