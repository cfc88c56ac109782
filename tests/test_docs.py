"""README and docs/ are true: their commands are valid, their messages are those given, their links lead somewhere."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.cli import COMMANDS, main
from runner.config.amend import amended
from runner.config.catalogue import groups, root_settings, settings
from runner.config.compose import Composer
from runner.config.fit import METRICS
from runner.config.paths import Places, shipped_conf
from runner.config.shorthand import written_out
from runner.errors import UserError
from runner.launch.slurm.single import NewRun
from runner.launch.sweep import sweep
from runner.report.facts import FIELDS
from runner.report.where import parse
from runner.runs.directory import RunDirectory, create

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHIPPED = Places.shipped()
HOME = "/home/me/project"
"""The current folder, where a message in the docs names it."""


@dataclass(frozen=True)
class Shown:
    """A command in a page, and what the page shows below it."""

    page: str
    words: tuple[str, ...]
    output: str


def fences(page: Path) -> Iterator[tuple[str | None, str, str]]:
    """The file that a fenced block is to be saved as (named in the line above it), its language and its text."""
    pattern = r"(?:^`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```"
    for file, language, text in re.findall(pattern, page.read_text(), re.M | re.S):
        yield file or None, language, text


def shown_commands(page: Path) -> Iterator[Shown]:
    for _, language, text in fences(page):
        if language not in ("console", "bash"):
            continue
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            line, _, output = part.partition("\n")
            words = shlex.split(re.sub(r"( >>? ?[\w./-]+)?( ?&)?$", "", line.strip()), comments=True)
            yield Shown(page.name, tuple(words), output.strip())


EVERYTHING = [shown for page in PAGES for shown in shown_commands(page)]
RUNNER = list(dict.fromkeys(shown for shown in EVERYTHING if shown.words[0] == "runner"))
EXAMPLES = [(page, file, text) for page in PAGES for file, _, text in fences(page) if file]


def named(shown: Sequence[Shown]) -> Any:
    """Cases of a parametrized test, called like their page and command."""
    return pytest.mark.parametrize("shown", shown, ids=lambda one: f"{one.page} {shlex.join(one.words)}")


def of_command(*commands: str) -> list[Shown]:
    return [shown for shown in RUNNER if shown.words[1] in commands]


@pytest.fixture
def project(tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the pictures, a table, a run and all files that the pages say to make."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for weights in ("outputs/first/checkpoints/best.pt", "outputs/stopped/checkpoints/best.pt", "resnet18.pt"):
        (tiny_pictures / weights).parent.mkdir(parents=True, exist_ok=True)
        (tiny_pictures / weights).touch()
    (tiny_pictures / "wine.csv").write_text(
        "alcohol,ash,target\n" + "".join(f"{n},{n / 2},{n % 3}\n" for n in range(30))
    )
    for _, file, text in EXAMPLES:
        (tiny_pictures / file).parent.mkdir(parents=True, exist_ok=True)
        (tiny_pictures / file).write_text(text)
    return tiny_pictures


@pytest.fixture
def frozen_run(tmp_path: Path) -> RunDirectory:
    """A run of the defaults, not yet started."""
    composed = Composer(SHIPPED).compose([])
    return create(tmp_path / "run", composed.config, typed=[], choices=composed.choices, provenance={})


def refusal(action: Callable[[], object]) -> str | None:
    """What the user is told when a request is refused; None when it is carried out."""
    try:
        action()
    except UserError as error:
        return str(error).replace(str(Path.cwd()), HOME)
    return None


def refusal_shown(shown: Shown) -> str | None:
    return shown.output if re.search(r"^  (where|expected|fix): ", shown.output, re.M) else None


def test_pages_hold_commands_and_examples() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "first-run.md", "configuration.md", "run-directory.md"}
    assert len(of_command("train")) > 40
    nobody_types = {"work"}  # jobs do it
    assert {shown.words[1] for shown in RUNNER if not shown.words[1].startswith("-")} == set(COMMANDS) - nobody_types
    assert len(EXAMPLES) > 10


@named(of_command("train", "summary", "data"))
def test_train_command_composes_or_is_refused_with_the_message_shown(shown: Shown, project: Path) -> None:
    words = [word for word in shown.words[2:] if word != "..."]
    if "--help" in words:
        assert main(["train", "--help"]) == 0
        return
    overrides = written_out([word for word in words if not word.startswith("-") and "=" in word])

    def compose(places: Places) -> str | None:
        composer = Composer(places)
        is_sweep = "-m" in words
        return refusal(lambda: sweep(composer, overrides, dry_run=True) if is_sweep else composer.compose(overrides))

    if refusal_shown(shown):  # which a reader sees who has no options of their own
        assert compose(SHIPPED) == refusal_shown(shown)
    else:
        assert compose(Places.find(None, project)) is None


@named(of_command("submit"))
def test_submit_command_makes_a_script_or_is_refused_with_the_message_shown(
    shown: Shown, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if refusal_shown(shown):  # by a cluster; tests/slurm has what it refuses
        return
    directory = next((word for word in shown.words[2:] if "=" not in word and not word.startswith("-")), None)
    typed = [word for word in shown.words[2:] if "=" in word]
    made = NewRun(Composer(Places.find(None, project)), written_out(typed))
    assert directory is None or {word.partition(".")[0] for word in typed} <= {"launcher"}
    if "--dry-run" in shown.words:
        wanted = [line for line in shown.output.splitlines() if line.startswith("#SBATCH") and HOME not in line]
        assert [line for line in made.script().splitlines() if line in wanted] == wanted


@named([shown for shown in of_command("train") if {"--cfg", "--info", "-c", "-i"} & set(shown.words)])
def test_command_that_shows_the_configuration_shows_it(
    shown: Shown, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shown.words[1:]) == 0
    assert capsys.readouterr().out.strip()


@named([shown for shown in RUNNER if shown.words[1] not in ("train", "submit", "summary", "data")])
def test_other_command_knows_its_flags_and_takes_its_changes(
    shown: Shown, frozen_run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *words = shown.words[1:]
    if command.startswith("-"):  # runner --help, runner --version
        assert main([command]) == 0
        assert capsys.readouterr().out.startswith(shown.output)
        return
    assert command in COMMANDS
    with contextlib.suppress(SystemExit):  # argparse leaves after its help
        main([command, "--help"])
    text = capsys.readouterr().out
    assert [word for word in words if word.startswith("-") and word not in text] == []
    changes = [word for word in words if "=" in word and command == "resume"]
    assert refusal(lambda: amended(frozen_run, changes)) == refusal_shown(shown)


@named([shown for shown in of_command("ls", "compare", "report") if "--where" in shown.words])
def test_condition_shown_is_one(shown: Shown) -> None:
    condition = parse(shown.words[shown.words.index("--where") + 1])
    known = {setting.key for setting in root_settings(SHIPPED)} | {*FIELDS, *(group.name for group in groups(SHIPPED))}
    assert [name for name in condition.names if "/" not in name and "." not in name and name not in known] == []


@named([shown for shown in EVERYTHING if shown.words[0] == "make"])
def test_target_of_make_exists(shown: Shown) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(shown.words[1:]) <= set(targets)


def test_a_file_is_shown_the_same_on_every_page() -> None:
    texts: dict[str, set[str]] = {}
    for _, file, text in EXAMPLES:
        texts.setdefault(file, set()).add(text)
    assert [file for file, found in texts.items() if len(found) > 1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_pages_name_no_folder_of_a_machine(page: Path) -> None:
    assert re.findall(r"/(?:work|tmp|root|home/(?!me/project))\b\S*", page.read_text()) == []


# --- tables of docs/configuration.md ----------------------------------------------------------------------------------


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head; cells without backticks around them."""
    _, _, below = (ROOT / "docs" / "configuration.md").read_text().partition(f"\n{heading}\n")
    lines = re.search(r"(?:^\|.*\n)+", below, re.M)
    assert lines, heading
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in lines[0].splitlines()[2:]]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_group_is_listed_with_options_that_exist_and_its_default() -> None:
    found = {group.name: group for group in groups(SHIPPED)}
    listed = {quoted(group)[0]: (quoted(options), default) for group, _, options, default in table("## Groups")}
    assert listed.keys() == found.keys()
    for name, (options, default) in listed.items():
        assert set(options) <= {option.name for option in found[name].options}, name
        assert quoted(default) == [option.name for option in found[name].options if option.is_default]


