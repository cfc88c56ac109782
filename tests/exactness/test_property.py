"""Whatever a run is told to do, and however often it is interrupted on the way, it comes to the same bytes.

Hypothesis draws a configuration from ``space.py`` and a life: after how many steps each execution is stopped, or dies.
"""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import torch
from comparing import NewRun, assert_identical, execute, result, rows, stop_at
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from space import drawn, write_pictures

from runner.config.amend import amend
from runner.config.compose import Composed, Composer
from runner.config.paths import Places
from runner.data.loader import TensorStore
from runner.launch.single import freeze
from runner.training import loop
from runner.training.parts import Parts
from runner.training.progress import Progress
from runner.training.recorder import Recorder

End = Literal["stopped at a step", "stopped in validation", "dead at a step"]

EXAMPLES = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failing example smaller would take minutes
    # The fixtures prepare what no example changes.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torchmetrics")  # few samples lack positive ones


class Life(NamedTuple):
    """How one execution ends before its time, and how it comes by its data."""

    end: End
    after: int
    """So many steps, or so many validations, of this execution."""
    loading: tuple[str, ...]
    """What of it is changed before, as it would be typed."""


class Death(BaseException):
    """Ends an execution without letting it save."""


LOADING = st.builds(
    lambda workers, cache: (f"data.workers={workers}", f"data.cache={cache}"),
    st.sampled_from([0, 1, 3]),
    st.sampled_from(["auto", "memory", "disk", "none"]),
)


@st.composite
def configurations(draw: st.DrawFn) -> list[str]:
    return drawn(lambda some: draw(st.sampled_from(some)), lambda some: draw(st.sampled_from(some)))


def lives(loading: st.SearchStrategy[tuple[str, ...]]) -> st.SearchStrategy[list[Life]]:
    at_step = st.builds(Life, st.sampled_from(["stopped at a step", "dead at a step"]), st.integers(1, 12), loading)
    in_validation = st.builds(Life, st.just("stopped in validation"), st.integers(1, 2), loading)
    return st.lists(at_step | at_step | in_validation, min_size=1, max_size=4)


