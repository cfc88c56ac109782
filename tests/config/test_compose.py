"""From what is typed to one complete configuration."""

from pathlib import Path

import pytest

from runner.config.compose import Composed, Composer
from runner.config.paths import Places, shipped_conf
from runner.config.schema import RunConfig
from runner.errors import UserError, UserErrors


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compose(*typed: str, config_dir: str | None = None) -> Composed:
    return Composer(Places.find(config_dir, Path.cwd())).compose(typed)


def refused(*typed: str) -> list[str]:
    """The messages of a request that is refused."""
    with pytest.raises(UserErrors) as refusal:
        compose(*typed)
    return [str(error) for error in refusal.value.errors]


def options() -> list[tuple[str, str]]:
    """Every option of every shipped group."""
    return [(file.parent.name, file.stem) for file in sorted(shipped_conf().glob("*/*.yaml")) if file.stem != "base"]


def test_there_are_options_in_every_group() -> None:
    groups = {
        "task",
        "data",
        "model",
        "init",
        "loss",
        "optimizer",
        "scheduler",
        "regularization",
        "device",
        "experiment",
    }
    assert {group for group, _ in options()} == groups


NEEDS = {
    "segmentation": ["model=unet"],
    "shapes": ["model=unet"],
    "dice": ["model=unet"],
    "dice_cross_entropy": ["model=unet"],
    "two_input_convnet": ["data=csv_images", "data.source.csv=pets/label.csv", "data.source.feature_columns=[label]"],
    "weight_decay": ["optimizer=adamw"],
    "batch_norm": ["model=convnet"],
    "no_batch_norm": ["model=convnet"],
    "binary": ["data.num_classes=2"],
    "bce": ["task=multilabel"],
    "binary_focal": ["task=multilabel"],
    "nll": ["model.output_activation=log_softmax"],
    "mse": ["task=regression"],
    "l1": ["task=regression"],
    "huber": ["task=regression"],
    "csv_images": ["data.source.csv=pets/label.csv"],
    "tensors": ["data.source.file=pets/table.csv"],
    "image_folder": ["data.source.root=pets"],
    "mask_folder": ["model=unet", "data.source.images=cells/image", "data.source.masks=cells/label"],
    "cats_and_dogs": ["data.source.csv=pets/label.csv"],
    "two_inputs": ["data.source.csv=pets/label.csv", "data.source.feature_columns=[age,weight]"],
    "adapted_resnet": ["data.source.csv=pets/label.csv"],
    "membrane": ["data.source.images=cells/image", "data.source.masks=cells/label"],
}
"""What has to be said besides the option's name."""


@pytest.mark.parametrize(("group", "option"), options())
def test_every_option_composes_into_a_valid_run(group: str, option: str, tiny_pictures: Path) -> None:
    chosen = f"{group}={option}" if group != "regularization" else f"{group}=[{option}]"
    composed = compose(chosen, *NEEDS.get(option, []))
    RunConfig.model_validate(composed.config)
    assert composed.choices[group] == ([option] if group == "regularization" else option)


def test_the_model_brings_data_and_the_data_its_task_and_the_task_its_loss(here: Path) -> None:
    choices = compose("model=unet", "optimizer=adam").choices
    assert [choices[group] for group in ("model", "data", "task", "optimizer")] == [
        "unet",
        "shapes",
        "segmentation",
        "adam",
    ]
    assert compose("model=unet").config["task"]["outputs"] == 2


def test_what_was_typed_wins_over_what_the_model_brings(here: Path) -> None:
    assert compose("model=convnet", "data=digits_32").choices["data"] == "digits_32"
    assert compose("data=digits_32", "model=convnet").choices["data"] == "digits_32"
    assert compose("experiment=demo", "model=mlp", "epochs=3").choices["model"] == "mlp"