def test_every_root_key_is_listed_with_its_default() -> None:
    listed = {quoted(key)[0]: quoted(default)[0] for key, default, _ in table("## Root keys")}
    assert listed == {setting.key: setting.value for setting in root_settings(SHIPPED)}


@pytest.mark.parametrize(("heading", "group"), [("## Data", "data"), ("## Device", "device")])
def test_shared_keys_of_a_group_are_listed_with_their_defaults(heading: str, group: str) -> None:
    base = {f"{group}.{one.key}": one.value for one in settings((shipped_conf() / group / "base.yaml").read_text())}
    listed = {quoted(key)[0]: quoted(default)[0] for key, default, _ in table(heading) if default}
    assert listed.items() <= base.items()


def test_every_augmentation_is_listed_with_its_settings() -> None:
    source = (ROOT / "runner" / "data" / "augment.py").read_text()
    classes = re.findall(r"^class (\w+):\n(?:(?!^class ).*\n)*?    def __(?:init|call)__\(self, ?(.*?)\)", source, re.M)
    taken = {name: re.findall(r"(\w+):", arguments) for name, arguments in classes}
    rows = table("### Augmentation")
    listed = {quoted(target)[0].rpartition(".")[2]: quoted(arguments) for target, arguments in rows}
    assert listed.keys() == taken.keys()
    for name, arguments in listed.items():
        assert {name for name in taken[name] if name not in ("images", "masks", "draw")} <= set(arguments)


