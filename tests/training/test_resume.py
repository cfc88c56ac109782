"""An interruption is not an event: a run stopped anywhere and taken up again equals the run that was left alone."""

import contextlib
from itertools import cycle
from pathlib import Path

import pytest
from comparing import NewRun, assert_identical, before, execute, execute_to_the_end, result, stop_at

from runner.config.amend import amend
from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.training import execute as execution
from runner.training.coming import Coming
from runner.training.recorder import Recorder
from runner.training.signals import StopRequest
from runner.trust import Trust

SMALL = ("epochs=3", "data.batch_size=200", "model.hidden=[16]", "tracking.log_every=2", "tracking.graph=false")
"""Seven steps an epoch on the digits."""

CASES = {
    "plain": [],
    "sgd with momentum and a schedule": ["optimizer=sgd", "optimizer.momentum=0.9", "scheduler=cosine"],
    "dropout": ["model.dropout=0.5"],
    "accumulation over a last window that is shorter": ["training.accumulate=2"],
    "sequential order, last batch dropped": ["data.order=sequential", "data.drop_last=true"],
    "early stopping": ["regularization=[early_stopping,clip]", "regularization.early_stopping.patience=1"],
    "bf16": ["device.precision=bf16"],
    "fp16 with a scaler": ["device.precision=fp16"],
    "max_steps within an epoch": ["max_steps=17"],
    "no validation": ["data.split.val=0"],
    "averaged weights": ["regularization=[ema]"],
    "mixup or cutmix, and penalties": ["regularization=[mixup,cutmix,l1,l2]"],
    "balanced order": ["data.order=balanced"],
    "weighted order": ["data.order=weighted", "data.class_weights=[1,2,3,4,5,5,4,3,2,1]", "data.num_samples=900"],
    "two workers": ["data.workers=2"],
    "Muon, a rate that waits for a plateau, and a metric of torchmetrics": [
        *("optimizer=muon", "scheduler=plateau", "scheduler.patience=0", "monitor=train/loss"),
        "task.metrics=[calibration_error]",
    ],
    "transforms of torchvision, by workers": [
        "data.workers=2",
        "data.augment=[{_target_:torchvision.transforms.v2.RandomAffine,degrees:20},"
        "{_target_:runner.data.augment.ColorJitter,brightness:0.4,contrast:0.4,saturation:0}]",
    ],
    "a subset drawn by the weight of each sample, in folds": [
        *("data.subset=numbers.txt", "data.order=weighted", "data.sample_weights=weights.txt"),
        *("data.folds=3", "data.fold=1", "data.num_samples=1400"),
    ],
    "augmentation": ["data.augment=[{_target_:runner.data.augment.Shift,pixels:1,padding:zeros}]"],
}


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
@pytest.mark.parametrize("steps", [(1,), (7,), (10, 11, 12)], ids=str)
def test_a_run_stopped_and_resumed_equals_the_run_left_alone(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, overrides: list[str], steps: tuple[int, ...]
) -> None:
    (tmp_path / "numbers.txt").write_text("\n".join(map(str, range(0, 1797, 2))))
    (tmp_path / "weights.txt").write_text("\n".join(str(1 + number % 5) for number in range(1797)))
    alone = new_run(*SMALL, *overrides)
    assert execute(alone).exit_code == 0
    stopped = new_run(*SMALL, *overrides)
    stop_at(monkeypatch, *steps)
    assert execute_to_the_end(stopped) == [75] * len(steps) + [0]
    assert_identical(result(stopped), result(alone))


@pytest.mark.parametrize("are_here", [[False], [False, False, True]], ids=["never before they are needed", "late"])
def test_losses_that_a_device_gives_late_change_no_record(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, are_here: list[bool]
) -> None:
    typed = [*SMALL, "regularization=[clip]", "checkpoint.every_steps=5"]
    alone = new_run(*typed)
    assert execute(alone).exit_code == 0
    behind = new_run(*typed)
    answers = cycle(are_here)
    monkeypatch.setattr(Coming, "are_here", lambda coming: next(answers))
    stop_at(monkeypatch, 8, 13)
    assert execute_to_the_end(behind) == [75, 75, 0]
    assert_identical(result(behind), result(alone))


