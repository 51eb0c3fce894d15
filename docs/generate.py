"""The pages made from the code: the atlas, the claims, the command line, the parts, and a page a room."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import click
import typer.main

from theatrum import registry
from theatrum.atlas import as_markdown, ledger_folder, load_entries
from theatrum.cli.app import app

ROOMS = {
    "text": "Text: encoders and lexical retrievers",
    "refine": "Refine: vectors to better or smaller vectors",
    "compress": "Compress: vectors to bytes",
    "search": "Search: indexes, filters and fusion",
    "predict": "Predict: classes, ranks and values from vectors",
    "evaluate": "Evaluate: measures and tests of difference",
    "store": "Store: vectors on disk",
    "data": "Data: known data sets and users' files",
    "claims": "Claims: measuring a paper's statement again",
    "bakeoffs": "Bake-off: the main job",
    "serve": "Serve: a pipeline over HTTP",
    "interop": "Interop: other libraries",
}
GROUND = {
    "theatrum": ["pipeline", "Pipeline", "save", "open"],
    "theatrum.contracts": None,
    "theatrum.pipelines.notation": ["parse", "Chain", "Call", "PipelineError"],
    "theatrum.registry": ["parts", "part", "Part"],
    "theatrum.encoding": ["encode_corpus", "EncodedCorpus"],
}
CLAIM_PAGES = ["theatrum.claims.outcome", "theatrum.claims.runner"]
ADAPTERS = {
    "theatrum.interop.langchain": ["TheatrumRetriever", "TheatrumEmbeddings"],
    "theatrum.interop.llama_index": ["TheatrumRetriever", "TheatrumEmbedding"],
    "theatrum.interop.mteb": ["MtebEncoder"],
}


def write_all(folder: Path) -> None:
    """Write every generated page; a page that has not changed is left alone, so rebuilding is quick."""
    folder.mkdir(exist_ok=True)
    pages = {
        "atlas.md": f"# The atlas\n\n{as_markdown(load_entries())}\n",
        "claims.md": claims_page(),
        "cli.md": cli_page(),
        "parts.md": parts_page(),
        "predictors.md": predictors_page(),
        "api.rst": api_page(),
    }
    pages |= {f"room-{room}.rst": room_page(room, title) for room, title in ROOMS.items()}
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def claims_page() -> str:
    """Every record of the ledger, holding or not."""
    lines = [
        "# Claims, measured",
        "",
        "Each row is one inequality of a paper's claim, measured again on data that anyone can get. To measure",
        "one on your machine: `theatrum claim 89`. A claim that does not hold is shown as not holding.",
    ]
    folder = ledger_folder()
    for path in sorted(folder.glob("[0-9]*.json")) if folder else []:
        record = json.loads(path.read_text(encoding="utf-8"))
        verdict = "holds" if record["holds"] else "does not hold"
        lines += [
            "",
            f"## {record['number']:03d} {record['title']}",
            "",
            f"**The claim {verdict}**, measured on {record['date']} at scale {record['scale']} in "
            f"{record['seconds']:.0f} s ({record['machine']}).",
            "",
            "| statement | difference | 95% from | needed | over | holds |",
            "|---|---|---|---|---|---|",
        ]
        for one in record["inequalities"]:
            low = "" if one["low"] is None else f"{one['low']:+.4f}"
            lines.append(
                f"| {one['says']} | {one['mean']:+.4f} | {low} | {one['margin']:+g} | {one['n']} {one['over']} | "
                f"{'yes' if one['holds'] else '**no**'} |"
            )
        lines += ["", "| arm | metric | mean | values |", "|---|---|---|---|"]
        for arm, metrics in record["measurements"].items():
            for metric, values in metrics.items():
                mean = sum(values) / len(values)
                shown = ", ".join(f"{value:.4g}" for value in values) if len(values) <= 10 else f"{len(values)} values"
                lines.append(f"| {arm} | {metric} | {mean:.4f} | {shown} |")
        if record["notes"]:
            lines += ["", record["notes"]]
    return "\n".join(lines) + "\n"


PREDICTORS = Path(__file__).parent.parent / "benchmarks" / "results" / "predictors.jsonl"
TABLES = {
    "zero-shot": (
        "New classes, described",
        "Trained on rows of seen classes, asked about rows of seen and of unseen ones. *unseen*: accuracy among unseen "
        "classes only; *H*: harmonic mean of the accuracies on unseen and on seen classes when all are candidates; *H "
        "calibrated*: the same with an automatic gamma (`calibrated_stacking`). T1: CLINC150 utterances, intent names, "
        "both MiniLM, 110 + 40 classes. T2: the same utterances as LSA. I: Omniglot characters, described by strokes, "
        "182 + 60. A: AwA1 photographs (visual words) described by 85 attributes, 40 + 10.",
    ),
    "no labels": (
        "Texts without a label",
        "Share of right answers on 1,500 texts (MiniLM) of which no label is known. The last four rows show what a few "
        "labelled texts a class would give instead.",
    ),
    "numbers": (
        "Numbers",
        "Spearman correlation on 1,000 items (fewer where there are fewer) after training on 500; MiniLM vectors.",
    ),
}


def predictors_page() -> str:
    """Every predictor beside the simple things, from what the benchmark measured."""
    lines = [
        "# Predictors compared",
        "",
        "Made from `benchmarks/results/predictors.jsonl` (`benchmarks/predictors.py`).",
    ]
    lines += [
        "Means over seeds (draws of classes or of rows), \xb1 their standard deviation; the best of a column is bold."
    ]
    rows = [json.loads(line) for line in PREDICTORS.read_text(encoding="utf-8").splitlines()]
    for table, (title, about) in TABLES.items():
        own = [row for row in rows if row["table"] == table]
        columns = list(dict.fromkeys((row["data"], row["measure"]) for row in own))
        found = {(row["method"], row["data"], row["measure"]): row["values"] for row in own}
        best = {
            column: max(sum(values) / len(values) for key, values in found.items() if key[1:] == column)
            for column in columns
        }
        lines += ["", f"## {title}", "", about, ""]
        several = len({measure for _, measure in columns}) > 1
        heads = [f"{data}, {measure}" if several else data for data, measure in columns]
        lines += [f"| method | {' | '.join(heads)} |", "|---" * (len(columns) + 1) + "|"]
        for method in dict.fromkeys(row["method"] for row in own):
            cells = [_cell(found.get((method, *column)), best[column]) for column in columns]
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(values: list[float] | None, best: float) -> str:
    if values is None:
        return ""
    mean = sum(values) / len(values)
    spread = (sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)) ** 0.5
    shown = f"{mean:.3f}"
    return f"{f'**{shown}**' if mean == best else shown} \xb1 {spread:.3f}"


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{path} {name}")


def cli_page() -> str:
    """What `--help` says of every command."""
    lines = ["# The command line", ""]
    for path, command in _commands(typer.main.get_command(app), "theatrum"):
        context = command.make_context(path, ["--help"], resilient_parsing=True)
        lines += [f"## {path}", "", "```text", command.get_help(context).strip(), "```", ""]
    return "\n".join(lines)


def parts_page() -> str:
    """The registry: what can stand in a pipeline."""
    lines = ["# Parts", "", "What a pipeline can be made of, and predictors; `theatrum parts` prints the same.", ""]
    lines += ["| name | kind | class | what it is for |", "|---|---|---|---|"]
    for part in registry.parts():
        first = (part.load().__doc__ or "").strip().splitlines()[0]
        lines.append(f"| `{part.name}` | {part.kind} | `{part.target.replace(':', '.')}` | {first} |")
    return "\n".join(lines) + "\n"


def _section(module: str, names: list[str] | None) -> list[str]:
    loaded = importlib.import_module(module)
    if names is None:
        return [f".. automodule:: {module}", "   :members:", ""]
    lines = []
    for name in names:
        thing = getattr(loaded, name)
        kind = "class" if isinstance(thing, type) else "function"
        if isinstance(thing, type) or callable(thing):
            lines += [f".. auto{kind}:: {thing.__module__}.{thing.__name__}", ""]
    return lines


def room_page(room: str, title: str) -> str:
    """Everything that a room hands out."""
    loaded = importlib.import_module(f"theatrum.{room}")
    lines = [title, "=" * len(title), "", (loaded.__doc__ or "").strip(), ""]
    if room == "claims":
        for module in CLAIM_PAGES:
            lines += [f".. automodule:: {module}", "   :members:", ""]
    else:
        lines += _section(f"theatrum.{room}", list(loaded.__all__))
    if room == "interop":
        for module, names in ADAPTERS.items():
            lines += _section(module, names)
    return "\n".join(lines)


def api_page() -> str:
    """The public face and the ground floor."""
    lines = ["Public face and contracts", "=========================", ""]
    for module, names in GROUND.items():
        lines += [module, "-" * len(module), "", *_section(module, names)]
    return "\n".join(lines)
