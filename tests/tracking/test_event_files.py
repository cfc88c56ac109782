"""EventFiles, read by TensorBoard's own reader: every (tag, step) is there once after any interruption."""

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from runner.tracking import event_files
from runner.tracking.event_files import EventFiles


def write(files, step, value=None):
    value = step if value is None else value
    files.add(Event(summary=Summary(value=[Summary.Value(tag="loss", simple_value=value)])), step)


def read(folder):
    """What TensorBoard reads: (step, value) in the order in which it finds them."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    if "loss" not in accumulator.Tags()["scalars"]:
        return []
    return [(event.step, event.value) for event in accumulator.Scalars("loss")]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_no_file_is_made_before_the_first_event(tmp_path):
    files = EventFiles(tmp_path / "tensorboard")
    assert files.position() == {}
    files.rewind({})
    files.close()
    assert not (tmp_path / "tensorboard").exists()


def test_an_event_is_on_disk_when_add_returns(tmp_path):
    files = EventFiles(tmp_path)
    for step in (1, 2):
        write(files, step)
        assert read(tmp_path)[-1] == (step, step)
        assert files.position() == {names(tmp_path)[0]: (tmp_path / names(tmp_path)[0]).stat().st_size}
    files.close()


def test_after_a_crash_and_a_rewind_every_step_is_read_once(tmp_path):
    crashed = EventFiles(tmp_path)
    for step in range(1, 11):
        write(crashed, step)
        if step == 5:
            position = crashed.position()
    assert len(read(tmp_path)) == 10

    resumed = EventFiles(tmp_path)
    assert resumed.rewind(position) == []
    for step in range(6, 11):
        write(resumed, step, step + 0.5)
    assert read(tmp_path) == [(step, step) for step in range(1, 6)] + [(step, step + 0.5) for step in range(6, 11)]
    crashed.close()
    resumed.close()


def test_a_file_that_the_checkpoint_does_not_know_is_removed(tmp_path):
    first = EventFiles(tmp_path)
    write(first, 1)
    position = first.position()
    first.close()
    second = EventFiles(tmp_path)
    second.rewind(position)
    write(second, 2)
    second.close()
    assert len(names(tmp_path)) == 2

    third = EventFiles(tmp_path)
    third.rewind(position)
    assert names(tmp_path) == list(position)
    write(third, 2, 2.5)
    third.close()
    assert read(tmp_path) == [(1, 1), (2, 2.5)]


def test_rewinding_to_the_start_removes_every_event_file_and_nothing_else(tmp_path):
    files = EventFiles(tmp_path)
    write(files, 1)
    (tmp_path / "notes.txt").write_text("mine")
    files.rewind({})
    assert names(tmp_path) == ["notes.txt"]
    write(files, 1, 7)
    files.close()
    assert read(tmp_path) == [(1, 7)]


def test_a_file_name_never_sorts_before_an_earlier_one_even_if_the_clock_goes_back(tmp_path, monkeypatch):
    times = iter([1_800_000_000.0, 1_700_000_000.0, 1_700_000_000.0, 1_900_000_000.0])
    position = {}
    for step in range(1, 5):
        with monkeypatch.context() as patched:
            now = next(times)
            patched.setattr(event_files.time, "time", lambda now=now: now)
            files = EventFiles(tmp_path)
            files.rewind(position)
            write(files, step)
            position = files.position()
            files.close()
    assert [name.split(".")[3] for name in names(tmp_path)] == ["1800000000", "1800000001", "1800000002", "1900000000"]
    assert read(tmp_path) == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_a_new_file_sorts_after_a_removed_one_that_a_watching_tensorboard_may_have_read(tmp_path, monkeypatch):
    monkeypatch.setattr(event_files.time, "time", lambda: 1_800_000_000.0)
    files = EventFiles(tmp_path)
    write(files, 1)
    (removed,) = names(tmp_path)
    files.rewind({})
    write(files, 1)
    files.close()
    assert names(tmp_path)[0] > removed


def test_a_file_that_lost_bytes_is_named_and_not_padded(tmp_path):
    files = EventFiles(tmp_path)
    write(files, 1)
    write(files, 2)
    position = files.position()
    files.close()
    (name,) = names(tmp_path)
    os.truncate(tmp_path / name, position[name] - 3)
    assert EventFiles(tmp_path).rewind(position) == [name]
    assert (tmp_path / name).stat().st_size == position[name] - 3
    assert EventFiles(tmp_path).rewind({"events.out.tfevents.gone": 10}) == ["events.out.tfevents.gone"]


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_run_killed_at_any_byte_any_number_of_times_is_read_as_the_unbroken_one(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("events")
    num_steps, saved_step, position = 8, 0, {}
    for _ in range(data.draw(st.integers(0, 4), label="kills")):
        files = EventFiles(folder)
        files.rewind(position)
        start = saved_step
        save_at = data.draw(st.integers(start, num_steps), label="checkpoint after step")
        for step in range(start + 1, data.draw(st.integers(save_at, num_steps), label="killed after step") + 1):
            write(files, step)
            if step == save_at:
                saved_step, position = step, files.position()
        files.close()
        for name, size in files.position().items():
            kept = position.get(name, 0)
            os.truncate(folder / name, data.draw(st.integers(kept, size), label="bytes left"))
    files = EventFiles(folder)
    files.rewind(position)
    for step in range(saved_step + 1, num_steps + 1):
        write(files, step)
    files.close()
    assert read(folder) == [(step, step) for step in range(1, num_steps + 1)]


def test_a_full_disk_is_an_error():
    with io.FileIO("/dev/full", "w") as file, pytest.raises(OSError, match="No space left"):
        event_files._write_record(file, b"event")


def test_a_record_is_written_whole_by_writes_that_take_a_part_of_it(tmp_path):
    class Slow(io.FileIO):
        def write(self, data):
            return super().write(bytes(data[:3]))

    with Slow(tmp_path / "slow", "x") as slow, io.FileIO(tmp_path / "fast", "x") as fast:
        event_files._write_record(slow, b"0123456789")
        event_files._write_record(fast, b"0123456789")
    assert (tmp_path / "slow").read_bytes() == (tmp_path / "fast").read_bytes()
    assert len((tmp_path / "fast").read_bytes()) == 8 + 4 + 10 + 4