@pytest.fixture
def composer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Composer:
    """Composes in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path)
    return Composer(Places.find(None, tmp_path))


@contextlib.contextmanager
def ending(life: Life) -> Iterator[None]:
    """Let the executions of this process end as a life says."""
    left = life.after
    stepped, evaluate = Recorder.stepped, loop.evaluate

    def stepped_then_end(self: Recorder, progress: Progress) -> None:
        nonlocal left
        stepped(self, progress)
        left -= life.end != "stopped in validation"
        if left == 0 and life.end == "stopped at a step":
            os.kill(os.getpid(), signal.SIGTERM)
        if left == 0 and life.end == "dead at a step":
            raise Death

    def end_in_evaluation(*args: Any) -> dict[str, float]:
        nonlocal left
        left -= life.end == "stopped in validation"
        if left == 0 and life.end == "stopped in validation":
            left = -1
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Recorder, "stepped", stepped_then_end)
        patched.setattr(loop, "evaluate", end_in_evaluation)
        yield


def assert_lives_change_nothing(composed: Composed, lived: list[Life]) -> None:
    alone, interrupted = freeze(composed), freeze(composed)
    assert execute(alone).exit_code == 0
    for life in lived:
        amend(interrupted, life.loading, lambda config: None)
        with ending(life):
            try:
                code = execute(interrupted).exit_code
            except Death:
                continue
        assert code in (0, 75)
        if code == 0:
            event("complete before the life was over")
            break
    else:
        assert execute(interrupted).exit_code == 0
    one, other = result(interrupted), result(alone)
    if any(life.loading for life in lived):
        for found in (one, other):  # TensorBoard's table of settings tells how the data was loaded
            found["events"] = [event for event in found["events"] if not event[0].startswith("_hparams_")]
    assert_identical(one, other)
    for run in (alone, interrupted):
        shutil.rmtree(run.path)


@pytest.mark.slow
@settings(EXAMPLES, max_examples=40)
@given(typed=configurations(), lived=lives(loading=st.just(())))
def test_an_interrupted_run_equals_the_run_left_alone(composer: Composer, typed: list[str], lived: list[Life]) -> None:
    assert_lives_change_nothing(composer.compose(typed), lived)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@settings(EXAMPLES, max_examples=6)
@given(typed=configurations(), lived=lives(loading=LOADING))
def test_an_interrupted_run_that_loads_otherwise_each_time_equals_the_run_left_alone(
    composer: Composer, typed: list[str], lived: list[Life]
) -> None:
    assert_lives_change_nothing(composer.compose(typed), lived)


ON_A_GPU = st.sampled_from(
    [
        ["device=cuda", "device.deterministic=true"],
        ["device=cuda", "device.deterministic=true", "device.cuda_graph=true"],
    ]
)


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@settings(EXAMPLES, max_examples=40)
@given(typed=configurations(), on_a_gpu=ON_A_GPU, lived=lives(loading=st.just(())))
def test_an_interrupted_run_on_a_gpu_equals_the_run_left_alone(
    composer: Composer, typed: list[str], on_a_gpu: list[str], lived: list[Life]
) -> None:
    assert_lives_change_nothing(composer.compose([*on_a_gpu, *(one for one in typed if one != "device=cpu")]), lived)


SMALL = (
    *("model.hidden=[8]", "model.dropout=0.5", "epochs=2", "data.batch_size=16", "data.eval_batch_size=1000"),
    *("data.split.test=1640", "data.split.val=60", "optimizer=sgd", "optimizer.momentum=0.9"),
    "data.augment=[{_target_:runner.data.augment.Shift,pixels:1,padding:zeros}]",
)
"""Seven steps an epoch, with everything in it that draws random numbers."""


@pytest.mark.parametrize(
    "typed",
    [
        ["data.workers=1"],
        ["data.workers=3", "data.prefetch_factor=4"],
        ["data.workers=2", "data.persistent_workers=false"],
        ["checkpoint.every_steps=1", "checkpoint.keep_last=5"],
        ["tracking.log_every=1"],
        ["tracking.log_every=3", "tracking.images=0", "tracking.histograms_every=null", "tracking.graph=false"],
        ["tracking.tensorboard=false"],
        ["training.test=false"],
        ["training.nonfinite=skip"],
    ],
    ids=" ".join,
)
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_what_does_not_concern_training_changes_nothing_in_what_is_trained(new_run: NewRun, typed: list[str]) -> None:
    plain, other = new_run(*SMALL), new_run(*SMALL, *typed)
    assert execute(plain).exit_code == execute(other).exit_code == 0
    one, another = (result(run)["checkpoints"]["last.pt"] for run in (plain, other))
    for part in ("model", "optimizer", "ranks"):
        assert_identical(another[part], one[part], part)
    ours = [{name: row[name] for name in rows(plain)[0]} for row in rows(other)]
    assert ours == rows(plain)[: len(ours)]
    assert len(ours) >= 2


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_going_to_a_batch_of_an_epoch_loads_nothing_of_the_ones_before(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    loaded: list[list[int]] = []
    trained: list[list[int]] = []
    load, train_step = TensorStore.batch, loop.train_step

    def noting_load(self: TensorStore, ids: Any) -> Any:
        loaded.append(ids.tolist())
        return load(self, ids)

    def noting_step(parts: Parts, window: list[Any], *args: Any) -> Any:
        trained.extend(one.indices.tolist() for one in window)
        return train_step(parts, window, *args)

    monkeypatch.setattr(TensorStore, "batch", noting_load)
    monkeypatch.setattr(loop, "train_step", noting_step)
    execute(new_run(*SMALL))
    whole = trained.copy()
    assert len(whole) == 14

    run = new_run(*SMALL)
    with pytest.MonkeyPatch.context() as patched:
        stop_at(patched, 7 + batch)
        execute(run)
    loaded.clear(), trained.clear()
    execute(run)
    assert trained == whole[7 + batch :]
    skipped = whole[7 : 7 + batch]
    assert not any(ids in skipped for ids in loaded)
    whole_batches_loaded = [ids for ids in loaded if ids in whole]
    assert whole_batches_loaded == trained
