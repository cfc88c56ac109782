"""The end of a sweep: what came of its runs, and the exit code."""

from runner.report import comparing
from runner.report.comparison import compare
from runner.report.layout import terminal_width
from runner.report.runs import given
from runner.runs.rebuild import read_status
from runner.runs.status import OVER
from runner.runs.sweep_directory import SweepDirectory
from runner.tracking.formatting import counted
from runner.training.signals import StopRequest
from runner.typed import typed


def conclude(made: SweepDirectory, stop: StopRequest, failed_trials: int = 0) -> int:
    """Print what became of the runs; give the exit code: 1 if a run failed, that of the stop if one was requested.

    Args:
        made: The sweep.
        stop: What was requested.
        failed_trials: Of a study; their runs need not have failed, or not be there at all.
    """
    record = made.record()
    planned = record.planned
    states = [read_status(run).state for run in made.runs().values()]
    if states:
        print(f"\n{comparing.text(compare(given([made.path], 'runner compare')), terminal_width())}")
    failed, over = states.count("failed"), sum(state in OVER for state in states)
    if stop.requested:
        print(f"\nstopped: {over} of {counted(planned)} are complete; to go on: {typed('runner', 'resume', made.path)}")
        return stop.exit_code
    if failed_trials or (failed and record.points is None):
        told = counted(failed_trials, "trial") if failed_trials else f"{failed} of {counted(planned)}"
        print(f"\nfailed: {told}; a study does not try them again")
        return 1
    if failed:
        print(f"\nfailed: {failed} of {counted(planned)}; to try them again: {typed('runner', 'resume', made.path)}")
        return 1
    print(f"\nsweep    {made.path}\nreport   {typed('runner', 'report', made.path)}")
    return 0
