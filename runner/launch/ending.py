"""The end of a sweep: what came of its runs, and the exit code."""

from runner.launch.work import OVER
from runner.report import comparing
from runner.report.comparison import compare
from runner.report.layout import terminal_width
from runner.report.runs import given
from runner.runs.rebuild import read_status
from runner.runs.sweep_directory import SweepDirectory
from runner.tracking.formatting import counted
from runner.training.signals import StopRequest
from runner.typed import typed


def conclude(made: SweepDirectory, stop: StopRequest, num_refused: int = 0) -> int:
    """Print what became of the runs; give the exit code: 1 if a run failed, that of the stop if one was requested.

    Args:
        made: The sweep.
        stop: What was requested.
        num_refused: Trials of a study that failed before they were runs.
    """
    record = made.record()
    planned = record.planned
    states = [read_status(run)[0].state for run in made.runs().values()]
    if states:
        print(f"\n{comparing.text(compare(given([made.path], 'runner compare')), terminal_width())}")
    failed, over = states.count("failed") + num_refused, sum(state in OVER for state in states)
    if stop.requested:
        print(f"\nstopped: {over} of {counted(planned)} are complete; to go on: {typed('runner', 'resume', made.path)}")
        return stop.exit_code
    if failed:
        again = "a study does not try them again"
        if record.points is not None:
            again = f"to try them again: {typed('runner', 'resume', made.path)}"
        print(f"\nfailed: {failed} of {counted(planned)}; {again}")
        return 1
    print(f"\nsweep    {made.path}\nreport   {typed('runner', 'report', made.path)}")
    return 0
