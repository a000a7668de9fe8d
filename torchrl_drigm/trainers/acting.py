"""How a team acts while it learns."""

from __future__ import annotations

from tensordict import TensorDictBase
from tensordict.nn import TensorDictSequential

from torchrl_drigm.modules._calls import run

__all__ = ["Acting"]


class Acting(TensorDictSequential):
    """A sequence of modules that leaves ``selected_out_keys`` behind, in two thirds of the time.

    TorchRL's works on a copy of all entries, and then writes all of them back.

    Args:
        *modules (TensorDictModuleBase): the team, and what explores.
        selected_out_keys (list of NestedKey): what a collector is to store.

    Examples:
        >>> import torch
        >>> from tensordict import TensorDict
        >>> from tensordict.nn import TensorDictModule
        >>> double = TensorDictModule(lambda x: 2 * x, in_keys=["x"], out_keys=["y"])
        >>> minus = TensorDictModule(torch.neg, in_keys=["y"], out_keys=["z"])
        >>> acting = Acting(double, minus, selected_out_keys=["z"])
        >>> sorted(acting(TensorDict({"x": torch.ones(2)}, [2])).keys())
        ['x', 'z']
    """

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write what was selected."""
        own = tensordict.select(*self.in_keys)
        for module in self.module:
            own = run(module, own)
        for key in self.out_keys:
            tensordict.set(key, own.get(key))
        return tensordict
