"""The TAB key: what is offered, and what real shells make of it."""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli import COMMANDS
from runner.commands.completion import TAKES_OVERRIDES, candidates, main
from runner.errors import UserError
from runner.shell.line import Line, for_bash, for_fish, for_zsh
from runner.shell.paths import RUNS_SHOWN

BREAKS = " \t\n\"'@><=;|&(:"
"""``COMP_WORDBREAKS`` as bash sets it."""

OLD_RUN = "outputs/2026-11-20/13-20-33-mlp-digits"
NEW_RUN = "outputs/2026-11-21/09-00-00-unet-shapes"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a conf/ with a model, two runs, and a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "zebranet.yaml").write_text("# Striped.\n_target_: zebra.Net\nstripes: 7\n")
    for run in (OLD_RUN, NEW_RUN):
        (folder / run / "checkpoints").mkdir(parents=True)
        (folder / run / "status.json").write_text("{}")
    (folder / "my data").mkdir()
    (folder / "notes.txt").touch()
    return folder


@pytest.fixture
def offered(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """What is offered for a line in the user's folder."""
    monkeypatch.chdir(project)
    return lambda text: list(candidates(Line.read(text)))


Offered = Callable[[str], list[str]]


# --- what is offered --------------------------------------------------------------------------------------------------


def test_first_word_is_a_command(offered: Offered) -> None:
    assert offered("runner ") == list(COMMANDS)
    assert offered("runner tr") == ["train"]
    assert offered("runner trainx") == []
    assert offered("runner --v") == ["--version"]
    assert offered("runner") == []


def test_after_an_unknown_command_there_is_nothing_to_offer(offered: Offered) -> None:
    assert offered("runner trian model=") == []


@pytest.mark.parametrize("before", ["PATH=1:2 ", "time nohup ", "/usr/local/bin/"])
def test_what_stands_before_the_program_does_not_matter(before: str, offered: Offered) -> None:
    assert offered(f"{before}runner tr") == ["train"]


def test_flags_are_those_of_the_command_s_own_help(offered: Offered) -> None:
    assert offered("runner train --c") == ["--cfg", "--config-dir"]
    assert set(offered("runner train -")) >= {"-m", "--multirun", "-cd", "--config-dir", "--cfg", "--info", "--resolve"}
    assert set(offered("runner eval --")) == {"--help", "--split", "--checkpoint", "--json", "--trust", "--code"}
    assert set(offered("runner ls --")) == {"--help", "--where", "--sort", "--reverse", "--runs", "--json", "--csv"}
    assert set(offered("runner compare --")) == {"--help", "--metric", "--over", "--where", "--diff", "--json", "--csv"}
    assert {"--output", "--no-examples", "--trust", "--where"} <= set(offered("runner report --"))
    assert set(offered("runner board --")) == {"--help", "--port", "--host"}


def test_flags_with_choices_offer_them(offered: Offered) -> None:
    assert offered("runner train --cfg ") == ["job", "hydra", "all"]
    assert offered("runner train --cfg=h") == ["--cfg=hydra"]
    assert offered("runner train --info d") == ["defaults", "defaults-tree"]
    assert offered(f"runner eval {OLD_RUN} --split v") == ["val"]
    assert offered("runner eval --checkpoint b") == ["best"]


def test_flag_for_a_folder_offers_folders_only(offered: Offered) -> None:
    assert offered("runner train --config-dir ") == ["conf/", "my data/", "outputs/"]
    assert offered("runner train --config-dir=c") == ["--config-dir=conf/"]


def test_flag_for_a_file_offers_files(offered: Offered) -> None:
    assert offered("runner eval --checkpoint no") == ["notes.txt"]


def test_overrides_follow_a_flag_without_a_value(offered: Offered) -> None:
    assert offered("runner train -m optimi") == ["optimizer.", "optimizer="]
    assert offered("runner train --info optimi") == ["optimizer.", "optimizer="]


@pytest.mark.parametrize("command", ["train", "summary", "data"])
def test_groups_and_keys_are_offered(command: str, offered: Offered) -> None:
    found = offered(f"runner {command} ")
    assert {
        "model=",
        "model.",
        "optimizer=",
        "data=",
        "experiment=",
        "epochs=",
        "tracking.",
        "hydra.",
        "hydra/",
    } <= set(found)
    assert offered(f"runner {command} ep") == ["epochs="]


def test_options_are_offered_with_the_user_s_and_without_shared_files(offered: Offered) -> None:
    found = offered("runner train data=digits model=")
    assert {"model=mlp", "model=unet", "model=lenet", "model=convnet", "model=zebranet"} <= set(found)
    assert offered("runner train model=zeb") == ["model=zebranet"]
    assert not [option for option in offered("runner train device=") if option.endswith("base")]


def test_options_of_another_config_dir_are_offered(offered: Offered, tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "zero.yaml").write_text("_target_: zero.Loss\n")
    for flag in (f"--config-dir {tmp_path}", f"--config-dir={tmp_path}", f"-cd {tmp_path}"):
        assert offered(f"runner train {flag} loss=z") == ["loss=zero"]
        assert offered(f"runner train {flag} model=zeb") == []


def test_keys_are_those_of_the_options_typed_before(offered: Offered) -> None:
    assert offered("runner train model=zebranet model.st") == ["model.stripes="]
    assert offered("runner train model=mlp model.st") == []
    assert offered("runner train optimizer=sgd optimizer.m") == ["optimizer.momentum="]


def test_keys_after_a_sweep_are_those_of_its_first_trial(offered: Offered) -> None:
    assert offered("runner train -m seed=0,1 model=zebranet,mlp model.st") == ["model.stripes="]


def test_a_mistake_in_an_earlier_word_does_not_silence_the_rest(offered: Offered) -> None:
    for mistake in ("model=nothing", "epochz=3", "optimizer.lr=[1,"):
        assert offered(f"runner train {mistake} optimizer=a") == [
            f"optimizer={name}" for name in ("adadelta", "adagrad", "adam", "adamw")
        ]
        assert offered(f"runner train {mistake} epo") == ["epochs="]


@pytest.mark.parametrize("mistake", ["model=broken", "model=null", "optimizer=3"])
def test_a_file_that_cannot_be_read_does_not_silence_the_rest(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "broken.yaml").write_bytes(b"# caf\xe9\n")
    monkeypatch.chdir(tmp_path)
    assert list(candidates(Line.read(f"runner train {mistake} epo"))) == ["epochs="]


def test_value_of_a_key_is_the_one_that_it_has_now(offered: Offered) -> None:
    assert offered("runner train optimizer=adam optimizer.lr=") == ["optimizer.lr=0.001"]
    assert offered("runner train optimizer=adam optimizer.lr=0.0") == ["optimizer.lr=0.001"]
    assert offered("runner train optimizer=adam optimizer.betas=") == ["optimizer.betas=[0.9,0.999]"]


def test_switch_offers_both_values(offered: Offered) -> None:
    assert offered("runner train training.test=") == ["training.test=false", "training.test=true"]
    assert offered("runner train training.test=f") == ["training.test=false"]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("device.precision=", ["auto", "bf16", "fp16", "fp32"]),
        ("device.precision=b", ["bf16"]),
        ("device.channels_last=", ["auto", "false", "true"]),
        ("init=kaiming_normal init.all.weight.mode=fan_o", ["fan_out"]),
        ("sweeper=optuna sweeper.sampler=t", ["tpe"]),
        ("name=", ["auto"]),
    ],
)
def test_a_setting_that_is_one_of_a_few_words_offers_all_of_them(word: str, words: list[str], offered: Offered) -> None:
    key = word.split()[-1].partition("=")[0]
    assert [found for found in offered(f"runner train -m {word}") if "/" not in found] == [
        f"{key}={value}" for value in words
    ]


