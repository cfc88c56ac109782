"""The cache on the disk: what is in it, when it is built, by whom, and what becomes of damage and of a full disk."""

import errno
import fcntl
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner.data import disk_cache, lazy
from runner.data.decode import read_image
from runner.data.disk_cache import DiskCache, Mapped, NoRoomError, default_root
from runner.data.source import Array, Samples, Streaming, silent
from runner.data.sources.csv_images import CsvImages
from runner.data.sources.mask_folder import MaskFolder
from runner.errors import UserError

Ask = Callable[..., Samples]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded, in turn."""
    names: list[str] = []

    def noted(path: Path, channels: int) -> Array:
        names.append(path.name)
        return read_image(path, channels)

    monkeypatch.setattr(lazy, "read_image", noted)
    return names


def cache_of(source: Streaming, image_size: tuple[int, int] | None = None) -> DiskCache:
    return DiskCache(Path("kept"), type(source).__name__, source.fingerprint(), source.stream(image_size))


def ask(source: Streaming | None = None, note: Callable[[str], None] = lambda line: None, **settings: Any) -> Samples:
    """The samples of a source, pets/ unless another is given, by way of the cache in kept/."""
    return cache_of(source or CsvImages("pets/label.csv", **settings)).keep(silent, note)


def files() -> list[str]:
    return sorted(path.name for path in Path("kept").rglob("*") if path.is_file())


def images() -> Path:
    (path,) = Path("kept").glob("*/input-1.npy")
    return path


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_it_holds_the_values_that_reading_gives(tiny_pictures: Path) -> None:
    held, kept = CsvImages("pets/label.csv").read(), ask()
    ids = np.array([7, 0, 7, 11])
    assert np.array_equal(kept.inputs[0].gather(ids), held.inputs[0][ids])
    assert np.array_equal(np.load(images()), held.inputs[0])  # any tool can read it
    assert (kept.inputs[0].shape, kept.inputs[0].dtype) == (held.inputs[0].shape, held.inputs[0].dtype)
    assert np.array_equal(kept.targets, held.targets)
    assert files() == ["input-1.npy", "lock", "used"]


def test_tiles_and_their_masks_are_kept_each_in_a_file(tiny_pictures: Path) -> None:
    source = MaskFolder("cells/image", "cells/label", tile=[8, 12])
    held, kept, ids = source.read(), ask(source), np.array([9, 0, 40, 8])
    assert np.array_equal(kept.inputs[0].gather(ids), held.inputs[0][ids])
    assert np.array_equal(kept.targets.gather(ids), held.targets[ids])
    assert np.array_equal(kept.groups, held.groups)
    assert files() == ["input-1.npy", "lock", "target.npy", "used"]


def test_every_image_is_decoded_once_and_never_again(tiny_pictures: Path, decoded: list[str]) -> None:
    ask()
    assert sorted(decoded) == sorted(["0.png", *(f"{number}.png" for number in range(12))])  # the first for its size
    decoded.clear()
    ask().inputs[0].gather(np.arange(12))
    assert decoded == ["0.png"]


def test_a_process_that_is_not_forked_maps_the_file_itself(tiny_pictures: Path) -> None:
    kept, ids = ask().inputs[0], np.array([3, 0])
    content = pickle.dumps(kept)
    assert len(content) < 1000
    assert np.array_equal(pickle.loads(content).gather(ids), kept.gather(ids))


def test_a_batch_is_not_a_view_of_the_file(tiny_pictures: Path) -> None:
    kept = ask().inputs[0]
    kept.gather(np.array([0]))[:] = 1
    assert not np.array_equal(kept.gather(np.array([0])), np.ones_like(kept.gather(np.array([0]))))


# --- what it depends on -----------------------------------------------------------------------------------------------


def test_whatever_decides_the_pixels_has_a_cache_of_its_own(
    tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(source: Streaming, image_size: tuple[int, int] | None = None) -> Path:
        return cache_of(source, image_size).folder

    def cells(**settings: Any) -> MaskFolder:
        return MaskFolder("cells/image", "cells/label", **settings)

    different = [
        folder(CsvImages("pets/label.csv")),
        folder(CsvImages("pets/label.csv", channels=1)),
        folder(CsvImages("pets/label.csv"), (5, 7)),
        folder(cells()),
        folder(cells(tile=[8, 8])),
        folder(cells(tile=[8, 12])),
        folder(cells(mask_values=[255, 0])),
        folder(cells(channels=3)),
    ]
    assert len(set(different)) == len(different)
    assert folder(CsvImages(str(Path("pets/label.csv").absolute()))) == different[0]

    os.utime("pets/cat/4.png", (1, 1))
    assert folder(CsvImages("pets/label.csv")) not in different
    changed = folder(CsvImages("pets/label.csv"))
    monkeypatch.setattr(disk_cache, "VERSION", 99)
    assert folder(CsvImages("pets/label.csv")) not in (*different, changed)


def test_two_folders_that_look_alike_do_not_share(tiny_pictures: Path) -> None:
    """Names, sizes and times agree, as those of an archive unpacked twice may; the pixels do not."""
    for number, folder in enumerate(("one", "other")):
        Path(folder).mkdir()
        Image.fromarray(np.full((4, 4), number, np.uint8)).save(f"{folder}/a.bmp")
        os.utime(f"{folder}/a.bmp", (1, 1))
        Path(folder, "label.csv").write_text("image,label\na.bmp,0\n")
    one, other = CsvImages("one/label.csv"), CsvImages("other/label.csv")
    assert one.fingerprint() == other.fingerprint()
    assert ask(one).inputs[0].gather(np.array([0])).max() == 0
    assert ask(other).inputs[0].gather(np.array([0])).max() == 1


def test_it_is_where_the_system_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_root() == tmp_path / ".cache" / "runner"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert default_root() == Path("/elsewhere/runner")


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:50]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no array"),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: np.save(path, np.zeros((12, 3, 16, 15), np.uint8)),
    ],
    ids=["last byte", "header alone", "empty", "another kind", "too long", "another shape"],
)
def test_a_damaged_file_is_told_and_built_again(tiny_pictures: Path, damage: Callable[[Path], Any]) -> None:
    ask()
    damage(images())
    notes: list[str] = []
    kept = ask(note=notes.append)
    assert notes == [f"{images().absolute()} is damaged, and is built again"]
    assert np.array_equal(kept.inputs[0].gather(np.arange(12)), CsvImages("pets/label.csv").read().inputs[0])


def test_what_is_deleted_while_it_is_used_is_still_there_for_who_uses_it(tiny_pictures: Path) -> None:
    kept = ask().inputs[0]
    before = kept.gather(np.arange(12))
    images().unlink()
    assert np.array_equal(kept.gather(np.arange(12)), before)
    assert np.array_equal(ask().inputs[0].gather(np.arange(12)), before)


def test_a_broken_image_is_told_and_nothing_is_left(tiny_pictures: Path) -> None:
    broken = Path("pets/cat/4.png")
    broken.write_bytes(broken.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"row 5 \(line 6\): cat/4.png: cannot be read"):
        ask()
    assert files() == ["lock", "used"]


# --- a full disk ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["pwrite", "posix_fallocate", "fsync"])
def test_a_full_disk_is_told_and_nothing_is_left(
    tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*args: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(NoRoomError, match="the disk is full") as refusal:
            ask()
    assert "data.cache_dir=FOLDER" in str(refusal.value)
    assert files() == ["lock", "used"]
    ask()


def test_a_write_of_a_part_is_gone_on_with(tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, content, place: pwrite(file, bytes(content)[:100], place))
    assert np.array_equal(ask().inputs[0].gather(np.arange(12)), CsvImages("pets/label.csv").read().inputs[0])


def test_a_folder_that_cannot_be_made_is_told(tiny_pictures: Path) -> None:
    Path("kept").write_text("a file")
    with pytest.raises(NoRoomError, match=r"cannot be kept in .*kept.*Not a directory|File exists"):
        ask()


def test_where_the_file_system_has_no_locks_it_is_built_all_the_same(
    tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*args: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    assert len(ask()) == 12


# --- two at once ------------------------------------------------------------------------------------------------------

BUILD_AND_STOP = """
import os, signal, sys
from pathlib import Path
from runner.data import disk_cache
from runner.data.disk_cache import DiskCache
from runner.data.source import silent
from runner.data.sources.csv_images import CsvImages
source = CsvImages("pets/label.csv")
fsync = os.fsync
def at_the_end(file):
    os.fsync = fsync
    print("built", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL) if sys.argv[1] == "killed" else None
