"""Decoding images anew for each batch changes how much memory a run takes, and nothing in what it trains."""

import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing import NewRun, assert_identical, execute, result, stop_at
from PIL import Image

from runner.config.amend import amend
from runner.data import lazy, stats
from runner.data.decode import read_image
from runner.data.loader import Batches, TensorStore
from runner.data.source import Array, Streaming
from runner.data.sources import mask_folder
from runner.data.sources.csv_images import CsvImages
from runner.data.sources.image_folder import ImageFolder
from runner.data.sources.mask_folder import MaskFolder
from runner.data.stats import channel_stats
from runner.errors import UserError
from runner.runs.directory import RunDirectory

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
    for workers in (0, 2):
        decoded_anew = new_run(*typed, "data.cache=none", f"data.workers={workers}")
        assert execute(decoded_anew).exit_code == 0
        assert_identical(outcome(decoded_anew), outcome(held))


def test_the_cache_may_be_given_up_on_resume(
    tiny_pictures: Path, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = (*SMALL, *OPTIONS["csv_images"])
    alone = new_run(*typed)
    assert execute(alone).exit_code == 0
    stopped = new_run(*typed)
    stop_at(monkeypatch, 2)
    assert execute(stopped).exit_code == 75
    amend(stopped, ["data.cache=none", "data.workers=2"], lambda config: None)
    assert execute(stopped).exit_code == 0
    assert_identical(outcome(stopped), outcome(alone))


def test_what_is_done_with_the_images_is_told(tiny_pictures: Path, new_run: NewRun) -> None:
    for cache, told in (("memory", False), ("none", True)):
        run = new_run(*SMALL, *OPTIONS["csv_images"], f"data.cache={cache}", "epochs=1")
        assert execute(run).exit_code == 0
        assert ("samples of 3x16x16, decoded for each batch" in run.log_file.read_text()) == told


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
    expected, batch = TensorStore(held).__getitems__(ids), TensorStore(streamed).__getitems__(ids)
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
    assert_identical(tuple(there.__getitems__(ids)), tuple(TensorStore(samples).__getitems__(ids)))


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
    store.__getitems__(np.arange(8))  # those of the first picture
    with pytest.raises(UserError, match=told):
        store.__getitems__(np.arange(7, 9))


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