def test_list_keys_are_followed_by_a_value_and_nodes_by_their_keys(offered: Offered) -> None:
    assert offered("runner train optimizer=adam optimizer.b") == ["optimizer.betas="]
    assert offered("runner train data.sp") == ["data.split."]


def test_each_entry_of_a_sweep_and_of_a_list_is_completed(offered: Offered) -> None:
    assert offered("runner train -m model=mlp,zeb") == ["model=mlp,zebranet"]
    assert offered("runner train -m optimizer=sgd,adam,r") == [
        "optimizer=sgd,adam,radam",
        "optimizer=sgd,adam,rmsprop",
    ]
    assert offered("runner train regularization=[ear") == ["regularization=[early_stopping"]
    assert offered("runner train 'regularization=[clip,ear") == ["regularization=[clip,early_stopping"]


def test_additions_and_deletions_are_completed(offered: Offered) -> None:
    assert offered("runner train +exper") == ["+experiment="]
    assert offered("runner train ~exper") == ["~experiment"]


@pytest.mark.parametrize("value", ["./", "", "./c", "co"])
def test_files_are_offered_as_values(value: str, offered: Offered) -> None:
    found = offered(f"runner train run_dir={value}")
    start = "./" if value.startswith("./") else ""
    assert f"run_dir={start}conf/" in found
    assert (f"run_dir={start}notes.txt" in found) == (value in ("", "./"))


