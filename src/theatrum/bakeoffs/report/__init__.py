"""The report of a bake-off: one offline HTML file, pictures first."""

from __future__ import annotations

from theatrum.bakeoffs.report.page import render_report

__all__ = ["render_report"]
