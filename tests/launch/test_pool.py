"""Processes in slots: what they find around them, how they end, and that none is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.errors import UserError
from runner.launch import pool
from runner.launch.pool import Job
from runner.training.signals import StopRequest


class Listed:
    """Jobs from a list, with what became of them; a stop is requested when some have ended."""

    def __init__(self, jobs: list[Job], stop: StopRequest, stop_after: int | None = None) -> None:
        self.waiting, self.stop, self.stop_after = list(jobs), stop, stop_after
        self.codes: list[int] = []

    def take(self) -> Job | None:
        return self.waiting.pop(0) if self.waiting else None

    def ended(self, job: Job, exit_code: int) -> None:
        self.codes.append(exit_code)

    def look(self) -> None:
        self.stop.requested = self.stop.requested or len(self.codes) == self.stop_after


def work_off(jobs: list[Job], slots: list[dict[str, str]], stop_after: int | None = None) -> list[int]:
    stop = StopRequest()
    work = Listed(jobs, stop, stop_after)
    pool.run(work, slots, stop)
    return work.codes


def end_with(code: int) -> int:
    return code


def kill_yourself(number: int) -> int:
    os.kill(os.getpid(), number)
    time.sleep(60)
    return 0


def note_surroundings(file: Path) -> int:
    time.sleep(0.2)
    file.write_text(f"{os.environ['SLOT']} {os.getcwd()} {'torch' in sys.modules} {os.getsid(0) == os.getpid()}")
    return 0


def note_times(folder: Path, name: str) -> int:
    began = time.monotonic()
    time.sleep(0.3)
    (folder / name).write_text(f"{began} {time.monotonic()}")
    return 0


def wait_for(file: Path) -> int:
    """0 when there is the file, 1 when it does not come."""
    for _ in range(600):
        if file.exists():
            return 0
        time.sleep(0.1)
    return 1


def make(file: Path) -> int:
    file.touch()
    return 0


def say_something() -> int:
    print("from Python")
    os.system("echo from a program; echo an error >&2")
    return 0


def save_when_asked(file: Path) -> int:
    def save(number: int, frame: object) -> None:
        file.write_text("saved")
        sys.exit(75)

    signal.signal(signal.SIGTERM, save)
    file.write_text("began")
    time.sleep(60)
    return 0


def ignore_requests(file: Path) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    file.write_text(str(os.getpid()))
    time.sleep(60)
    return 0


def refuse(text: str) -> None:
    raise UserError(text, fix="something else")


def test_the_exit_code_of_a_process_is_told_or_the_signal_that_killed_it() -> None:
    jobs = [Job(end_with, (3,)), Job(kill_yourself, (signal.SIGKILL,)), Job(kill_yourself, (signal.SIGSEGV,))]
    assert work_off(jobs, [{}]) == [3, -signal.SIGKILL, -signal.SIGSEGV]


def test_a_process_has_its_slots_variables_this_folder_torch_and_a_session_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [tmp_path / str(number) for number in range(4)]
    work_off([Job(note_surroundings, (file,)) for file in files], [{"SLOT": "a"}, {"SLOT": "b"}])
    found = [file.read_text().split() for file in files]
    assert sorted(slot for slot, *_ in found) == ["a", "a", "b", "b"]
    assert all(others == [str(tmp_path), "True", "True"] for _, *others in found)


def test_no_more_run_than_there_are_slots(tmp_path: Path) -> None:
    work_off([Job(note_times, (tmp_path, str(number))) for number in range(5)], [{}, {}])
    times = [tuple(map(float, file.read_text().split())) for file in tmp_path.iterdir()]
    assert len(times) == 5
    for began, _ in times:
        assert sum(first <= began < last for first, last in times) <= 2


def test_a_free_slot_is_filled_while_others_are_still_busy(tmp_path: Path) -> None:
    third = tmp_path / "third"
    jobs = [Job(wait_for, (third,)), Job(end_with, (0,)), Job(make, (third,))]
    assert work_off(jobs, [{}, {}]) == [0, 0, 0]


def test_what_a_process_and_its_children_print_goes_into_its_file(tmp_path: Path) -> None:
    work_off([Job(say_something, (), tmp_path / "output.log")], [{}])
    assert (tmp_path / "output.log").read_text() == "from Python\nfrom a program\nan error\n"


def test_on_request_processes_save_and_end_and_no_more_are_started(tmp_path: Path) -> None:
    file = tmp_path / "state"
    jobs = [Job(end_with, (0,)), Job(save_when_asked, (file,)), Job(end_with, (0,))]
    assert work_off(jobs, [{}, {}], stop_after=2)[-1] == 75
    assert file.read_text() == "saved"


def test_a_process_that_does_not_heed_a_request_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "GRACE_S", 1.0)
    file = tmp_path / "pid"
    jobs = [Job(ignore_requests, (file,)), Job(note_times, (tmp_path, "other")), Job(note_times, (tmp_path, "next"))]
    codes = work_off(jobs, [{}, {}], stop_after=2)
    assert codes[-1] == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_a_fault_in_the_work_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pid"

    class Faulty(Listed):
        def look(self) -> None:
            if file.exists() and file.read_text():
                raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        pool.run(Faulty([Job(ignore_requests, (file,))], StopRequest()), [{}], StopRequest())
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_a_question_is_answered_by_a_process_of_its_own() -> None:
    assert pool.ask(os.getpid) not in (os.getpid(), pool.ask(os.getpid))
    with pytest.raises(UserError, match="no such thing\n  fix:      something else"):
        pool.ask(refuse, "no such thing")
    with pytest.raises(RuntimeError, match="the process that was asked for kill_yourself died"):
        pool.ask(kill_yourself, signal.SIGKILL)


def test_a_ctrl_c_while_the_server_imports_is_for_the_pools_process_alone(tmp_path: Path) -> None:
    file = tmp_path / "started.py"
    file.write_text(
        "import os, signal, time\n"
        "from runner.launch import pool\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, lambda *_: print('told'))\n"
        "    pool.warm_up()\n"
        "    time.sleep(0.3)\n"
        "    os.killpg(0, signal.SIGINT)\n"
        "    print(pool.ask(os.getpid) != os.getpid())\n"
    )
    done = subprocess.run([sys.executable, file], start_new_session=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("told\nTrue\n", "")
