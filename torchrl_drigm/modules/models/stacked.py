"""Networks of several runs as one: the same architecture, parameters of their own.

Axes: ``R`` runs, ``*B`` batch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from torchrl_drigm.modules._fast_path import (
    ChosenValue,
    GreedyAndChosen,
    ValueAndOther,
    fast_path_of,
)
from torchrl_drigm.modules.models._agent_linear import AgentLinear
from torchrl_drigm.modules.models._levels import LevelHead
from torchrl_drigm.modules.models.drqn import CORES, DRQN

__all__ = ["StackedModule", "stack_modules"]

_SCALING = ("observation_loc", "observation_scale")
_OFFERS = [
    name
    for protocol in (ChosenValue, GreedyAndChosen, ValueAndOther)
    for name in vars(protocol)
    if not name.startswith("_")
]


class StackedModule(nn.Module):
    """Networks of one architecture, called at once; make one by :func:`stack_modules`.

    Every argument and result has the runs as its first dimension. Parameters and buffers have the
    names that a network alone gives them, below ``module``, and the runs first.

    Args:
        modules (sequence of nn.Module): the networks, of one type and with parameters of the same
            names, shapes and types. Their values are copied.

    Raises:
        ValueError: if they do not fit together, naming the parameter.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        first, *others = modules
        for run, other in enumerate(others, start=1):
            _check_alike(first, other, run)
        self.n_runs = len(modules)
        self.module = copy.deepcopy(first)
        # what computes, with the parameters that it is lent: no submodule, it owns none
        self.__dict__["_alone"] = alone = copy.deepcopy(first)
        self.__dict__["_methods"] = {
            name: _Method(alone, name) for name in _OFFERS if hasattr(alone, name)
        }
        named = dict(first.named_parameters(remove_duplicate=False))
        named |= first.named_buffers(remove_duplicate=False)
        self._names = list(named)
        shared: dict[Tensor, Tensor] = {}  # what has several names keeps them
        for name in self._names:
            owner, _, leaf = name.rpartition(".")
            place = self.module.get_submodule(owner)
            if named[name] in shared:
                setattr(place, leaf, shared[named[name]])
                continue
            tensors = [_tensor(module, name) for module in modules]
            stacked = torch.stack([tensor.detach() for tensor in tensors])
            if isinstance(tensors[0], nn.Parameter):
                stacked = nn.Parameter(stacked, requires_grad=tensors[0].requires_grad)
            shared[named[name]] = stacked
            setattr(place, leaf, stacked)

    def train(self, mode: bool = True) -> StackedModule:
        """Put what computes into this mode, too."""
        self._alone.train(mode)
        return super().train(mode)

    def extra_repr(self) -> str:
        """The number of runs, for ``repr``."""
        return f"n_runs={self.n_runs}"

    def forward(self, *args: Tensor) -> Any:
        """What each network gives for its part ``[R, ...]`` of every argument."""
        return self._call("forward", *args)

    def _call(self, method: str, *args: Tensor) -> Any:
        # by name, as what is lent to the module in place of a parameter may be registered nowhere
        lent = {name: _tensor(self.module, name) for name in self._names}
        return torch.vmap(lambda own, *own_args: self._lend(method, own, own_args))(lent, *args)

    def _lend(self, method: str, lent: dict[str, Tensor], args: Sequence[Tensor]) -> Any:
        """What a method of the network gives that is lent these parameters."""
        if method == "forward":
            return functional_call(self._alone, lent, tuple(args), tie_weights=False)
        lent = {f"module.{name}": tensor for name, tensor in lent.items()}
        return functional_call(self._methods[method], lent, tuple(args), tie_weights=False)


class _StackedTeam(StackedModule):
    """Agents with networks of their own, as one large team of as many agents as all runs have.

    What a :class:`~torchrl_drigm.modules.DRQN` computes agent by agent, it computes for these in
    the same few operations, by its own kernels; ``torch.vmap`` would reach the plain ones only.
    """

    def __init__(self, modules: Sequence[DRQN]) -> None:
        super().__init__(modules)
        self._alone.n_agents = self._alone.core.n_agents = self.n_runs * modules[0].n_agents

    def _call(self, method: str, *args: Tensor) -> Any:
        observation, *_ = args  # [R, *B, A, W, F]
        at = observation.ndim - 4
        lent = {name: _tensor(self.module, name) for name in self._names}
        n_agents = self.module.n_agents
        for name, tensor in lent.items():
            if name in _SCALING and tensor.ndim == 2:  # the same for all agents of a run
                tensor = tensor[:, None, None].expand(-1, n_agents, -1, -1)
            lent[name] = tensor.flatten(0, 1)
        merged = [x.movedim(0, at).flatten(at, at + 1) for x in args]
        found = self._lend(method, lent, merged)
        if isinstance(found, Tensor):
            return self._by_run(found, at)
        return tuple(self._by_run(x, at) for x in found)

    def _by_run(self, x: Tensor, at: int) -> Tensor:
        return x.unflatten(at, (self.n_runs, -1)).movedim(at, 0)


class _Method(nn.Module):
    """Another method of a module in the place of its forward, which is all that can be called."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module = module
        self.method = method

    def forward(self, *args: Tensor) -> Any:
        return getattr(self.module, self.method)(*args)


def stack_modules(modules: Sequence[nn.Module]) -> StackedModule:
    """One module of several, with the fast paths that theirs declare.

    Args:
        modules (sequence of nn.Module): see :class:`StackedModule`.

    Examples:
        >>> networks = [nn.Linear(3, 2) for _ in range(4)]
        >>> together = stack_modules(networks)
        >>> x = torch.randn(4, 5, 3)
        >>> torch.allclose(together(x)[1], networks[1](x[1]), atol=1e-6)
        True
        >>> together.module.weight.shape
        torch.Size([4, 2, 3])
    """
    network = type(modules[0])
    offered = {
        name: _offer(name)
        for name in _OFFERS
        if getattr(getattr(network, name, None), "fast_path_of", None) is network.forward
    }
    base = _StackedTeam if _is_team(modules) else StackedModule
    return type(f"Stacked{network.__name__}", (base,), offered)(modules)


def _is_team(modules: Sequence[nn.Module]) -> bool:
    """Whether the agents of all networks can be those of one, as they have nothing in common."""
    first = modules[0]
    return all(type(module) is DRQN and not module.share_params for module in modules) and {
        type(part) for part in first.modules()
    } <= {DRQN, AgentLinear, LevelHead, *CORES.values()}


def _offer(name: str) -> Callable:
    @fast_path_of(StackedModule.forward)
    def method(self: StackedModule, *args: Tensor) -> Any:
        return self._call(name, *args)

    return method


def _tensor(module: nn.Module, name: str) -> Tensor:
    return attrgetter(name)(module)


def _check_alike(first: nn.Module, other: nn.Module, run: int) -> None:
    if type(first) is not type(other):
        raise ValueError(
            f"network 0 is a {type(first).__name__}, and network {run} a {type(other).__name__}: "
            "only networks of one architecture can be computed at once."
        )
    kinds = [
        {name: (tuple(t.shape), t.dtype) for name, t in module.state_dict(keep_vars=True).items()}
        for module in (first, other)
    ]
    for name in {**kinds[0], **kinds[1]}:
        a, b = (kind.get(name) for kind in kinds)
        if a != b:
            raise ValueError(
                f"{type(first).__name__}.{name} is {a} in network 0, and {b} in network {run}: "
                "only networks of one architecture can be computed at once."
            )
