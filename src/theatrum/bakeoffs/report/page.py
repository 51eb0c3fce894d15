"""Filling the page of the report."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

from theatrum.bakeoffs.report.charts import FAMILIES, family, pareto_chart, wins_chart
from theatrum.bakeoffs.results import BakeoffResult, Verdict

_WIDE, _NARROW = 460, 300  # pixels of a chart beside another, and on a phone
_EXCERPT = 600  # characters of a text shown; a report must stay small whatever the corpus

Case = tuple[str, Sequence[tuple[str, str]]]


def render_report(result: BakeoffResult, worst: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """Write the report as one HTML text that needs nothing else.

    Parameters
    ----------
    result : BakeoffResult
        What was found out.
    worst : mapping of str to sequence of (id, text)
        Test queries that the recommended pipeline loses most clearly to BM25, with its first hits.

    Returns
    -------
    str
        HTML, everything inlined, no script.
    """
    template = Template((files(__package__) / "template.html").read_text(encoding="utf-8"))
    judgement = result.judgement
    return template.substitute(
        title=escape(f"Bake-off on {result.name}"),
        facts=_facts(result),
        answer=_marked(judgement.reason),
        smallest=_smallest(result),
        warnings=_warnings(result),
        memory_picture=_picture(result, "memory_bytes", "bytes a document in memory", larger_is_better=False),
        speed_picture=_picture(result, "queries_per_second", "queries a second", larger_is_better=True),
        wins=_wins(result, worst),
        combinations=_combinations(result),
        table=_field_table(result),
        table_note=_table_note(result),
        encoders=_encoder_table(result),
        left_out=_left_out(result),
        method=_method(result),
    )


def _facts(result: BakeoffResult) -> str:
    return escape(
        f"{result.n_documents:,} documents, {result.n_dev} queries to choose on (dev), {result.n_test} to report on "
        f"(test), {len(result.measurements)} pipelines, budget: {result.budget}, {result.seconds:,.0f} seconds."
    )


def _marked(text: str) -> str:
    """Escape a text and set what stands between backticks as code."""
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text, quote=False))


def _smallest(result: BakeoffResult) -> str:
    return (
        "</p><p>".join(map(_marked, smallest_sentences(result)))
        or "There is no dense pipeline of full precision in the field to compare with."
    )


def smallest_sentences(result: BakeoffResult) -> list[str]:
    """Say for each encoder how small it can be made, one paragraph each."""
    lines = []
    for small in result.judgement.smallest:
        one, full = result.measurement(small.pipeline), result.measurement(small.encoder)
        if one is full and small.on_test == small.encoder:
            lines.append(f"Nothing smaller is as good as `{full.pipeline}`.")
            continue
        line = (
            f"Smallest that is as good as `{full.pipeline}` ({full.memory_bytes:,.0f} bytes a document) on the dev "
            f"half: `{one.pipeline}`, {one.memory_bytes:,.0f} bytes in memory and {one.disk_bytes:,.0f} on disk; it "
            f"keeps {small.keeps:.1%} of the nDCG@10 on the test half ({one.test_ndcg:.3f} of {full.test_ndcg:.3f})."
        )
        if small.on_test != small.pipeline:
            seen = result.measurement(small.on_test)
            line += (
                f" On the test half the smallest that keeps 99% is `{seen.pipeline}`, {seen.memory_bytes:,.0f} bytes "
                f"in memory and {seen.disk_bytes:,.0f} on disk ({small.on_test_keeps:.1%}; looked up, not chosen)."
            )
        lines.append(line)
    return lines


def _warnings(result: BakeoffResult) -> str:
    notes = []
    if result.questions != "judged":
        made = {"titles": "titles, which were taken out of the documents", "sentences": "sentences cut out of them"}
        notes.append(
            f"<strong>The questions are proxies</strong>: {made[result.questions]}. They show how pipelines differ, "
            "not how good they are for what people will ask; judge a few dozen real queries before you decide."
        )
    if result.rejected:
        notes.append(f"{result.rejected:,} rows of the source could not be used; they are listed in rejects.jsonl.")
    notes += [
        f"<code>{escape(one.encoder)}</code> reads {one.max_tokens} tokens: {one.cut:,} of {result.n_documents:,} "
        f"documents ({one.cut / result.n_documents:.1%}) are longer and were cut there."
        for one in result.encoders
        if one.cut
    ]
    return "".join(f'<p class="note">{note}</p>' for note in notes)


def _numbers(result: BakeoffResult) -> dict[str, int]:
    return {verdict.pipeline: number for number, verdict in enumerate(result.judgement.verdicts, start=1)}


def _picture(result: BakeoffResult, cost: str, title: str, *, larger_is_better: bool) -> str:
    drawn = [
        pareto_chart(
            result.measurements,
            _numbers(result),
            result.judgement.recommended,
            cost=cost,
            title=title,
            larger_is_better=larger_is_better,
            width=width,
        )
        for width in (_WIDE, _NARROW)
    ]
    return f'<div class="wide">{drawn[0]}</div><div class="narrow">{drawn[1]}</div>'


def _wins(result: BakeoffResult, worst: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    chosen = result.judgement.recommended
    if chosen == "bm25" or "bm25" not in {one.pipeline for one in result.measurements}:
        return ""
    ours, theirs = result.measurement(chosen).test, result.measurement("bm25").test
    won = sum(ours[query] > theirs[query] for query in ours)
    lost = sum(ours[query] < theirs[query] for query in ours)
    cases = "".join(_case(result.queries[query], ours[query], theirs[query], hits) for query, hits in worst.items())
    return (
        "<h2>Query by query against BM25</h2>"
        f"<p>Better on {won}, worse on {lost}, equal on {len(ours) - won - lost} of {len(ours)} test queries.</p>"
        f'<figure><div class="wide">{wins_chart(ours, theirs, width=2 * _WIDE)}</div>'
        f'<div class="narrow">{wins_chart(ours, theirs, width=_NARROW)}</div>'
        "<figcaption>One bar a test query, sorted.</figcaption></figure>"
        + (f"<p>The worst against BM25, with what the recommended pipeline found first:</p>{cases}" if cases else "")
    )


def _case(query: str, ours: float, theirs: float, hits: Sequence[tuple[str, str]]) -> str:
    found = "".join(f'<p><span class="where">{escape(hit)}</span> {escape(_cut(text))}</p>' for hit, text in hits)
    return (
        f"<details open><summary>{escape(_cut(query))} "
        f'<span class="where">({ours:.2f} against {theirs:.2f})</span></summary>{found}</details>'
    )


def _cut(text: str) -> str:
    return text if len(text) <= _EXCERPT else text[:_EXCERPT].rstrip() + " …"


def _combinations(result: BakeoffResult) -> str:
    if not result.combinations:
        return ""
    paragraphs = "".join(f"<p>{_marked(text)}</p>" for text in result.combinations)
    return f"<h2>What the answers ask of one vector</h2>{paragraphs}"


def _field_table(result: BakeoffResult) -> str:
    heads = ["#", "pipeline", "nDCG@10", "against recommended", "Recall@100", "bytes in memory", "bytes on disk"]
    heads += ["queries/s", "p95 ms", "search ms", "documents/s", "build s", "peak MB"]
    rows = [_row(result, verdict, number) for number, verdict in enumerate(result.judgement.verdicts, start=1)]
    head = "".join(f'<th scope="col"{" class=text" if name == "pipeline" else ""}>{name}</th>' for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(result: BakeoffResult, verdict: Verdict, number: int) -> str:
    one = result.measurement(verdict.pipeline)
    chosen = verdict.pipeline == result.judgement.recommended
    against = (
        "recommended"
        if chosen
        else f"{verdict.difference:+.3f} {'tied' if verdict.tied else f'p={verdict.p_adjusted:.2g}'}"
    )
    cells = [
        f"{one.test_ndcg:.3f}",
        against,
        f"{one.recall_at_100:.3f}",
        f"{one.memory_bytes:,.0f}",
        f"{one.disk_bytes:,.0f}",
        f"{one.queries_per_second:,.0f}",
        f"{one.p95_ms:.1f}",
        f"{one.search_ms:.2f}",
        _rate(one.documents_per_second),
        f"{one.build_seconds:.2f}",
        f"{one.peak_memory / 1e6:,.0f}" if one.peak_memory >= 0 else "",
    ]
    dot = f'<span class="dot" style="background:{FAMILIES[family(one.pipeline)]}"></span>'
    marks = ("" if verdict.fits_budget else " (over budget)") + (" ◆" if verdict.on_front else "")
    name = f'<td class="text">{dot}<code>{escape(one.pipeline)}</code>{marks}</td>'
    attribute = ' class="chosen"' if chosen else ""
    return f"<tr{attribute}><td>{number}</td>{name}" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _rate(value: float) -> str:
    return "from store" if math.isnan(value) else f"{value:,.0f}"


def _table_note(result: BakeoffResult) -> str:
    return (
        "◆ nothing else in the field is at least as good in quality, memory and speed at once. "
        "“Tied” means that a paired randomisation test over the test queries, Holm-corrected for the field, shows no "
        "difference (p ≥ 0.05): the order of tied pipelines means nothing. Documents a second are those of encoding "
        "when the vectors were made."
    )


def _encoder_table(result: BakeoffResult) -> str:
    if not result.encoders:
        return '<p class="note">No encoder took part.</p>'
    heads = ["encoder", "dimensions", "encoded now", "from store", "seconds", "documents/s", "cut"]
    head = "".join(f'<th scope="col"{" class=text" if name == "encoder" else ""}>{name}</th>' for name in heads)
    rows = "".join(
        f'<tr><td class="text"><code>{escape(one.encoder)}</code></td><td>{one.dim}</td><td>{one.encoded:,}</td>'
        f"<td>{one.cached:,}</td><td>{one.seconds:.1f}</td><td>{_rate(one.documents_per_second)}</td>"
        f"<td>{one.cut:,}</td></tr>"
        for one in result.encoders
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _left_out(result: BakeoffResult) -> str:
    if not result.left_out:
        return ""
    items = "".join(
        f"<p class='note'><code>{escape(name)}</code>: {escape(reason)}</p>" for name, reason in result.left_out.items()
    )
    return f"<h2>Left out</h2>{items}"


def _method(result: BakeoffResult) -> str:
    return (
        "Queries were split into halves by the hash of their id. The recommendation was chosen on the dev half; every "
        "quality figure is of the test half. nDCG@10 and Recall@100 follow trec_eval. Bytes in memory are those that "
        "must be there to search (vectors, codes, links; no ids, no texts); bytes on disk are those of the saved "
        "pipeline folder. Latency is of single queries on this machine, encoding included; search ms leaves encoding "
        "out. Peak MB is the growth of the process while building and searching."
    )
