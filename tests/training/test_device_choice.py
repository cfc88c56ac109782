"""Which precision, how many threads, and what is refused before anything is read."""

from pathlib import Path

import pytest
import torch

from runner.errors import UserError
from runner.training.devices import allowed_cpus, choose


@pytest.mark.parametrize(("amx", "avx"), [(True, False), (False, True), (False, False)])
def test_precision_auto_takes_bf16_where_the_cpu_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    device = choose("cpu", "auto")
    assert device.precision == ("bf16" if amx or avx else "fp32")
    said = "the CPU computes in bf16" if amx or avx else "the CPU has no bf16 instructions"
    assert device.describe().endswith(f"{device.precision} (device=cpu; precision=auto: {said})")


def test_a_precision_that_was_asked_for_is_taken() -> None:
    assert choose("cpu", "fp16").precision == "fp16"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({}, 64),
    ],
    ids=["one and a half", "a half", "version 1", "no quota", "no quota, version 1", "no cgroup"],
)
def test_the_quota_of_a_container_bounds_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert allowed_cpus(tmp_path) == expected


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("device.cuda_graph=true", "device.cuda_graph=true, and the device is cpu"),
        ("device.compile=true", "device.compile=true: no C++ compiler here (looked for my-compiler)"),
    ],
)
def test_a_setting_that_the_machine_cannot_serve_is_refused(
    monkeypatch: pytest.MonkeyPatch, new_run, typed: str, message: str
) -> None:
    from runner.config.schema import RunConfig
    from runner.training.devices import require

    monkeypatch.setenv("CXX", "my-compiler")
    config = RunConfig.model_validate(new_run("device=cpu", typed).config())
    with pytest.raises(UserError) as refused:
        require(choose("cpu", "fp32"), config.device)
    assert message in str(refused.value)
