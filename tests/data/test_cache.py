"""Where decoded images are kept changes memory and time, and nothing in what is trained."""

import errno
import multiprocessing
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comparing import NewRun, assert_identical, execute, result, stop_at
from PIL import Image

from runner.config.amend import amend
from runner.config.schema import RunConfig
from runner.data import cache, lazy, stats
from runner.data.decode import read_image
from runner.data.disk_cache import DiskCache, Mapped
from runner.data.loader import Batches, TensorStore
from runner.data.source import Array, Samples, Streaming, silent
from runner.data.sources import mask_folder
from runner.data.sources.csv_images import CsvImages
from runner.data.sources.image_folder import ImageFolder
from runner.data.sources.mask_folder import MaskFolder
from runner.data.stats import channel_stats
from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.training import data, normalisation

SMALL = ("epochs=2", "data.batch_size=3", "tracking.log_every=1", "tracking.graph=false", "data.split.val=0.25")
UNET = ("model=unet", "model.width=4", "model.levels=1")
OPTIONS = {
    "csv_images": ["data=csv_images", "data.source.csv=pets/label.csv", "model=lenet", "data.order=balanced"],
    "image_folder": ["data=image_folder", "data.source.root=pets", "data.image_size=[12,10]", "model.hidden=[8]"],
    "masks": ["data=mask_folder", "data.source.images=cells/image", "data.source.masks=cells/label", *UNET],
    "digits": ["data.batch_size=500", "model.hidden=[8]"],
}
OPTIONS["tiles"] = [*OPTIONS["masks"], "data.source.tile=[16,32]"]

SOURCES: dict[str, Callable[..., Any]] = {
    "csv_images": lambda **settings: CsvImages("pets/label.csv", **settings),
    "image_folder": lambda **settings: ImageFolder("pets", **settings),
    "masks": lambda **settings: MaskFolder("cells/image", "cells/label", **settings),
    "tiles": lambda **settings: MaskFolder("cells/image", "cells/label", tile=[8, 12], **settings),
}