def test_shapes_flow_from_the_data_to_the_model(here: Path) -> None:
    model = compose("data=digits", "model=mlp").config["model"]
    assert (model["channels"], model["image_size"], model["outputs"]) == (1, [8, 8], 10)


def test_regularization_options_combine(here: Path) -> None:
    found = compose("regularization=[early_stopping,clip]").config["regularization"]
    assert found["clip_norm"] == 1.0
    assert found["early_stopping"]["patience"] == 5


def test_a_run_is_called_after_its_model_and_data_unless_it_has_a_name(here: Path) -> None:
    assert compose().config["name"] == "mlp-digits"
    assert compose("name=first try").config["name"] == "first try"


def test_nothing_is_left_to_resolve(here: Path) -> None:
    assert "${" not in str(compose("model=unet").config)


def test_an_infinite_number_is_a_number(here: Path) -> None:
    assert RunConfig.model_validate(compose("regularization.clip_norm=inf").config).regularization.clip_norm == float(
        "inf"
    )


def test_an_unknown_option_is_told_with_the_options_and_the_nearest(here: Path) -> None:
    (message,) = refused("optimizer=adm")
    assert message.startswith("optimizer=adm: there is no such optimizer\n")
    assert "expected: adadelta, adagrad, adam, adamw" in message
    assert "fix:      optimizer=adam" in message


def test_an_unknown_key_is_told_with_the_keys_and_the_nearest(here: Path) -> None:
    assert refused("optimizer.lrr=1") == [
        "optimizer.lrr is not a setting of optimizer=adam\n"
        "  where:    optimizer.lrr=1 on the command line\n"
        "  expected: betas, eps, lr, weight_decay\n"
        "  nearest:  lr\n"
        "  fix:      optimizer.lr=..."
    ]


def test_an_unknown_key_within_a_mapping_is_told_as_one_typed_by_itself(here: Path) -> None:
    assert refused("data.split={val: 0.2, sede: 3}") == [
        "data.split.sede is not a setting of data=digits\n"
        "  where:    data.split={val: 0.2, sede: 3} on the command line\n"
        "  expected: seed, stratify, test, val\n"
        "  nearest:  seed\n"
        "  fix:      data.split.seed=..."
    ]


ADAPTED = ("model=convnet", "adapt.lr_factors={blocks.*: 2}")


def test_names_typed_over_those_of_an_experiment_are_refused_with_both_ways_to_mend_it(here: Path) -> None:
    (here / "conf" / "experiment").mkdir(parents=True)
    (here / "conf" / "experiment" / "slow.yaml").write_text(
        "# @package _global_\nadapt:\n  lr_factors:\n    output.*: 0.5\n"
    )
    assert refused("experiment=slow", *ADAPTED) == [
        "adapt.lr_factors={blocks.*: 2}: adapt.lr_factors is there already, with output.*, and has no blocks.*\n"
        "  where:    conf/experiment/slow.yaml\n"
        "  fix:      '+adapt.lr_factors={blocks.*: 2}' to have both, "
        "or adapt.lr_factors=null in front of yours to have it alone"
    ]
    model, factors = ADAPTED
    both = compose("experiment=slow", model, f"+{factors}").config["adapt"]["lr_factors"]
    assert both == {"output.*": 0.5, "blocks.*": 2}
    assert compose("experiment=slow", model, "adapt.lr_factors=null", factors).config["adapt"]["lr_factors"] == {
        "blocks.*": 2
    }


def test_a_plus_does_not_bring_an_unknown_key_in(here: Path) -> None:
    (message,) = refused("+optimizer.lrr=1")
    assert message.startswith("optimizer.lrr is not a setting of optimizer=adam\n")


