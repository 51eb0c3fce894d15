"""The command line: parses, calls, prints."""

from __future__ import annotations


def main() -> None:
    """Run the command line; mistakes of input end with one clear sentence and exit code 2."""
    from theatrum.cli.app import run

    run()