os.fsync = at_the_end
DiskCache(Path("kept"), "CsvImages", source.fingerprint(), source.stream()).keep(silent, print)
"""


@pytest.mark.parametrize("end", ["done", "killed"])
def test_a_second_one_waits_and_takes_what_was_built_or_builds_in_place_of_a_killed_one(
    tiny_pictures: Path, decoded: list[str], end: str
) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", BUILD_AND_STOP, end], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdin is not None
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == "built\n"
        assert any(name.endswith(".part") for name in files())
        noted, notes = threading.Event(), list[str]()
        found: list[Samples] = []
        second = threading.Thread(target=lambda: found.append(ask(note=lambda line: (notes.append(line), noted.set()))))
        second.start()
        assert noted.wait(20)
        assert not found
        first.stdin.write("go on\n")
        first.stdin.flush()
        second.join(20)
        assert not second.is_alive()
    finally:
        first.kill()
        first.communicate()
    assert notes == [f"waiting for another process that decodes the same images, into {images().parent.absolute()}"]
    assert np.array_equal(found[0].inputs[0].gather(np.arange(12)), CsvImages("pets/label.csv").read().inputs[0])
    assert files() == ["input-1.npy", "lock", "used"]


def test_a_file_that_is_not_whole_is_not_mapped(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(OSError, match="is damaged"):
        Mapped(tmp_path / "a.npy", {})


# --- what is remembered -----------------------------------------------------------------------------------------------


def test_what_is_remembered_comes_back_to_the_last_bit(tiny_pictures: Path) -> None:
    cache, values = cache_of(CsvImages("pets/label.csv")), {"mean": [0.1 + 0.2, 1 / 3], "std": [5e-324, 1e300]}
    assert cache.remembered("mean") is None
    cache.remember("mean", values)
    assert cache_of(CsvImages("pets/label.csv")).remembered("mean") == values
    (cache.folder / "mean.json").write_text('{"mean": [0.3')
    assert cache.remembered("mean") is None


def test_where_nothing_can_be_written_nothing_is_remembered(tiny_pictures: Path) -> None:
    Path("kept").write_text("a file")
    cache_of(CsvImages("pets/label.csv")).remember("mean", 1.0)
