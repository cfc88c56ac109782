"""A model as a table: layers, output shapes, parameters, multiply-adds and memory."""

from collections.abc import Mapping
from typing import Any

from runner.config.schema import RunConfig
from runner.tracking.console import Console
from runner.training.assemble import assemble


def summarise(config: Mapping[str, Any], choices: Mapping[str, Any]) -> str:
    """The table of torchinfo for the model of a configuration and a training batch of its data."""
    import torchinfo

    parts = assemble(RunConfig.model_validate(config), dict(choices), Console())
    statistics = torchinfo.summary(
        parts.model,
        input_data=parts.sample_inputs(),
        depth=6,
        verbose=0,
        col_names=("output_size", "num_params", "mult_adds"),
        row_settings=("var_names",),
        device=parts.device.device,
    )
    # In full, as parameters are: as millions, the unit is printed by the name that it has within torchinfo.
    statistics.formatting.macs_units = torchinfo.Units.NONE
    return str(statistics)
