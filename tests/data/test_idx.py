import gzip
import struct

import numpy as np
import pytest

from runner.data.sources.idx import MNIST, FashionMNIST
from runner.errors import UserError


def idx_bytes(values):
    header = bytes([0, 0, 8, values.ndim]) + b"".join(struct.pack(">I", length) for length in values.shape)
    return header + values.astype(np.uint8).tobytes()


RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.integers(0, 256, (12, 28, 28)), RNG.integers(0, 256, (5, 28, 28))
FILES = {
    "train-images-idx3-ubyte": idx_bytes(TRAIN),
    "train-labels-idx1-ubyte": idx_bytes(np.arange(12) % 10),
    "t10k-images-idx3-ubyte": idx_bytes(TEST),
    "t10k-labels-idx1-ubyte": idx_bytes(np.arange(5)),
}


@pytest.fixture
def root(tmp_path):
    """A folder with a small MNIST in it."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in FILES.items():
        (raw / name).write_bytes(content)
    return tmp_path


def test_the_official_training_part_comes_first_then_the_test_part(root):
    samples = MNIST(root, download=False).read()
    assert (samples.inputs[0][:12, 0] == TRAIN).all()
    assert (samples.inputs[0][12:, 0] == TEST).all()
    assert samples.targets.tolist() == [*(np.arange(12) % 10), *range(5)]
    assert samples.official.tolist() == ["train"] * 12 + ["test"] * 5


def test_packed_files_are_read_too(root):
    source = MNIST(root, download=False)
    expected = source.read()
    for name, content in FILES.items():
        (root / "MNIST" / "raw" / name).unlink()
        (root / "MNIST" / "raw" / f"{name}.gz").write_bytes(gzip.compress(content))
    source.check()
    assert (source.read().inputs[0] == expected.inputs[0]).all()


def test_images_can_be_resized(root):
    assert MNIST(root, download=False).read((32, 32)).inputs[0].shape == (17, 1, 32, 32)


def test_missing_files_are_named_with_the_folder_they_belong_into(root):
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match=r"MNIST is not in .*MNIST/raw") as refusal:
        MNIST(root, download=False).check()
    message = str(refusal.value)
    assert "data.source.download=true" in message
    assert f"put these files into {root}/MNIST/raw: t10k-labels-idx1-ubyte" in message
    assert "train" not in message


def test_missing_files_are_no_mistake_where_they_may_be_downloaded(tmp_path):
    MNIST(tmp_path, download=True).check()


def test_a_download_that_fails_tells_why_and_which_files_to_put_where(tmp_path, monkeypatch):
    def fail(source):
        raise OSError("no network\nand more")

    monkeypatch.setattr(MNIST, "_download", fail)
    with pytest.raises(UserError, match=r"MNIST could not be downloaded: no network") as refusal:
        MNIST(tmp_path, download=True).read()
    assert all(name in str(refusal.value) for name in FILES)


def test_only_missing_files_are_downloaded(root, monkeypatch):
    monkeypatch.setattr(MNIST, "_download", lambda source: pytest.fail("downloaded"))
    MNIST(root, download=True).read()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not an idx file"),
        (FILES["t10k-labels-idx1-ubyte"], "is not an idx file of bytes with 3 dimensions"),
        (FILES["t10k-images-idx3-ubyte"][:-1], "has 3919 values, where its header announces 3920"),
    ],
)
def test_a_broken_file_is_named(root, content, problem):
    (root / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(UserError, match=f"t10k-images-idx3-ubyte {problem}"):
        MNIST(root, download=False).read()


def test_a_packed_file_that_is_cut_short_is_named(root):
    (root / "MNIST" / "raw" / "t10k-images-idx3-ubyte").unlink()
    packed = gzip.compress(FILES["t10k-images-idx3-ubyte"])
    (root / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz").write_bytes(packed[:-20])
    with pytest.raises(UserError, match=r"idx3-ubyte.gz cannot be unpacked"):
        MNIST(root, download=False).read()


def test_as_many_labels_as_images_are_expected(root):
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(4)))
    with pytest.raises(UserError, match=r"has 5 images, .* 4 labels"):
        MNIST(root, download=False).read()


def test_fashion_mnist_lies_in_its_own_folder_and_names_its_classes(root):
    (root / "MNIST").rename(root / "FashionMNIST")
    assert FashionMNIST(root, download=False).read().class_names[9] == "Ankle boot"


def test_the_fingerprint_follows_the_contents_and_not_the_place(root, tmp_path_factory):
    before = MNIST(root, download=False).fingerprint()
    elsewhere = root.rename(tmp_path_factory.mktemp("elsewhere") / "data")
    assert MNIST(elsewhere, download=False).fingerprint() == before
    (elsewhere / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(5)))
    assert MNIST(elsewhere, download=False).fingerprint() != before


@pytest.mark.slow
def test_files_are_laid_out_as_torchvision_lays_them_out(root):
    import torchvision

    samples = MNIST(root, download=False).read()
    for train, rows in ((True, slice(12)), (False, slice(12, None))):
        expected = torchvision.datasets.MNIST(root, train=train)
        assert (samples.inputs[0][rows, 0] == expected.data.numpy()).all()
        assert (samples.targets[rows] == expected.targets.numpy()).all()
