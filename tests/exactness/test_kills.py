"""Killed at any instant, again and again, a run still comes to the bytes of the run that was left alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.runs.lock import RunLock

TORTURE = Path(__file__).resolve().parents[2] / "scripts" / "torture.py"


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(TORTURE), "--kills", "100", "--jobs", "2"]
    with (tmp_path / "report").open("w") as file:  # not a pipe, which whoever outlived its parent would keep open
        code = subprocess.run(command, cwd=tmp_path, stdout=file, stderr=file, timeout=1500).returncode
    report = (tmp_path / "report").read_text()
    assert code == 0, report
    by_sigkill = re.search(r"^ +([\d,]+)  by SIGKILL$", report, re.MULTILINE)
    assert by_sigkill, report
    assert int(by_sigkill[1].replace(",", "")) >= 100
    assert "differences from the runs that were left alone: 0" in report
    place = re.search(r"^runs in (.+)$", report, re.MULTILINE)
    assert place, report
    assert not Path(place[1]).exists(), "what succeeded is removed"


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
