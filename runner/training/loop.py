"""The training loop: the page to read to know what happens in which order.

What varies is in the values that are passed in. Nothing here draws a random number of its own, keeps hidden state, or
waits for the device but where it saves or ends an epoch, so a run that is stopped at any step boundary and taken up
again goes on as if nothing had happened.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

from runner.data.loader import Batch
from runner.training.buffers import copied_buffers, restore_buffers
from runner.training.gradient import Micro
from runner.training.moment import Moment
from runner.training.parts import Parts
from runner.training.progress import Plan, Progress
from runner.training.records import Records
from runner.training.scores import Scores, Seen, Weight
from runner.training.signals import Stop

T = TypeVar("T")
Prepared = tuple[tuple[Tensor, ...], Tensor]
"""Inputs and targets on the device."""


def train(parts: Parts, plan: Plan, progress: Progress, scores: Scores, recorder: Records, stop: Stop) -> None:
    """Train from wherever ``progress`` stands until the plan is fulfilled, it is hopeless, or a stop is requested.

    ``scores`` are those of the running epoch. A checkpoint is saved as the plan says, and whenever the loop is left.
    """
    while not plan.fulfilled(progress) and not recorder.is_hopeless(progress):
        parts.begin_training()
        recorder.start_epoch(progress)
        batches = parts.splits.train.epoch(progress.epoch, start=progress.batch)
        for window in islice(windows(batches, parts.accumulate), plan.steps_left(progress)):
            lr = parts.set_lr(progress.step, progress.history)
            grad_norm = train_step(parts, window, progress, scores)
            progress.step += 1
            progress.batch += len(window)
            recorder.stepped(progress)
            if progress.step % plan.log_every == 0:
                recorder.log(progress, scores, lr, grad_norm)
            if stop.requested:
                return recorder.save(progress, scores, planned=recorder.save_is_due(progress))
            if recorder.save_is_due(progress):
                recorder.save(progress, scores)

        results = {"train": scores.compute() | parts.penalty_values()}
        before_validation = Moment(parts.evaluated, all_gpus=parts.group is None)
        if parts.splits.val is not None:
            results["val"] = evaluate(parts, parts.splits.val.epoch(0), stop)
        if stop.requested:
            before_validation.go_back()  # it is done again
            return recorder.save(progress, scores, planned=False)
        scores = parts.new_scores(training=True)
        is_best = progress.end_epoch(results, plan.monitor)
        recorder.end_epoch(progress, is_best)
        if plan.save_after_epoch(progress):
            recorder.save(progress, scores)


def train_step(parts: Parts, window: list[Batch], progress: Progress, scores: Scores) -> Tensor | None:
    """One optimizer update from the micro-batches of a window; the norm of the gradient before it was cut, if it is.

    Losses are means, so each micro-batch counts by what its mean divides by: a last window that is shorter, or whose
    last batch is smaller, gives the gradient of the same samples in one batch.
    """
    buffers = copied_buffers(parts.model) if parts.skip_nonfinite else None
    weights, micro_batches = weighed(parts, window, progress.epoch)
    computed = parts.compute(micro_batches, progress.step)
    seen = [
        Seen(*result, batch.indices, weight, batch.num_own > 0)
        for result, batch, weight in zip(computed.results, window, weights, strict=True)
    ]
    if buffers is not None and not parts.is_finite([one.loss for one in seen]):
        restore_buffers(parts.model, buffers)
        scores.skip(seen)
        return None
    scores.add(seen, progress.step + 1)
    return parts.update(computed)


@torch.no_grad()
def evaluate(parts: Parts, batches: Iterable[Batch], stop: Stop | None = None) -> dict[str, float]:
    """Loss and metrics over a split; whoever asked for a stop meanwhile gets figures of a part, to be thrown away."""
    parts.begin_evaluation()
    scores = parts.new_scores()
    for batch in batches:
        inputs, targets = parts.splits.prepare(batch)
        with parts.autocast():
            outputs = parts.evaluate(*inputs)
            loss = parts.loss(outputs, targets)
        scores.add([Seen(loss, outputs, targets, batch.indices, parts.weight(batch, targets), batch.num_own > 0)])
        if stop is not None and stop.requested:
            break
    return scores.compute()


def weighed(parts: Parts, window: list[Batch], epoch: int) -> tuple[Sequence[Weight], Iterator[Micro]]:
    """What each batch of a window counts, and the batches as the model takes them, with the share that this is."""
    ready: Iterable[Prepared] = (parts.splits.prepare(batch, epoch, training=True) for batch in window)
    if parts.divisor is None:
        weights: list[Weight] = [batch.num_own for batch in window]
        total: Weight = sum(batch.num_all for batch in window)
    else:
        ready = list(ready)  # all at once, because what the last one counts decides the share of the first
        weights = [parts.weight(batch, targets) for batch, (_, targets) in zip(window, ready, strict=True)]
        total = sum(weights)
        if parts.group is not None:
            total = parts.group.sum(torch.as_tensor(total))
    together = zip(ready, weights, window, strict=True)
    return weights, (Micro(*one, weight / total, batch is window[-1]) for one, weight, batch in together)


def windows(batches: Iterable[T], size: int) -> Iterator[list[T]]:
    """The batches in lists of ``size``; the last list may be shorter."""
    iterator = iter(batches)
    while window := list(islice(iterator, size)):
        yield window
