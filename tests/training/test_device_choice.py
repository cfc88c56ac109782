"""Which precision, and what is refused before anything is read."""

import pytest
import torch

from runner.errors import UserError
from runner.training.devices import choose


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
