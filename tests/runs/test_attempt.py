"""Which attempt of which job a process belongs to."""

import pytest

from runner.runs.attempt import Attempt, this_attempt


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "12", "SLURMD_NODENAME": "n1"}, Attempt("12", 0, "n1")),
        ({"SLURM_JOB_ID": "12", "SLURM_RESTART_COUNT": "3"}, Attempt("12", 3)),
        # The last task of an array has the number of the array for its own: that would name all tasks.
        (
            {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "7", "SLURM_RESTART_COUNT": "1"},
            Attempt("12_7", 1),
        ),
        ({"SLURM_JOB_ID": "13", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "0"}, Attempt("12_0", 0)),
    ],
    ids=["no job", "job", "queued again", "last task of an array", "first task of an array"],
)
def test_slurm_says_it_in_the_environment(variables: dict[str, str], expected: Attempt | None) -> None:
    assert this_attempt(variables) == expected
