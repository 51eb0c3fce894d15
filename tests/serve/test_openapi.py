"""The description of the API against the API: hundreds of made-up requests, and the page made from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


def test_nothing_made_up_breaks_the_service_or_its_description(address, tmp_path):
    # A well-formed filter may name an attribute that is not there, and a number of dimensions may be impossible: such
    # requests fit the schema and are refused with 400 all the same. Every other check is made.
    options = ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--max-examples", "15"]
    done = subprocess.run(
        [SCHEMATHESIS, "run", f"{address}/openapi.json", *options, "--generation-deterministic", "--no-color"],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "13 selected / 13 total" in done.stdout


def test_the_page_about_the_api_names_everything(client):
    page = client.get("/docs").text
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in methods.values():
            assert "422" not in operation["responses"]
    assert "list of string" in page
    assert "<script" not in page
    assert "http://" not in page and "https://" not in page
