"""Sweeps as a user has them: what a trial, or the whole of it, goes through, and what comes out."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from comparing import assert_identical, result
from terminal import CommandLine

from runner.runs.directory import RunDirectory
from runner.runs.sweep_directory import SweepDirectory

pytestmark = pytest.mark.slow

SHORT = ("epochs=1", "data.batch_size=200", "tracking.tensorboard=false")
LONG = ("model=lenet", "data=digits_32", "epochs=4", "data.batch_size=32", "checkpoint.every_steps=5")

DOOMED = '''
import ctypes, os, signal, time
from torch import nn

class Doomed(nn.Module):
    """Dies in its second epoch, in one of many ways."""

    def __init__(self, death):
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.death = death
        self.steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.steps == 10:
            time.sleep(0.5)  # the checkpoint of the epoch before is on the disk by then
            match self.death:
                case "raise": raise RuntimeError("it was too much")
                case "segfault": ctypes.string_at(0)
                case "kill": os.kill(os.getpid(), signal.SIGKILL)
                case "exit": os._exit(3)
                case "memory": list(range(1 << 62))
        return self.layer(images.flatten(1))
'''

DEADLY_LINES = ('"raise": raise RuntimeError("it was too much")', '"segfault": ctypes.string_at(0)')


@pytest.fixture
def doomed(runner: CommandLine) -> CommandLine:
    """A terminal in a project with a model that dies when it is told to."""
    (runner.folder / "conf" / "model").mkdir(parents=True)
    (runner.folder / "conf" / "model" / "doomed.yaml").write_text("_target_: doomed.Doomed\ndeath: none\n")
    (runner.folder / "doomed.py").write_text(DOOMED)
    return runner


def sweep_in(runner: CommandLine) -> SweepDirectory:
    (found,) = (runner.folder / "outputs").glob("*/*-sweep")
    return SweepDirectory.open(found)


def statuses(sweep: SweepDirectory) -> dict[int, dict[str, Any]]:
    return {number: json.loads(run.status_file.read_text()) for number, run in sweep.runs().items()}


def states(sweep: SweepDirectory) -> list[str]:
    return [status["state"] for status in statuses(sweep).values()]


def came_to(run: RunDirectory) -> dict[str, Any]:
    """Everything that a run came to; of the curves, what does not depend on the process that wrote them."""
    found = result(run)
    found["events"] = [event for event in found["events"] if not event[0].startswith("_")]
    return found


def wait_until(condition: Callable[[], object], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"


@pytest.fixture
def half_done(runner: CommandLine) -> Iterator[tuple[CommandLine, Any]]:
    """A sweep of three runs, two at a time, whose first two are under way, and its process."""
    process = runner.start("train", "-m", "seed=0,1,2", *LONG, "n_jobs=2")

    def is_under_way() -> bool:
        found = list((runner.folder / "outputs").glob("*/*/runs/000[01]*/checkpoints/step-*.pt"))
        return len({file.parents[1].name for file in found}) == 2

    wait_until(is_under_way)
    yield runner, process
    process.kill()
    process.communicate()


def test_every_combination_is_a_run_and_the_end_is_one_table(runner: CommandLine) -> None:
    done = runner("train", "-m", "optimizer.lr=0.1,0.01", "seed=0,1", *SHORT, "n_jobs=2")
    assert (done.returncode, done.stderr) == (0, "")
    sweep = sweep_in(runner)
    names = ["0000-lr-0.1-seed-0", "0001-lr-0.1-seed-1", "0002-lr-0.01-seed-0", "0003-lr-0.01-seed-1"]
    assert [run.path.name for run in sweep.runs().values()] == names
    configs = [run.config() for run in sweep.runs().values()]
    assert [(one["optimizer"]["lr"], one["seed"]) for one in configs] == [(0.1, 0), (0.1, 1), (0.01, 0), (0.01, 1)]
    table = done.stdout.partition("\nrun ")[2]
    rows = [line.split() for line in table.splitlines()[1:5]]
    assert [row[:4] for row in rows] == [
        ["0000", "0.1", "0", "completed"],
        ["0001", "0.1", "1", "completed"],
        ["0002", "0.01", "0", "completed"],
        ["0003", "0.01", "1", "completed"],
    ]


def test_a_run_of_a_sweep_is_the_run_that_it_would_be_alone(runner: CommandLine) -> None:
    typed = ("seed=3", *LONG, "epochs=2", "device.threads=1")
    assert runner("train", *typed).returncode == 0
    (alone,) = runner.runs()
    assert runner("train", "-m", *typed, "optimizer.lr=0.001,0.002").returncode == 0
    assert_identical(came_to(RunDirectory(alone)), came_to(sweep_in(runner).runs()[0]))


def test_a_dry_run_shows_the_runs_and_writes_nothing(runner: CommandLine) -> None:
    done = runner("train", "-m", "optimizer.lr=0.1,0.01", "seeds=2", "--dry-run")
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()[:5]] == [
        ["run", "optimizer.lr", "seed"],
        *(["0000", "0.1", "0"], ["0001", "0.1", "1"], ["0002", "0.01", "0"], ["0003", "0.01", "1"]),
    ]
    assert list(runner.folder.iterdir()) == []


def test_a_sweep_over_models_sets_what_they_have_and_the_default_model_has_not(runner: CommandLine) -> None:
    done = runner("train", "-m", "model=convnet,unet", "model.batch_norm=false", "seeds=2", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "4 runs; nothing was started (--dry-run)"


def test_an_experiment_chooses_the_sweeper_and_what_is_typed_wins(runner: CommandLine) -> None:
    experiment = runner.folder / "conf" / "experiment" / "study.yaml"
    experiment.parent.mkdir(parents=True)
    params = "hydra: {sweeper: {params: {optimizer.lr: 'interval(0.1,0.2)'}, seeds: 2}}"
    experiment.write_text(f"# @package _global_\ndefaults: [{{override /hydra/sweeper: optuna}}]\n{params}\n")
    done = runner("train", "-m", "experiment=study", "n_trials=3", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.1 to 0.2\n\n6 runs" in done.stdout
    typed = runner("train", "-m", "experiment=study", "sweeper=grid", "optimizer.lr=0.1,0.2", "--dry-run")
    assert "4 runs; nothing was started" in typed.stdout, typed.stderr


def test_a_wrong_point_is_refused_before_anything_starts(runner: CommandLine) -> None:
    done = runner("train", "-m", "optimizer.lr=0.1,-1", "epochs=1,ten")
    assert done.returncode == 2
    assert "optimizer.lr=-1 is not valid" in done.stderr
    assert "epochs=ten is not valid" in done.stderr
    assert list(runner.folder.iterdir()) == []


def test_a_run_that_dies_in_any_way_is_marked_with_its_reason_and_the_others_finish(doomed: CommandLine) -> None:
    deaths = {
        "raise": "RuntimeError: it was too much",
        "segfault": "crashed: SIGSEGV\n",
        "kill": "was killed by SIGKILL",
        "exit": "ended with exit code 3",
        "memory": "MemoryError",
    }
    typed = ("data.batch_size=200", "epochs=3", "tracking.tensorboard=false")
    done = doomed("train", "-m", "model=doomed", f"model.death=none,{','.join(deaths)},no", *typed)
    assert done.returncode == 1
    sweep = sweep_in(doomed)
    assert states(sweep) == ["completed", "failed", "failed", "failed", "failed", "failed", "completed"]
    for number, (death, reason) in enumerate(deaths.items(), start=1):
        assert statuses(sweep)[number]["error"].startswith(reason), death
    runs = sweep.runs()
    raising, crashing = (1 + DOOMED.splitlines().index(f"                case {line}") for line in DEADLY_LINES)
    assert f'doomed.py", line {raising}, in forward' in runs[1].log_file.read_text()
    assert "Fatal Python error: Segmentation fault" in runs[2].output_file.read_text()
    assert f'doomed.py", line {crashing} in forward' in runs[2].output_file.read_text()
    assert (
        f"failed: 5 of 7 runs; to try them again: runner resume {sweep.path.relative_to(doomed.folder)}" in done.stdout
    )


def test_a_run_that_fails_is_tried_again_from_its_checkpoint(doomed: CommandLine) -> None:
    # It dies at its tenth step, and an epoch has seven: with that of the first, two more tries come to the end of four.
    typed = ("data.batch_size=200", "epochs=4", "tracking.tensorboard=false")
    done = doomed("train", "-m", "model=doomed", "model.death=kill,none", *typed, "retries=3")
    assert done.returncode == 0
    died, whole = (RunDirectory(run.path) for run in sweep_in(doomed).runs().values())
    assert json.loads(died.status_file.read_text())["executions"] == 4
    weights = [result(run)["checkpoints"]["last.pt"]["model"] for run in (died, whole)]
    assert_identical(*weights)


def test_a_sweep_whose_process_is_killed_leaves_no_process_and_resumes_to_the_same_bytes(half_done) -> None:
    runner, process = half_done
    sweep = sweep_in(runner)
    pids = [status["pid"] for status in statuses(sweep).values() if status["pid"]]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not any(map(is_alive, pids)), seconds=10)
    assert "completed" not in states(sweep)

    done = runner("resume", str(sweep.path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert states(sweep) == ["completed"] * 3
    assert [status["executions"] for status in statuses(sweep).values()] == [2, 2, 1]
    elsewhere = CommandLine(runner.folder / "elsewhere")
    elsewhere.folder.mkdir()
    assert elsewhere("train", "-m", "seed=0,1,2", *LONG, "n_jobs=2").returncode == 0
    for number, run in sweep_in(elsewhere).runs().items():
        assert_identical(came_to(run), came_to(sweep.runs()[number]))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_sweep_that_is_asked_to_stop_saves_its_runs_and_tells_how_to_go_on(half_done, number: int, code: int) -> None:
    runner, process = half_done
    pids = [status["pid"] for status in statuses(sweep_in(runner)).values() if status["pid"]]
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (code, "")
    assert not any(map(is_alive, pids))
    sweep = sweep_in(runner)
    assert states(sweep) == ["interrupted", "interrupted", "created"]
    assert f"stopped: 0 of 3 runs are complete; to go on: runner resume {sweep.path.relative_to(runner.folder)}" in out


def test_a_run_of_several_processes_saves_too_when_its_sweep_is_asked_to_stop(runner: CommandLine) -> None:
    together = ("device=ddp", "device.kind=cpu", "device.processes=2", "n_jobs=1")
    process = runner.start("train", "-m", "seed=0,1", *LONG, "epochs=500", *together)
    wait_until(lambda: list((runner.folder / "outputs").glob("*/*/runs/*/checkpoints/step-*.pt")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    first = statuses(sweep_in(runner))[0]
    assert (process.returncode, first["state"], first["error"]) == (75, "interrupted", None)
    assert first["step"] > 0


def test_what_is_over_is_not_repeated(runner: CommandLine) -> None:
    assert runner("train", "-m", "seed=0,1", *SHORT).returncode == 0
    sweep = sweep_in(runner)
    before = statuses(sweep)
    done = runner("resume", str(sweep.path))
    assert done.returncode == 0
    assert "is complete: 2 runs, and nothing is left to train" in done.stdout
    assert statuses(sweep) == before


def test_a_sweep_is_run_by_one_process_at_a_time(half_done) -> None:
    runner, process = half_done
    process.send_signal(signal.SIGSTOP)  # it holds the sweep, and does not come to its end meanwhile
    done = runner("resume", str(sweep_in(runner).path))
    assert done.returncode == 2
    assert f"is being executed by another process: process {process.pid} on" in done.stderr
    process.send_signal(signal.SIGCONT)


def test_only_how_a_sweep_is_run_can_change_when_it_is_resumed(half_done) -> None:
    runner, process = half_done
    process.send_signal(signal.SIGTERM)
    process.communicate()
    path = str(sweep_in(runner).path)
    assert "epochs=5: the runs of a sweep are frozen" in runner("resume", path, "epochs=5").stderr
    assert "launcher.n_jobs=0 is not valid\n  where:    n_jobs=0 on" in runner("resume", path, "n_jobs=0").stderr
    done = runner("resume", path, "n_jobs=1", "retries=1")
    assert done.returncode == 0
    assert "3 of 3 runs are left, 1 at a time" in done.stdout


def test_sweeps_started_at_the_same_instant_have_directories_of_their_own(runner: CommandLine) -> None:
    processes = [runner.start("train", "-m", f"seed={n},{n + 1}", "max_steps=1", *SHORT) for n in (0, 10, 20)]
    for process in processes:
        process.communicate()
    sweeps = [SweepDirectory(path) for path in (runner.folder / "outputs").glob("*/*")]
    seeds = sorted([run.config()["seed"] for run in sweep.runs().values()] for sweep in sweeps)
    assert seeds == [[0, 1], [10, 11], [20, 21]]


# --- studies --------------------------------------------------------------------------------------------------------

STUDY = ("sweeper=optuna", "optimizer.lr=tag(log,interval(1e-4,1e-1))", "sweeper.startup_trials=2")


def trials_of(sweep: SweepDirectory) -> list[Any]:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(sweep.journal)))
    return list(optuna.load_study(study_name=None, storage=storage).trials)


def test_a_study_has_as_many_trials_as_planned_and_knows_what_each_came_to(runner: CommandLine) -> None:
    done = runner("train", "-m", *STUDY, "n_trials=5", *SHORT, "n_jobs=2")
    assert (done.returncode, done.stderr) == (0, "")
    sweep = sweep_in(runner)
    assert list(sweep.runs()) == [0, 1, 2, 3, 4]
    for number, trial in enumerate(trials_of(sweep)):
        run = sweep.runs()[number]
        assert trial.values == [statuses(sweep)[number]["best"]]
        assert trial.params == {"optimizer.lr": run.config()["optimizer"]["lr"]}
        assert 1e-4 <= trial.params["optimizer.lr"] <= 1e-1


def test_a_study_that_was_killed_goes_on_with_its_half_done_trials_to_the_planned_total(runner: CommandLine) -> None:
    process = runner.start("train", "-m", *STUDY, "n_trials=4", *LONG, "n_jobs=2")
    wait_until(lambda: len(list((runner.folder / "outputs").glob("*/*/runs/*/checkpoints/step-*.pt"))) >= 2)
    process.kill()
    process.communicate()
    sweep = sweep_in(runner)
    wait_until(lambda: not any(is_alive(status["pid"]) for status in statuses(sweep).values() if status["pid"]), 10)
    begun = {number: run.config()["optimizer"]["lr"] for number, run in sweep.runs().items()}
    done = runner("resume", str(sweep.path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(sweep.runs()) == [0, 1, 2, 3]
    assert states(sweep) == ["completed"] * 4
    assert [trial.state.name for trial in trials_of(sweep)] == ["COMPLETE"] * 4
    assert {number: sweep.runs()[number].config()["optimizer"]["lr"] for number in begun} == begun


def test_later_points_are_composed_from_the_files_of_the_beginning(doomed: CommandLine) -> None:
    option = doomed.folder / "conf" / "model" / "doomed.yaml"
    option.write_text("_target_: doomed.Doomed\ndeath: kill\n")
    typed = ("model=doomed", "data.batch_size=200", "epochs=3", "tracking.tensorboard=false")
    done = doomed("train", "-m", *STUDY, "n_trials=2", *typed, "n_jobs=1")
    assert done.returncode == 1
    sweep = sweep_in(doomed)
    option.write_text("_target_: doomed.Doomed\ndeath: changed\n")
    record = sweep.record()
    sweep.write(replace(record, planned=3, sweeper={**record.sweeper, "n_trials": 3}))
    doomed("resume", str(sweep.path))
    assert [run.config()["model"]["death"] for run in sweep.runs().values()] == ["kill"] * 3


def test_a_hopeless_trial_is_pruned_and_its_slot_is_free_for_the_next(runner: CommandLine) -> None:
    typed = ("optimizer=sgd", "optimizer.lr=0.1,1e-9", "sweeper=optuna", "sweeper.sampler=grid", "n_jobs=1")
    pruning = ("sweeper.pruner=median", "sweeper.startup_trials=1")
    done = runner("train", "-m", *typed, *pruning, "seed=range(3)", "epochs=4", "tracking.tensorboard=false")
    assert done.returncode == 0
    sweep = sweep_in(runner)
    found = [
        (run.config()["optimizer"]["lr"], status["state"])
        for run, status in zip(sweep.runs().values(), statuses(sweep).values(), strict=True)
    ]
    assert len(found) == 6
    assert (1e-9, "pruned") in found
    pruned = [number for number, status in statuses(sweep).items() if status["state"] == "pruned"]
    assert all(statuses(sweep)[number]["epoch"] < 4 for number in pruned)
    assert all(trials_of(sweep)[number].state.name == "PRUNED" for number in pruned)


def test_a_trial_that_comes_to_no_number_is_failed_and_the_study_goes_on(runner: CommandLine) -> None:
    typed = (
        "optimizer=sgd",
        "optimizer.lr=0.1,1e30",
        "sweeper=optuna",
        "sweeper.sampler=grid",
        "training.nonfinite=skip",
    )
    done = runner("train", "-m", *typed, "monitor=val/loss", *SHORT)
    sweep = sweep_in(runner)
    by_lr = {trial.params["optimizer.lr"]: trial.state.name for trial in trials_of(sweep)}
    assert by_lr == {"0.1": "COMPLETE", "1e+30": "FAIL"}, done.stdout
    assert "has failed: its val/loss is not a number" in done.stdout
    assert done.returncode == 1


def test_a_trial_whose_values_do_not_suit_each_other_has_failed_and_is_not_promised_another_try(
    runner: CommandLine,
) -> None:
    values = ("optimizer=sgd", "optimizer.momentum=0.9,0", "optimizer.nesterov=false,true")
    done = runner("train", "-m", "sweeper=optuna", "sweeper.sampler=grid", *values, "max_steps=1", *SHORT)
    assert done.returncode == 1, done.stdout
    assert "cannot be run: optimizer.nesterov=true needs momentum" in done.stdout
    assert done.stdout.endswith("\nfailed: 1 trial; a study does not try them again\n")
    sweep = sweep_in(runner)
    assert sorted(trial.state.name for trial in trials_of(sweep)) == ["COMPLETE"] * 3 + ["FAIL"]
    again = runner("resume", str(sweep.path))
    assert "is complete: 4 trials, 1 of them failed, and nothing is left to train" in again.stdout
    assert again.returncode == 1


def test_a_trial_of_several_seeds_is_judged_by_their_mean(runner: CommandLine) -> None:
    assert runner("train", "-m", *STUDY, "n_trials=2", "seeds=3", "seed=5", *SHORT).returncode == 0
    sweep = sweep_in(runner)
    best = [status["best"] for status in statuses(sweep).values()]
    assert [run.config()["seed"] for run in sweep.runs().values()] == [5, 6, 7, 5, 6, 7]
    assert [trial.values for trial in trials_of(sweep)] == [
        [pytest.approx(sum(best[:3]) / 3)],
        [pytest.approx(sum(best[3:]) / 3)],
    ]


def test_a_study_of_models_with_seeds_sets_what_the_default_model_has_not(runner: CommandLine) -> None:
    chosen = ("sweeper=optuna", "optimizer.lr=interval(0.01,0.1)", "model=convnet,unet", "model.batch_norm=false")
    done = runner("train", "-m", *chosen, "n_trials=1", "seeds=2", "seed=3", "max_steps=1", *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [run.config()["seed"] for run in sweep_in(runner).runs().values()] == [3, 4]


def test_several_objectives_are_optimised_together(runner: CommandLine) -> None:
    objectives = "sweeper.objectives=[{metric: val/f1, direction: maximize}, {metric: seconds, direction: minimize}]"
    assert runner("train", "-m", *STUDY, "n_trials=3", objectives, *SHORT).returncode == 0
    sweep = sweep_in(runner)
    for number, trial in enumerate(trials_of(sweep)):
        status = statuses(sweep)[number]
        assert trial.values == [status["metrics"]["val/f1"], status["seconds"]]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("epochs=3",), "a study has nothing to choose from"),
        (("optimizer.lr=interval(0.1,-1)",), "is nothing to choose from"),
        (("optimizer.lr=interval(-1,1)",), "optimizer.lr=-1.0 is not valid"),
        (("seed=0,1", "sweeper.objectives=[{metric: val/acc, direction: maximize}]"), "val/acc is no figure of these"),
        (
            ("seed=0,1", "sweeper.pruner=median", "sweeper.objectives=[{metric: seconds, direction: minimize}]"),
            "judges by",
        ),
        (("seed=0,1", "sweeper.sampler=tpee"), "nearest:  tpe"),
        (
            (
                "optimizer.lr=interval(0.001,0.1)",
                "sweeper.sampler=cmaes",
                "sweeper.objectives=[{metric: val/f1, direction: maximize}, {metric: seconds, direction: minimize}]",
            ),
            "cmaes optimises one figure",
        ),
    ],
)
def test_a_study_that_cannot_be_is_refused_before_anything_is_written(runner, typed, message: str) -> None:
    done = runner("train", "-m", "sweeper=optuna", *typed)
    assert done.returncode == 2
    assert message in done.stderr
    assert list(runner.folder.iterdir()) == []