def test_metrics_are_those_of_their_tasks() -> None:
    listed = {quoted(task)[0]: tuple(quoted(metrics)) for task, metrics, _ in table("## Metrics and the monitored one")}
    assert listed.keys() == METRICS.keys()
    for task, metrics in listed.items():
        assert tuple(metric for metric in metrics if not metric.startswith("dice_")) == METRICS[task]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_and_keys_named_in_the_text_exist(page: Path) -> None:
    options = {group.name: {option.name for option in group.options} for group in groups(SHIPPED)}
    for _, file, _ in EXAMPLES:
        if file.startswith("conf/"):
            group, _, name = file.removeprefix("conf/").removesuffix(".yaml").rpartition("/")
            options[group].add(name)
    keys = {"model.depth"} | {setting.key for setting in root_settings(SHIPPED)}
    for file in shipped_conf().glob("*/*.yaml"):
        keys |= {f"{file.parent.name}.{setting.key}" for setting in settings(file.read_text())}
    for text in quoted(re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)):
        for word in shlex.split(text) if "=" in text and "(" not in text else ():
            key, _, value = word.lstrip("+").partition("=")
            if key in options and re.fullmatch(r"\w+", value) and not value.isupper():
                assert value in options[key], word
            elif key.partition(".")[0] in options and "." in key and "foo" not in key:
                assert key in keys, word


# --- what the pages say to run ----------------------------------------------------------------------------------------

RUN_ALL = """
import json, sys, runner.cli
for words in json.loads(sys.argv[1]):
    code = runner.cli.main(words)
    assert code == 0, (words, code)
for text in json.loads(sys.argv[2]):
    exec(compile(text, "snippet", "exec"), {})
"""


def run_all(folder: Path, commands: Sequence[Sequence[str]], snippets: Sequence[str] = ()) -> str:
    """Run commands and then snippets of Python in one new process, which imports torch once."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN_ALL, json.dumps(commands), json.dumps(snippets)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_examples_of_own_code_train_as_they_stand(project: Path) -> None:
    small = ["epochs=1", "max_steps=2", "tracking.tensorboard=false"]
    page = "your-model-and-data.md"
    commands = [
        [*shown.words[1:], *(small if shown.words[1] == "train" else [])]
        for shown in of_command("train", "summary", "data")
        if shown.page == page and "data=stl10" not in shown.words  # 2.6 GB
    ]
    assert len(commands) > 15
    run_all(project, commands)


@pytest.mark.slow
def test_snippets_read_a_run_directory(tmp_path: Path) -> None:
    page = ROOT / "docs" / "run-directory.md"
    snippets = [text for file, language, text in fences(page) if language == "python" and file is None]
    assert len(snippets) > 4
    out = run_all(tmp_path, [["train", "run_dir=outputs/first", "epochs=3"]], snippets)
    assert "completed 3 val/accuracy" in out
    written = yaml.safe_load((tmp_path / "outputs/first/config.yaml").read_text())
    assert str(written["optimizer"]["lr"]) in out.splitlines()