def test_a_sweep_is_offered_in_place_of_its_runs_until_the_word_leads_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = Path("outputs/2026-11-20/13-20-33-sweep")
    for name in ("0000-lr-0.1", "0001-lr-0.2"):
        (sweep / "runs" / name).mkdir(parents=True)
        (sweep / "runs" / name / "status.json").write_text("{}")
    (sweep / "sweep.yaml").touch()
    assert list(candidates(Line.read("runner compare "))) == [f"{sweep}/", "outputs/"]
    assert list(candidates(Line.read(f"runner compare {sweep}/runs/0"))) == [
        f"{sweep}/runs/0001-lr-0.2",
        f"{sweep}/runs/0000-lr-0.1",
    ]


def test_commands_that_compare_take_folders_alone(offered: Offered) -> None:
    assert offered(f"runner compare {OLD_RUN} no") == []
    assert offered(f"runner eval {OLD_RUN} no") == ["notes.txt"]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in TAKES_OVERRIDES])
def test_run_directories_are_offered_newest_first_then_folders(command: str, offered: Offered) -> None:
    assert offered(f"runner {command} ") == [NEW_RUN, OLD_RUN, "conf/", "my data/", "outputs/"]
    assert offered(f"runner {command} outputs/2026-11-20/") == [OLD_RUN]
    assert offered(f"runner {command} ./outputs/2026-11-20/") == [f"./{OLD_RUN}"]
    assert offered(f"runner {command} co") == ["conf/"]
    assert offered(f"runner {command} nowhere/") == []


def test_settings_of_launching_are_offered_where_they_mean_something(offered: Offered) -> None:
    assert offered("runner submit laun") == ["launcher.", "launcher="]
    assert offered("runner submit launcher.p") == ["launcher.partition=", "launcher.processes="]
    assert offered("runner submit launcher=") == ["launcher=local", "launcher=slurm"]
    assert offered("runner train laun") == []
    assert offered("runner train -m launcher.n") == ["launcher.n_jobs="]
    assert offered("runner train -m launcher=slurm launcher.ti") == ["launcher.time="]
    assert offered("runner train -m launcher=slurm optimizer.l") == ["optimizer.lr="]


def test_a_run_can_be_submitted_too(offered: Offered) -> None:
    assert offered("runner submit outputs/2026-11-20/") == [OLD_RUN]
    assert {NEW_RUN, "model=", "optimizer."} <= set(offered("runner submit "))


def test_folders_lead_on_where_there_are_too_many_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(RUNS_SHOWN):
        for day in ("2026-11-20", "2026-11-21"):
            run = tmp_path / "outputs" / day / f"{number:03}"
            run.mkdir(parents=True)
            (run / "status.json").touch()
    found = list(candidates(Line.read("runner eval outputs/")))
    assert len(found) == RUNS_SHOWN + 2
    assert found[0] == f"outputs/2026-11-21/{RUNS_SHOWN - 1:03}"
    assert found[-2:] == ["outputs/2026-11-20/", "outputs/2026-11-21/"]
    assert list(candidates(Line.read("runner eval outputs/2026-11-20/00"))) == [
        f"outputs/2026-11-20/{number:03}" for number in reversed(range(10))
    ]


