"""MetricsCsv: what is written is read back to the bit, and going back to a checkpoint leaves no trace."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.tracking.metrics_csv import MetricsCsv


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def test_every_row_is_a_complete_line_on_disk_when_append_returns(path):
    metrics = MetricsCsv(path)
    metrics.append({"epoch": 1, "split": "train", "loss": 0.5})
    assert path.read_text() == "epoch,split,loss\n1,train,0.5\n"
    metrics.append({"epoch": 2, "split": "train", "loss": 0.25})
    assert path.read_text() == "epoch,split,loss\n1,train,0.5\n2,train,0.25\n"


def test_pandas_reads_back_the_same_bits(path):
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, math.pi * 1e-9, math.inf, -math.inf]
    metrics = MetricsCsv(path)
    for value in values:
        metrics.append({"loss": value})
    always_exact = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    exactly = {} if always_exact else {"float_precision": "round_trip"}
    read = pd.read_csv(path, **exactly)["loss"]
    assert read.to_numpy().tobytes() == np.array(values).tobytes()


def test_nan_and_an_absent_value_can_be_told_apart(path):
    metrics = MetricsCsv(path)
    metrics.append({"epoch": 1, "loss": math.nan})
    metrics.append({"epoch": 2})
    assert path.read_text() == "epoch,loss\n1,nan\n2,\n"
    assert pd.read_csv(path)["loss"].isna().all()


def test_a_numpy_float_is_written_as_the_number_that_it_is(path):
    MetricsCsv(path).append({"loss": np.float64(0.1)})
    assert path.read_text() == "loss\n0.1\n"


def test_a_text_with_commas_quotes_or_line_breaks_stays_one_cell_on_one_line(path):
    MetricsCsv(path).append({"note": 'a, "b"\nc\rd', "loss": 1.0})
    assert path.read_text() == 'note,loss\n"a, ""b"" c d",1.0\n'
    assert pd.read_csv(path)["note"][0] == 'a, "b" c d'


def test_a_value_that_is_neither_number_nor_text_is_our_own_mistake(path):
    with pytest.raises(AssertionError, match="not a list"):
        MetricsCsv(path).append({"loss": [1.0]})


def test_a_row_with_a_new_column_widens_the_file(path):
    metrics = MetricsCsv(path)
    metrics.append({"epoch": 1, "loss": 0.5})
    metrics.append({"val": 0.75, "epoch": 2, "lr": 0.1})
    assert path.read_text() == "epoch,loss,val,lr\n1,0.5,,\n2,,0.75,0.1\n"


def test_a_kill_while_the_file_is_widened_leaves_the_old_one_whole(path, monkeypatch):
    metrics = MetricsCsv(path)
    metrics.append({"epoch": 1})

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            metrics.append({"epoch": 2, "val": 0.5})
    assert path.read_text() == "epoch\n1\n"

    resumed = MetricsCsv(path)
    resumed.rewind(1)
    resumed.append({"epoch": 2, "val": 0.5})
    assert path.read_text() == "epoch,val\n1,\n2,0.5\n"
    assert [file.name for file in path.parent.iterdir()] == ["metrics.csv"]


def test_another_process_goes_on_where_the_first_one_ended(path):
    MetricsCsv(path).append({"epoch": 1, "loss": 0.5})
    later = MetricsCsv(path)
    assert later.position() == 1
    later.append({"test": 0.9, "epoch": 1})
    assert path.read_text() == "epoch,loss,test\n1,0.5,\n1,,0.9\n"


def test_rewind_forgets_the_rows_after_the_checkpoint_and_the_line_cut_by_the_kill(path):
    metrics = MetricsCsv(path)
    for epoch in range(1, 6):
        metrics.append({"epoch": epoch})
        if epoch == 3:
            position = metrics.position()
    with path.open("a") as file:
        file.write("6")  # cut before its end
    assert MetricsCsv(path).rewind(position) == 3
    assert path.read_text() == "epoch\n1\n2\n3\n"


def test_a_cut_line_is_dropped_even_without_rewind(path):
    path.write_text("epoch,loss\n1,0.5\n2,0.")
    MetricsCsv(path).append({"epoch": 2, "loss": 0.25})
    assert path.read_text() == "epoch,loss\n1,0.5\n2,0.25\n"


def test_a_position_stays_valid_when_a_later_column_makes_the_lines_before_it_longer(path):
    metrics = MetricsCsv(path)
    metrics.append({"epoch": 1})
    position = metrics.position()
    metrics.append({"epoch": 2, "val": 0.5})
    assert MetricsCsv(path).rewind(position) == 1
    assert path.read_text() == "epoch,val\n1,\n"


@pytest.mark.parametrize("content", [None, "", "epo", "epoch\n1\n2\n"])
def test_rewind_to_the_start_leaves_nothing(path, content):
    if content is not None:
        path.write_text(content)
    metrics = MetricsCsv(path)
    assert metrics.rewind(0) == 0
    metrics.append({"loss": 1.0})
    assert path.read_text() == "loss\n1.0\n"


@pytest.mark.parametrize(("content", "left"), [(None, 0), ("epo", 0), ("epoch\n1\n", 1)])
def test_rewind_tells_when_rows_were_lost(path, content, left):
    if content is not None:
        path.write_text(content)
    assert MetricsCsv(path).rewind(5) == left


rows = st.dictionaries(st.sampled_from("abcd"), st.floats() | st.integers() | st.text("x,\n\" '"), min_size=1)


@settings(deadline=None, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=8), st.data())
def test_a_file_killed_at_any_byte_and_resumed_equals_the_unbroken_one(tmp_path_factory, all_rows, data):
    folder = tmp_path_factory.mktemp("csv")
    unbroken, broken = MetricsCsv(folder / "unbroken.csv"), MetricsCsv(folder / "broken.csv")
    for row in all_rows:
        unbroken.append(row)

    num_saved = data.draw(st.integers(0, len(all_rows)), label="rows at the checkpoint")
    num_lost = data.draw(st.integers(0, len(all_rows) - num_saved), label="rows after it")
    for row in all_rows[:num_saved]:
        broken.append(row)
    position = broken.position()
    saved_size = (folder / "broken.csv").stat().st_size if num_saved else 0
    for row in all_rows[num_saved : num_saved + num_lost]:
        broken.append(row)
    content = (folder / "broken.csv").read_bytes() if num_saved + num_lost else b""
    if num_lost and content.count(b"\n") == num_saved + num_lost + 1:
        # Cut within the last row: a file that was widened on the way was replaced as a whole.
        last_row = content[:-1].rfind(b"\n") + 1
        (folder / "broken.csv").write_bytes(content[: data.draw(st.integers(max(saved_size, last_row), len(content)))])

    resumed = MetricsCsv(folder / "broken.csv")
    assert resumed.rewind(position) == num_saved
    for row in all_rows[num_saved:]:
        resumed.append(row)
    assert (folder / "broken.csv").read_bytes() == (folder / "unbroken.csv").read_bytes()


def test_nothing_heavy_is_imported():
    code = "import runner.tracking.metrics_csv, sys; print({'pandas', 'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
