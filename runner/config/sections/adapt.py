"""The settings of ``adapt``: changes of a model from outside."""

from runner.config.types import Count, Node, NotNegative, Positive, Target


class Auxiliary(Node):
    weight: NotNegative
    head: Target | None = None


class Adapt(Node):
    replace: dict[str, Target] | None
    inputs: dict[str, Count] | None
    outputs: dict[str, Auxiliary] | None
    output_weights: list[NotNegative]
    freeze: list[str]
    lr_factors: dict[str, Positive] | None
