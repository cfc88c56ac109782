"""What processes tell each other, and batch normalisation over all of them."""

import copy
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from crew import done
from torch import nn
from torch.nn import functional

from runner.parallel.batch_norm import synchronise
from runner.parallel.group import Group, formed
from runner.parallel.meeting import Meeting
from runner.parallel.place import find_place
from runner.training.gradient import EagerGradient, Micro
from runner.training.team import Replicas


def in_a_group(check: Any) -> int:
    """Call a function with the group of all processes."""
    place = find_place()
    assert place is not None
    with formed(Meeting(place), on_gpu=False) as group:
        check(group)
    return 0


def values_of_any_kind(group: Group) -> None:
    mine = {"rank": group.rank, "sums": torch.arange(group.rank + 1), "text": ["a" * group.rank, None, (1.5, True)]}
    for found in (group.gathered(mine), group.at_first(mine)):
        if found or group.is_first:
            assert [one["rank"] for one in found] == [0, 1, 2]
            assert [one["sums"].tolist() for one in found] == [[0], [0, 1], [0, 1, 2]]
            assert found[2]["text"] == ["aa", None, (1.5, True)]
    assert group.of(1, mine)["rank"] == 1
    assert group.numbers(torch.tensor([group.rank, 7])).tolist() == [[0, 7], [1, 7], [2, 7]]


def questions(group: Group) -> None:
    assert group.any(group.rank == 2)
    assert not group.any(False)
    assert group.alike(group.rank == 1) == [(0, 2), (0, 1), (1, 2)][group.rank]
    weights = torch.full((3,), float(group.rank + 5))
    group.share([weights])
    assert weights.tolist() == [5.0, 5.0, 5.0]
    assert group.sum(torch.tensor([1, group.rank])).tolist() == [3, 3]


def a_vote(group: Group) -> None:
    vote = group.vote()
    said = [vote(number) for number in ([0, 0, 0, 0, 0], [0, 15, 0, 0, 0], [0, 2, 0, 10, 0])[group.rank]]
    assert said == [0, 0, 15, 0, 10], "the largest number, one call later"
    assert vote.settled() == 0


def normalisation(group: Group) -> None:
    for momentum, memory_format in ((0.1, torch.contiguous_format), (None, torch.channels_last)):
        torch.manual_seed(0)
        whole = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, momentum=momentum), nn.Flatten(), nn.Linear(64, 1))
        whole.double()
        shared = copy.deepcopy(whole)
        synchronise(shared, torch.device("cpu"))
        assert list(shared.state_dict()) == list(whole.state_dict())
        images = (torch.randn(8, 2, 6, 6).double() * 3 + 100).to(memory_format=memory_format)
        start, end = 8 * group.rank // 3, 8 * (group.rank + 1) // 3
        for _ in range(3):
            whole(images).square().mean().backward()
            (shared(images[start:end]).square().mean() * (end - start) / 8).backward()
        for ours, theirs in zip(shared.parameters(), whole.parameters(), strict=True):
            gradient = sum(group.gathered(ours.grad))
            torch.testing.assert_close(gradient, theirs.grad)
        torch.testing.assert_close(shared.state_dict(), whole.state_dict())
        torch.testing.assert_close(shared.eval()(images), whole.eval()(images))


def gradients(group: Group) -> None:
    """Those of three micro-batches: only the pass of the last one asks the others."""
    torch.manual_seed(0)
    values, targets = torch.randn(3, 3, 5), torch.randn(3, 3, 2)  # by micro-batch and process
    model, team = nn.Linear(5, 2), Replicas(group, torch.device("cpu"), sync_batch_norm=False)
    wrapped = team.wrap(model)
    eager = EagerGradient(list(model.parameters()), wrapped, functional.mse_loss, nullcontext, None)
    gradient = team.gradient(eager, wrapped)
    for number in range(3):
        gradient.add(Micro((values[number, group.rank, None],), targets[number, group.rank, None], 1 / 9, number == 2))
        weights = group.gathered(model.weight.grad)
        assert torch.equal(weights[0], weights[1]) == (number == 2)
    (whole,) = torch.autograd.grad(functional.mse_loss(model(values), targets), [model.weight])
    torch.testing.assert_close(model.weight.grad, whole)


@pytest.mark.parametrize("check", [values_of_any_kind, questions, a_vote, normalisation, gradients])
def test_processes_tell_each_other(tmp_path: Path, check: Any) -> None:
    codes, text = done(tmp_path, 3, in_a_group, check)
    assert codes == [0, 0, 0], text
