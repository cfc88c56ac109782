"""What a model or an initialisation chooses by name; free of torch, so that configurations are checked without it."""

from typing import Literal

ActivationName = Literal[
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "softplus",
    "tanh",
    "sigmoid",
    "log_softmax",
    "identity",
]

PoolName = Literal["max", "average"]

InitMethod = Literal[
    "constant",
    "uniform",
    "normal",
    "truncated_normal",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "sparse",
    "eye",
    "dirac",
]

LayerType = Literal[
    "Linear",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]
