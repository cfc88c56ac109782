"""``scripts/curves.py``: the curves of runs, each beside those of the first."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

SCRIPT = Path(__file__).parents[1] / "scripts" / "curves.py"
SVG = "{http://www.w3.org/2000/svg}"


def sweep_of(folder: Path, runs: dict[str, list[tuple[float, float]]]) -> Path:
    """A sweep whose runs have these losses, of training and validation, for each epoch, and a row for the test."""
    for number, (name, losses) in enumerate(runs.items()):
        run = folder / "runs" / f"{number:04}-{name}"
        run.mkdir(parents=True)
        rows = [f"{epoch},{train},{val},,0.1" for epoch, (train, val) in enumerate(losses, 1)]
        (run / "metrics.csv").write_text("\n".join(["epoch,train/loss,val/loss,test/loss,seconds", *rows, "2,,,0.5,"]))
    return folder


def test_every_run_is_a_panel_with_the_first_run_in_grey_on_the_same_scale(tmp_path: Path) -> None:
    sweep = sweep_of(
        tmp_path / "sweep",
        {"regularization--none-": [(1.0, 2.0), (0.0, 1.0)], "model-mlp": [(2.0, 2.0), (1.0, 0.5)]},
    )
    picture = tmp_path / "curves.svg"
    subprocess.run([sys.executable, SCRIPT, sweep, "-o", picture], check=True)
    panels = ElementTree.parse(picture).getroot().findall(f"{SVG}g")
    titles = [panel.find(f"{SVG}text") for panel in panels]
    assert [title.text for title in titles if title is not None] == ["none", "model-mlp"]
    curves = [
        [(line.get("stroke"), line.get("points")) for line in panel.findall(f"{SVG}polyline")] for panel in panels
    ]
    # a panel is 190 wide for 2 epochs and 120 high for losses from 0 to 2
    assert curves[0] == [("#333", "95.0,60.0 190.0,120.0"), ("#333", "95.0,0.0 190.0,60.0")]
    assert curves[1] == [
        *(("#bbb", points) for _, points in curves[0]),
        ("#c33", "95.0,0.0 190.0,60.0"),
        ("#c33", "95.0,0.0 190.0,90.0"),
    ]
