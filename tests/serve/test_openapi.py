"""The description of the API against the API: hundreds of made-up requests, and the page made from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# What fits the schema must be accepted, but for two fields that depend on the pipeline: a filter may name an attribute
# that is not there, and a number of dimensions may be impossible.
SETTINGS = """
[[operations]]
include-name = ["POST /search", "POST /v1/embeddings"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "429", "400"]
"""


def test_nothing_made_up_breaks_the_service_or_its_description(address, tmp_path):
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    options = ["--checks", "all", "--max-examples", "15", "--generation-deterministic", "--no-color"]
    done = subprocess.run(
        [SCHEMATHESIS, "--config-file", settings, "run", f"{address}/openapi.json", *options],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "12 selected / 12 total" in done.stdout


def test_the_page_about_the_api_names_everything(client):
    page = client.get("/docs").text
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in methods.values():
            assert "422" not in operation["responses"]
    assert "list of string" in page
    assert "<script" not in page
    assert "http://" not in page and "https://" not in page
