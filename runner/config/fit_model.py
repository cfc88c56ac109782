"""Refusing, by name, a model that cannot work with the rest of a configuration."""

from pathlib import Path

from runner.config.origin import Origin
from runner.config.schema import RunConfig
from runner.config.sections.model import MODELS, TorchvisionModel, TwoInputConvNet
from runner.errors import UserError, listing, nearest
from runner.models.choices import SEGMENTATION_NAMES, VISION_NAMES


def model_for_task(run: RunConfig, origin: Origin) -> UserError | None:
    """A shipped model that is made for other tasks."""
    model = MODELS.get(run.model.target)
    if model is None or run.task.name in model.tasks:
        return None
    suited = {cls.option: cls for cls in MODELS.values() if run.task.name in cls.tasks}
    made_for_it = min(sorted(suited), key=lambda option: len(suited[option].tasks))
    typed = origin.typed.get("task")
    of_data = "" if typed else f", which data={origin.choice('data')} sets"
    return UserError(
        f"model={origin.choice('model')} cannot do task={run.task.name}{of_data}",
        where=typed and f"{typed} on the command line",
        expected=f"a model for {run.task.name}: {', '.join(sorted(suited))}, or your own",
        fix=f"model={made_for_it}, or {'a task' if typed else 'data'} for {' or '.join(model.tasks)}",
    )


def model_for_images(run: RunConfig, origin: Origin) -> UserError | None:
    """A model that takes images, and data that has none."""
    model = MODELS.get(run.model.target)
    if model is None or run.data.image_size is not None or not model.needs_images:
        return None
    return UserError(
        f"model={origin.choice('model')} takes images, but data={origin.choice('data')} gives rows of numbers",
        where="data.image_size: null",
        fix="model=mlp, or data with images",
    )


def model_for_size(run: RunConfig, origin: Origin) -> UserError | None:
    """Images that are smaller than the model can work with."""
    model = MODELS.get(run.model.target)
    if model is None or run.data.image_size is None or min(run.data.image_size) >= model.smallest_image:
        return None
    size = " x ".join(map(str, run.data.image_size))
    return UserError(
        f"model={origin.choice('model')} cannot work with data={origin.choice('data')}: its images are {size}",
        expected=f"at least {model.smallest_image} x {model.smallest_image} pixels",
        fix="data.image_size=[28,28], or model=convnet",
    )


def model_for_inputs(run: RunConfig, origin: Origin) -> UserError | None:
    """A model of two inputs, and data that has one, or the other way round."""
    takes_two, has_two = isinstance(run.model, TwoInputConvNet), run.data.num_features is not None
    if run.model.target not in MODELS or takes_two == has_two or (has_two and run.adapt.inputs):
        return None
    if has_two:
        return UserError(
            f"model={origin.choice('model')} takes one input, but data={origin.choice('data')} has "
            f"{run.data.num_features} features besides",
            where=f"data.num_features: {run.data.num_features}",
            fix="model=two_input_convnet, or adapt.inputs={LAYER: 2} for a layer that is to see them",
        )
    return UserError(
        f"model={origin.choice('model')} takes an image and a row of features, but data={origin.choice('data')} has no "
        "features",
        where="data.num_features: null",
        fix="data=tensors, data=csv_images with data.source.feature_columns, or num_features: COUNT in your own data",
    )


def torchvision_name(run: RunConfig, origin: Origin) -> UserError | None:
    """A name that torchvision does not have, or not for this task."""
    if not isinstance(run.model, TorchvisionModel) or run.model.name is None:
        return None
    name, is_segmentation = run.model.name, run.task.name == "segmentation"
    suited = SEGMENTATION_NAMES if is_segmentation else VISION_NAMES
    if name in suited:
        return None
    known = name in (*VISION_NAMES, *SEGMENTATION_NAMES)
    close = suited[0] if known else nearest(name, suited)
    return UserError(
        f"model.name={name} " + (f"is no model for task={run.task.name}" if known else "is not a model of torchvision"),
        where=origin.of(("model", "name")),
        expected=listing(suited, limit=len(SEGMENTATION_NAMES)),
        nearest=None if known else close,
        fix=f"model.name={close}" if close else None,
    )


_WEIGHTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
"""How files of weights are named; any other name is taken as well."""


def weights_there(run: RunConfig, origin: Origin) -> UserError | None:
    """Weights to start from, in a file that is not there."""
    if run.model.weights is None:
        return None
    path = Path(run.model.weights).expanduser()
    if path.is_file():
        return None
    best = path / "checkpoints" / "best.pt"
    around = [file for suffix in _WEIGHTS for file in path.parent.glob(f"*{suffix}") if file.is_file()]
    close = str(best) if best.is_file() else nearest(str(path), map(str, around))
    return UserError(
        f"model.weights={path}: " + ("it is a folder" if path.is_dir() else "there is no such file"),
        where=origin.of(("model", "weights")),
        expected="a state_dict that torch.save wrote, a checkpoint of a run, or .safetensors",
        nearest=close,
        fix=f"model.weights={close}" if close else f"model.weights=PATH, seen from {Path.cwd()}",
    )


MODEL_CHECKS = (model_for_task, model_for_images, model_for_size, model_for_inputs, torchvision_name, weights_there)
