"""The pictures of the report, as SVG texts: no script, no font file, sharp on a phone and in print."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from theatrum.bakeoffs.results import Measurement
from theatrum.pipelines.notation import parse
from theatrum.registry import part

# Okabe and Ito's colours: told apart by colour-blind readers and in grey.
FAMILIES = {
    "lexical": "#000000",
    "dense": "#0072B2",
    "dense, smaller": "#E69F00",
    "fusion": "#009E73",
}
_HEIGHT = 300  # pixels
_LABEL = (18, 11)  # pixels that a number takes
_WIN, _LOSS = "#0072B2", "#D55E00"
_FONT = "system-ui, -apple-system, Segoe UI, Roboto, sans-serif"


_Point: TypeAlias = dict[str, Any]


def family(pipeline: str) -> str:
    """Return the family that a pipeline is coloured by.

    Examples
    --------
    >>> family("minilm | int8 | flat"), family("rrf(bm25, minilm)")
    ('dense, smaller', 'fusion')
    """
    calls = parse(pipeline).calls
    kind = part(calls[0].name).kind
    if kind != "encoder":
        return "lexical" if kind == "retriever" else "fusion"
    changed = any(part(call.name).kind in ("refiner", "quantizer") for call in calls[1:])
    return "dense, smaller" if changed else "dense"


def pareto_chart(
    field: Sequence[Measurement],
    numbers: Mapping[str, int],
    recommended: str,
    *,
    cost: str,
    title: str,
    larger_is_better: bool,
    width: int,
) -> str:
    """Draw quality against one cost; points carry their number in the table where there is room.

    Parameters
    ----------
    field : sequence of Measurement
        The points.
    numbers : mapping of str to int
        Rank of each pipeline in the table.
    recommended : str
        Gets a ring.
    cost : str
        Attribute of `Measurement` on the horizontal axis (logarithmic).
    title : str
        Of that axis.
    larger_is_better : bool
        Direction of the cost, for the line along the front of this picture.
    width : int
        Pixels.

    Returns
    -------
    str
        An ``<svg>`` element that scales with its container.
    """
    import altair as alt

    rows = [
        {
            "cost": max(getattr(one, cost), 1e-3),
            "quality": one.test_ndcg,
            "family": family(one.pipeline),
            "number": str(numbers[one.pipeline]),
            "recommended": one.pipeline == recommended,
        }
        for one in field
    ]
    ordered = sorted(rows, key=lambda row: (row["cost"] * (-1 if larger_is_better else 1), -row["quality"]))
    front, best = [], -1.0
    for row in ordered:
        if row["quality"] > best:
            best = row["quality"]
            front.append(row)
    x = alt.X(
        "cost:Q",
        scale=alt.Scale(type="log", nice=False, padding=18),
        title=title,
        axis=alt.Axis(format="~s", tickCount=5),
    )
    y = alt.Y(
        "quality:Q", scale=alt.Scale(zero=False, padding=14), title="nDCG@10, test half", axis=alt.Axis(titlePadding=10)
    )
    line = (
        alt.Chart(alt.Data(values=front))
        .mark_line(interpolate="step-before" if larger_is_better else "step-after", color="#bbb", strokeWidth=1.5)
        .encode(x=x, y=y)
    )
    colour = alt.Color(
        "family:N",
        scale=alt.Scale(domain=list(FAMILIES), range=list(FAMILIES.values())),
        legend=alt.Legend(title=None, orient="bottom", columns=4),
    )
    base = alt.Chart(alt.Data(values=rows))
    points = base.mark_circle(size=70, opacity=0.9).encode(x=x, y=y, color=colour)
    ring = (
        base.transform_filter("datum.recommended")
        .mark_point(size=260, color="#000", strokeWidth=1.5, shape="circle")
        .encode(x=x, y=y)
    )
    labels = (
        alt.Chart(alt.Data(values=_apart(rows, front, width)))
        .mark_text(dx=8, dy=-8, fontSize=11, align="left")
        .encode(x=x, y=y, text="number:N")
    )
    return _svg(alt.layer(line, points, ring, labels).properties(width=width, height=_HEIGHT))


def _apart(rows: Sequence[_Point], front: Sequence[_Point], width: int) -> list[_Point]:
    """Choose the points whose numbers can be read: the recommended one, the front, the others by rank."""

    def place(row: _Point) -> tuple[float, float]:
        return width * share(row, lambda one: math.log(one["cost"])), _HEIGHT * share(row, lambda one: one["quality"])

    def share(row: _Point, value: Callable[[_Point], float]) -> float:
        low, high = min(map(value, rows)), max(map(value, rows))
        return (value(row) - low) / (high - low) if high > low else 0.0

    kept: list[_Point] = []
    for row in sorted(rows, key=lambda row: (not row["recommended"], row not in front, int(row["number"]))):
        x, y = place(row)
        if all(abs(x - a) > _LABEL[0] or abs(y - b) > _LABEL[1] for a, b in map(place, kept)):
            kept.append(row)
    return kept


def wins_chart(ours: Mapping[str, float], theirs: Mapping[str, float], *, width: int) -> str:
    """Draw winner minus BM25 for every test query, sorted."""
    import altair as alt

    differences = sorted((ours[query] - theirs[query] for query in ours), reverse=True)
    rows = [{"query": place, "difference": value} for place, value in enumerate(differences)]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(binSpacing=0)
        .encode(
            x=alt.X("query:O", axis=None),
            y=alt.Y("difference:Q", title="gain in nDCG@10", scale=alt.Scale(domain=[-1, 1])),
            color=alt.condition("datum.difference >= 0", alt.value(_WIN), alt.value(_LOSS)),
        )
        .properties(width=width, height=180)
    )
    return _svg(chart)


def _svg(chart: Any) -> str:
    import vl_convert

    spec = chart.configure(font=_FONT).configure_view(stroke=None).configure_axis(gridColor="#eee").to_dict()
    text: str = vl_convert.vegalite_to_svg(spec)
    # A viewBox is there; without fixed sizes the picture follows its container.
    return re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r'\1 role="img"', text, count=1)
