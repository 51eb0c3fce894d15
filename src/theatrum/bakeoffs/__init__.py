"""The main job: a field of pipelines measured on one corpus, judged, and reported."""

from __future__ import annotations

from theatrum.bakeoffs.field import check_field, default_field, parse_budget, read_field
from theatrum.bakeoffs.results import BakeoffResult, Budget, EncoderReport, Judgement, Measurement, Verdict
from theatrum.bakeoffs.run import Listener, bakeoff

__all__ = [
    "BakeoffResult",
    "Budget",
    "EncoderReport",
    "Judgement",
    "Listener",
    "Measurement",
    "Verdict",
    "bakeoff",
    "check_field",
    "default_field",
    "parse_budget",
    "read_field",
]
