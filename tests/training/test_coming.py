"""Numbers on their way from a device: those of the moment they were asked for, whatever the device does next."""

import pytest
import torch

from runner.training.coming import Coming, known
from runner.training.ring import Ring


def test_known_numbers_and_scalars_stay_in_their_order() -> None:
    left = torch.tensor(0.0)
    ring, lent = Ring(3, [left]), []
    for number in (10.0, 20.0, 30.0):
        left.fill_(number)
        lent += ring.newest()
        ring.settle()
    coming = Coming([1.5, torch.tensor(2.5), lent[2], 4.5, lent[0]])
    ring.blocks[0].zero_()
    assert coming.read() == [1.5, 2.5, 30.0, 4.5, 10.0]


def test_what_waits_for_nothing_is_here_and_is_read_at_once() -> None:
    assert known(torch.tensor(0.5)) == 0.5
    assert Coming([torch.tensor(0.5)]).are_here()
    assert Coming([]).are_here()
    assert Coming([]).read() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_a_gpu_that_is_behind_is_waited_for_only_to_read() -> None:
    torch.cuda.synchronize()
    loss = torch.tensor(0.0, device="cuda")
    torch.cuda._sleep(int(2e9))  # about a second
    loss += 0.5
    coming = Coming([loss, known(loss), 2.5])
    loss += 1
    assert not coming.are_here()
    assert coming.read() == [0.5, 0.5, 2.5]
    assert coming.are_here()
