"""Curve: every point is written once, whatever comes between it and the disk."""

import io
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from runner.errors import UserError
from runner.runs.lock import RunLock
from runner.tracking.console import Console
from runner.tracking.metrics_csv import MetricsCsv
from runner.tracking.tensorboard import TensorBoard
from runner.tracking.tracker import Tracker
from runner.training.coming import Coming
from runner.training.curve import Curve, Point


class Loss:
    """Stands in for the losses of an interval, on a device that answers when it likes."""

    def __init__(self, mean: float, here: bool = True) -> None:
        self._mean = mean
        self.here = here

    def is_here(self) -> bool:
        return self.here

    def mean(self) -> float:
        if math.isnan(self._mean):
            raise UserError("the loss is no number")
        return self._mean


def point(step: int, loss: Loss, grad_norm: Coming | None = None) -> Point:
    return Point(step, 0.1, loss, grad_norm)  # type: ignore[arg-type]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tracker(tmp_path: Path, lock: RunLock) -> Iterator[Tracker]:
    board = TensorBoard(tmp_path / "board", check=lock.glance)
    tracker = Tracker(Console(io.StringIO()), MetricsCsv(tmp_path / "metrics.csv"), board, is_board_on=True)
    yield tracker
    tracker.close()


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[RunLock]:
    with RunLock(tmp_path) as lock:
        yield lock


@pytest.fixture
def curve(tracker: Tracker, clock: Clock) -> Curve:
    return Curve(tracker, clock)


def written(folder: Path, tag: str = "train/loss_step") -> list[tuple[int, float]]:
    if not (folder / "board").exists():
        return []
    events = EventAccumulator(str(folder / "board")).Reload()
    return [(one.step, one.value) for one in events.Scalars(tag)] if tag in events.Tags()["scalars"] else []


def test_points_that_come_soon_after_each_other_are_written_together(
    curve: Curve, clock: Clock, tmp_path: Path
) -> None:
    curve.add(point(50, Loss(1.0)))
    assert written(tmp_path) == [(50, 1.0)]
    clock.now += 0.3
    curve.add(point(100, Loss(0.5)))
    curve.glance()
    assert written(tmp_path) == [(50, 1.0)]
    clock.now += 0.3
    curve.add(point(150, Loss(0.25), Coming([2.0])))
    assert written(tmp_path) == [(50, 1.0), (100, 0.5), (150, 0.25)]
    assert written(tmp_path, "train/grad_norm") == [(150, 2.0)]
    assert [step for step, _ in written(tmp_path, "lr")] == [50, 100, 150]


def test_a_point_has_the_time_at_which_it_was_known(
    curve: Curve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, at in enumerate((1000.0, 2000.0, 3000.0), start=1):
        monkeypatch.setattr("time.time", lambda at=at: at)
        curve.add(point(number, Loss(1.0)))
    monkeypatch.setattr("time.time", lambda: 4000.0)
    curve.flush()
    events = EventAccumulator(str(tmp_path / "board")).Reload().Scalars("train/loss_step")
    assert [one.wall_time for one in events] == [1000.0, 2000.0, 3000.0]


def test_a_point_that_is_on_its_way_is_not_waited_for_until_the_next_one_comes(curve: Curve, tmp_path: Path) -> None:
    late = Loss(1.0, here=False)
    curve.add(point(50, late))
    curve.glance()
    assert written(tmp_path) == []
    late.here = True
    curve.glance()
    assert written(tmp_path) == [(50, 1.0)]
    curve.add(point(100, Loss(0.5, here=False)))
    curve.add(point(150, Loss(0.25, here=False)))
    curve.flush()
    curve.flush()
    assert written(tmp_path) == [(50, 1.0), (100, 0.5), (150, 0.25)]


def test_what_was_known_before_a_loss_that_is_no_number_is_written_all_the_same(curve: Curve, tmp_path: Path) -> None:
    curve.add(point(50, Loss(1.0)))
    curve.add(point(100, Loss(0.5)))
    with pytest.raises(UserError, match="the loss is no number"):
        curve.add(point(150, Loss(float("nan"))))
    curve.close()
    assert written(tmp_path) == [(50, 1.0), (100, 0.5)]


def test_nothing_is_written_into_a_directory_that_somebody_else_has_taken(
    curve: Curve, clock: Clock, lock: RunLock, tmp_path: Path
) -> None:
    curve.add(point(50, Loss(1.0)))
    curve.add(point(100, Loss(0.5)))
    lock.path.write_text('{"token": "another", "pid": 1, "host": "elsewhere", "beat": 0}')
    clock.now += 1
    with pytest.raises(UserError, match="was taken over by process 1 on elsewhere"):
        curve.add(point(150, Loss(0.25)))
    curve.close()
    assert written(tmp_path) == [(50, 1.0)]
