"""The types and ranges of every setting that is shipped.

Values and their comments stand in ``conf/``; nothing here has a default. A key that is not named here is refused,
except beside a ``_target_`` that a file of the user's names, whose arguments that target knows: see ``config.keys``.
"""

from typing import Annotated, Literal

from pydantic import Field

from runner.config.sections.adapt import Adapt
from runner.config.sections.data import Data
from runner.config.sections.init import InitRule
from runner.config.sections.loss import AnyLoss
from runner.config.sections.model import OneModel
from runner.config.sections.optimization import AnyOptimizer, AnySchedule
from runner.config.sections.regularization import Regularization
from runner.config.sections.task import Task
from runner.config.types import Count, Node, Positive, Seed, Threads, Whole


class Device(Node):
    kind: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    channels_last: bool | Literal["auto"]
    compile: bool
    cuda_graph: bool
    deterministic: bool
    threads: Threads | None
    parallel: Literal["none", "ddp", "fsdp"]
    processes: Count | Literal["auto"]
    sync_batch_norm: bool


class Training(Node):
    accumulate: Count
    lr_every: Literal["step", "epoch"]
    nonfinite: Literal["stop", "skip"]
    test: bool


class Checkpoint(Node):
    every_epochs: Count
    every_steps: Count | None
    every_minutes: Positive | None
    keep_last: Count
    keep_best: Count
    keep_every: Count | None


class Tracking(Node):
    log_every: Count
    tensorboard: bool
    images: Annotated[Whole, Field(le=64)]
    histograms_every: Count | None
    graph: bool
    progress: bool | Literal["auto"]


class RunConfig(Node):
    """One run, complete: what ``config.yaml`` of a run directory holds."""

    task: Task
    data: Data
    model: OneModel
    adapt: Adapt
    init: dict[str, InitRule]
    loss: AnyLoss
    optimizer: AnyOptimizer
    scheduler: AnySchedule
    regularization: Regularization
    device: Device
    name: Annotated[str, Field(min_length=1)]
    seed: Seed
    epochs: Count
    max_steps: Count | None
    monitor: str
    output_root: str
    run_dir: str | None
    training: Training
    checkpoint: Checkpoint
    tracking: Tracking
