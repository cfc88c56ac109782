"""Models and losses stand on torch alone."""

import subprocess
import sys

IMPORT_ALL_WITHOUT_CONFIGURATION = """
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys(["hydra", "omegaconf", "pydantic"]))  # importing one of them now fails
import runner.models, runner.losses
names = [module.name for module in pkgutil.walk_packages(runner.models.__path__, "runner.models.")]
assert "runner.models.mlp" in names
for name in names:
    importlib.import_module(name)
ours = {name for name in sys.modules if name.startswith("runner")}
print(*sorted(ours - {"runner", "runner.models", "runner.losses", "runner.errors", *names}))
"""

IMPORT_CHOICES = """
import sys
import runner.models.choices
print("torch" in sys.modules)
"""


def output_of(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_models_and_losses_import_nothing_of_the_project_but_errors_and_no_configuration():
    assert output_of(IMPORT_ALL_WITHOUT_CONFIGURATION) == ""


def test_the_names_to_choose_from_are_known_without_torch():
    assert output_of(IMPORT_CHOICES) == "False"