def test_a_key_at_the_wrong_level_is_found_where_it_is(here: Path) -> None:
    (message,) = refused("batch_size=3")
    assert "fix:      data.batch_size=..." in message


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("epochs=ten", "a whole number"),
        ("epochs=2.5", "a whole number"),
        ("epochs=true", "a number"),
        ("epochs=0", "a number of 1 or more"),
        ("epochs=inf", "a whole number"),
        ("seed=-1", "a number of 0 or more"),
        ("seed=9223372036854775808", "a number of 9223372036854775807 or less"),
        ("device.threads=1025", "a number of 1024 or less"),
        ("data.workers=1025", "a number of 1024 or less"),
        ("optimizer.lr=abc", "a number"),
        ("optimizer.lr=0", "a number above 0"),
        ("optimizer.betas=[0.9]", "at least 2 entries"),
        ("data.batch_size=-1", "a number of 1 or more"),
        ("data.split.val=1.5", "a whole number, or a number of 1 or less, or test"),
        ("device.precision=fp64", "auto, fp32, bf16 or fp16"),
        ("training.test=maybe", "true or false"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_told_with_what_was_expected(
    typed: str, expected: str, here: Path
) -> None:
    (message,) = refused(typed)
    assert message.startswith(f"{typed} is not valid\n  where:    {typed} on the command line\n")
    assert f"expected: {expected}" in message


def test_a_number_that_is_too_large_is_told_in_plain_words(here: Path) -> None:
    assert refused("epochs=1e20") == [
        "epochs=1e+20 is not valid\n  where:    epochs=1e20 on the command line\n  expected: a smaller whole number"
    ]


def test_several_mistakes_are_told_together(here: Path) -> None:
    messages = refused("epochs=ten", "optimizer.lr=abc", "model=unett", "data.batch_sise=3", "name=a=b")
    assert [message.splitlines()[0] for message in messages] == [
        "name=a=b cannot be read: mismatched input '=' expecting <EOF>",
        "model=unett: there is no such model",
        "data.batch_sise is not a setting of data=digits",
        "optimizer.lr=abc is not valid",
        "epochs=ten is not valid",
    ]


def test_a_missing_value_is_told_with_the_file_that_wants_it(here: Path) -> None:
    (message,) = refused("data=csv_images")
    assert message.startswith("data.source.csv is not set\n  where:    conf/data/csv_images.yaml\n")


def test_a_setting_that_your_own_file_has_not_is_typed_with_a_plus_or_written_into_it(here: Path) -> None:
    write("data/mine.yaml", "defaults: [base]\nsource: {_target_: mine.Data}\nchannels: 4\nimage_size: null\n")
    assert (
        "data.num_classes is not set\n  where:    conf/data/mine.yaml\n  expected: a value\n"
        "  fix:      a line for num_classes in that file, or +data.num_classes=VALUE"
    ) in refused("data=mine", "task.outputs=1")
    message, *_ = refused("data=mine", "data.num_classes=2")
    assert message == (
        "data.num_classes is not in conf/data/mine.yaml\n  where:    data.num_classes=2 on the command line\n"
        "  fix:      +data.num_classes=2, or a line for num_classes in that file"
    )


def test_what_cannot_be_read_is_told_with_how_to_quote(here: Path) -> None:
    (message,) = refused("name=a=b")
    assert message.startswith("name=a=b cannot be read")
    assert message.endswith("""\n  fix:      'name="a=b"'""")
    assert compose('name="a=b"').config["name"] == "a=b"
    (message,) = refused("model.hidden=[64,32")  # a list with quotes around it would be a text
    assert "fix:      quote a value that holds" in message


def test_data_that_is_not_there_is_refused_before_anything_is_made(here: Path) -> None:
    (message,) = refused("data=image_folder", "data.source.root=nowhere")
    assert "nowhere" in message
    assert list(here.iterdir()) == []


def test_data_that_cannot_be_read_is_told_alone(here: Path) -> None:
    (here / "t.csv").write_text("file,label\na.png,0\n", encoding="utf-16")
    (message,) = refused("data=csv_images", "data.source.csv=t.csv")
    assert message.startswith("t.csv cannot be read as a table: it is not UTF-8\n")
    (here / "x.npz").write_bytes(b"")
    (message,) = refused("data=tensors", "data.source.file=x.npz")
    assert message == "x.npz cannot be read: File is not a zip file"


def test_a_delimiter_is_one_character_or_a_tab_as_it_is_typed(here: Path) -> None:
    (here / "t.csv").write_text("age\tkind\n1\t0\n2\t1\n")
    data = ["data=tensors", "data.source.file=t.csv"]
    assert compose(*data, r'data.source.delimiter="\t"').config["data"]["num_classes"] == 2
    (message,) = refused(*data, "data.source.delimiter=xx")
    assert message.startswith("data.source.delimiter=xx is not valid\n")
    assert r"expected: one character, such as , or ; or \t" in message


def test_a_source_whose_arguments_are_of_a_wrong_type_is_told_by_the_schema_alone(here: Path) -> None:
    (message,) = refused("data=csv_images", "data.source.csv=t.csv", "data.source.label_column={a:1}")
    assert message.startswith("data.source.label_column={'a': 1} is not valid\n")


@pytest.mark.parametrize("typed", [["model=lenet", "data=shapes"], ["data=shapes"], ["model=unet", "data=digits"]])
def test_a_model_that_cannot_do_the_task_is_refused_by_name(typed: list[str], here: Path) -> None:
    (message,) = refused(*typed)
    assert "cannot do task=" in message


def test_nesterov_without_momentum_is_refused(here: Path) -> None:
    (message,) = refused("optimizer=sgd", "optimizer.nesterov=true")
    assert "fix:      optimizer.momentum=0.9" in message


def test_a_monitor_on_a_split_that_is_empty_is_refused(here: Path) -> None:
    (message,) = refused("monitor=val/loss", "data.split.val=0")
    assert "there is no validation split" in message


def test_a_users_option_of_a_shipped_name_takes_its_place(here: Path) -> None:
    (here / "mine" / "optimizer").mkdir(parents=True)
    (here / "mine" / "optimizer" / "adam.yaml").write_text("_target_: torch.optim.Adagrad\nlr: 3\n")
    assert compose(config_dir="mine").config["optimizer"] == {"_target_": "torch.optim.Adagrad", "lr": 3}


def test_a_mistake_in_a_users_file_is_told_with_the_file(here: Path) -> None:
    (here / "conf" / "optimizer").mkdir(parents=True)
    (here / "conf" / "optimizer" / "mine.yaml").write_text(
        "_target_: torch.optim.SGD\nlr: fast\nmomentum: -1\nnesterov: false\n"
    )
    messages = refused("optimizer=mine")
    assert [message.splitlines()[:2] for message in messages] == [
        ["optimizer.lr=fast is not valid", "  where:    conf/optimizer/mine.yaml"],
        ["optimizer.momentum=-1 is not valid", "  where:    conf/optimizer/mine.yaml"],
    ]


def test_a_config_dir_that_is_not_there_is_refused(here: Path) -> None:
    with pytest.raises(UserError, match="--config-dir nowhere: there is no such folder"):
        compose(config_dir="nowhere")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["model=lenet", "data=digits"], "model=lenet cannot work with data=digits: its images are 8 x 8"),
        (["loss=dice"], "loss=dice cannot be used for task=classification"),
        (["loss.weight=[1,2,3]"], "loss.weight is of length 3, and task=classification of 10 here"),
        (
            ["model=unet", "loss=dice_cross_entropy", "loss.terms.cross_entropy.loss.weight=[1,2,3]"],
            "loss.terms.cross_entropy.loss.weight is of length 3, and task=segmentation of 2 here",
        ),
        (["model=unet", "loss=bce"], "loss=bce cannot be used for task=segmentation"),
        (["task=binary"], "task=binary answers yes or no, but data=digits has 10 classes"),
        (["monitor=val/acuracy"], "monitor=val/acuracy is not a metric of task=classification"),
        (["model=unet", "regularization=[mixup]"], "regularization.mixup blends classes, but task=segmentation"),
        (["model=unet", "regularization=[cutmix]"], "regularization.cutmix blends classes, but task=segmentation"),
        (
            ["regularization=[dropout]", "model=lenet", "data=digits_32"],
            "model.dropout is not a setting of model=lenet",
        ),
        (["loss=nll"], "loss=nll is of log-probabilities, but model.output_activation=identity gives none"),
        (
            ["loss=nll", "model.output_activation=log_softmax", "regularization=mixup"],
            "loss=nll takes one class for a sample, but regularization.mixup gives shares",
        ),
        (
            ["loss=focal", "loss.ignore_index=3", "regularization=mixup"],
            "loss.ignore_index=3 leaves a class out, but regularization.mixup gives shares of classes",
        ),
        (
            ["task.metrics=[aurok]"],
            "task.metrics: aurok is not a metric for task=classification that needs no settings",
        ),
        (["task.metrics=[f1]"], "task.metrics: task=classification has a metric called f1 already"),
        (["task.metrics=[auroc]", "monitor=val/aurok"], "monitor=val/aurok is not a metric of task=classification"),
        (["data.order=weighted"], "data.order=weighted needs data.class_weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_parts_that_cannot_work_together_are_refused_by_name(typed: list[str], message: str, here: Path) -> None:
    (found,) = refused(*typed)
    assert found.startswith(message)


def test_options_of_regularization_combine_also_where_they_set_keys_of_other_groups(here: Path) -> None:
    config = compose("regularization=[dropout,label_smoothing,l2,augmentation]", "model.dropout=0.3").config
    assert config["model"]["dropout"] == 0.3, "what is typed wins"
    assert config["loss"]["label_smoothing"] == 0.1
    assert config["regularization"]["l2"] == 0.0001
    assert [change["_target_"].rpartition(".")[2] for change in config["data"]["augment"]] == ["Shift", "Rotate"]


def test_an_option_that_an_experiment_would_overrule_in_silence_is_refused(here: Path) -> None:
    (here / "conf" / "experiment").mkdir(parents=True)
    (here / "conf" / "experiment" / "mine.yaml").write_text("# @package _global_\nmodel: {dropout: 0.1}\n")
    (found,) = refused("experiment=mine", "regularization=[dropout]")
    assert found.startswith("regularization=dropout sets model.dropout=0.5, but experiment=mine sets 0.1")
    typed = compose("experiment=mine", "regularization=[dropout]", "model.dropout=0.3")
    assert typed.config["model"]["dropout"] == 0.3
    (here / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [{override /regularization: [dropout]}]\nmodel: {dropout: 0.1}\n"
    )
    assert compose("experiment=mine").config["model"]["dropout"] == 0.1, "it chose the option itself"


def test_a_key_that_a_model_lacks_is_told_with_the_regularization_that_sets_it(here: Path) -> None:
    (found,) = refused("regularization=[dropout]", "model=lenet", "data=digits_32")
    assert found.splitlines()[1] == "  where:    conf/regularization/dropout.yaml"


def test_the_loss_of_several_terms_suits_segmentation(here: Path) -> None:
    assert compose("model=unet", "loss=dice_cross_entropy").config["loss"]["terms"]["dice"]["weight"] == 1.0


def test_the_metrics_that_can_be_monitored_are_those_that_are_computed() -> None:
    import torch

    from runner.config.fit import METRICS
    from runner.training.scores import Scores
    from runner.training.tasks import make_task

    for task, names in METRICS.items():
        found = set(Scores(make_task(task, 2).new_metric(torch.device("cpu"))).compute())
        assert {name for name in found if not name.startswith("dice_")} == set(names)


def test_every_task_brings_the_loss_that_is_suggested_for_it() -> None:
    from runner.config.fit import LOSS_OF_TASK

    for task, loss in LOSS_OF_TASK.items():
        data = {"segmentation": ["model=unet"], "binary": ["data.num_classes=2"]}.get(task, [])
        assert compose(f"task={task}", *data).choices["loss"] == loss


def test_a_value_of_an_experiment_that_does_not_suit_the_model_is_told_with_the_experiments_file(here: Path) -> None:
    (here / "conf" / "experiment").mkdir(parents=True)
    base = "# @package _global_\nepochs: ten\nmodel:\n  levels: 3\n"
    (here / "conf" / "experiment" / "deep.yaml").write_text(base)
    (here / "conf" / "experiment" / "deeper.yaml").write_text(
        "# @package _global_\ndefaults: [deep, _self_]\nmodel:\n  dropout: 2\n"
    )
    for experiment in ("deep", "deeper"):
        found = {message.splitlines()[0]: message.splitlines()[1] for message in refused(f"experiment={experiment}")}
        assert found.pop("epochs=ten is not valid") == "  where:    conf/experiment/deep.yaml"
        if experiment == "deeper":
            assert found.pop("model.dropout=2 is not valid") == "  where:    conf/experiment/deeper.yaml"
        ((first, where),) = found.items()
        assert (first, where) == (
            "model.levels is not an argument of runner.models.mlp.MLP",
            "  where:    conf/experiment/deep.yaml",
        )


def test_a_value_of_a_shipped_experiment_that_does_not_suit_the_model_is_told_with_its_file(here: Path) -> None:
    message = refused("experiment=quickstart", "model=lenet", "data=digits_32")[0]
    assert message.startswith(
        "model.hidden is not a setting of model=lenet\n  where:    conf/experiment/quickstart.yaml"
    )


def test_a_value_of_one_of_several_options_is_told_with_its_file(here: Path) -> None:
    (here / "conf" / "regularization").mkdir(parents=True)
    (here / "conf" / "regularization" / "hard.yaml").write_text("clip_norm: -1\n")
    (message,) = refused("regularization=[hard,early_stopping]")
    assert "where:    conf/regularization/hard.yaml" in message


@pytest.mark.parametrize(
    ("typed", "combined"),
    [
        ([], ["none"]),
        (["regularization=clip"], ["clip"]),
        (["regularization=[clip,ema]"], ["clip", "ema"]),
        (["experiment=held"], ["early_stopping", "clip"]),
        (["experiment=held", "regularization=[ema]"], ["ema"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_options_that_combine_are_among_the_choices(typed: list[str], combined: list[str], here: Path) -> None:
    (here / "conf" / "experiment").mkdir(parents=True)
    (here / "conf" / "experiment" / "held.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /regularization: [early_stopping, clip]\n"
    )
    assert compose(*typed).choices["regularization"] == combined


@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        ("regularization=clip,ema", "regularization=[clip,ema] to have all of them"),
        ("model.hidden=16,32", "model.hidden=[16,32]"),
        ("optimizer=adam,sgd", "runner train -m optimizer=adam,sgd to run each of them"),
        ("epochs=1,2", "runner train -m epochs=1,2 to run each of them"),
        ("seed=range(0,3)", "runner train -m seed=range(0,3) to run each of them"),
    ],
)
def test_several_values_without_brackets_are_refused_with_what_may_be_meant(typed: str, fix: str, here: Path) -> None:
    (message,) = refused(typed)
    assert message.startswith(f"{typed} is several values, and a run has one\n")
    assert f"  fix:      {fix}" in message


def test_a_wrong_option_among_several_is_told(here: Path) -> None:
    assert refused("regularization=clip,eam")[0].startswith("regularization=eam: there is no such regularization\n")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["epochs", "5"], "epochs 5 cannot be read\n  expected: key=value\n  fix:      epochs=5"),
        (["lr", "0.1"], "lr 0.1 cannot be read\n  expected: key=value\n  fix:      optimizer.lr=0.1"),
        (["model"], "model cannot be read\n  expected: key=value\n  fix:      model=VALUE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_without_an_equals_sign_are_told_with_what_to_type(typed: list[str], message: str, here: Path) -> None:
    assert refused(*typed) == [message]


@pytest.mark.parametrize(("typed", "close"), [("device=gpu", "cuda"), ("device.precision=bfloat16", "bf16")])
def test_what_has_another_name_here_is_told_with_that(typed: str, close: str, here: Path) -> None:
    (message,) = refused(typed)
    assert f"nearest:  {close}" in message


def write(file: str, content: str | bytes) -> None:
    """A file of the user's in conf/."""
    path = Path("conf", file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            ["optimizer.lr=${optimizer.epz}"],
            "optimizer.lr=${optimizer.epz} leads nowhere: Interpolation key 'optimizer.epz' not found\n"
            "  where:    optimizer.lr=${optimizer.epz} on the command line\n"
            "  nearest:  ${optimizer.eps}",
        ),
        (
            ["name=${oc.env:NO_SUCH_VARIABLE}"],
            "name=${oc.env:NO_SUCH_VARIABLE} leads nowhere: Environment variable 'NO_SUCH_VARIABLE' not found\n"
            "  where:    name=${oc.env:NO_SUCH_VARIABLE} on the command line",
        ),
        (
            ["name=${name}"],
            "name=${name} leads nowhere: Recursive interpolation detected\n"
            "  where:    name=${name} on the command line",
        ),
        (
            ["data.channels=${nothing}"],  # model.channels leads to it
            "data.channels=${nothing} leads nowhere: Interpolation key 'nothing' not found\n"
            "  where:    data.channels=${nothing} on the command line",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_reference_to_nothing_is_told_with_the_nearest_key(typed: list[str], message: str, here: Path) -> None:
    assert refused(*typed) == [message]


def test_references_to_nothing_are_told_with_their_file_and_with_what_is_missing(here: Path) -> None:
    write("optimizer/mine.yaml", "_target_: torch.optim.SGD\nlr: ${data.nothing}\nmomentum: ???\n")
    messages = refused("optimizer=mine")
    assert [message.splitlines()[:2] for message in messages] == [
        ["optimizer.momentum is not set", "  where:    conf/optimizer/mine.yaml"],
        [
            "optimizer.lr=${data.nothing} leads nowhere: Interpolation key 'data.nothing' not found",
            "  where:    conf/optimizer/mine.yaml",
        ],
    ]


def test_what_a_shipped_option_asks_of_your_own_data_is_to_be_written_into_its_file(here: Path) -> None:
    write("data/mine.yaml", "defaults: [base]\nsource: {_target_: mine.Data}\nnum_classes: 2\n")
    assert refused("data=mine", "model=mlp", "model.image_size=[1,1]") == [
        "model.channels=${data.channels} leads nowhere: Interpolation key 'data.channels' not found\n"
        "  where:    conf/model/mlp.yaml\n"
        "  fix:      write channels into conf/data/mine.yaml, or type model.channels=VALUE"
    ]


def test_a_group_that_was_taken_out_is_missing_because_of_what_was_typed(here: Path) -> None:
    (message,) = refused("~scheduler")
    assert message.startswith("scheduler is not set\n  where:    ~scheduler on the command line\n")


def test_an_experiment_that_lacks_its_package_line_is_told_so(here: Path) -> None:
    write("experiment/mine.yaml", "epochs: 3\n")
    assert refused("experiment=mine") == [
        "experiment=mine sets experiment.epochs, which is not a setting\n"
        "  where:    conf/experiment/mine.yaml\n"
        "  fix:      # @package _global_ as the first line of that file, or of the one that it starts from"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "lr: 1\n  momentum: 2\n",
            "optimizer/mine cannot be read: mapping values are not allowed here\n  where:    {file}, line 2",
        ),
        (
            "lr: 1\n\tmomentum: 2\n",
            "optimizer/mine cannot be read: found character '\\t' that cannot start any token\n"
            "  where:    {file}, line 2",
        ),
        ("lr: 1\nlr: 2\n", "optimizer/mine cannot be read: found duplicate key lr\n  where:    {file}, line 2"),
        (
            b"# one\n# caf\xe9\nlr: 1\n",
            "optimizer/mine cannot be read: it is not UTF-8\n  where:    {file}, line 2\n  fix:      save it as UTF-8",
        ),
        (
            "# one\n_target_: a\x01b\n",
            "optimizer/mine cannot be read: unacceptable character #x0001: special characters are not allowed\n"
            "  where:    {file}, line 2",
        ),
        (
            "defaults: 3\n",
            "optimizer/mine cannot be read: Invalid defaults list in 'optimizer/mine', defaults must be a list "
            "(got int)\n  where:    {file}",
        ),
        (
            "- 1\n- 2\n",
            "optimizer/mine is a list\n  where:    {file}\n  expected: a line `key: value` for each setting",
        ),
    ],
    ids=["indentation", "tab", "duplicate", "encoding", "character", "defaults", "list"],
)
@pytest.mark.parametrize("typed", [["optimizer=mine"], ["optimizer=mine", "epochs=ten", "model=unett"]])
def test_a_file_that_cannot_be_read_is_told_with_the_line(
    typed: list[str], content: str | bytes, message: str, here: Path
) -> None:
    write("optimizer/mine.yaml", content)
    with pytest.raises(UserError) as refusal:
        compose(*typed)
    assert str(refusal.value) == message.format(file="conf/optimizer/mine.yaml")


def test_an_option_that_an_experiment_chooses_in_vain_is_told_with_the_experiment_and_the_nearest(here: Path) -> None:
    write("experiment/mine.yaml", "# @package _global_\ndefaults:\n  - override /model: unett\n")
    assert refused("experiment=mine") == [
        "Could not find 'model/unett'\n"
        "  where:    conf/experiment/mine.yaml, line 3\n"
        "  expected: convnet, convnet1d, lenet, mlp, multiscale, sequential, torchvision, two_input_convnet, unet\n"
        "  nearest:  unet"
    ]


@pytest.mark.parametrize(
    ("typed", "first_line"),
    [
        ("scheduler=null", "scheduler=null: there is no such scheduler"),
        ("model=3", "model=3: there is no such model"),
        ("regularization=[3]", "regularization=3: there is no such regularization"),
        ("~scheduler=3", "scheduler=3: there is no such scheduler"),
        ("=3", "=3 names no key"),
        ("~", "'~' names no key"),
    ],
)
def test_an_option_without_a_name_is_refused(typed: str, first_line: str, here: Path) -> None:
    (message,) = refused(typed)
    assert message.splitlines()[0] == first_line


@pytest.mark.parametrize("wrong", ["", "epochs=0", "optimizer.lr=x"])
def test_several_options_of_a_group_of_which_a_run_has_one_are_refused_and_not_merged(wrong: str, here: Path) -> None:
    message, *_ = refused("model=[mlp,lenet]", *wrong.split())
    assert message.splitlines()[0] == "model=[mlp,lenet] is a list, and a run has one model"
    assert message.endswith("\n  fix:      model=mlp, or runner train -m model=mlp,lenet to run each of them")
    assert refused("+model=[mlp,lenet]", *wrong.split())[0] == message
    (message,) = refused("scheduler=[]")
    assert message.splitlines()[0] == "scheduler=[] is a list, and a run has one scheduler"
    assert "fix" not in message


def test_null_takes_back_what_was_chosen_in_a_group_that_needs_no_option(here: Path) -> None:
    assert compose("experiment=null").config == compose().config
    assert compose("experiment=demo", "experiment=null").config == compose().config
    assert compose("experiment=null", "experiment=demo").choices["experiment"] == "demo"
