"""What `import theatrum` adds to a bare interpreter, and how soon `theatrum --help` answers.

Limits: 0.15 s added by the import, 0.5 s for the help. Prints one JSON line.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 9
THEATRUM = str(Path(sys.executable).with_name("theatrum"))


def seconds(*command: str) -> float:
    """Wall-clock time of a whole process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Interleave the three commands, so that the machine's moods hit all alike."""
    times: dict[str, list[float]] = {"bare": [], "import": [], "help": []}
    for _ in range(ROUNDS):
        times["bare"].append(seconds(sys.executable, "-c", "pass"))
        times["import"].append(seconds(sys.executable, "-c", "import theatrum"))
        times["help"].append(seconds(THEATRUM, "--help"))
    bare = statistics.median(times["bare"])
    added = statistics.median(times["import"]) - bare
    answer = statistics.median(times["help"])
    noise = statistics.quantiles(times["bare"], n=4)[2] - statistics.quantiles(times["bare"], n=4)[0]
    row = {"import_adds_s": added, "limit_s": 0.15, "help_s": answer, "help_limit_s": 0.5, "noise_s": noise}
    print(json.dumps({name: round(value, 4) for name, value in row.items()}))


if __name__ == "__main__":
    main()