@pytest.mark.parametrize(
    "scheduler", [["scheduler=exponential"], ["scheduler=plateau", "scheduler.patience=0"]], ids=str
)
def test_a_run_that_is_given_more_epochs_is_the_run_that_had_them_from_the_start(
    new_run: NewRun, scheduler: list[str]
) -> None:
    typed = [*SMALL, *scheduler, "optimizer.lr=0.01", "tracking.tensorboard=false"]
    planned = new_run(*typed)
    longer = new_run(*typed, "epochs=2")
    assert execute(planned).exit_code == execute(longer).exit_code == 0
    amend(longer, ["epochs=3"], lambda config: None)
    assert execute(longer).exit_code == 0
    one, other = (result(run)["checkpoints"]["last.pt"] for run in (longer, planned))
    for part in ("model", "optimizer", "progress"):
        assert_identical(one[part], other[part], part)


class Death(BaseException):
    """Ends an execution without letting it save."""


def die(*args: object, **kwargs: object) -> None:
    raise Death


@pytest.mark.parametrize("epochs_saved", [0, 1])
def test_a_run_that_goes_back_says_at_once_where_it_stands(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, epochs_saved: int
) -> None:
    run, shorter = new_run(*SMALL), new_run(*SMALL, "epochs=1", "training.test=false")
    assert execute(shorter).exit_code == 0
    with monkeypatch.context() as killed:
        killed.setattr(Recorder, "save", Recorder.save)
        before(Recorder, "save", die, number=epochs_saved + 1)
        with pytest.raises(Death):
            execute(run)
    assert Status.read(run.status_file).epoch == epochs_saved + 1, "not yet in a checkpoint"
    monkeypatch.setattr(execution, "train", die)
    with pytest.raises(Death):
        execute(run)
    status = Status.read(run.status_file)
    alone = Status.read(shorter.status_file) if epochs_saved else Status()
    for name in ("epoch", "step", "best", "best_epoch", "metrics"):
        assert getattr(status, name) == getattr(alone, name), name


class Judge:
    """Finds a run hopeless after its second epoch, and is interrupted when it is asked of one."""

    metric = "monitor"

    def __init__(self, interrupted_at: int | None = None) -> None:
        self.interrupted_at = interrupted_at
        self.asked: list[int] = []

    def is_hopeless(self, epoch: int, epochs: int, value: float) -> bool:
        self.asked.append(epoch)
        if epoch == self.interrupted_at:
            raise Death
        return epoch == 2


def test_a_run_that_was_killed_before_it_was_judged_is_judged_when_it_goes_on(new_run: NewRun) -> None:
    alone, killed = new_run(*SMALL), new_run(*SMALL)

    def judged(run: RunDirectory, judge: Judge) -> list[int]:
        def carry_out(one: execution.Execution) -> int:
            one.judge = judge
            return execution.train_here(one)

        with contextlib.suppress(Death):
            execution.execute(run, Trust((), everything=True), StopRequest(), carry_out=carry_out)
        return judge.asked

    assert judged(alone, Judge()) == [1, 2]
    assert [judged(killed, Judge(interrupted_at)) for interrupted_at in (1, 2, None)] == [[1], [1, 2], [2]]
    assert Status.read(alone.status_file).state == "pruned"
    assert_identical(result(killed), result(alone))


def test_a_run_that_a_study_has_pruned_says_when_it_goes_on_that_the_study_is_not_told(
    new_run: NewRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = new_run(*SMALL, "epochs=2")
    note = "warning: a study has pruned this run; it goes on, and the study is not told what it comes to"
    status = Status.read(run.status_file)
    status.end("pruned")
    status.write(run.status_file)
    assert execute(run).exit_code == 0
    assert note in capsys.readouterr().out
    assert execute(run).exit_code == 0
    assert note not in capsys.readouterr().out
