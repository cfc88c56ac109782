"""Values as people type them: what is taken, and what a refusal says."""

from pathlib import Path

import pytest

from runner.config.compose import Composer
from runner.config.paths import Places
from runner.errors import UserErrors


def told(folder: Path, *typed: str) -> str:
    with pytest.raises(UserErrors) as refusal:
        Composer(Places.find(None, folder)).compose(typed)
    return str(refusal.value)


def test_data_without_a_source_is_refused(tmp_path: Path) -> None:
    assert told(tmp_path, "data.source=null", "epochs=ten") == (
        "data.source=null is not valid\n  where:    data.source=null on the command line\n"
        "  expected: a node with keys of its own\n"
        "epochs=ten is not valid\n  where:    epochs=ten on the command line\n  expected: a whole number"
    )
