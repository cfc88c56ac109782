"""The flags of ``runner train``."""

import pytest

from runner.config.flags import parse
from runner.errors import UserError


def test_flags_and_overrides_may_stand_in_any_order() -> None:
    found = parse(["model=unet", "-m", "seed=0,1", "--config-dir", "mine", "epochs=3"])
    assert found.overrides == ["model=unet", "seed=0,1", "epochs=3"]
    assert (found.multirun, found.config_dir, found.shows_something) == (True, "mine", False)


@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        (["--lr", "0.1"], "optimizer.lr=0.1"),
        (["--lr=0.1"], "optimizer.lr=0.1"),
        (["--batch-size", "3", "epochs=2"], "data.batch_size=3"),
        (["--epochs", "5"], "epochs=5"),
        (["--model", "unet"], "model=unet"),
        (["--patience", "model=unet"], "regularization.early_stopping.patience=VALUE"),
    ],
    ids=" ".join,
)
def test_a_setting_typed_as_a_flag_is_told_as_it_is_typed_here(typed: list[str], fix: str) -> None:
    with pytest.raises(UserError, match="settings are typed as KEY=VALUE") as refusal:
        parse(typed)
    assert str(refusal.value).endswith(f"  fix:      {fix}")


def test_an_unknown_flag_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match="there is no flag --mulitrun\n  nearest:  --multirun"):
        parse(["--mulitrun"])


@pytest.mark.parametrize("flag", ["-m", "--dry-run", "--jsonn"])
@pytest.mark.parametrize("command", ["summary", "data"])
def test_a_flag_that_a_command_does_not_have_is_told_with_that_command(command: str, flag: str) -> None:
    with pytest.raises(UserError, match=f"^runner {command}: there is no flag {flag}\n") as refusal:
        parse(["model=unet", flag], command)
    assert str(refusal.value).endswith(f"  fix:      runner {command} --help")


@pytest.mark.parametrize("typed", [["--resolve"], ["--package", "model"], ["--info", "--resolve"]])
def test_a_flag_that_says_how_to_print_is_refused_where_nothing_is_printed(typed: list[str]) -> None:
    with pytest.raises(UserError, match="says how --cfg prints, and there is no --cfg"):
        parse(["model=unet", *typed])


def test_a_flag_without_its_value_is_refused() -> None:
    with pytest.raises(UserError, match=r"--cfg.*expected one argument"):
        parse(["--cfg"])
