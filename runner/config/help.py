"""``--help`` of ``train`` and ``submit``, put together from what the configuration files say about themselves."""

import shutil
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from runner.config.catalogue import Group, Option, groups, root_settings, settings
from runner.config.paths import Places

Entry = tuple[str, str]

EXAMPLES: tuple[Entry, ...] = (
    ("runner train", "the defaults: a small network on digits, in seconds"),
    ("runner train model=unet optimizer=adam", "another model, which brings data that suits it"),
    ("runner train epochs=20 optimizer.lr=0.01", "other values"),
    ("runner train 'regularization=[clip,early_stopping]'", "options that combine, quoted for the shell's sake"),
    ("runner train -m optimizer.lr=0.1,0.01 seed=0,1", "a sweep of four runs, compared in one table"),
    ("runner train model=unet --cfg job", "the whole configuration; nothing is trained"),
    ("runner train optimizer=adam --cfg job --package optimizer", "the settings of one option"),
)

FLAGS: tuple[Entry, ...] = (
    ("-m, --multirun", "Sweep: one run for each combination of the values given with commas."),
    ("--dry-run", "With -m: check and print the runs of the sweep, and start none."),
    ("-c, --cfg {job,hydra,all}", "Train nothing, print the configuration: the run's, Hydra's own, or both."),
    ("-p, --package KEY", "With --cfg: this part alone, such as optimizer or data.split."),
    ("--resolve", "With --cfg: values in place of ${...}."),
    (
        "-i, --info {all,config,defaults,defaults-tree,plugins,searchpath}",
        "Train nothing, print how the configuration is put together. Without a word: all.",
    ),
    ("-cd, --config-dir DIR", "Where your own options are, in folders like model/. Without it: ./conf, if there."),
    ("--hydra-help", "Help on Hydra, which composes the configuration."),
    ("-h, --help", "This text."),
)

SUBMIT_EXAMPLES: tuple[Entry, ...] = (
    ("runner submit model=unet launcher.time=02:00:00", "a run as a job of two hours; the command returns at once"),
    ("runner submit launcher=mine data=mnist --dry-run", "the script, with settings from your own mine.yaml"),
    ("runner submit DIR launcher.memory=16G", "a run that was stopped or has failed goes on as another job"),
    ("runner train -m launcher=slurm seed=0,1,2", "a sweep as one array of jobs"),
)

SUBMIT_FLAGS: tuple[Entry, ...] = (
    ("--dry-run", "Write nothing, print the script that would be submitted."),
    ("-cd, --config-dir DIR", "Where your own options are, in folders like model/. Without it: ./conf, if there."),
    ("--trust PACKAGE|DIR, --code DIR", "For a run that is there already: as in runner resume --help."),
    ("-h, --help", "This text."),
)

_wrap = partial(textwrap.wrap, break_long_words=False, break_on_hyphens=False)


def train_help(config_dir: str | None) -> str:
    """What ``runner train`` can be asked, wrapped at the width of the terminal.

    Args:
        config_dir: The folder given with ``--config-dir``.

    Raises:
        UserError: If ``config_dir`` is not a folder.
    """
    places = Places.find(config_dir, Path.cwd())
    width = _width()
    about_groups = "GROUP=OPTION chooses. * is the default; what an option brings along yields to what is typed."
    if len(places.conf_dirs) > 1:
        about_groups += f" Yours are in {places.conf_dirs[0]}"
    about_settings = "KEY=VALUE sets. Groups have settings of their own, such as optimizer.lr: see --cfg job."
    of_root = [(f"{setting.key}={setting.value}", setting.text) for setting in root_settings(places)]
    lines = [
        *_wrap("runner train: compose a run, freeze it into a directory of its own, and train it.", width),
        *["", "usage: runner train [GROUP=OPTION...] [KEY=VALUE...] [FLAG...]"],
        *["", "Examples:", *_aligned(EXAMPLES, width)],
        *["", "Groups:", *_indented(about_groups, width), "", *_listed(groups(places), width)],
        *["", "Settings:", *_indented(about_settings, width), "", *_aligned(of_root, width)],
        *["", "Flags:", *_aligned(FLAGS, width)],
        *["", *_wrap(f"Every setting is explained where its default stands: {places.conf_dirs[-1]}", width)],
    ]
    return "\n".join(lines)


def submit_help() -> str:
    """What ``runner submit`` can be asked, wrapped at the width of the terminal."""
    places = Places.find(None, Path.cwd())
    width = _width()
    file = places.file_of("hydra/launcher", "slurm")
    assert file is not None, "it is shipped"
    of_launcher = [
        (f"launcher.{setting.key}={setting.value}", setting.text)
        for setting in settings(file.read_text(encoding="utf-8"))
        if setting.key != "_target_"
    ]
    about = (
        "The run is composed and frozen now, as by runner train, and a job executes its directory: nothing has to stay "
        "alive. Before the time limit, or when it has to make way for other jobs, the run saves, queues itself again "
        "and goes on. runner ls shows where it stands, runner logs DIR -f follows it, runner cancel DIR ends it."
    )
    lines = [
        *_wrap("runner submit: have a run executed by a job of a Slurm cluster.", width),
        *["", "usage: runner submit [GROUP=OPTION...] [KEY=VALUE...] [FLAG...]"],
        *["       runner submit DIR [KEY=VALUE...] [FLAG...]"],
        *["", *_wrap(about, width)],
        *["", "Examples:", *_aligned(SUBMIT_EXAMPLES, width)],
        *["", "Settings of the job:", "", *_aligned(of_launcher, width)],
        *["", "Flags:", *_aligned(SUBMIT_FLAGS, width)],
    ]
    return "\n".join(lines)


def _width() -> int:
    return max(40, min(shutil.get_terminal_size().columns, 120))


def _listed(found: Sequence[Group], width: int) -> list[str]:
    lines = []
    for group in found:
        has_default = any(option.is_default for option in group.options)
        lines.append(f"  {group.name}" + ("" if has_default else " (none by default)"))
        lines += _aligned([_entry(option) for option in group.options], width, indent=4)
    return lines


def _entry(option: Option) -> Entry:
    remarks = [option.text]
    if option.brings:
        remarks.append(f"Brings {' '.join(option.brings)}.")
    if option.is_yours:
        remarks.append("(yours)")
    return ("* " if option.is_default else "  ") + option.name, " ".join(remarks).strip()


def _aligned(entries: Sequence[Entry], width: int, indent: int = 2) -> list[str]:
    """Terms with their texts beside them in one column; the text of a longer term begins on the next line."""
    column = min(36, width // 2, max(indent + len(term) for term, _ in entries) + 2)
    lines = []
    for term, text in entries:
        head = " " * indent + term
        fits = len(head) + 2 <= column
        first = head.ljust(column) if fits else " " * column
        body = _wrap(text, width, initial_indent=first, subsequent_indent=" " * column)
        lines += body if fits and body else [head, *body]
    return lines


def _indented(text: str, width: int) -> list[str]:
    return _wrap(text, width, initial_indent="  ", subsequent_indent="  ")
