"""Killed at any instant, again and again, a run still comes to the bytes of the run that was left alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.runs.lock import RunLock

TORTURE = Path(__file__).resolve().parents[2] / "scripts" / "torture.py"


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(TORTURE), "--kills", "100", "--jobs", "2"],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    by_sigkill = re.search(r"^ +([\d,]+)  by SIGKILL$", done.stdout, re.MULTILINE)
    assert by_sigkill, done.stdout
    assert int(by_sigkill[1].replace(",", "")) >= 100
    assert "differences from the runs that were left alone: 0" in done.stdout
    assert not list(tmp_path.iterdir()), "what succeeded is removed"


KILLED_WHILE_FORKING = """
import os, signal, sys, time
os.register_at_fork(after_in_child=lambda: time.sleep(0.5))  # a child that does not get the processor at once
from pathlib import Path
from runner.runs.lock import RunLock
with RunLock(Path(sys.argv[1])):
    if os.fork() == 0:
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_killed_while_it_starts_a_worker_can_be_taken_up_at_once(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED_WHILE_FORKING, str(tmp_path)]).returncode == -9
    with RunLock(tmp_path):
        pass
