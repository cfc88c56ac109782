"""The settings of ``init``: how first weights are drawn."""

from typing import Annotated, Literal

from pydantic import Field

from runner.config.types import Count, Float, Node, NotNegative, Positive, Share
from runner.models.choices import LayerType


class ConstantFill(Node):
    method: Literal["constant"]
    val: Float


class UniformFill(Node):
    method: Literal["uniform"]
    a: Float
    b: Float


class NormalFill(Node):
    method: Literal["normal"]
    mean: Float
    std: NotNegative


class TruncatedNormalFill(Node):
    method: Literal["truncated_normal"]
    mean: Float
    std: Positive
    a: Float
    b: Float


class GainFill(Node):
    method: Literal["xavier_uniform", "xavier_normal", "orthogonal"]
    gain: Positive


class KaimingFill(Node):
    method: Literal["kaiming_uniform", "kaiming_normal"]
    nonlinearity: Literal["relu", "leaky_relu", "selu", "tanh", "sigmoid", "linear"]
    a: NotNegative
    mode: Literal["fan_in", "fan_out"]


class SparseFill(Node):
    method: Literal["sparse"]
    sparsity: Share
    std: Positive


class EyeFill(Node):
    method: Literal["eye"]


class DiracFill(Node):
    method: Literal["dirac"]
    groups: Count


Fill = Annotated[
    ConstantFill
    | UniformFill
    | NormalFill
    | TruncatedNormalFill
    | GainFill
    | KaimingFill
    | SparseFill
    | EyeFill
    | DiracFill,
    Field(discriminator="method"),
]


class InitRule(Node):
    layers: list[LayerType]
    names: list[str]
    weight: Fill | None
    bias: Float | None
