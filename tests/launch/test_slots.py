"""The share of the machine that each run of a sweep has."""

import pytest

from runner.errors import UserError
from runner.launch.slots import divide, visible_gpus

CPU, GPU = {"kind": "cpu"}, {"kind": "auto"}


def test_on_gpus_each_run_has_one_of_its_own() -> None:
    slots = divide("auto", 10, [GPU], ["0", "1", "2"], cpus=24)
    assert [one["CUDA_VISIBLE_DEVICES"] for one in slots.variables] == ["0", "1", "2"]
    assert slots.threads == 8
    assert slots.describe() == "3 at a time, 3 GPUs, 8 threads each"


def test_more_runs_than_gpus_share_them_evenly_when_that_is_asked_for() -> None:
    slots = divide(4, 10, [GPU], ["0", "1"], cpus=4)
    assert [one["CUDA_VISIBLE_DEVICES"] for one in slots.variables] == ["0", "1", "0", "1"]


def test_runs_on_the_cpu_leave_the_gpus_alone() -> None:
    slots = divide("auto", 10, [CPU], ["0", "1"], cpus=2)
    assert slots.variables == ({}, {})
    assert slots.describe() == "2 at a time, 1 thread each"


@pytest.mark.parametrize(
    ("n_jobs", "runs", "cpus", "expected"),
    [
        ("auto", 100, 64, (8, 8)),
        ("auto", 3, 64, (3, 21)),
        (16, 100, 4, (16, 1)),
        (4, 2, 8, (2, 4)),
        (1, 1, 2000, (1, 1024)),
        ("auto", 1, 2, (1, 2)),
    ],
)
def test_processors_are_divided_evenly(n_jobs, runs: int, cpus: int, expected: tuple[int, int]) -> None:
    slots = divide(n_jobs, runs, [CPU], [], cpus)
    assert (len(slots.variables), slots.threads) == expected


TWO_PROCESSES = {"kind": "auto", "parallel": "ddp", "processes": 2}


def test_each_process_of_a_run_has_a_gpu_and_threads_of_its_own() -> None:
    slots = divide("auto", 10, [TWO_PROCESSES], ["0", "1", "2", "3", "4"], cpus=16)
    assert [one["CUDA_VISIBLE_DEVICES"] for one in slots.variables] == ["0,1", "2,3"]
    assert (slots.threads, slots.describe()) == (4, "2 at a time of 2 processes, 4 GPUs, 4 threads each")
    assert divide("auto", 10, [{**TWO_PROCESSES, "processes": "auto"}], ["0", "1"], 4).processes == 1


def test_processes_of_runs_on_the_cpu_share_the_processors() -> None:
    slots = divide("auto", 10, [TWO_PROCESSES, CPU], [], cpus=6)
    assert (len(slots.variables), slots.threads) == (3, 1)


def test_a_run_of_more_processes_than_gpus_is_refused() -> None:
    with pytest.raises(UserError, match=r"2 processes on .* cannot share 1 GPU\n"):
        divide("auto", 1, [TWO_PROCESSES], ["0"], cpus=4)


def test_gpus_have_the_names_that_this_process_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8f1a")
    assert visible_gpus(2) == ["3", "GPU-8f1a"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus(2) == ["0", "1"]
    assert visible_gpus(0) == []
