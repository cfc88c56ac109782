"""``runner data``: what the samples are, without training."""

import json
from collections.abc import Sequence
from pathlib import Path

USAGE = """usage: runner data [OVERRIDE...] [--json] [-o FILE]

Split sizes, classes, shapes, mean and standard deviation of the data that these overrides compose, and a picture of
training samples before and after augmentation:
  runner data data=csv_images data.source.csv=FOLDER/label.csv

  --json           everything as JSON instead of a table
  -o, --output FILE
                   where the picture goes (.png); default: OUTPUT_ROOT/data-OPTION.png
"""


def main(args: Sequence[str]) -> int:
    """Print the tables and write the picture; give the exit code."""
    if any(word in ("-h", "--help") for word in args):
        print(USAGE, end="")
        return 0
    from runner.config.compose import Composer
    from runner.config.flags import parse
    from runner.config.paths import Places

    rest, output = _output(list(args))
    as_json = "--json" in rest
    flags = parse([word for word in rest if word != "--json"], "data")
    places = Places.find(flags.config_dir, Path.cwd())
    composed = Composer(places, of_data_alone=True).compose(flags.overrides)
    places.trust(everything=True).make_importable()

    from runner.config.schema import RunConfig
    from runner.runs.files import plain_record
    from runner.training.survey import survey

    config = RunConfig.model_validate(composed.config)
    picture = output or Path(config.output_root) / f"data-{composed.choices['data']}.png"
    found = survey(config, picture, is_silent=as_json)
    print(json.dumps(plain_record(found.record()), indent=2) if as_json else found.text())
    return 0


def _output(words: list[str]) -> tuple[list[str], Path | None]:
    """What was typed without ``-o FILE``, and the file.

    Raises:
        UserError: If the file is not named, is a folder or no PNG, or its folder is not there.
    """
    from runner.errors import UserError

    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--output=") else [word])]
    at = next((number for number, word in enumerate(words) if word in ("-o", "--output")), None)
    if at is None:
        return words, None
    if at + 1 == len(words):
        raise UserError(f"runner data: {words[at]} needs a file", fix="-o samples.png")
    path = Path(words[at + 1])
    if path.is_dir():
        raise UserError(f"-o {path} is a folder", expected="the file of a picture", fix=f"-o {path / 'samples.png'}")
    if path.suffix.lower() != ".png":
        raise UserError(f"-o {path}: pictures are written as PNG", fix=f"-o {path.with_suffix('.png')}")
    if not path.resolve().parent.is_dir():
        raise UserError(f"-o {path}: the folder {path.parent} is not there", fix="make it first")
    return words[:at] + words[at + 2 :], path
