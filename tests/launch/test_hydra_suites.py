"""Hydra's own tests of launchers and sweepers, with ours in them."""

import pytest
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [("local", []), ("local", ["hydra/sweeper=grid"])],
    ids=["Hydra's sweeper", "grid"],
)
class TestLocalLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize(("launcher_name", "overrides"), [("local", ["hydra/sweeper=optuna"])])
class TestOptunaSweeper(LauncherTestSuite):
    """Where it applies: a study chooses the order of the points, and how many there are."""

    test_sweep_2_jobs = None
    test_sweep_2_optimizers = None
    test_sweep_over_unspecified_mandatory_default = None
    test_sweep_and_override = None


@pytest.mark.parametrize(("launcher_name", "overrides"), [("local", ["hydra.sweeper.max_batch_size=2"])])
class TestLocalLauncherInBatches(BatchedSweeperTestSuite):
    pass


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [
        ({}, ["-m", "hydra/launcher=local", "hydra/sweeper=grid"]),
        ({}, ["-m", "hydra/launcher=local", "hydra/sweeper=optuna"]),
    ],
    ids=["grid", "optuna"],
)
class TestIntegration(IntegrationTestSuite):
    pass
