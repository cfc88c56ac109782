"""What the tests that are marked slurm need."""

import os
import shutil
import subprocess

PACKAGES = "munge slurmctld slurmd slurm-client iproute2 slurmdbd mariadb-server-core mariadb-client-core"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "ss", "slurmdbd", "mariadbd")


def what_is_missing() -> str | None:
    """What a real Slurm needs here and does not find, with how to have it."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if missing:
        return f"{', '.join(missing)} not found; apt-get install --no-install-recommends {PACKAGES} brings them"
    if os.geteuid() != 0:
        return "only root can start its daemons; sudo .venv/bin/pytest -m slurm runs them"
    is_permitted = subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode == 0
    return None if is_permitted else "unshare --uts is not permitted in this container"
