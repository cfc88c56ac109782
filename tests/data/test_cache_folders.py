"""``runner cache``: what is kept on the disk is listed, and goes unless it is used."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from runner.cli import main
from runner.data.cache_folders import caches_in
from runner.data.disk_cache import DiskCache
from runner.data.source import Samples, Streaming, silent
from runner.data.sources.csv_images import CsvImages
from runner.data.sources.mask_folder import MaskFolder

DAY = 86400


def keep(source: Streaming, about: str) -> Samples:
    cache = DiskCache(Path("kept"), type(source).__name__, source.fingerprint(), source.stream(), about)
    return cache.keep(silent, lambda line: None)


def pets() -> Samples:
    return keep(CsvImages("pets/label.csv"), "pets/label.csv")


def cells() -> Samples:
    return keep(MaskFolder("cells/image", "cells/label"), "cells/image")


def used_days_ago(data: str, days: float) -> None:
    (cache,) = (cache for cache in caches_in(Path("kept")) if cache.data == data)
    os.utime(cache.path / "used", (time.time() - days * DAY,) * 2)


def listed() -> list[str]:
    return [cache.data for cache in caches_in(Path("kept"))]


def test_caches_are_listed_with_what_they_are_of_the_last_used_in_front(
    tiny_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pets(), cells()
    used_days_ago("cells/image", 3)
    sizes = {cache.data: cache.num_bytes for cache in caches_in(Path("kept"))}
    assert list(sizes) == ["pets/label.csv", "cells/image"]
    assert 12 * 3 * 16 * 16 < sizes["pets/label.csv"] < 12 * 3 * 16 * 16 + 1000, "12 pictures, and a header"
    assert main(["cache", "--dir", "kept"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"pets/label\.csv +\d+\.\d kB +\d{4}-\d\d-\d\d \d\d:\d\d", lines[1])
    assert lines[2].startswith("cells/image ")


def test_a_cache_that_is_used_again_counts_as_used_now(tiny_pictures: Path) -> None:
    pets()
    used_days_ago("pets/label.csv", 3)
    pets()
    assert time.time() - caches_in(Path("kept"))[0].used_at < 60


def test_those_that_were_not_used_for_so_long_are_removed(
    tiny_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pets(), cells()
    used_days_ago("cells/image", 3)
    assert main(["cache", "--dir", "kept", "--unused-for", "3.5", "--clear"]) == 0
    assert listed() == ["pets/label.csv", "cells/image"]
    assert main(["cache", "--dir", "kept", "--unused-for", "2.5", "--clear"]) == 0
    assert listed() == ["pets/label.csv"]
    assert main(["cache", "--dir", "kept", "--clear"]) == 0
    assert list(Path("kept").iterdir()) == []


USE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_cache_folders import pets
samples = pets()
print("ready", flush=True)
sys.stdin.read()
print(int(samples.inputs[0].gather([0, 11]).sum()))
"""


def test_what_a_process_uses_stays(tiny_pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells()
    with subprocess.Popen(
        [sys.executable, "-c", USE, str(Path(__file__).parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        assert main(["cache", "--dir", "kept", "--clear"]) == 1
        assert listed() == ["pets/label.csv"]
        said = capsys.readouterr()
        assert said.err == "kept: pets/label.csv, which a process uses\n"
        assert "removed 1 of 2" in said.out
        total, _ = other.communicate()
    decoded = CsvImages("pets/label.csv").read().inputs[0]
    assert isinstance(decoded, np.ndarray)
    assert int(total) == int(decoded[[0, 11]].sum())
    assert main(["cache", "--dir", "kept", "--clear"]) == 0, "the process has ended"


def test_nothing_but_caches_is_removed(tiny_pictures: Path) -> None:
    pets()
    (Path("kept") / "notes").mkdir()
    (Path("kept") / "thesis.pdf").touch()
    assert main(["cache", "--dir", "kept", "--clear"]) == 0
    assert sorted(path.name for path in Path("kept").iterdir()) == ["notes", "thesis.pdf"]


@pytest.mark.parametrize(
    ("words", "told"), [(["--dir", "nowhere"], "no such folder"), (["--unused-for", "-1"], "0 or more")]
)
def test_what_makes_no_sense_is_refused(
    tiny_pictures: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", *words]) == 2
    assert told in capsys.readouterr().err
