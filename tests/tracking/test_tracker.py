"""Tracker: one position for all records of a run."""

import io

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from runner.tracking.console import Console
from runner.tracking.metrics_csv import MetricsCsv
from runner.tracking.tensorboard import TensorBoard
from runner.tracking.tracker import Tracker


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def new_tracker(tmp_path, stream):
    """A function that makes the tracker of a process on the same run directory."""
    made = []

    def new(tensorboard=True):
        board, rows = TensorBoard(tmp_path / "tensorboard"), MetricsCsv(tmp_path / "metrics.csv")
        made.append(Tracker(Console(stream, fancy=False), rows, board, tensorboard))
        return made[-1]

    yield new
    for tracker in made:
        tracker.close()


def write(tracker, step):
    tracker.csv.append({"epoch": step})
    if tracker.tensorboard is not None:
        tracker.tensorboard.scalars({"loss": step}, step)


def test_a_position_from_a_checkpoint_takes_all_records_back(new_tracker, tmp_path):
    crashed = new_tracker()
    for step in (1, 2, 3):
        write(crashed, step)
        if step == 2:
            torch.save(crashed.position(), tmp_path / "last.pt")

    resumed = new_tracker()
    resumed.rewind(torch.load(tmp_path / "last.pt", weights_only=True))
    write(resumed, 3)
    assert (tmp_path / "metrics.csv").read_text() == "epoch\n1\n2\n3\n"
    points = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [point.step for point in points] == [1, 2, 3]


def test_without_a_checkpoint_a_run_starts_from_nothing(new_tracker, tmp_path):
    write(new_tracker(), 1)
    new_tracker().rewind(None)
    assert not (tmp_path / "metrics.csv").exists()
    assert list((tmp_path / "tensorboard").iterdir()) == []


def test_tensorboard_can_be_switched_off(new_tracker, tmp_path):
    tracker = new_tracker(tensorboard=False)
    write(tracker, 1)
    assert tracker.position() == {"rows": 1, "events": {}}
    tracker.rewind(tracker.position())
    assert (tmp_path / "metrics.csv").read_text() == "epoch\n1\n"


def test_curves_from_before_tensorboard_was_switched_off_are_there_when_it_is_on_again(new_tracker, tmp_path):
    write(new_tracker(), 1)
    without = new_tracker(tensorboard=False)
    write(without, 2)
    again = new_tracker()
    again.rewind(without.position())
    write(again, 3)
    points = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [point.step for point in points] == [1, 3]


def test_curves_go_back_to_the_checkpoint_even_while_tensorboard_is_off(new_tracker, tmp_path):
    crashed = new_tracker()
    write(crashed, 1)
    checkpoint = crashed.position()
    write(crashed, 2)
    new_tracker(tensorboard=False).rewind(checkpoint)
    points = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [point.step for point in points] == [1]


def test_lost_rows_are_told(new_tracker, stream):
    new_tracker().rewind({"rows": 3, "events": {}})
    assert stream.getvalue() == "warning: metrics.csv has lost rows: the checkpoint counted 3, 0 are left\n"