def test_runs_of_a_sweep_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("outputs/2026-11-20/10-00-00-sweep/runs/0001-lr=0.1")
    run.mkdir(parents=True)
    (run / "status.json").touch()
    assert list(candidates(Line.read("runner eval outputs/2026-11-20/1"))) == [str(run), f"{run.parents[1]}/"]


def test_a_link_that_leads_back_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("outputs/2026-11-20/run")
    run.mkdir(parents=True)
    (run / "status.json").touch()
    Path("outputs/back").symlink_to(tmp_path / "outputs")
    assert list(candidates(Line.read("runner eval "))) == [str(run), "outputs/"]


def test_home_folder_is_understood_and_stays_as_typed(offered: Offered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", os.getcwd())
    assert offered("runner ls ~/co") == ["~/conf/"]
    assert offered("runner train output_root=~/co") == ["output_root=~/conf/"]


def test_candidates_are_explained_in_the_words_of_help_and_configuration(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert candidates(Line.read("runner res")) == {"resume": COMMANDS["resume"]}
    assert candidates(Line.read("runner train model=zeb")) == {"model=zebranet": "Striped."}
    assert candidates(Line.read("runner train epo")) == {"epochs=": "Passes over the training data: 1 or more."}


@pytest.mark.parametrize(
    ("line", "heavy"),
    [
        ("runner tr", ("torch", "hydra", "omegaconf", "numpy", "yaml")),
        ("runner train --c", ("torch", "hydra", "omegaconf", "numpy", "yaml")),
        ("runner resume outputs/", ("torch", "hydra", "omegaconf", "numpy", "yaml")),
        ("runner train run_dir=./", ("torch", "hydra", "omegaconf", "numpy", "yaml")),
        ("runner eval --sp", ("torch", "hydra", "omegaconf", "numpy")),
        ("runner train model=un", ("torch", "numpy", "pydantic")),
    ],
)
def test_query_imports_only_what_it_needs(line: str, heavy: tuple[str, ...], project: Path) -> None:
    code = f"""if True:
        import sys, runner.cli
        code = runner.cli.main(['-sc', 'query=fish'])
        print(code, [name for name in {heavy} if name in sys.modules])"""
    env = {**os.environ, "COMP_LINE": line, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=env, capture_output=True, text=True, check=True
    )
    *answer, report = done.stdout.splitlines()
    assert answer
    assert report == "0 []"


# --- the line, and the answer in the words of each shell -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words", "word", "quote"),
    [
        ("runner", [], "runner", ""),
        ("runner ", ["runner"], "", ""),
        ("runner train mo", ["runner", "train"], "mo", ""),
        ("runner  train 'a b' x=\"c d\" ", ["runner", "train", "a b", "x=c d"], "", ""),
        (r"runner ls my\ da", ["runner", "ls"], "my da", ""),
        ("runner train 'a=[b, c", ["runner", "train"], "a=[b, c", "'"),
        ('runner train model="un', ["runner", "train"], "model=un", '"'),
        ("runner ls it\\'s", ["runner", "ls"], "it's", ""),
    ],
)
def test_line_is_split_as_a_shell_does(text: str, words: list[str], word: str, quote: str) -> None:
    line = Line.read(text)
    assert (list(line.words), line.word, line.quote) == (words, word, quote)


@given(st.text(st.characters(exclude_characters="\0")))
def test_any_line_can_be_read(text: str) -> None:
    line = Line.read(text)
    assert line.text == text
    assert "\0" not in line.word


@pytest.mark.parametrize(
    ("text", "candidate", "replacement"),
    [
        ("runner tr", "train", "train "),
        ("runner train opti", "optimizer=", "optimizer="),
        ("runner train opti", "optimizer.", "optimizer."),
        ("runner train model=un", "model=unet", "unet "),
        ("runner train model=", "model=unet", "unet "),
        ("runner train -m model=mlp,un", "model=mlp,unet", "mlp,unet "),
        ("runner train a=./b", "a=./b:c/", "./b:c/"),
        ("runner train a=b:c", "a=b:cd", "cd "),
        ("runner ls my", "my data/", r"my\ data/"),
        (r"runner ls my\ d", "my data/", r"my\ data/"),
        (r"runner ls x=my\ d", "x=my data/", r"my\ data/"),
        ("runner ls (", "", None),
        ("runner ls 'my", "my data/", "my data/"),
        ("runner train 'a=[b,c", "a=[b,cd", "a=[b,cd"),
        ('runner train model="un', "model=unet", "unet"),
        ('runner ls "my dat"a', "my data/", None),
    ],
)
def test_bash_gets_what_follows_the_last_break_character(text: str, candidate: str, replacement: str | None) -> None:
    expected = [] if replacement is None else [replacement]
    assert list(for_bash([candidate] if candidate else [], Line.read(text), BREAKS)) == expected


def test_bash_without_break_characters_gets_the_whole_word() -> None:
    assert list(for_bash(["model=unet"], Line.read("runner train model=un"), BREAKS.replace("=", ""))) == [
        "model=unet "
    ]
    assert list(for_bash(["model=unet"], Line.read("runner train model=un"), "")) == ["model=unet "]


def test_fish_gets_explanations_after_a_tabulator() -> None:
    assert list(for_fish({"train": "go", "a=": ""})) == ["train\tgo", "a=\t"]


def test_zsh_gets_entries_of_describe_with_a_space_before_complete_words() -> None:
    assert list(for_zsh({"train": "go: on", "a=": "", "b:c": "", "d/": "x"})) == [
        " train:go: on",
        "a=",
        r" b\:c",
        "d/:x",
    ]


@pytest.mark.parametrize("args", [[], ["install"], ["install=tcsh"], ["remove=bash"], ["install=bash", "x"]])
def test_other_requests_are_refused_with_what_is_expected(args: list[str]) -> None:
    with pytest.raises(
        UserError, match=r"expected: +install=SHELL or uninstall=SHELL, where SHELL is one of bash, zsh, fish"
    ):
        main(args)


def test_query_without_a_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMP_LINE", raising=False)
    with pytest.raises(UserError, match="COMP_LINE is not set"):
        main(["query=bash"])


# --- in the shells themselves -----------------------------------------------------------------------------------------


def shell_or_skip(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def environment(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a shell that finds ``runner`` and nothing of the tester's own settings."""
    program = tmp_path_factory.mktemp("bin") / "runner"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m runner "$@"\n')
    program.chmod(0o755)
    return {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HOME": str(tmp_path_factory.mktemp("home")),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "INPUTRC": os.devnull,
    }


class Terminal:
    """An interactive shell, and the line in its editor after keys were pressed."""

    def __init__(self, command: list[str], setup: list[str], environment: dict[str, str], folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 300, 0, 0))
        self._shell = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder, start_new_session=True
        )
        os.close(theirs)
        os.write(self._ours, "\n".join([*setup, "echo REA''DY\n"]).encode())  # the echo of this is not READY
        self._read_until("READY")

    def press(self, text: str) -> str:
        """The edited line after ``text`` and the TAB key."""
        control_u_clears, control_g_shows = "\x15", "\x07"
        os.write(self._ours, f"{control_u_clears}{text}\t{control_g_shows}".encode())
        shown = re.search(r"LINE<(.*)>END", self._read_until(">END"))
        assert shown
        return shown[1]

    def close(self) -> None:
        os.close(self._ours)
        self._shell.kill()
        self._shell.wait()

    def _read_until(self, mark: str, limit_s: float = 60) -> str:
        text, end = "", time.monotonic() + limit_s
        while mark not in text:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {mark} within {limit_s} s in: {text}"
            text += os.read(self._ours, 65536).decode(errors="replace")
        return text


@pytest.fixture(scope="module")
def bash(environment: dict[str, str], project: Path) -> Iterator[Terminal]:
    """bash with the completion that ``runner -sc install=bash`` prints."""
    setup = [
        "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'",
        """bind -x '"\\C-g": printf "\\nLINE<%s>END" "$READLINE_LINE"'""",
        'eval "$(runner -sc install=bash)"',
    ]
    terminal = Terminal([shell_or_skip("bash"), "--norc", "--noprofile", "-i"], setup, environment, project)
    yield terminal
    terminal.close()


@pytest.fixture(scope="module")
def zsh(environment: dict[str, str], project: Path) -> Iterator[Terminal]:
    """zsh with the completion that ``runner -sc install=zsh`` prints."""
    setup = [
        "unsetopt beep; autoload -Uz compinit; compinit -u -D",
        "_show() { print -r -- \"LINE<$BUFFER>END\" }; zle -N _show; bindkey '^G' _show",
        'eval "$(runner -sc install=zsh)"',
    ]
    terminal = Terminal([shell_or_skip("zsh"), "-f", "-i"], setup, environment, project)
    yield terminal
    terminal.close()


TYPED = [
    ("runner tr", "runner train "),
    ("runner train --conf", "runner train --config-dir "),
    ("runner train optimi", "runner train optimizer"),  # optimizer= or optimizer.
    ("runner train optimizer.weight", "runner train optimizer.weight_decay="),
    ("runner train model=zeb", "runner train model=zebranet "),
    ("runner train -m model=mlp,zeb", "runner train -m model=mlp,zebranet "),
    ("runner train run_dir=./my", r"runner train run_dir=./my\ data/"),
    (r"runner train run_dir=./my\ da", r"runner train run_dir=./my\ data/"),
    ("runner eval outputs/2026-11-20/", f"runner eval {OLD_RUN} "),
    ("runner ls my", r"runner ls my\ data/"),
    ("time runner ls co", "time runner ls conf/"),
]
"""What is typed before the TAB key, and what the line is after it."""


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_bash_completes(typed: str, completed: str, bash: Terminal) -> None:
    assert bash.press(typed) == completed


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_zsh_completes(typed: str, completed: str, zsh: Terminal) -> None:
    assert zsh.press(typed) == completed


def test_bash_completes_inside_quotes_and_closes_them(bash: Terminal) -> None:
    assert bash.press("runner train 'regularization=[clip,ear") == "runner train 'regularization=[clip,early_stopping'"


def test_zsh_completes_inside_quotes_and_closes_them(zsh: Terminal) -> None:
    assert zsh.press("runner train 'regularization=[clip,ear") == "runner train 'regularization=[clip,early_stopping' "


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("runner tr", [f"train\t{COMMANDS['train']}"]),
        ("runner train --conf", ["--config-dir"]),
        ("runner train optimi", ["optimizer.", "optimizer="]),
        ("runner train model=zeb", ["model=zebranet\tStriped."]),
        ("runner train 'regularization=[clip,ear", ["regularization=[clip,early_stopping"]),
        ("runner train run_dir=./my", ["run_dir=./my data/"]),
        ("runner eval outputs/2026-11-20/", [OLD_RUN]),
        ("X=1 runner ls co", ["conf/"]),
        ("cd / && runner res", [f"resume\t{COMMANDS['resume']}"]),
    ],
)
def test_fish_completes(typed: str, completed: list[str], environment: dict[str, str], project: Path) -> None:
    script = f'runner -sc install=fish | source; complete -C "{typed}"'
    command = [shell_or_skip("fish"), "--no-config", "-c", script]
    done = subprocess.run(command, env=environment, cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == completed
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("shell", "script", "expected"),
    [
        ("bash", 'eval "$(runner -sc {}=bash)"; complete -p runner 2>/dev/null | grep -c runner', ["1", "0"]),
        ("zsh", 'eval "$(runner -sc {}=zsh)"; print ${{#_comps[runner]}} $+functions[_runner]', ["7 1", "0 0"]),
        ("fish", "runner -sc {}=fish | source; complete -c runner | grep -c runner", ["1", "0"]),
    ],
)
def test_uninstall_takes_back_what_install_did(
    shell: str, script: str, expected: list[str], environment: dict[str, str]
) -> None:
    both = "\n".join(script.format(action) for action in ("install", "uninstall"))
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    command = [shell_or_skip(shell), *options, "-c", both]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == expected, done.stderr
