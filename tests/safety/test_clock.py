"""A clock that goes back, and files whose times say anything: nothing is decided by them."""

import os
import time
from pathlib import Path
from typing import Any

from faults import after_step, done, kill, result, resume, train

YEAR_S = 365 * 24 * 3600


def train_and_die() -> int:
    after_step(10, kill)
    return train("checkpoint.every_minutes=0.5")


def resume_in_the_past() -> int:
    """Go on with a clock that is a year behind and, half-way through, goes back by another one."""
    real, behind = time.time, [YEAR_S]
    time.time = lambda: real() - behind[0]
    after_step(11, lambda: behind.append(behind.pop() + YEAR_S))
    return resume()


def test_a_clock_that_goes_back_changes_nothing(home: Path, tmp_path_factory: Any) -> None:
    other = tmp_path_factory.mktemp("alone")
    assert done(other, train, "checkpoint.every_minutes=0.5")[0] == 0
    assert done(home, train_and_die)[0] == -9
    checkpoints = sorted((home / "run" / "checkpoints").iterdir())
    for age, file in enumerate(checkpoints):
        os.utime(file, (2**31 - age, 2**31 - age))
    assert done(home, resume_in_the_past)[0] == 0
    assert result(home / "run") == result(other / "run")
    stamps = [int(file.name.split(".")[3]) for file in (home / "run" / "tensorboard").iterdir()]
    assert len(stamps) == 2
    assert sorted(stamps)[1] >= time.time() - YEAR_S, "the newer file is read after the older one"
