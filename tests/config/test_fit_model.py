"""Models that cannot work with the rest of a configuration are refused before anything is written."""

from pathlib import Path

import pytest

from runner.config.compose import Composed, Composer
from runner.config.paths import Places
from runner.errors import UserError

FEATURES = ["data=csv_images", "data.source.csv=pets/label.csv", "data.source.feature_columns=[label]"]


def compose(*typed: str) -> Composed:
    return Composer(Places.find(None, Path.cwd())).compose(typed)


@pytest.mark.usefixtures("tiny_pictures")
class TestInputs:
    """As many inputs as the data have."""

    def test_a_model_of_two_inputs_needs_features(self) -> None:
        with pytest.raises(
            UserError, match=r"model=two_input_convnet takes an image and a row of features, but data=digi"
        ):
            compose("model=two_input_convnet")
        assert compose("model=two_input_convnet", *FEATURES).config["model"]["features"] == 1

    def test_a_model_of_one_input_is_told_what_to_do_with_features(self) -> None:
        with pytest.raises(
            UserError, match=r"model=convnet takes one input, but data=csv_images has 1 features besides"
        ):
            compose("model=convnet", *FEATURES)
        assert compose("model=convnet", "adapt.inputs={output: 2}", *FEATURES)


@pytest.mark.usefixtures("tiny_pictures")
class TestWeights:
    """The file to start from."""

    def test_a_folder_of_a_run_is_told_with_its_checkpoint(self) -> None:
        Path("first/checkpoints").mkdir(parents=True)
        Path("first/checkpoints/best.pt").touch()
        with pytest.raises(UserError, match=r"it is a folder(.|\n)*fix: +model\.weights=first/checkpoints/best\.pt"):
            compose("model.weights=first")
        assert compose("model.weights=first/checkpoints/best.pt")

    def test_a_file_that_is_not_there_is_told_with_the_nearest_of_weights(self) -> None:
        Path("started.py").touch()
        with pytest.raises(UserError, match="there is no such file") as told:
            compose("model.weights=started.pt")
        assert "started.py" not in str(told.value)
        Path("startet.pth").touch()
        with pytest.raises(UserError, match=r"fix: +model\.weights=startet\.pth"):
            compose("model.weights=started.pt")

    def test_every_model_has_the_keys_and_no_class_is_called_with_them(self) -> None:
        Path("conf/model").mkdir(parents=True)
        Path("conf/model/line.yaml").write_text("_target_: torch.nn.Linear\nin_features: 3\nout_features: 10\n")
        Path("mine.pt").touch()
        assert compose("model=line", "model.weights=mine.pt").config["model"]["weights"] == "mine.pt"
        with pytest.raises(UserError, match=r"model\.weights_excpt is not (.|\n)*nearest: +weights_except"):
            compose("model.weights_excpt=[]")

    def test_an_odd_kernel_is_asked_for(self) -> None:
        with pytest.raises(UserError, match=r"model\.kernel_size=4 is not valid(.|\n)*expected: an odd number"):
            compose("model=convnet1d", "model.kernel_size=4")
