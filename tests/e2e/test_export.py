"""``runner export``: what is written is read in a process that knows nothing of the run, and gives the same outputs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from terminal import CommandLine, Trained

from runner.build import build
from runner.cli import main
from runner.config.paths import shipped_conf
from runner.deploy.formats import FORMATS
from runner.models.lenet import LeNet
from runner.models.unet import UNet
from runner.runs.checkpoints import read_checkpoint

Train = Callable[..., Trained]

SMALL = ("epochs=1", "max_steps=3", "tracking.tensorboard=false")

READ_ALL = """
import json, sys
import numpy, torch
from pathlib import Path
folder = Path(sys.argv[1])
given = torch.load(folder / "given.pt")
outputs = {}

from runner.models.lenet import LeNet
bare = LeNet(**given["arguments"])
bare.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
outputs["weights"] = [bare.eval()(inputs) for inputs in given["inputs"]]

from safetensors import safe_open
with safe_open(folder / "model.safetensors", "pt") as file:
    bare = LeNet(**given["arguments"])
    bare.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    texts = file.metadata()
outputs["safetensors"] = [bare.eval()(inputs) for inputs in given["inputs"]]

files = {"description.json": ""}
program = torch.export.load(folder / "model.pt2", extra_files=files).module()
outputs["torch_export"] = [program(inputs) for inputs in given["inputs"]]

import onnxruntime
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
named = session.get_inputs()[0].name
outputs["onnx"] = [torch.from_numpy(session.run(None, {named: inputs.numpy()})[0]) for inputs in given["inputs"]]

torch.save(outputs, folder / "outputs.pt")
inside = {
    "safetensors": {key: json.loads(texts[key]) for key in ("class_names", "normalize", "inputs")},
    "torch_export": json.loads(files["description.json"]),
    "axis": session.get_inputs()[0].shape[0],
    "onnx": json.loads(session.get_modelmeta().custom_metadata_map["description"]),
}
(folder / "inside.json").write_text(json.dumps(inside))
"""


def in_fresh_process(code: str, *args: str) -> None:
    done = subprocess.run([sys.executable, "-P", "-W", "ignore", "-c", code, *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def model_node(run: Trained) -> dict[str, Any]:
    """The class of the model and what it was called with."""
    settings = yaml.safe_load((run.path / "config.yaml").read_text())["model"]
    return {key: value for key, value in settings.items() if not key.startswith("weights")}


def arguments_of_model(run: Trained) -> dict[str, Any]:
    return {key: value for key, value in model_node(run).items() if key != "_target_"}


@pytest.fixture
def averaged_run(train: Train) -> Trained:
    """A LeNet whose running average of the weights is far from the weights themselves."""
    return train("model=lenet", "data=digits_32", "regularization=ema", "optimizer.lr=0.01", *SMALL)


def test_every_format_gives_in_a_fresh_process_the_outputs_of_the_averaged_weights(
    averaged_run: Trained, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    pytest.importorskip("safetensors")
    (tmp_path / "out").mkdir()
    for form, name in (("weights", "pt"), ("safetensors", "safetensors"), ("torch_export", "pt2"), ("onnx", "onnx")):
        code = main(["export", str(averaged_run.path), "--format", form, "-o", str(tmp_path / "out" / f"model.{name}")])
        assert code == 0

    arguments = arguments_of_model(averaged_run)
    saved = read_checkpoint(averaged_run.path / "checkpoints" / "best.pt")
    by_hand = LeNet(**arguments)
    by_hand.load_state_dict({name[len("module.") :]: v for name, v in saved["averaged"].items() if "." in name})
    inputs = [torch.randn(count, 1, 32, 32) for count in (1, 2, 5)]
    with torch.no_grad():
        expected = [by_hand.eval()(one) for one in inputs]
        by_hand.load_state_dict(saved["model"])
        assert not torch.allclose(by_hand(inputs[2]), expected[2], atol=1e-3), "the average is something else"

    torch.save({"arguments": arguments, "inputs": inputs}, tmp_path / "out" / "given.pt")
    in_fresh_process(READ_ALL, str(tmp_path / "out"))
    for form, outputs in torch.load(tmp_path / "out" / "outputs.pt").items():
        for output, right in zip(outputs, expected, strict=True):
            torch.testing.assert_close(output, right, rtol=0, atol=1e-5, msg=f"{form}, {len(right)} samples")

    description = json.loads((tmp_path / "out" / "model.onnx.json").read_text())
    assert description["class_names"] == [str(digit) for digit in range(10)]
    assert description["inputs"] == [{"shape": ["batch", 1, 32, 32], "dtype": "float32"}]
    assert description["output"]["shape"] == ["batch", 10]
    assert description["normalize"] == json.loads((averaged_run.path / "signature.json").read_text())["normalize"]
    inside = json.loads((tmp_path / "out" / "inside.json").read_text())
    assert inside["axis"] == "batch"
    assert inside["onnx"] == inside["torch_export"] == description
    assert inside["safetensors"].items() <= description.items()


READ_EACH = """
import sys
import numpy, onnxruntime, safetensors.torch, torch, yaml
from pathlib import Path
from runner.build import build

