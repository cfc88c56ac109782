"""``runner train --help``: what can be chosen and set, in the words of the configuration files."""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from runner.commands.train import main
from runner.config import flags, paths
from runner.config.catalogue import groups, root_settings, settings
from runner.config.help import EXAMPLES, FLAGS, train_help
from runner.config.paths import Places, shipped_conf
from runner.errors import UserError

SMALL = {
    "hydra/base.yaml": "defaults: []\n",
    "config.yaml": """
# The header.
defaults:
  # Comments in the list are no options.
  - data: dots
  - model: line
  - extras: [off]
  - experiment: null
  - _self_

# Start of every
# random generator.
seed: 0

saving:
  # How often.
  every: 1.5  # steps
  where: [a, b]

hydra:
  run: {dir: .}
""",
    "data/base.yaml": "# Shared.\nbatch: 1\n",
    "data/dots.yaml": "# Points in the plane.\ncount: 3\n",
    "data/lines.yaml": "# Lines.\n",
    "experiment/first.yaml": """# @package _global_
# The first that was tried.
# runner train experiment=first
defaults:
  - override /data: lines
  - override /model: line
  - override /extras: [more, off]
""",
    "extras/more.yaml": "# More.\n",
    "extras/off.yaml": "{}\n",
    "model/curve.yaml": """# Bends, as a curve that goes on and
# on does.
# Second sentence.
defaults:
  - override /data@_global_.data: lines
  - _self_
width: 3
""",
    "model/line.yaml": "# Straight.\n# How long.\nlength: 3\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def small_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shipped configuration of a few files, and a current folder without one, on a terminal of 60 columns."""
    shipped = write(tmp_path / "shipped", SMALL)
    monkeypatch.setattr(paths, "shipped_conf", lambda: shipped)
    monkeypatch.setenv("COLUMNS", "60")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return shipped


def section(title: str, text: str) -> str:
    """The lines below a title, up to the next empty line after them; what the title is about is left out."""
    paragraphs = text.partition(f"\n{title}:\n")[2].split("\n\n")
    return paragraphs[1] if title in ("Groups", "Settings") else paragraphs[0]


def test_groups_list_their_options_with_the_first_sentence_of_each_file(small_conf: Path) -> None:
    assert section("Groups", train_help(None)) == "\n".join(
        [
            "  data",
            "    * dots   Points in the plane.",
            "      lines  Lines.",
            "  model",
            "      curve  Bends, as a curve that goes on and on does.",
            "             Brings data=lines.",
            "    * line   Straight.",
            "  extras",
            "      more  More.",
            "    * off",
            "  experiment (none by default)",
            "      first  The first that was tried. Brings data=lines",
            "             extras=more.",
        ]
    )


def test_settings_are_shown_as_typed_with_the_comment_above_them(small_conf: Path) -> None:
    assert section("Settings", train_help(None)) == "\n".join(
        [
            "  seed=0               Start of every random generator.",
            "  saving.every=1.5     How often.",
            "  saving.where=[a, b]",
        ]
    )


def test_own_options_are_listed_and_marked_and_replace_shipped_ones(small_conf: Path) -> None:
    own = {"model/line.yaml": "# Mine.\n", "model/zigzag.yaml": "x: 1\n", "sound/loud.yaml": "# Noise.\n"}
    write(Path("conf"), own)
    listed = section("Groups", train_help(None))
    assert "    * line    Mine. (yours)\n      zigzag  (yours)\n" in listed
    assert listed.endswith("  sound (none by default)\n      loud  Noise. (yours)")
    assert "Straight" not in listed
    assert listed.count("(yours)") == 3


def test_config_dir_is_where_own_options_come_from(small_conf: Path) -> None:
    write(Path("conf"), {"model/unused.yaml": "# Not asked for.\n"})
    mine = write(Path("mine"), {"model/zigzag.yaml": "# Up and down.\n"})
    text = train_help("mine")
    assert "zigzag  Up and down. (yours)" in text
    assert "unused" not in text
    assert f"Yours are in {mine.resolve()}" in " ".join(text.split())


def test_an_own_option_that_is_not_utf8_is_listed_with_the_others(small_conf: Path) -> None:
    (small_conf / "mine" / "model").mkdir(parents=True)
    (small_conf / "mine" / "model" / "old.yaml").write_bytes(b"# Caf\xe9.\n")
    assert "old" in train_help(str(small_conf / "mine"))


def test_config_dir_that_is_not_there_is_refused(small_conf: Path) -> None:
    with pytest.raises(UserError, match="--config-dir nowhere: there is no such folder"):
        train_help("nowhere")


def test_folders_of_folders_are_groups_by_their_path(small_conf: Path) -> None:
    write(Path("conf"), {"hydra/launcher/pool.yaml": "# Many at once.\n"})
    assert "  hydra/launcher (none by default)\n      pool  Many at once. (yours)" in train_help(None)


def test_comment_of_a_key_is_what_stands_right_above_it() -> None:
    text = """# About the file.

a: 1  # aside
# About b.
b: 'x # y'
c:
  # About d.
  d: null
  e:
    f: 2
g: [1, 2]
"""
    assert [(found.key, found.value, found.text) for found in settings(text)] == [
        ("a", "1", ""),
        ("b", "'x # y'", "About b."),
        ("c.d", "null", "About d."),
        ("c.e.f", "2", ""),
        ("g", "[1, 2]", ""),
    ]


@pytest.mark.parametrize("columns", [40, 80, 100, 200])
def test_texts_are_wrapped_at_the_width_of_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    width = min(columns, 120)  # longer lines are hard to read
    terms = [f"  {term}" for term, _ in (*EXAMPLES, *FLAGS)]
    too_long = [line for line in train_help(None).splitlines() if len(line) > width and line not in terms]
    assert [line for line in too_long if " " in line.strip() and "usage:" not in line] == []


# --- what is shipped --------------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """The shipped configuration alone."""
    monkeypatch.chdir(tmp_path)
    return Places.find(None, tmp_path)


def test_every_shipped_option_is_listed_and_says_what_it_is(shipped: Places) -> None:
    found = {(group.name, option.name): option.text for group in groups(shipped) for option in group.options}
    files = [*shipped_conf().glob("*/*.yaml"), *shipped_conf().glob("*/*/*.yaml")]
    names = {(file.parent.relative_to(shipped_conf()).as_posix(), file.stem) for file in files if file.stem != "base"}
    assert {("model", "unet"), ("optimizer", "adam"), ("data", "digits")} <= names
    assert set(found) == names
    assert [name for name, text in found.items() if not text.endswith(".")] == []


def test_defaults_are_those_of_the_defaults_list(shipped: Places) -> None:
    chosen = {group.name: [option.name for option in group.options if option.is_default] for group in groups(shipped)}
    entries = yaml.safe_load((shipped_conf() / "config.yaml").read_text())["defaults"]
    expected = {
        group.removeprefix("override "): option
        for entry in entries
        if isinstance(entry, dict)
        for group, option in entry.items()
    }
    assert expected["optimizer"] == "adam"
    for group, option in expected.items():
        assert chosen[group] == (option if isinstance(option, list) else [option] if option else []), group


def test_an_option_says_what_it_brings(shipped: Places) -> None:
    models = next(group for group in groups(shipped) if group.name == "model")
    assert {option.name: option.brings for option in models.options}["unet"] == ("data=shapes",)


def test_every_root_setting_is_listed_with_its_default_and_a_comment(shipped: Places) -> None:
    loaded = yaml.safe_load((shipped_conf() / "config.yaml").read_text())
    expected: dict[str, object] = {}
    for key, value in loaded.items():
        if key not in ("defaults", "hydra"):
            expected |= (
                {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
            )
    found = root_settings(shipped)
    assert {setting.key: yaml.safe_load(setting.value) for setting in found} == expected
    assert {"seed", "epochs", "training.accumulate", "checkpoint.every_epochs", "tracking.log_every"} <= set(expected)
    assert [setting.key for setting in found if not setting.text.endswith(".")] == []


def test_flags_are_those_that_the_parser_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: set[str] = set()
    add_argument = argparse.ArgumentParser.add_argument

    def record(parser: argparse.ArgumentParser, *names: str, **kwargs: object) -> argparse.Action:
        taken.update(name for name in names if name.startswith("-"))
        return add_argument(parser, *names, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(argparse.ArgumentParser, "add_argument", record)
    flags.parse([])
    listed = {word.rstrip(",") for term, _ in FLAGS for word in term.split() if word.startswith("-")}
    assert listed == taken | {"-h", "--help"}  # which train looks for by itself, before it imports Hydra


@pytest.mark.parametrize("example", [command for command, _ in EXAMPLES])
def test_examples_work(example: str, shipped: Places, capsys: pytest.CaptureFixture[str]) -> None:
    program, command, *args = shlex.split(example)
    assert (program, command) == ("runner", "train")
    if "-m" in args:  # a trial of the sweep
        args = [arg.partition(",")[0] for arg in args if arg != "-m"]
    assert main([*args, "--cfg", "job"] if "--cfg" not in args else args) == 0
    assert yaml.safe_load(capsys.readouterr().out)


def test_settings_of_one_option_can_be_seen(shipped: Places, capsys: pytest.CaptureFixture[str]) -> None:
    example = next(command for command, text in EXAMPLES if text == "the settings of one option")
    main(shlex.split(example)[2:])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown == yaml.safe_load((shipped_conf() / "optimizer" / "adam.yaml").read_text())


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["model=unet", "--help"]])
def test_help_needs_no_heavy_library(args: list[str]) -> None:
    code = f"""if True:
        import sys, runner.cli
        code = runner.cli.main(['train', *{args!r}])
        heavy = ('torch', 'hydra', 'omegaconf', 'numpy', 'pydantic', 'rich')
        print(code, [name for name in heavy if name in sys.modules])"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("runner train: ")
    assert shown.endswith("0 []\n")
