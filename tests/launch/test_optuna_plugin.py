"""Studies of other programs that Hydra runs."""

import pytest
from omegaconf import OmegaConf

from hydra_plugins.runner_plugins.optuna_sweeper import OptunaSweeper
from runner.launch import local


@pytest.mark.parametrize(
    ("launcher", "size"), [({}, 1), ({"n_jobs": 2}, 2), ({"n_jobs": "auto"}, 6), ({"n_jobs": -1}, 6)]
)
def test_a_batch_has_as_many_jobs_as_the_launcher_runs_at_a_time(
    launcher: dict[str, object], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "allowed_cpus", lambda: 6)
    sweeper = OptunaSweeper()
    sweeper.config = OmegaConf.create({"hydra": {"launcher": launcher}})
    assert sweeper._at_a_time() == size
