"""Console: plain lines in a log, colours and a bar on a terminal, and the same lines in train.log."""

import contextlib
import io
import os
import pty
import re
import subprocess
import sys

import pytest

from runner.tracking.console import Console, EpochRow

STAMPED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(  |$)", re.MULTILINE)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def plain(stream, clock):
    return Console(stream, fancy=False, clock=clock)


@pytest.fixture
def fancy(stream, clock, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    console = Console(stream, fancy=True, clock=clock)
    yield console
    console.close()


def taken(stream):
    """What was written since the last look."""
    text = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return text


def visible(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def row(epoch, best=False, epochs=10, **val):
    return EpochRow(epoch, epochs, {"train": {"loss": 1 / epoch}, "val": {"accuracy": 0.97, **val}}, 1.234, best)


def test_epochs_stand_in_columns_under_one_header(plain, stream):
    for epoch in (1, 2, 10):
        plain.start_epoch(epoch, 10, 4)
        plain.step(4)
        plain.note_loss(0.5)
        plain.end_epoch(row(epoch, best=epoch == 2))
    assert stream.getvalue() == (
        "epoch    train loss  val accuracy        time\n"
        " 1/10         1.000        0.9700       1.2 s\n"
        " 2/10        0.5000        0.9700       1.2 s  best\n"
        "10/10        0.1000        0.9700       1.2 s\n"
    )


def test_the_header_comes_back_when_the_columns_change_and_every_twenty_rows(plain, stream):
    for epoch in range(1, 42):
        plain.end_epoch(row(epoch, epochs=None))
    plain.end_epoch(row(42, epochs=None, dice=0.5))
    headers = [index for index, line in enumerate(stream.getvalue().splitlines()) if line.startswith("epoch")]
    assert headers == [0, 21, 42, 44]
    assert "val dice" in stream.getvalue().splitlines()[44]


def test_in_a_log_a_long_epoch_gets_a_line_every_half_minute(plain, stream, clock):
    plain.start_epoch(3, 10, 1000)
    plain.note_loss(0.75)
    plain.step(1)
    for second in range(1, 66):
        clock.now = 100.0 + second
        plain.step(second * 10)
    assert stream.getvalue() == (
        "epoch  3/10  300/1,000  loss 0.7500  10/s  1 min 10 s left\n"
        "epoch  3/10  600/1,000  loss 0.7500  10/s  40 s left\n"
    )


def test_an_epoch_resumed_in_its_middle_tells_its_true_speed(plain, stream, clock):
    plain.start_epoch(1, 1, 1000, done=900)
    clock.now += 30
    plain.step(960)
    assert stream.getvalue() == "epoch 1/1  960/1,000  2/s  20 s left\n"


def test_an_epoch_of_unknown_length_is_only_counted(plain, stream, clock):
    plain.start_epoch(7, None, None)
    clock.now += 40
    plain.step(20)
    assert stream.getvalue() == "epoch 7  20  2 s each\n"


def test_reading_data_is_shown_when_it_takes_long(plain, stream, clock):
    with plain.progress("reading membrane") as report:
        report(1, 30)
        clock.now += 31
        report(31, 93)
    assert stream.getvalue() == "reading membrane  31/93  1/s  1 min 02 s left\n"


def test_after_something_within_an_epoch_the_epoch_goes_on(plain, stream, clock):
    plain.start_epoch(1, 2, 100)
    clock.now += 29
    with plain.progress("validating", 10) as report:
        clock.now += 29
        report(5, 10)
    plain.step(60)
    assert stream.getvalue() == "epoch 1/2  60/100  1.03/s  39 s left\n"


def test_a_failure_within_a_progress_passes_through(plain):
    with pytest.raises(ValueError, match="bad image"), plain.progress("reading"):
        raise ValueError("bad image")


def test_notes_and_warnings_are_lines_of_their_own(plain, stream):
    plain.note("mlp on digits [cpu]")
    plain.warn("no graph\nbecause")
    assert stream.getvalue() == "mlp on digits [cpu]\nwarning: no graph\nbecause\n"


def test_an_error_takes_the_bar_away_and_goes_to_the_standard_error_and_the_log(clock, stream, tmp_path, capsys):
    console = Console(stream, fancy=True, log_file=tmp_path / "train.log", clock=clock)
    console.start_epoch(1, 1, 10)
    clock.now += 1
    console.step(5)
    assert "5/10" in visible(taken(stream))
    console.error("ValueError: bad\nfix: better")
    assert "bad" not in taken(stream)
    assert capsys.readouterr().err == "ValueError: bad\nfix: better\n"
    assert STAMPED.sub("", (tmp_path / "train.log").read_text()) == "ValueError: bad\nfix: better\n"


def test_an_error_is_red_on_a_terminal(monkeypatch, stream):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    window, terminal = pty.openpty()
    with open(terminal, "w") as errors, open(window, "rb", buffering=0) as seen:
        Console(stream, errors=errors).error("bad")
        assert seen.read(100) == b"\x1b[31mbad\x1b[0m\r\n"


def test_an_error_that_nobody_can_read_is_in_the_log_all_the_same(stream, tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb", buffering=0) as pipe:
        gone = io.TextIOWrapper(pipe, write_through=True)
        Console(stream, log_file=tmp_path / "train.log", errors=gone).error("bad")
        gone.detach()
    assert (tmp_path / "train.log").read_text().endswith("bad\n")


def test_the_summary_is_one_table_with_what_to_do_next(plain, stream):
    plain.summary(
        "10 epochs in 12 s",
        {"train": {"loss": 0.0123}, "test": {"loss": 0.1, "accuracy": 0.97}},
        [("run", "outputs/a-very-long-" + "x" * 90), ("", "again"), ("checkpoint", "best.pt")],
    )
    assert stream.getvalue() == (
        "\n10 epochs in 12 s\n\n"
        "          loss  accuracy\n"
        "train  0.01230         -\n"
        "test    0.1000    0.9700\n"
        "\n"
        f"run         outputs/a-very-long-{'x' * 90}\n"
        "            again\n"
        "checkpoint  best.pt\n"
    )


def test_the_log_file_has_every_line_with_the_time_and_without_colours(stream, clock, tmp_path):
    log_file = tmp_path / "train.log"
    log_file.write_text("from before the resume\n")
    console = Console(stream, fancy=True, log_file=log_file, clock=clock)
    console.note("started")
    console.warn("careful")
    console.start_epoch(1, 1, 10)
    clock.now += 1
    console.step(5)
    console.end_epoch(row(1, best=True))
    console.summary("done", {"val": {"loss": 0.5}})
    first, *lines = log_file.read_text().splitlines(keepends=True)
    assert first == "from before the resume\n"
    assert all(STAMPED.match(line) for line in lines)
    assert [STAMPED.sub("", line).rstrip() for line in lines] == [
        "started",
        "warning: careful",
        "epoch    train loss  val accuracy        time",
        " 1/10         1.000        0.9700       1.2 s  best",
        "",
        "done",
        "",
        "       loss",
        "val  0.5000",
        "",
    ]


def test_a_terminal_shows_a_bar_once_half_a_second_has_passed(fancy, stream, clock):
    fancy.start_epoch(3, 10, 100)
    clock.now += 0.4
    fancy.note_loss(0.5)
    fancy.step(20)
    assert stream.getvalue() == ""
    clock.now += 0.1
    fancy.step(25)
    line = visible(taken(stream)).strip()
    assert re.fullmatch(r"epoch  3/10  [━╸╺]+  25/100  loss 0\.5000  50/s  1\.5 s left", line)
    assert len(line) <= 80


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (60, "25/100  loss 0.5000  50/s  1.5 s left"),
        (50, "25/100  loss 0.5000  50/s"),
        (38, "25/100  loss 0.5000"),
        (28, "25/100"),
        (12, ""),
    ],
)
def test_a_narrow_terminal_shows_fewer_numbers_and_never_a_part_of_one(
    fancy, stream, clock, monkeypatch, columns, shown
):
    monkeypatch.setenv("COLUMNS", str(columns))
    fancy.start_epoch(3, 10, 100)
    fancy.note_loss(0.5)
    clock.now += 0.5
    fancy.step(25)
    (line,) = visible(taken(stream)).strip().splitlines()
    assert len(line) <= columns
    assert re.sub("[━╸╺]+", "", line).removeprefix("epoch  3/10").strip() == shown


def test_the_bar_is_drawn_at_most_twice_a_second(fancy, stream, clock):
    fancy.start_epoch(1, 1, 100_000)
    draws = 0
    for step in range(1, 3001):
        clock.now += 0.001
        fancy.step(step)
        draws += bool(taken(stream))
    assert 4 <= draws <= 6


def test_the_bar_gives_way_to_the_line_of_the_epoch_and_the_cursor_comes_back(fancy, stream, clock):
    fancy.start_epoch(1, 1, 10)
    clock.now += 1
    fancy.step(5)
    assert "\x1b[?25l" in taken(stream)
    fancy.end_epoch(row(1))
    text = taken(stream)
    assert "\x1b[2K" in text
    assert "\x1b[?25h" in text
    assert visible(text.rpartition("\x1b[2K")[2]) == (
        "epoch    train loss  val accuracy        time\n 1/10         1.000        0.9700       1.2 s\n"
    )


def test_closing_in_the_middle_of_an_epoch_gives_the_terminal_back(fancy, stream, clock):
    fancy.start_epoch(1, 1, 10)
    clock.now += 1
    fancy.step(5)
    taken(stream)
    fancy.close()
    assert "\x1b[?25h" in taken(stream)


def test_notes_appear_above_the_bar(fancy, stream, clock):
    fancy.start_epoch(1, 1, 10)
    clock.now += 1
    fancy.step(5)
    taken(stream)
    fancy.warn("lr is [red] hot")
    above, _, below = visible(taken(stream)).partition("\n")
    assert above.strip() == "warning: lr is [red] hot"
    assert below.startswith("epoch 1/1")


def test_colours_are_for_terminals_only_and_no_color_switches_them_off(fancy, stream, clock, monkeypatch):
    fancy.warn("careful")
    assert taken(stream) == "\x1b[33mwarning: careful\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    Console(stream, fancy=True, clock=clock).warn("careful")
    assert taken(stream) == "warning: careful\n"


def test_no_color_leaves_a_bar_without_colour(stream, clock, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(stream, fancy=True, clock=clock)
    console.start_epoch(1, 1, 10)
    clock.now += 1
    console.step(5)
    assert "5/10" in stream.getvalue()
    assert re.findall(r"\x1b\[[0-9;]*m", stream.getvalue()) in ([], ["\x1b[0m"])
    console.close()


@pytest.mark.parametrize(("term", "drawn"), [("xterm", True), ("dumb", False)])
def test_fancy_follows_from_the_terminal(monkeypatch, clock, term, drawn):
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("NO_COLOR", raising=False)
    primary, secondary = pty.openpty()
    with open(secondary, "w") as terminal, open(primary, "rb", buffering=0) as seen:
        Console(terminal, clock=clock).warn("careful")
        assert (b"\x1b[33m" in seen.read(100)) == drawn


def test_a_pipe_is_not_a_terminal(stream, clock):
    Console(stream, clock=clock).warn("careful")
    assert stream.getvalue() == "warning: careful\n"


@pytest.mark.parametrize("drawn_before", [False, True])
def test_a_run_goes_on_when_its_terminal_is_closed(monkeypatch, clock, tmp_path, drawn_before):
    monkeypatch.setenv("TERM", "xterm")
    window, terminal = pty.openpty()
    with open(terminal, "wb", buffering=0) as raw:
        stream = io.TextIOWrapper(raw, write_through=True)
        with contextlib.redirect_stdout(stream):
            console = Console(log_file=tmp_path / "train.log", clock=clock)
            console.start_epoch(1, 1, 10)
            if drawn_before:
                clock.now += 1
                console.step(3)
                assert sys.stdout is not stream  # what others print goes above the bar
            os.close(window)
            clock.now += 1
            console.step(5)
            console.note("still here")
            console.close()
            assert sys.stdout is stream
        stream.detach()
    assert (tmp_path / "train.log").read_text().endswith("still here\n")


@pytest.mark.parametrize("fancy", [False, True])
def test_a_run_goes_on_when_the_reader_of_its_pipe_is_gone(fancy, clock, tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb", buffering=0) as pipe:
        gone = io.TextIOWrapper(pipe, write_through=True)
        console = Console(gone, fancy=fancy, log_file=tmp_path / "train.log", clock=clock)
        console.start_epoch(1, 1, 10)
        clock.now += 31
        console.step(5)
        console.note("still here")
        console.close()
        gone.detach()
    assert (tmp_path / "train.log").read_text().endswith("still here\n")


def test_a_process_whose_reader_is_gone_ends_well_and_its_own_prints_do_no_harm():
    code = "from runner.tracking.console import Console; Console().note('x'); print('y', flush=True); print('z')"
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run([sys.executable, "-c", code], stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_neither_torch_nor_rich_is_imported_before_a_bar_is_due():
    code = (
        "import sys; from runner.tracking.console import Console, EpochRow;"
        "c = Console(fancy=True); c.note(''); c.start_epoch(1, 1, 9); c.note_loss(0.5); c.step(1);"
        "c.end_epoch(EpochRow(1, 1, {}, 0.1)); c.summary('', {}); c.close();"
        "print({'torch', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"


def test_a_name_that_is_not_utf_8_does_not_stop_the_log(clock, stream, tmp_path):
    console = Console(stream, log_file=tmp_path / "train.log", clock=clock)
    console.error("caf\udce9.png is broken")
    assert STAMPED.sub("", (tmp_path / "train.log").read_text()) == "caf\\udce9.png is broken\n"
