"""``runner report DIR...``: runs as one HTML page."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.commands.arguments import add_comparison, add_trust, comparison_from, trust_from
from runner.errors import UserError

if TYPE_CHECKING:
    from runner.deploy.examples import Examples
    from runner.report.comparison import Comparison
    from runner.tracking.console import Console
    from runner.trust import Trust


def main(args: Sequence[str]) -> int:
    """Write the page; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="runner report",
        description="Runs as one HTML page that needs no network: curves, settings against results, a table that "
        "sorts, errors, and examples of what the best run predicts.",
    )
    add_comparison(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: report.html in DIR, or here for several"
    )
    parser.add_argument(
        "--no-examples", action="store_true", help="predict no examples, which takes the data of the run"
    )
    add_trust(parser)
    options = parser.parse_args(args)

    entries, comparison = comparison_from(options, "runner report")
    out = options.output or (options.dirs[0] if len(options.dirs) == 1 else Path()) / "report.html"
    _require_writable(out)

    from runner.report.page.page import render
    from runner.runs.files import write_atomic
    from runner.tracking.console import Console

    console = Console()
    console.note(f"runs     {len(comparison.rows)}")
    examples: Examples | str = "not asked for (--no-examples)"
    if not options.no_examples:
        examples = _examples(comparison, trust_from(options), console)
    page = render(entries, comparison, examples, out).encode()
    try:
        write_atomic(out, page, durable=False)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}", fix="-o FILE elsewhere") from error
    console.note(f"report   {out}: {len(page) / 1e6:.1f} MB")
    return 0


def _require_writable(out: Path) -> None:
    """Make sure that the page can be written, before it is made.

    Raises:
        UserError: If it cannot.
    """
    folder = out.resolve().parent
    if out.is_dir() or not folder.is_dir():
        problem = "is a folder" if out.is_dir() else f"the folder {out.parent} is not there"
        raise UserError(f"-o {out}: {problem}", expected="the name of a file, such as report.html")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{out} cannot be written: the folder is not yours to write to", fix="-o FILE elsewhere")


def _examples(comparison: "Comparison", trust: "Trust", console: "Console") -> "Examples | str":
    """Predictions of the best run; or, in words, why there are none: the report goes on without them."""
    best = comparison.best or (comparison.rows[0] if len(comparison.rows) == 1 else None)
    if best is None:
        return "the runs have no metric in common that says which is the best"

    from runner.deploy.make_examples import make_examples
    from runner.runs.directory import RunDirectory

    try:
        return make_examples(RunDirectory(best.run.path), trust, console)
    except UserError as error:
        why = str(error)
    except Exception as error:  # the run's own model and data: anything can come out of them
        why = f"{type(error).__name__}: {error}"
    console.warn(f"no examples: {why}")
    return why
