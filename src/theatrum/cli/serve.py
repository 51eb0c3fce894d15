"""``theatrum serve``: a winner over HTTP, until it is stopped."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from theatrum.cli.streams import remarks
from theatrum.contracts import TruncationWarning
from theatrum.extras import require

_GRACE = 30  # seconds that requests under way have to end after a stop


def run_serve(
    winner: Path, compare: Sequence[Path], host: str, port: int, keys: Path | None, limits: dict[str, int | bool]
) -> None:
    """Open, listen, answer, and stop well."""
    # Before anything loads OpenMP: its threads would spin between requests, and take the cores from the others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for module in ("fastapi", "uvicorn", "prometheus_client"):
        require(module, "serve")
    import uvicorn

    from theatrum.serve import Settings, create_app, open_served
    from theatrum.serve.access import check_exposure, listen, read_keys
    from theatrum.serve.request_log import configure

    api_keys = read_keys(keys)
    check_exposure(host, api_keys)
    settings = Settings(api_keys=api_keys, **limits)  # type: ignore[arg-type]  # checked by Settings
    served = [open_served(folder) for folder in (winner, *compare)]
    app = create_app(served, settings)
    # Cut texts are counted in the answers; the map may ask LSA for more dimensions than a small corpus has.
    warnings.simplefilter("ignore", TruncationWarning)
    warnings.filterwarnings("ignore", message="LatentSemanticEncoder: the corpus")
    configure(texts=settings.log_texts)
    with listen(host, port) as door:
        shown = f"[{host}]" if ":" in host else host
        for one in served:
            remarks.print(f"serving {one.name}: {one.pipeline}, {len(one.pipeline):,} documents", markup=False)
        remarks.print(f"http://{shown}:{door.getsockname()[1]}/  (stop with Ctrl-C)", markup=False)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE
        )
        # Being told to stop is a good end: uvicorn raises the signal again when all requests are answered.
        for told in (signal.SIGTERM, signal.SIGINT):
            signal.signal(told, lambda number, frame: sys.exit(0))
        uvicorn.Server(config).run(sockets=[door])
