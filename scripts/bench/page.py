"""Writes a page, such as benchmarks.md, with its plots and results.json in a folder of its name, from the results."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.bench.harness import ROOT, Result, Table, Target
from scripts.bench.plots import plot

DOCS = ROOT / "docs"
_INTRODUCTION = """# Benchmarks

`make bench` measures runner beside hand-written loops and other frameworks, all in one go on one machine, and writes
this page, its plots and [results.json]({name}/results.json). Contenders take turns (A B C A B C), so that what
else the machine does falls on all alike; processes have pinned numbers of threads. Each figure is a median, with the
first and third quartile in brackets. How each thing is measured stands above its table, and in `scripts/bench/`.
"""


def write(results: Sequence[Result], facts: Mapping[str, Any], folder: Path, name: str = "benchmarks") -> Path:
    """Replace page, plots and JSON in a folder; the page."""
    page, attached = folder / f"{name}.md", folder / name
    attached.mkdir(parents=True, exist_ok=True)
    for old in attached.glob("*.svg"):
        old.unlink()
    parts = [_INTRODUCTION.format(name=name)]
    if facts["quick"]:
        parts.append("**This is a quick run (`--quick`): a check that everything works, not figures to rely on.**\n")
    parts += [_surroundings(facts), _overview(results)]
    parts += [_comparison(result, attached) for result in results]
    _replace(page, "\n".join(parts).rstrip() + "\n")
    described = {"facts": dict(facts), "results": {result.name: result.as_json() for result in results}}
    _replace(attached / "results.json", json.dumps(described, indent=1) + "\n")
    return page


def _surroundings(facts: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {value}" for name, value in facts["hardware"].items()]
    lines += [f"- runner's environment: {_told(facts['versions']['runner'])}"]
    if "peers" in facts["versions"]:
        lines += [f"- peers' environment: {_told(facts['versions']['peers'])}"]
    lines += [f"- runner at commit {facts['commit']}; {facts['rounds']} rounds; MNIST: {facts['mnist']}"]
    lines += [f"- measured on {facts['date']}, in {facts['minutes']:.0f} minutes"]
    return "## Measured on\n\n" + "\n".join(lines) + "\n"


def _told(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _overview(results: Sequence[Result]) -> str:
    rows = [(result, target) for result in results for target in result.targets]
    lines = ["## Targets", "", "| | measured | target | |", "|---|--:|--:|---|"]
    for result, target in rows:
        met = {True: "met", False: "**missed**", None: "not measured"}[target.met]
        sign = "at most" if target.at_most else "at least"
        limit = f"{sign} {target.limit:g} {target.unit}".strip()
        lines.append(f"| [{target.text}](#{_anchor(result.title)}) | {_value(target)} | {limit} | {met} |")
    return "\n".join(lines) + "\n"


def _value(target: Target) -> str:
    return "-" if target.value is None else f"{target.value:.3g} {target.unit}".strip()


def _anchor(title: str) -> str:
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


def _comparison(result: Result, attached: Path) -> str:
    lines = [f"## {result.title}", "", result.about.strip(), ""]
    for number, table in enumerate(result.tables):
        if table.rows:
            name = f"{result.name}-{number}.svg"
            plot(table, attached / name)
            lines += [*_table(table), "", f"![{table.title}]({attached.name}/{name})", ""]
    lines += [f"- {note}" for note in result.notes]
    lines += [f"- {label} did not run: `{reason}`" for label, reason in result.did_not_run.items()]
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table) -> list[str]:
    against = table.median(table.baseline) if table.baseline else None
    head = f"| {table.title} | {table.unit} | quartiles | n |"
    lines = [f"{head} / {table.baseline} |" if against else head, "|---|--:|--:|--:|" + ("--:|" if against else "")]
    for row in table.rows:
        first, third = (f"{value:,.{table.decimals}f}" for value in row.quartiles)
        line = f"| {row.label} | {row.median:,.{table.decimals}f} | {first} to {third} | {len(row.samples)} |"
        lines.append(f"{line} {row.median / against:.3g} x |" if against else line)
    return lines


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
