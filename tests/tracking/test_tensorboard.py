"""TensorBoard: what is written is read back by TensorBoard's own reader."""

import io
import json
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.hparams import metadata as hparams_metadata
from torch import nn

from runner.tracking.pictures import as_colours, as_rgb, grid
from runner.tracking.tensorboard import TensorBoard


@pytest.fixture
def warnings_given():
    return []


@pytest.fixture
def board(tmp_path, warnings_given):
    board = TensorBoard(tmp_path, warn=warnings_given.append)
    yield board
    board.close()


@pytest.fixture
def read(tmp_path):
    """A function that reads the folder as TensorBoard does."""

    def load():
        accumulator = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
        return accumulator.Reload()

    return load


class Net(nn.Module):
    """With everything that a careless trace would disturb: dropout, a frozen and a running batch norm, gradients."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
        self.frozen = nn.BatchNorm2d(2).eval()
        self.head = nn.Linear(8, 3)

    def forward(self, images):
        return self.head(self.frozen(self.encoder(images)).flatten(1))


def test_scalars_are_read_by_tag_and_step(board, read):
    board.scalars({"train/loss": 0.5, "lr": 0.125}, 10)
    board.scalars({"train/loss": 0.25}, 20)
    board.scalars({}, 30)
    assert [(e.step, e.value) for e in read().Scalars("train/loss")] == [(10, 0.5), (20, 0.25)]
    assert [(e.step, e.value) for e in read().Scalars("lr")] == [(10, 0.125)]


def test_scalars_that_are_not_finite_are_kept(board, read):
    board.scalars({"loss": float("nan")}, 1)
    board.scalars({"loss": float("inf")}, 2)
    first, second = (event.value for event in read().Scalars("loss"))
    assert np.isnan(first)
    assert second == float("inf")


def picture(event):
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))


def test_images_are_one_grid_of_the_first_sixteen(board, read):
    images = torch.linspace(0, 1, 20)[:, None, None, None].expand(20, 1, 8, 8)
    board.images("inputs", images, 3)
    (event,) = read().Images("inputs")
    assert event.step == 3
    assert (event.height, event.width) == (4 * 66 - 2, 4 * 66 - 2)
    np.testing.assert_array_equal(picture(event), grid(as_rgb(images[:16])))
    assert picture(event)[-1, -1].tolist() == [round(15 / 19 * 255)] * 3


def test_no_images_write_nothing(board, read):
    board.images("inputs", torch.zeros(0, 1, 8, 8), 0)
    assert board.position() == {}


def test_masks_are_a_row_of_images_one_of_true_and_one_of_predicted_masks(board, read):
    images = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8)
    truth, predicted = torch.randint(0, 3, (2, 6, 64, 64), dtype=torch.uint8)
    truth[0, 0, 0] = 255
    board.masks("masks/val", images, truth, predicted, 7, num_classes=3)
    (event,) = read().Images("masks/val")
    shown = picture(event)
    assert shown.shape == (3 * 66 - 2, 4 * 66 - 2, 3)
    np.testing.assert_array_equal(shown[:64, :64], images[0].permute(1, 2, 0))
    np.testing.assert_array_equal(shown[66:130, 66:130], as_colours(truth[1:2], 3)[0])
    np.testing.assert_array_equal(shown[132:, 198:], as_colours(predicted[3:4], 3)[0])
    assert shown[66, 0].tolist() == [128, 128, 128]


def test_a_histogram_counts_every_value_of_parameters_and_gradients(board, read):
    model = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, 0.0, 1.0, 64.0]]))
    model.weight.grad = torch.full((1, 4), 2.0)
    board.histograms(model, 5)

    (event,) = read().Histograms("parameters/weight")
    values = event.histogram_value
    assert event.step == 5
    assert (values.min, values.max, values.num, values.sum, values.sum_squares) == (0, 64, 4, 65, 4097)
    counts = dict(zip(values.bucket_limit, values.bucket, strict=True))
    assert {limit: count for limit, count in counts.items() if count} == {1.0: 2, 2.0: 1, 64.0: 1}

    (event,) = read().Histograms("gradients/weight")
    assert (event.histogram_value.min, event.histogram_value.max) == (1.5, 2.5)
    assert sum(event.histogram_value.bucket) == 4


def test_what_has_no_histogram_is_named_once(board, read, warnings_given):
    model = nn.ParameterDict({"bad": torch.tensor([1.0, float("nan")]), "empty": torch.zeros(0), "good": torch.ones(2)})
    for step in (1, 2):
        board.histograms(model, step)
    assert read().Tags()["histograms"] == ["parameters/good"]
    assert warnings_given == [
        "no histogram of parameters/bad at step 1: it holds values that are not finite",
        "no histogram of parameters/empty at step 1: it is empty",
    ]


def test_the_graph_holds_the_modules_of_the_model(board, read):
    board.graph(Net().train(), (torch.zeros(5, 1, 4, 4),))
    graph = GraphDef.FromString(read().Graph().SerializeToString())
    scopes = {"/".join(node.name.split("/")[:3]) for node in graph.node}
    assert {"Net/Sequential[encoder]/Conv2d[0]", "Net/Sequential[encoder]/BatchNorm2d[1]"} <= scopes
    assert any(name.startswith("Net/Linear[head]") for name in scopes)
    (shape,) = (n.attr["_output_shapes"].list.shape for n in graph.node if n.name == "input/images")
    assert [dim.size for dim in shape[0].dim] == [1, 1, 4, 4]  # one sample is enough


def test_a_model_of_several_inputs_and_outputs_has_a_graph(board, read, warnings_given):
    class Two(nn.Module):
        def forward(self, a, b):
            return a + b, a * b

    board.graph(Two(), (torch.ones(2, 3), torch.ones(2, 3)))
    names = [node.name for node in read().Graph().node if node.op == "IO Node"]
    assert names == ["input/a", "input/b", "output/output.1"]
    assert warnings_given == []


def test_drawing_the_graph_does_not_disturb_the_training(board, capfd):
    torch.manual_seed(0)
    model = Net().train()
    model.frozen.eval()
    model(torch.rand(2, 1, 4, 4)).sum().backward()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    flags = [module.training for module in model.modules()]
    generators = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()

    board.graph(model, (torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1)),))

    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(p.grad, gradient) for p, gradient in zip(model.parameters(), gradients, strict=True))
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == generators[1:]
    assert capfd.readouterr() == ("", "")


def test_a_model_that_draws_random_numbers_in_evaluation_leaves_the_generator_alone(board, read):
    class Noise(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    before = torch.get_rng_state()
    board.graph(Noise(), (torch.ones(2, 3),))
    assert torch.equal(torch.get_rng_state(), before)
    assert read().Graph().node


def test_a_model_that_cannot_be_traced_costs_one_warning(board, warnings_given, capfd):
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("no such luck\nsecond line")

    board.graph(Broken(), (torch.ones(1),))
    assert warnings_given == ["no model graph in TensorBoard: ValueError: no such luck"]
    assert board.position() == {}
    assert capfd.readouterr() == ("", "")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_on_the_device_stays_there_and_its_generator_is_not_used(board, read, warnings_given):
    torch.cuda.manual_seed(0)
    model, before = Net().cuda(), torch.cuda.get_rng_state()
    board.graph(model, (torch.rand(2, 1, 4, 4).cuda(),))
    board.histograms(model, 0)
    board.images("inputs", torch.rand(2, 1, 4, 4, device="cuda", generator=torch.Generator("cuda")), 0)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert all(parameter.is_cuda for parameter in model.parameters())
    assert warnings_given == []
    assert read().Graph().node


def test_hparams_are_the_same_bytes_in_every_process():
    code = (
        "import hashlib; from runner.tracking import summaries;"
        "event, *_ = summaries.hparams({f'{n}.key': n for n in range(50)}, {});"
        "print(hashlib.sha256(event.SerializeToString()).hexdigest())"
    )
    told = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(3)}
    assert len(told) == 1


def test_hparams_lie_in_the_same_file_as_the_curves_with_the_final_values(board, read, tmp_path):
    board.scalars({"val/loss": 0.5}, 1)
    board.hparams(
        {"optimizer.lr": 0.1, "seed": 0, "model": "mlp", "compile": True, "layers": [8, 4], "init": None},
        {"final/val/loss": 0.25},
        step=9,
    )
    assert len(list(tmp_path.iterdir())) == 1
    (point,) = read().Scalars("final/val/loss")
    assert (point.step, point.value) == (9, 0.25)

    content = read().SummaryMetadata(hparams_metadata.SESSION_START_INFO_TAG).plugin_data.content
    settings = hparams_metadata.parse_session_start_info_plugin_data(content).hparams
    assert {name: value.WhichOneof("kind") for name, value in settings.items()} == {
        "optimizer.lr": "number_value",
        "seed": "number_value",
        "model": "string_value",
        "compile": "string_value",
        "layers": "string_value",
        "init": "string_value",
    }
    assert settings["optimizer.lr"].number_value == 0.1
    assert [settings[name].string_value for name in ("compile", "layers", "init")] == ["true", "[8, 4]", "null"]
    with pytest.raises(KeyError):  # what the tab shows is for all runs of a folder, and not for one of them, to say
        read().SummaryMetadata(hparams_metadata.EXPERIMENT_TAG)


def test_after_a_crash_every_kind_is_read_once(board, read, tmp_path, warnings_given):
    model = nn.Linear(2, 1)

    def write(board, step):
        board.scalars({"loss": step}, step)
        board.images("inputs", torch.rand(1, 1, 8, 8), step)
        board.histograms(model, step)

    for step in range(1, 11):
        write(board, step)
        if step == 5:
            position = json.loads(json.dumps(board.position()))
    resumed = TensorBoard(tmp_path, warn=warnings_given.append)
    resumed.rewind(position)
    for step in range(6, 11):
        write(resumed, step)
    resumed.close()
    steps = list(range(1, 11))
    assert [event.step for event in read().Scalars("loss")] == steps
    assert [event.step for event in read().Images("inputs")] == steps
    assert [event.step for event in read().Histograms("parameters/weight")] == steps
    assert warnings_given == []


def test_a_gap_that_somebody_made_is_told(board, warnings_given):
    board.rewind({"events.out.tfevents.1": 100})
    assert warnings_given == [
        "TensorBoard's events.out.tfevents.1 is shorter than at the checkpoint: curves have a gap"
    ]


def test_making_one_imports_and_writes_nothing(tmp_path):
    code = (
        "import sys; from pathlib import Path; from runner.tracking.tensorboard import TensorBoard;"
        f"board = TensorBoard(Path({str(tmp_path / 'events')!r})); board.position(); board.rewind({{}}); board.close();"
        "print('tensorboard' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert not (tmp_path / "events").exists()


def test_the_graph_needs_no_compiler_stack():
    """Running the traced program to check it would import sympy, for 2 s."""
    code = (
        "import sys, torch; from runner.tracking import summaries;"
        "summaries.graph(torch.nn.Linear(2, 1), (torch.ones(1, 2),));"
        "print({'sympy', 'torch._dynamo'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
