"""The end of a sweep: its table, what failed, and the exit code."""

from collections.abc import Sequence

from runner.launch.work import OVER
from runner.runs.directory import RunDirectory
from runner.runs.rebuild import read_status
from runner.runs.status import Status
from runner.runs.sweep_directory import SweepDirectory, number_of
from runner.tracking.formatting import duration, number, short, table
from runner.training.signals import StopRequest


def conclude(made: SweepDirectory, stop: StopRequest) -> int:
    """Print what became of the runs; give the exit code: 1 if a run failed, that of the stop if one was requested."""
    record = made.record()
    runs = list(made.runs().values())
    statuses = [read_status(run)[0] for run in runs]
    print("\n".join(["", *_table(runs, statuses, record.keys)]))
    failed = [(run, status) for run, status in zip(runs, statuses, strict=True) if status.state == "failed"]
    if failed:
        print("\n" + "\n".join(_told(run, status) for run, status in failed))
    over = sum(status.state in OVER for status in statuses)
    if stop.requested:
        print(f"\nstopped: {over} of {record.planned} runs are complete; to go on: runner resume {made.path}")
        return stop.exit_code
    if failed:
        print(f"\nfailed: {len(failed)} of {record.planned} runs; to try them again: runner resume {made.path}")
        return 1
    return 0


def _told(run: RunDirectory, status: Status) -> str:
    first = ((status.error or "").strip().splitlines() or ["no reason is known"])[0]
    return f"{number_of(run.path):04d} failed: {first}\n     {run.path}"


def _table(runs: Sequence[RunDirectory], statuses: Sequence[Status], keys: Sequence[str]) -> list[str]:
    metrics = dict.fromkeys(name for status in statuses for name in status.metrics if not name.startswith("train/"))
    header = ["run", *keys, "state", "best", *metrics, "time"]
    rows = []
    for run, status in zip(runs, statuses, strict=True):
        own = run.values()
        rows.append(
            [
                f"{number_of(run.path):04d}",
                *(short(own.get(key, "")) for key in keys),
                status.state,
                "-" if status.best is None else number(status.best),
                *(number(status.metrics[name]) if name in status.metrics else "-" for name in metrics),
                duration(status.seconds),
            ]
        )
    return table(header, rows)
