"""``runner resume DIR``: execute a run directory again, from its newest checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.runs.status import Status

USAGE = """usage: runner resume DIR [OVERRIDE...]

Goes on with a run from its newest checkpoint, as if it had never stopped. What may change on the way:
  epochs=N          more (or fewer) epochs than planned
  device.*          another device, precision, number of threads; device=cuda is short for device.kind=cuda
  data.workers and the other settings of speed; checkpoint.* and tracking.*
"""


def main(args: Sequence[str]) -> int:
    """Resume one run; give the exit code."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if args else 2
    run = RunDirectory.open(Path(args[0]))
    overrides = list(args[1:])
    if any(override.startswith("-") for override in overrides):
        raise UserError(
            f"runner resume: {overrides[0]} is not understood",
            expected="DIR, then key=value",
            fix="runner resume --help",
        )
    if overrides:
        from runner.config.amend import amend

        amend(run, overrides)
    elif Status.read(run.status_file).state == "completed":
        print(
            f"{run.path} is complete: nothing is left to train\n  fix:      runner resume {run.path} epochs=N for more"
        )
        return 0
    from runner.launch.single import execute_here

    return execute_here(run)
