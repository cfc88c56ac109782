"""Every kind of network trains with every arithmetic that the device has, and comes to nearly the same."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from terminal import Trained

from runner.data.loader import Batch
from runner.training.parts import Parts
from runner.training.progress import Progress
from runner.training.scores import Scores

Train = Callable[..., Trained]

SHAPES = ["data.source.count=96", "data.image_size=[32,32]", "data.split={val:16,test:16}", "data.eval_batch_size=16"]
NETWORKS = {
    "unet": ["model=unet", "model.width=4", "model.levels=1", *SHAPES],
    "mlp": ["model=mlp", "model.hidden=[32]"],
    "lenet": ["model=lenet"],
}
"""As small as they can be, on data that comes with the program; 4 and 20 updates an epoch."""

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")]),
]
can_compile = any(map(shutil.which, ("c++", "g++", "clang++")))


def losses(run: Trained) -> dict[str, float]:
    """The mean loss of an epoch of training and of validation and test after it."""
    found = {name: value for name, value in run.figures.items() if name.endswith("/loss")}
    assert list(found) == ["train/loss", "val/loss", "test/loss"]
    assert all(map(math.isfinite, found.values()))
    return found


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 1e-2), ("fp16", 5e-3)])
def test_half_precision_trains_to_nearly_the_losses_of_fp32(
    train: Train, device: str, network: str, precision: str, tolerance: float
) -> None:
    """The numbers have 8 and 11 bits: the tolerance is some roundings."""
    typed = [f"device={device}", "epochs=1", *NETWORKS[network]]
    exact = losses(train(*typed))
    rounded = losses(train(*typed, f"device.precision={precision}"))
    assert rounded == pytest.approx(exact, rel=tolerance)
    assert rounded != exact, "the precision was not used"


@pytest.fixture
def all_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions on a GPU compute with all 24 bits of fp32, not with the 11 that they have by default."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.usefixtures("all_bits")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", NETWORKS)
def test_channels_last_trains_to_the_same_losses(train: Train, device: str, network: str) -> None:
    typed = [f"device={device}", "epochs=1", *NETWORKS[network]]
    assert losses(train(*typed, "device.channels_last=true")) == pytest.approx(losses(train(*typed)), rel=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("all_bits")
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")  # torch 2.11 calls it itself
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning")  # they are off for the comparison
@pytest.mark.skipif(not can_compile, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_compiled_network_trains_to_the_same_losses(
    train: Train, device: str, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._dynamo.utils

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    typed = [f"device={device}", "epochs=1", *NETWORKS[network]]
    compiled = losses(train(*typed, "device.compile=true"))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0, "nothing was compiled"
    assert compiled == pytest.approx(losses(train(*typed)), rel=1e-4)


FEATURES = {
    "plain": ["model=mlp"],
    "a graph": ["model=lenet", "device.cuda_graph=true"],
    "a graph of several batches": ["model=mlp", "device.cuda_graph=true", "training.accumulate=3"],
    "changed images": ["model=unet", "regularization=augmentation", *SHAPES],
    "regularized": ["model=convnet", "optimizer=adam", "regularization=[clip,ema,l2,mixup,label_smoothing]"],
}


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")  # is not finished, torch says
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("typed", FEATURES.values(), ids=FEATURES)
def test_an_update_never_waits_for_the_gpu(train: Train, monkeypatch: pytest.MonkeyPatch, typed: list[str]) -> None:
    from runner.training import loop

    unwatched, watched = loop.train_step, []

    def train_step(parts: Parts, window: list[Batch], progress: Progress, scores: Scores) -> torch.Tensor | None:
        if progress.step < 3:  # they make what later ones use
            return unwatched(parts, window, progress, scores)
        watched.append(progress.step)
        try:
            torch.cuda.set_sync_debug_mode("error")
            return unwatched(parts, window, progress, scores)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(loop, "train_step", train_step)
    train("device=cuda", "epochs=3", "max_steps=24", "tracking.log_every=5", "data.batch_size=8", *typed)
    assert watched == list(range(3, 24))
