"""Several copies at once."""

import pytest
import torch

from runner.training.copies import Copy, copy_all, in_bytes

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")]),
]


@pytest.mark.parametrize("device", DEVICES)
def test_tensors_of_every_kind_are_copied_and_nothing_besides_them(device: str) -> None:
    sources = [
        torch.tensor(0.5),
        torch.arange(6).reshape(2, 3),
        torch.arange(6.0).reshape(2, 3).t(),
        torch.rand(3, 5).bfloat16(),
        torch.tensor([True, False, True]),
        torch.empty(0, 3),
        torch.rand(200, 300),
        torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
    ]
    copies, around = [], []
    for source in sources:
        block = torch.full((3, *source.shape), 7, device=device).to(source.dtype)
        around.append((block, block.clone()))
        copies.append(Copy(block[1], source.to(device)))
    copy_all(copies)
    for source, (block, before) in zip(sources, around, strict=True):
        assert torch.equal(block[1].cpu(), source)
        assert torch.equal(block[::2], before[::2])


def test_small_ones_are_made_byte_by_byte_whatever_their_type() -> None:
    small = in_bytes(Copy(torch.zeros(2, 3), torch.ones(2, 3)))
    assert [one.dtype for one in small] == [torch.uint8] * 2
    assert [one.shape for one in small] == [(24,)] * 2
    for other in (
        Copy(torch.zeros(100, 100), torch.ones(100, 100)),
        Copy(torch.zeros(3, 2).t(), torch.ones(2, 3)),
        Copy(torch.zeros(2), torch.ones(2, dtype=torch.int64)),
    ):
        assert in_bytes(other) is other


def test_a_copy_converts_as_a_single_one_does() -> None:
    target = torch.zeros(3)
    copy_all([Copy(target, torch.tensor([1, 2, 3]))])
    assert target.tolist() == [1.0, 2.0, 3.0]


def test_nothing_is_to_be_copied() -> None:
    copy_all([])