def outputs_of(run, inputs):
    settings = yaml.safe_load((run / "config.yaml").read_text())["model"]
    node = {key: value for key, value in settings.items() if not key.startswith("weights")}
    written = run / "export" / "model"
    saved = torch.load(f"{written}.pt", weights_only=True)
    for weights in (saved, safetensors.torch.load_file(f"{written}.safetensors")):
        bare = build(node)
        bare.load_state_dict(weights)
        yield bare.eval()(*inputs)
    yield torch.export.load(f"{written}.pt2").module()(*inputs)
    session = onnxruntime.InferenceSession(f"{written}.onnx", providers=["CPUExecutionProvider"])
    fed = {one.name: values.numpy() for one, values in zip(session.get_inputs(), inputs, strict=True)}
    yield torch.from_numpy(session.run(None, fed)[0])

for run in map(Path, sys.argv[1:]):
    torch.save([list(outputs_of(run, inputs)) for inputs in torch.load(run / "given.pt")], run / "outputs.pt")
"""

NEEDS = {
    "two_input_convnet": (
        *("data=csv_images", "data.source.csv=pets/label.csv", "data.source.feature_columns=[age,weight]"),
        *("data.split.val=3", "data.split.test=3", "model.widths=[4]"),
    ),
    "torchvision": ("model.name=squeezenet1_1",),
    "unet": ("model.width=4", "model.levels=2", "data.source.count=20"),
}
"""What a model takes besides its name, or is made smaller by."""


def test_description_says_what_becomes_of_images_before_they_are_cropped(train: Train, tiny_pictures: Path) -> None:
    crop = "{_target_: torchvision.transforms.v2.CenterCrop, size: 12}"
    run = train(
        "data=csv_images", "data.source.csv=pets/label.csv", "data.source.fit=crop", "data.load_size=[16,14]",
        "data.image_size=[12,12]", f"data.augment=[{crop}]", f"data.eval_transforms=[{crop}]", "model=convnet",
        "model.widths=[4]", *SMALL,
    )  # fmt: skip
    assert main(["export", str(run.path), "--format", "weights"]) == 0
    description = json.loads((run.path / "export" / "model.pt.json").read_text())
    assert description["images"] == {"tile": None, "size": [16, 14], "fit": "crop"}
    assert description["inputs"][0]["shape"] == ["batch", 3, 12, 12]


@pytest.mark.slow
def test_every_model_is_read_from_every_format(train: Train, tiny_pictures: Path) -> None:
    for library in ("onnxruntime", "onnxscript", "safetensors"):
        pytest.importorskip(library)
    models = [file.stem for file in sorted(shipped_conf().glob("model/*.yaml")) if file.stem != "base"]
    runs = {name: train(f"model={name}", *NEEDS.get(name, ()), *SMALL) for name in models}
    expected = {}
    for name, run in runs.items():
        for form in FORMATS:
            assert main(["export", str(run.path), "--format", form]) == 0
        bare = build(model_node(run))
        bare.load_state_dict(read_checkpoint(run.path / "checkpoints" / "best.pt")["model"])
        taken = json.loads((run.path / "signature.json").read_text())["inputs"]
        given = [[torch.rand(count, *one["shape"]) for one in taken] for count in (1, 3)]
        torch.save(given, run.path / "given.pt")
        with torch.no_grad():
            expected[name] = [bare.eval()(*inputs) for inputs in given]
    in_fresh_process(READ_EACH, *(str(run.path) for run in runs.values()))
    for name, run in runs.items():
        for outputs, right in zip(torch.load(run.path / "outputs.pt"), expected[name], strict=True):
            for form, output in zip(FORMATS, outputs, strict=True):
                torch.testing.assert_close(
                    output, right, rtol=0, atol=1e-5, msg=f"{name} as {form}, {len(right)} samples"
                )


def test_program_of_a_unet_takes_batches_of_any_size(train: Train) -> None:
    run = train("model=unet", "model.width=4", "model.levels=2", "data.source.count=20", *SMALL)
    assert main(["export", str(run.path), "--format", "torch_export"]) == 0
    program = torch.export.load(run.path / "export" / "model.pt2").module()
    weights = read_checkpoint(run.path / "checkpoints" / "best.pt")["model"]
    config = json.loads((run.path / "export" / "model.pt2.json").read_text())
    by_hand = UNet(**arguments_of_model(run)).eval()
    by_hand.load_state_dict(weights)
    for count in (1, 3):
        images = torch.randn(count, *config["inputs"][0]["shape"][1:])
        torch.testing.assert_close(program(images), by_hand(images), rtol=0, atol=1e-5)


def test_program_has_the_inputs_that_adapt_gave_to_single_layers(train: Train, tmp_path: Path) -> None:
    torch.save({"a": torch.rand(12, 6), "b": torch.rand(12, 3), "c": torch.arange(12) % 2}, tmp_path / "two.pt")
    run = train(
        "data=tensors", "data.source.file=two.pt", "data.source.inputs=[a,b]", "data.source.label=c",
        "data.split.val=2", "data.split.test=2", "model=mlp", "model.hidden=[5]", "adapt.inputs={output: 2}", *SMALL,
    )  # fmt: skip
    assert main(["export", str(run.path), "--format", "torch_export"]) == 0
    assert main(["export", str(run.path), "--format", "weights"]) == 0
    weights = torch.load(run.path / "export" / "model.pt", weights_only=True)
    program = torch.export.load(run.path / "export" / "model.pt2").module()
    a, b = torch.rand(4, 6), torch.rand(4, 3)
    (first, first_bias), (second, second_bias) = (
        [value for name, value in weights.items() if name.startswith(layer)] for layer in ("linear1", "output")
    )
    hidden = torch.relu(a @ first.T + first_bias)
    by_hand = torch.cat([hidden, b], 1) @ second.T + second_bias
    torch.testing.assert_close(program(a, b), by_hand, rtol=0, atol=1e-5)


def test_the_checkpoint_that_is_named_is_exported(train: Train) -> None:
    run = train("epochs=4", "optimizer.lr=3", "data.split.val=0.3", "tracking.tensorboard=false")
    assert main(["export", str(run.path), "--format", "weights", "--checkpoint", "last", "-o", "last.pt"]) == 0
    last = read_checkpoint(run.path / "checkpoints" / "last.pt")["model"]
    exported = torch.load("last.pt", weights_only=True)
    assert exported.keys() == last.keys()
    assert all(torch.equal(exported[name], last[name]) for name in last)
    assert json.loads(Path("last.pt.json").read_text())["epoch"] == 4


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["nowhere", "--format", "onnx"], "nowhere is not a run directory"),
        (["run-0", "--format", "weights", "-o", "no/such/model.pt"], "the folder no/such is not there"),
        (["run-0", "--format", "weights", "--checkpoint", "none.pt"], "there is no checkpoint none.pt"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_written(
    train: Train, args: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    train("epochs=1", "max_steps=1", "tracking.tensorboard=false")
    before = sorted(tmp_path.rglob("*"))
    assert main(["export", *args]) == 2
    assert told in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_without_its_library_a_format_says_what_to_install(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("epochs=1", "max_steps=1", "tracking.tensorboard=false")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)  # as if it were not installed
    assert main(["export", str(run.path), "--format", "safetensors"]) == 2
    said = capsys.readouterr().err
    assert "safetensors" in said
    assert "pip install safetensors" in said
    assert not list((run.path / "export").iterdir())


def test_the_module_is_a_command_too(runner: CommandLine) -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "runner", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, runner("--version").stdout)
