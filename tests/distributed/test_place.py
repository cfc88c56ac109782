"""Which of several processes this is, from what torchrun and srun set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import UserError
from runner.parallel.place import Place, find_place, hosts

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "node1", "MASTER_PORT": "29500", "LOCAL_RANK": "1"}
SRUN = {
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "4",
    "SLURM_JOB_NODELIST": "gpu[07-08]",
    "SLURM_JOB_ID": "1234",
}


def test_a_process_by_itself_has_no_place() -> None:
    assert find_place({}) is None
    assert find_place(SRUN | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) is None


def test_torchrun_says_all() -> None:
    assert find_place(TORCHRUN) == Place(3, 4, "node1", 29500, "torchrun")
    assert find_place(SRUN | TORCHRUN | {"RANK": "0"}) == Place(0, 4, "node1", 29500, "torchrun"), "within a Slurm job"


def test_under_srun_the_processes_meet_on_the_first_node_at_a_port_of_the_step() -> None:
    place = find_place(SRUN)
    assert place is not None
    assert (place.rank, place.world_size, place.address, place.starter) == (3, 4, "gpu07", "srun")
    assert 10_000 <= place.port < 30_000
    assert find_place(SRUN | {"SLURM_PROCID": "0"}) == Place(0, 4, "gpu07", place.port, "srun"), "the same for all"
    others = [find_place(SRUN | {"SLURM_STEP_ID": "1"}), find_place(SRUN | {"SLURM_JOB_ID": "1235"})]
    assert place.port not in [other.port for other in others if other]


def test_master_addr_and_port_win_over_what_srun_says() -> None:
    assert find_place(SRUN | {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "555"}) == Place(3, 4, "10.0.0.1", 555, "srun")


def test_a_step_of_fewer_tasks_than_its_job_has_that_many_processes() -> None:
    place = find_place(SRUN | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_STEP_NODELIST": "gpu09"})
    assert place is not None
    assert (place.rank, place.world_size, place.address) == (1, 2, "gpu09")


def test_the_batch_script_itself_is_no_task() -> None:
    assert find_place(SRUN | {"SLURM_PROCID": "0", "ENVIRONMENT": "BATCH"}) is None
    assert find_place(SRUN | {"ENVIRONMENT": "BATCH", "SLURM_STEP_ID": "0"}) is not None


@pytest.mark.parametrize(
    ("env", "told"),
    [
        (TORCHRUN | {"MASTER_PORT": ""}, "MASTER_PORT is not set"),
        (TORCHRUN | {"RANK": "first"}, "RANK=first in the environment is not a whole number"),
        (SRUN | {"SLURM_JOB_NODELIST": ""}, "MASTER_ADDR is not set"),
    ],
)
def test_what_is_missing_is_told_by_name(env: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        find_place(env)


@pytest.mark.parametrize(
    ("compressed", "expected"),
    [
        ("node7", ["node7"]),
        ("node[01-03,07]", ["node01", "node02", "node03", "node07"]),
        ("node[9-11],login,gpu[2]", ["node9", "node10", "node11", "login", "gpu2"]),
        ("rack[1-2]node[3-4]-ib", ["rack1node3-ib", "rack1node4-ib", "rack2node3-ib", "rack2node4-ib"]),
        ("node[098-101]", ["node098", "node099", "node100", "node101"]),
        ("", []),
    ],
)
def test_a_compressed_list_of_hosts(compressed: str, expected: list[str]) -> None:
    assert list(hosts(compressed)) == expected


@given(first=st.integers(0, 120), count=st.integers(1, 20), width=st.integers(1, 4))
def test_a_range_has_as_many_hosts_as_it_says(first: int, count: int, width: int) -> None:
    text = f"n[{first:0{width}}-{first + count - 1:0{width}}]"
    assert [int(host[1:]) for host in hosts(text)] == list(range(first, first + count))
