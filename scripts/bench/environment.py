"""Makes .bench/venv, where the peers live: ``python -m scripts.bench.environment``. Standard library alone.

A peer that cannot be installed is left out, and the page says so: nothing here ends the benchmark but a missing torch.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".bench"
PYTHON = HOME / "venv" / "bin" / "python"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_INSTALLED = HOME / "installed.txt"  # the requirements that the environment was made from


def main() -> int:
    wanted = REQUIREMENTS.read_text()
    if PYTHON.exists() and _INSTALLED.exists() and _INSTALLED.read_text() == wanted:
        return 0
    HOME.mkdir(exist_ok=True)
    print("peers    installing into .bench/venv", flush=True)
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--seed", "--allow-existing", "--python", sys.executable]
        install = [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]
    else:
        make = [sys.executable, "-m", "venv"]
        install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*make, str(HOME / "venv")], check=True)
    install += ["--no-deps", "--only-binary", ":all:"]
    if subprocess.run([*install, "--requirement", str(REQUIREMENTS)]).returncode:
        print("peers    not everything can be installed here; one package after the other", flush=True)
        for line in wanted.splitlines():
            if line and not line.startswith("#") and subprocess.run([*install, line]).returncode:
                print(f"peers    without {line}", flush=True)
    if subprocess.run([str(PYTHON), "-c", "import torch, torchvision"]).returncode:
        print("peers    torch cannot be imported in .bench/venv", file=sys.stderr)
        return 1
    _INSTALLED.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
