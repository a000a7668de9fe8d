"""Calls of networks that take a tenth of the time that TensorDict's own take around them.

An update calls small networks several times. What goes on around a call then takes as long as the
network: keys are unravelled, modes looked up, parameters put in place one by one and taken out
again. What is plain is done here directly, and everything else is left to TensorDict.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictSequential
from tensordict.nn.utils import skip_existing
from torch import Tensor, nn
from torch.compiler import is_compiling
from torchrl.modules import SafeSequential

from torchrl_drigm.modules._fast_path import is_changed

__all__ = ["run", "under"]


def run(module: nn.Module, tensordict: TensorDictBase) -> TensorDictBase:
    """What ``module(tensordict)`` does and returns.

    Examples:
        >>> import torch
        >>> from tensordict import TensorDict
        >>> td = TensorDict({"x": torch.ones(2)}, [2])
        >>> run(TensorDictModule(torch.neg, in_keys=["x"], out_keys=[("y", "z")]), td) is td
        True
        >>> td["y", "z"]
        tensor([-1., -1.])
    """
    if is_compiling() or skip_existing() or is_changed(module):
        return module(tensordict)
    if type(module) in (TensorDictSequential, SafeSequential) and _is_plain_sequence(module):
        for part in module.module:
            tensordict = run(part, tensordict)
        return tensordict
    if type(module) is not TensorDictModule or not _is_plain(module):
        return module(tensordict)
    inputs = [tensordict.get(key, None) for key in module.in_keys]
    if any(value is None for value in inputs):
        return module(tensordict)  # which says what is missing
    outputs = module.module(*inputs)
    if isinstance(outputs, dict | TensorDictBase) and all(k in outputs for k in module.out_keys):
        outputs = tuple(outputs.get(key) for key in module.out_keys)
    elif not isinstance(outputs, tuple):
        outputs = (outputs,)
    if len(outputs) != len(module.out_keys) or not all(isinstance(x, Tensor) for x in outputs):
        return module._write_to_tensordict(tensordict, outputs)
    for key, value in zip(module.out_keys, outputs, strict=True):
        tensordict.set(key, value)
    return tensordict


def _is_plain(module: TensorDictModule) -> bool:
    """Whether a module calls its network with its inputs in their order, and nothing else."""
    special = module.method, module._kwargs, module.method_kwargs, module._get_kwargs
    return not any(special) and module.inplace is True and "_" not in module.out_keys


def _is_plain_sequence(module: TensorDictSequential) -> bool:
    """Whether a sequence runs its parts one after the other, and nothing else."""
    special = module.partial_tolerant, module._select_before_return
    return not any(special) and module.inplace is None and isinstance(module.module, nn.ModuleList)


def under(params: TensorDictBase, network: nn.Module) -> AbstractContextManager:
    """Context in which a network has other parameters, as ``params.to_module(network)`` is.

    Examples:
        >>> import torch
        >>> from tensordict import TensorDict
        >>> network = nn.Linear(1, 1)
        >>> own = network.weight
        >>> with under(TensorDict({"weight": torch.ones(1, 1), "bias": torch.zeros(1)}), network):
        ...     network(torch.ones(1))
        tensor([1.])
        >>> network.weight is own
        True
    """
    if is_compiling():
        return params.to_module(network, preserve_module_state=False)
    exchanged: list[tuple[dict, str, Tensor]] = []
    if not _find(network, params, exchanged):
        return params.to_module(network, preserve_module_state=False)
    return _exchanged(exchanged) if exchanged else nullcontext()


def _find(
    network: nn.Module, params: TensorDictBase, exchanged: list[tuple[dict, str, Tensor]]
) -> bool:
    """List the parameters and buffers to be exchanged; ``False`` where a module sees to it."""
    if type(network).__setattr__ is not nn.Module.__setattr__:
        return False
    for name, value in params.items():
        if isinstance(value, Tensor):
            own = network._parameters if name in network._parameters else network._buffers
            if name not in own:
                return False
            if own[name] is not value:
                exchanged.append((own, name, value))
        elif name not in network._modules or not _find(network._modules[name], value, exchanged):
            return False
    return True


@contextmanager
def _exchanged(places: list[tuple[dict, str, Tensor]]) -> Iterator[None]:
    before = [(own, name, own[name]) for own, name, _ in places]
    try:
        for own, name, value in places:
            own[name] = value
        yield
    finally:
        for own, name, value in before:
            own[name] = value
