import os
import pickle

import numpy as np
import pytest

from runner.data.sources.cifar import CIFAR10, read_batch
from runner.errors import UserError

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def rows(number):
    return np.random.default_rng(number).integers(0, 256, (4, 3072), dtype=np.uint8)


@pytest.fixture
def root(tmp_path):
    """A folder with a CIFAR-10 of four images a batch in it."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate(BATCHES):
        (folder / name).write_bytes(pickle.dumps({b"data": rows(number), b"labels": [number] * 4}, protocol=4))
    return tmp_path


def test_five_training_batches_come_first_then_the_test_batch(root):
    samples = CIFAR10(root, download=False).read()
    assert samples.inputs[0].shape == (24, 3, 32, 32)
    assert samples.targets.tolist() == np.repeat(range(6), 4).tolist()
    assert samples.official.tolist() == ["train"] * 20 + ["test"] * 4


def test_a_row_is_a_red_plane_then_a_green_then_a_blue_one(root):
    image = CIFAR10(root, download=False).read().inputs[0][20]
    assert image[0, 0, 1] == rows(5)[0][1]
    assert image[1, 2, 3] == rows(5)[0][1024 + 2 * 32 + 3]
    assert image[2, 31, 31] == rows(5)[0][3071]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_way_of_pickling_an_array_is_read(tmp_path, protocol):
    batch = {b"data": np.zeros((1, 3072), np.uint8), b"labels": [3]}
    if protocol == 2:  # as Python 2 wrote the original: bytes are strings, and numpy's modules had their old names
        content = pickle.dumps(batch, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    else:
        content = pickle.dumps(batch, protocol=protocol)
    (tmp_path / "batch").write_bytes(content)
    images, classes = read_batch(tmp_path / "batch")
    assert images.shape == (1, 3, 32, 32)
    assert classes.tolist() == [3]


class Evil:
    def __reduce__(self):
        return os.mkdir, ("proof",)


def test_a_pickle_that_runs_code_is_refused_before_it_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(UserError, match=r"batch is not a batch of CIFAR-10 \(it asks for posix.mkdir\)"):
        read_batch(tmp_path / "batch")
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({b"data": rows(0), b"labels": [1]}),
        pickle.dumps({b"data": rows(0).astype(np.int64), b"labels": [1] * 4}),
    ],
)
def test_what_is_no_batch_is_refused_by_name(tmp_path, content):
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(UserError, match="batch is not a batch of CIFAR-10"):
        read_batch(tmp_path / "batch")


def test_missing_files_are_named_with_the_folder_they_belong_into(root):
    (root / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(UserError, match=r"put these files into .*cifar-10-batches-py: test_batch"):
        CIFAR10(root, download=False).check()


def test_images_can_be_resized(root):
    assert CIFAR10(root, download=False).read((16, 8)).inputs[0].shape == (24, 3, 16, 8)