def outcome(run: RunDirectory) -> dict[str, Any]:
    """All that a run came to; the settings, which TensorBoard shows as well, are not the same."""
    came_to = result(run)
    came_to["events"] = [event for event in came_to["events"] if not event[0].startswith("_hparams_")]
    return came_to


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose pictures were decoded, in turn."""
    names: list[str] = []

    def noted(path: Path, channels: int) -> Array:
        names.append(path.name)
        return read_image(path, channels)

    for module in (lazy, mask_folder):
        monkeypatch.setattr(module, "read_image", noted)
    return names


# --- what is trained --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", OPTIONS)
def test_neither_the_cache_nor_the_workers_change_what_is_trained(
    tiny_pictures: Path, new_run: NewRun, option: str
) -> None:
    typed = (*SMALL, *OPTIONS[option])
    held = new_run(*typed, "data.cache=memory")
    assert execute(held).exit_code == 0
    others = [("none", 0), ("none", 2), ("disk", 2)]
    for kind, workers in others if option != "digits" else others[-1:]:
        other = new_run(*typed, f"data.cache={kind}", f"data.workers={workers}")
        assert execute(other).exit_code == 0
        assert_identical(outcome(other), outcome(held))


@pytest.mark.parametrize("change", [("memory", "none"), ("none", "disk"), ("disk", "memory")], ids="-".join)
def test_the_cache_may_change_on_resume(
    tiny_pictures: Path, new_run: NewRun, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str]
) -> None:
    typed = (*SMALL, *OPTIONS["csv_images"])
    alone = new_run(*typed)
    assert execute(alone).exit_code == 0
    stopped = new_run(*typed, f"data.cache={change[0]}")
    stop_at(monkeypatch, 2)
    assert execute(stopped).exit_code == 75
    amend(stopped, [f"data.cache={change[1]}", "data.cache_dir=elsewhere"], lambda config: None)
    assert execute(stopped).exit_code == 0
    assert_identical(outcome(stopped), outcome(alone))


def line_about_data(run: RunDirectory) -> str:
    assert execute(run).exit_code == 0
    return next(line for line in run.log_file.read_text().splitlines() if "data     " in line)


def test_what_is_done_with_the_images_is_told(tiny_pictures: Path, new_run: NewRun) -> None:
    typed = (*SMALL, *OPTIONS["csv_images"], "epochs=1", "data.cache_dir=kept")
    told = {kind: line_about_data(new_run(*typed, f"data.cache={kind}")) for kind in ("memory", "none", "disk")}
    assert told["memory"].endswith("samples of 3x16x16, held in memory (9.2 kB)")
    assert told["none"].endswith("samples of 3x16x16, decoded for each batch (9.2 kB)")
    (folder,) = (tiny_pictures / "kept").iterdir()
    assert told["disk"].endswith(f"samples of 3x16x16, kept in {folder} (9.2 kB)")
    assert line_about_data(new_run(*SMALL, *OPTIONS["digits"])).endswith("samples of 1x8x8")


# --- what auto chooses ------------------------------------------------------------------------------------------------


@pytest.fixture
def choose(tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None, int], tuple[str, Samples]]:
    """What ``auto`` does with 9,216 bytes of pictures: ``choose(bytes of memory, bytes of disk)``."""

    def choosing(memory: int | None, room: int) -> tuple[str, Samples]:
        monkeypatch.setattr(cache, "free_memory", lambda: memory)
        monkeypatch.setattr(cache, "free_disk", lambda folder: room)
        source = SOURCES["csv_images"]()
        disk = DiskCache(Path("kept"), "pets", "fingerprint", source.stream())
        samples, how = cache.keep(source.stream(), "auto", disk, silent, lambda line: None)
        return how.replace(str(disk.folder), "FOLDER"), samples

    return choosing


Choosing = Callable[[int | None, int], tuple[str, Samples]]


def test_memory_is_chosen_where_the_images_fill_at_most_half_of_it(choose: Choosing) -> None:
    how, samples = choose(2 * 9216, 10**6)
    assert how == "held in memory (9.2 kB of 18.4 kB free)"
    assert isinstance(samples.inputs[0], np.ndarray)
    assert choose(None, 0)[0] == "held in memory (9.2 kB)"
    assert not Path("kept").exists()


def test_the_disk_is_chosen_where_they_do_not_and_then_found_by_the_next_run(choose: Choosing) -> None:
    how, samples = choose(2 * 9216 - 1, 12_000)
    assert how == "kept in FOLDER (9.2 kB; free are 18.4 kB of memory and 12.0 kB of disk)"
    assert isinstance(samples.inputs[0], Mapped)
    assert choose(10**9, 0)[0] == "kept in FOLDER (9.2 kB, found there)"


def test_nothing_is_kept_where_there_is_room_for_it_nowhere(choose: Choosing) -> None:
    how, samples = choose(9216, 11_000)
    assert how == "decoded for each batch (9.2 kB; free are 9.2 kB of memory and 11.0 kB of disk)"
    assert isinstance(samples.inputs[0], lazy.FileRows)


def test_a_disk_that_turns_out_to_be_full_is_done_without(choose: Choosing, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    how, _ = choose(0, 10**6)
    assert how.startswith("decoded for each batch (9.2 kB; free are ")
    assert how.endswith("for which FOLDER has no room)")
    assert not list(Path("kept").rglob("*.*"))


def test_sizes_are_told_in_decimal_units() -> None:
    sizes = [0, 999, 1000, 9216, 10**6, 123_456_789, 10**10, 5 * 10**15]
    assert [cache.told(size) for size in sizes] == [
        *("0 bytes", "999 bytes", "1.0 kB", "9.2 kB", "1.0 MB", "123.5 MB", "10.0 GB", "5000.0 TB")
    ]


# --- mean and deviation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "disk", "none"])
def test_they_are_measured_once_and_the_same_numbers_serve_again(
    tiny_pictures: Path, new_run: NewRun, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(normalisation, "_QUICK", 0)
    measured: list[int] = []

    def noting(images: Any, indices: Any, progress: Any) -> Any:
        measured.append(len(indices))
        return channel_stats(images, indices, progress)

    monkeypatch.setattr(normalisation, "channel_stats", noting)

    def normalize(*typed: str) -> Any:
        run = new_run(*SMALL, *OPTIONS["csv_images"], "data.normalize=auto", f"data.cache={kind}", *typed)
        config = RunConfig.model_validate(run.config())
        return data.load_data(config.data, 0, torch.device("cpu"), silent).normalize

    first = normalize()
    assert normalize() == first
    assert len(measured) == 1
    assert normalize("data.split.seed=1") != first  # of other training samples
    os.utime("pets/cat/0.png", (1, 1))
    assert normalize() == first
    assert len(measured) == 3
    for path in Path(os.environ["XDG_CACHE_HOME"]).rglob("mean-std-*.json"):
        path.write_text('{"mean": [0.5], "std": "damaged"}')
    assert normalize() == first


# --- the same samples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_size", [None, (5, 7)])
@pytest.mark.parametrize("kind", SOURCES)
def test_rows_asked_for_are_those_that_would_be_held(
    tiny_pictures: Path, kind: str, image_size: tuple[int, int] | None
) -> None:
    source = SOURCES[kind]()
    assert isinstance(source, Streaming)
    held, streamed = source.read(image_size), source.stream(image_size)
    ids = np.random.default_rng(0).integers(0, len(held), 20)
    assert streamed.inputs[0].shape == held.inputs[0].shape
    assert streamed.inputs[0].dtype == held.inputs[0].dtype
    expected, batch = TensorStore(held).batch(ids), TensorStore(streamed).batch(ids)
    assert_identical(tuple(batch), tuple(expected))
    assert (streamed.names, streamed.class_names) == (held.names, held.class_names)
    assert np.array_equal(streamed.groups, held.groups)


@pytest.mark.parametrize("kind", ["csv_images", "tiles"])
def test_mean_and_deviation_are_the_same_to_the_last_bit(
    tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(stats, "_CHUNK", 3000)
    source, ids = SOURCES[kind](), np.array([7, 1, 2, 3, 11])
    assert channel_stats(source.stream().inputs[0], ids) == channel_stats(source.read().inputs[0], ids)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_worker_that_is_not_forked_gets_the_same(tiny_pictures: Path, kind: str) -> None:
    samples = SOURCES[kind]().stream()
    there, ids = pickle.loads(pickle.dumps(TensorStore(samples))), np.array([3, 0])
    assert_identical(tuple(there.batch(ids)), tuple(TensorStore(samples).batch(ids)))


def test_only_what_is_asked_for_is_decoded(tiny_pictures: Path, decoded: list[str]) -> None:
    samples = SOURCES["csv_images"]().stream()
    assert decoded == ["0.png"]  # for its size and depth
    samples.inputs[0].gather(np.array([4, 7]))
    assert sorted(decoded[1:]) == ["4.png", "7.png"]


def test_a_picture_is_decoded_once_for_all_its_tiles_in_a_batch(tiny_pictures: Path, decoded: list[str]) -> None:
    samples = SOURCES["tiles"]().stream()
    decoded.clear()
    samples.inputs[0].gather(np.array([9, 0, 1, 8, 0]))  # eight tiles a picture
    assert sorted(decoded) == ["0.png", "1.png"]


# --- what is broken ---------------------------------------------------------------------------------------------------


def refusal_of(read: Callable[[], object]) -> str:
    with pytest.raises(UserError) as refusal:
        read()
    return str(refusal.value)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


BREAK: dict[str, Callable[[Path], Any]] = {
    "cut short": cut_short,
    "no image": lambda path: path.write_text("no image"),
    "another depth": lambda path: Image.fromarray(np.zeros((16, 16), np.uint16)).save(path),
    "another size": lambda path: Image.new("RGB", (16, 15)).save(path),
}


@pytest.mark.parametrize("kind", ["csv_images", "image_folder"])
@pytest.mark.parametrize("break_", BREAK.values(), ids=BREAK)
def test_a_broken_image_is_told_in_the_words_of_reading_all(
    tiny_pictures: Path, kind: str, break_: Callable[[Path], Any]
) -> None:
    break_(Path("pets/cat/4.png"))
    source = SOURCES[kind]()
    told = refusal_of(lambda: source.stream().inputs[0].gather(np.arange(12)))
    assert told == refusal_of(source.read)
    assert "cat/4.png" in told
    assert ("pets/label.csv, row 5 (line 6): " in told) == (kind == "csv_images")


def test_a_broken_first_image_is_told_when_it_is_needed(tiny_pictures: Path) -> None:
    cut_short(Path("pets/cat/0.png"))
    images = SOURCES["csv_images"]().stream().inputs[0]
    assert images.shape == (12, 3, 16, 16)
    assert len(images.gather(np.arange(1, 12))) == 11
    assert "label.csv, row 1 (line 2): cat/0.png: cannot be read" in refusal_of(lambda: images.gather(np.array([0])))


def test_without_a_whole_image_there_is_nothing_to_begin_with(tiny_pictures: Path) -> None:
    for file in Path("pets").glob("*/*.png"):
        cut_short(file)
    source = SOURCES["csv_images"]()
    assert "12 of 12 samples cannot be used" in refusal_of(source.stream)
    assert refusal_of(source.stream) == refusal_of(source.read)


@pytest.mark.parametrize(
    ("file", "replacement", "told"),
    [
        ("image/1.png", Image.new("L", (40, 24)), r"image/1.png: is 24 x 40 .*, its header said 32 x 32"),
        ("label/1.png", Image.new("L", (40, 24)), r"image/1.png: is 32 x 32 .*, its mask .*label/1.png 24 x 40"),
        (
            "label/1.png",
            Image.new("L", (32, 32), 7),
            r"its mask .*label/1.png has the values 7, mask_values are",
        ),
        ("label/1.png", Image.new("RGB", (32, 32), "red"), r"its mask .*label/1.png cannot be used \(is a colour"),
    ],
)
def test_pictures_and_masks_that_were_replaced_meanwhile_are_named(
    tiny_pictures: Path, file: str, replacement: Image.Image, told: str
) -> None:
    store = TensorStore(SOURCES["tiles"](mask_values=[0, 255]).stream())
    replacement.save(Path("cells", file))
    store.batch(np.arange(8))  # those of the first picture
    with pytest.raises(UserError, match=told):
        store.batch(np.arange(7, 9))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_worker_tells_a_broken_image_as_this_process_does(tiny_pictures: Path, workers: int) -> None:
    cut_short(Path("pets/cat/4.png"))
    samples = SOURCES["csv_images"]().stream()
    expected = refusal_of(lambda: samples.inputs[0].gather(np.array([4])))
    batches = Batches(TensorStore(samples), np.arange(12), 2, workers=workers).epoch(0)
    assert [next(batches).indices.tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    assert refusal_of(lambda: next(batches)) == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_meets_a_broken_image_fails_with_its_file_and_row(
    tiny_pictures: Path, new_run: NewRun, workers: int
) -> None:
    run = new_run(
        *SMALL,
        *OPTIONS["csv_images"],
        "data.cache=none",
        f"data.workers={workers}",
        "data.order=sequential",
        "data.split={val:0,test:0}",
        "data.normalize=null",
    )
    cut_short(Path("pets/cat/10.png"))
    others = set(multiprocessing.active_children())
    ended = execute(run)
    assert (ended.exit_code, ended.status.state) == (1, "failed")
    assert ended.status.error is not None
    assert ended.status.error.startswith("pets/label.csv, row 11 (line 12): cat/10.png: cannot be read")
    assert "Traceback" not in run.log_file.read_text()
    assert set(multiprocessing.active_children()) <= others, "workers that nobody ends"
