"""Where a process stands, besides its weights: what a model of the user's may move even when it is only evaluated."""

from torch import nn

from runner.training.randomness import generator_states, restore_generators


class Moment:
    """The random generators, and the buffers of a model, as they are now.

    Args:
        model: That will be evaluated: it may draw numbers, and count in its buffers.
        all_gpus: Whether this process has all GPUs that it sees.
    """

    def __init__(self, model: nn.Module, all_gpus: bool) -> None:
        self._model = model
        self._all_gpus = all_gpus
        self._generators = generator_states(all_gpus)
        self._buffers = {name: buffer.clone() for name, buffer in model.named_buffers(remove_duplicate=False)}

    def go_back(self) -> None:
        """Let them be so again, for a checkpoint. Buffers are put back whole: a cache may have grown."""
        restore_generators(self._generators, self._all_gpus)
        for name, buffer in self._buffers.items():
            layer, _, own_name = name.rpartition(".")
            setattr(self._model.get_submodule(layer), own_name, buffer)
