#!/usr/bin/env python
"""Kills training runs thousands of times and shows that nothing was lost: `make torture KILLS=10000 JOBS=2`.

Exit code 0: every run ended with the same bytes as the run that was left alone. 1: one did not, and is kept.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

# One thread each, set before torch is imported: a pool of threads does not survive a fork.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "exactness"))

TELL_EVERY_S = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10_000, help="by SIGKILL, at least")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time, each on one core")
    parser.add_argument("--seed", type=int, default=None, help="as an earlier report names it; otherwise a new one")
    options = parser.parse_args()
    seed = int.from_bytes(os.urandom(4)) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    print(f"seed {seed}: again with --seed {seed} --kills {options.kills} --jobs {options.jobs}")
    print(f"runs in {folder}", flush=True)
    began = time.monotonic()
    share = -(-options.kills // options.jobs)
    # Forked, before torch is imported: in a process that was spawned, loader workers would be spawned too, which takes
    # seconds for each.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("fork")) as pool:
        jobs = [pool.submit(job, number, share, seed, folder) for number in range(options.jobs)]
        try:
            reports = [done.result() for done in as_completed(jobs)]
        except Exception as error:
            for waiting in jobs:
                waiting.cancel()
            print(f"something was lost, with seed {seed}: {error}", flush=True)
            return 1
    total = reports[0]
    for report in reports[1:]:
        total.add(report)
    print(f"\n{total}\ndifferences from the runs that were left alone: 0")
    print(f"seed {seed}, {time.monotonic() - began:,.0f} s")
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def job(number: int, kills: int, seed: int, folder: Path) -> object:
    import torch
    from killing import Report, torture

    torch.set_num_threads(1)
    own = folder / str(number)
    own.mkdir()
    tempfile.tempdir = str(folder)  # who is killed does not remove what it put there
    parent, began = os.getppid(), time.monotonic()
    told = began

    def tell(report: Report) -> None:
        nonlocal told
        if os.getppid() != parent:
            os._exit(1)  # it was killed: nobody is left to report to
        if time.monotonic() - told >= TELL_EVERY_S:
            told = time.monotonic()
            print(
                f"job {number}: {report.kills:,} of {kills:,} kills, {report.runs:,} runs, no difference, "
                f"{told - began:,.0f} s",
                flush=True,
            )

    return torture(kills, seed + number, own, tell)


if __name__ == "__main__":
    sys.exit(main())
