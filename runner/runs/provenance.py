"""How a run came about: what it takes to explain, or to repeat, its result."""

import hashlib
import json
import os
import platform
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.runs.files import read_mapping, write_json
from runner.runs.git import git
from runner.runs.status import now


def collect(command: Sequence[str], project: Path, weights: str | None = None) -> dict[str, Any]:
    """What is known when a run directory is made.

    Args:
        command: The command line as typed.
        project: The folder of the user's code; its git state is recorded.
        weights: The file of weights that the run starts from; its digest is recorded.

    Raises:
        UserError: If there is no such file.
    """
    return {
        "command": list(command),
        "created": now(),
        "directory": str(project),
        "git": git_state(project),
        "weights": None if weights is None else {"file": weights, "sha256": digest_of(Path(weights).expanduser())},
        "executions": [],
    }


def digest_of(weights: Path) -> str:
    """The SHA-256 of a file of weights, in hex.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        with weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"model.weights={weights} cannot be read: {error.strerror}", expected="the file that the run starts from"
        ) from error


def surroundings(project: Path | None, folders: Sequence[Path] = ()) -> dict[str, Any]:
    """The code, the packages and the machine of an execution, as far as they are known without torch.

    Args:
        project: Whose git state is recorded; None where the code that runs is a copy of what ``collect`` has recorded.
        folders: Where the user's code lies; that of it which has been imported is recorded.
    """
    return {
        **({"git": git_state(project)} if project is not None else {}),
        "code": imported_code(folders),
        "python": platform.python_version(),
        "packages": packages(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "driver": gpu_driver(),
    }


def read(path: Path) -> dict[str, Any]:
    """What ``provenance.json`` says.

    Raises:
        UserError: If the file is gone or damaged.
    """
    return read_mapping(path, json.loads, executions=list)


def note_execution(path: Path, facts: Mapping[str, Any]) -> list[str]:
    """Add an execution to ``provenance.json``; what differs from the one before it is told, a line each.

    Args:
        path: The file.
        facts: The surroundings, and what only an execution knows: device, threads, the data's fingerprint.
    """
    record = read(path)
    facts = {"git": record.get("git"), **facts}
    before = record["executions"][-1] if record["executions"] else {**facts, "git": record.get("git")}
    record["executions"].append({"started": now(), **facts})
    write_json(path, record)
    return differences(before, facts)


_OTHER_DATA = "the data has changed: its fingerprint is another"


def data_difference(path: Path, fingerprint: str) -> str | None:
    """How the data differ from those that a run was last executed with, in words; None: not at all, or it is not known.

    Args:
        path: The file ``provenance.json``.
        fingerprint: Of the data as they are now.
    """
    try:
        before = read(path)["executions"][-1]["data"]
    except (OSError, UserError, LookupError):  # a directory that somebody sent may lack it
        return None
    return None if before == fingerprint else _OTHER_DATA


def since_last_executed(difference: str) -> str:
    """A difference as a run warns of it."""
    return f"since the run was last executed: {difference}"


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What is not the same in two records of surroundings, in words."""
    told = [] if one.get("data") == other.get("data") else [_OTHER_DATA]
    told += _git_differences(one.get("git"), other.get("git"))
    told += _code_differences(one.get("code") or {}, other.get("code") or {})
    told += [
        f"package {name}: {one['packages'].get(name, 'absent')}, now {other['packages'].get(name, 'absent')}"
        for name in sorted({*one["packages"], *other["packages"]})
        if one["packages"].get(name) != other["packages"].get(name)
    ]
    names = ("python", "platform", "cpu", "device", "processes", "gpu", "driver", "cuda", "threads")
    told += [f"{name}: {one.get(name)}, now {other.get(name)}" for name in names if one.get(name) != other.get(name)]
    return told


def _git_differences(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> list[str]:
    if one is None or other is None:
        return [] if one == other else ["the code is no longer in the same git checkout"]
    told = []
    if one["commit"] != other["commit"]:
        told.append(f"the code is of another commit: {one['commit'][:10]}, now {other['commit'][:10]}")
    if None in (one["patch"], other["patch"]):
        told.append("whether the code has other uncommitted changes is not known: git did not say")
    elif one["patch"] != other["patch"]:
        files = sorted(patched(one["patch"]) | patched(other["patch"]))
        told.append(f"the code has other uncommitted changes: {', '.join(files)}")
    return told


def patched(patch: str) -> set[str]:
    """The files that a patch changes."""
    headers = (line for line in patch.splitlines() if line.startswith("diff --git a/"))
    return {header.rpartition(" b/")[2] for header in headers}


def _code_differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    changed = sorted(name for name in one.keys() & other.keys() if one[name] != other[name])
    return [f"the code has changed: {', '.join(changed)}"] if changed else []


def imported_code(folders: Sequence[Path]) -> dict[str, str]:
    """Digests of the modules in some folders that this process has imported, whether git knows them or not."""
    found = {}
    roots = tuple(os.path.join(folder, "") for folder in folders)
    files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    for file in sorted(Path(name) for name in files if name.startswith(roots)):
        folder = next(folder for folder in folders if file.is_relative_to(folder))
        if "site-packages" not in file.parts and file.is_file():
            found[str(file.relative_to(folder))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def packages() -> dict[str, str]:
    """Name and version of every installed distribution."""
    found = {}
    for installed in metadata.distributions():
        # The two lines are looked for: parsing all that distributions say about themselves takes a quarter of a second.
        head = (installed.read_text("METADATA") or installed.read_text("PKG-INFO") or "").partition("\n\n")[0]
        entries = dict(_NAME_AND_VERSION.findall(head))
        if len(entries) == 2:
            found[entries["Name"]] = entries["Version"]
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


_NAME_AND_VERSION = re.compile(r"^(Name|Version): *(\S+)", re.MULTILINE)


def cpu_name() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def gpu_driver() -> str | None:
    """The version of the NVIDIA driver, where there is one."""
    try:
        lines = Path("/proc/driver/nvidia/version").read_text().splitlines()
    except OSError:
        return None
    return lines[0].strip() if lines else None


_DIFF = (
    *("-c", "diff.relative=false", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short"),
    *("--src-prefix=a/", "--dst-prefix=b/"),
)


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, branch and the patch of uncommitted changes, None where git does not say; None outside a git checkout."""
    commit = git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    # Whatever the user's own git settings are: a patch that git applies.
    patch = git(folder, *_DIFF, "HEAD")
    untracked = (git(folder, "ls-files", "--others", "--exclude-standard") or "").splitlines()
    return {
        "commit": commit.strip(),
        "branch": (git(folder, "rev-parse", "--abbrev-ref", "HEAD") or "").strip(),
        "dirty": patch != "" or bool(untracked),
        "patch": patch,
        "untracked": untracked,
    }
