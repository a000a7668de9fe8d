"""Faster ways to a part of what a network's ``forward`` computes, declared by the network.

A loss runs networks as a whole. For a part alone, such as the values of the actions that were
taken, a network may offer a method of one of the protocols below, and declare by
:func:`fast_path_of` which ``forward`` it stands for. A loss takes that way only where it is what
``forward`` would compute: not in a subclass with another ``forward``, and not past a hook or a
wrapper. Without a declaration it costs time, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

__all__ = [
    "ChosenValue",
    "GreedyAndChosen",
    "ValueAndOther",
    "fast_path",
    "fast_path_of",
    "is_changed",
]

Method = TypeVar("Method", bound=Callable)
Offer = TypeVar("Offer")


class ChosenValue(Protocol):
    """Of agents: gives the values of the actions taken, as losses with a mixer need them.

    ``chosen_value(*inputs, action)`` must equal
    ``values.gather(-1, action.unsqueeze(-1))``, gradients included, where ``values``
    ``[*B, n_agents, n_actions]`` is what ``forward(*inputs)`` gives, or the first of what it gives.
    """

    def chosen_value(self, *inputs_and_action: Tensor) -> Tensor:
        """Values ``[*B, n_agents, 1]`` of integers ``[*B, n_agents]``, the last argument."""


class GreedyAndChosen(Protocol):
    """Of agents: gives greedy actions, and the values of these and of the actions taken, for QTRAN.

    With ``values, *others = forward(*inputs)``, ``greedy_and_chosen(*inputs, action)`` must equal
    ``greedy, chosen, *others``: ``greedy = values.argmax(-1)``, and ``chosen``
    ``[*B, n_agents, 2]`` the values of the greedy and the given actions, gradients included.
    """

    def greedy_and_chosen(self, *inputs_and_action: Tensor) -> tuple[Tensor, ...]:
        """For integers ``[*B, n_agents]``, the last argument."""


class ValueAndOther(Protocol):
    """Of QTRAN's joint networks: gives the values of two joint actions in one call.

    ``value_and_other(state, action, other, *features)`` must equal
    ``forward(state, action, *features), forward(state, other, *features).detach()``.
    """

    def value_and_other(
        self, state: Tensor, action: Tensor, other: Tensor, *features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Two tensors ``[*B, 1]``, the second one without gradient."""


def fast_path_of(forward: Callable) -> Callable[[Method], Method]:
    """Declare that a method computes a part of what ``forward`` computes, faster.

    The method is one of the protocols :class:`~torchrl_drigm.modules.ChosenValue`,
    :class:`~torchrl_drigm.modules.GreedyAndChosen` or
    :class:`~torchrl_drigm.modules.ValueAndOther`, which say what it must equal.

    Args:
        forward (callable): the ``forward`` that the method stands for. A subclass that overrides it
            has no such method any more, as far as losses are concerned, until it declares its own.

    Examples:
        >>> import torch
        >>> class Table(nn.Module):
        ...     values = torch.arange(6.0).view(2, 3)  # of 2 agents, for 3 actions
        ...
        ...     def forward(self, x):
        ...         return x * self.values
        ...
        ...     @fast_path_of(forward)
        ...     def chosen_value(self, x, action):
        ...         return x * self.values.gather(-1, action.unsqueeze(-1))
        >>> agents = TensorDictModule(Table(), in_keys=["x"], out_keys=["action_value"])
        >>> fast_path(agents, ChosenValue).chosen_value(torch.ones(()), torch.tensor([0, 2]))
        tensor([[0.],
                [5.]])
        >>> _ = agents.module.register_forward_hook(lambda *_: None)
        >>> fast_path(agents, ChosenValue) is None
        True
    """

    def declare(method: Method) -> Method:
        method.fast_path_of = forward
        return method

    return declare


def is_changed(module: nn.Module) -> bool:
    """Whether a module does more than its type: by a hook, or a forward of its own."""
    own = vars(module)
    return bool(
        "forward" in own
        or own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or _has_any_global_hook()
    )


def fast_path(module: nn.Module, protocol: type[Offer]) -> Offer | None:
    """The network in a ``TensorDictModule``, if it declares ``protocol`` and may be called by it.

    Args:
        module (nn.Module): what calls the network.
        protocol (type): one of those above.

    Returns:
        The network, or ``None``: its type does not declare the protocol's methods, or has another
        ``forward`` than the one that they stand for, or a hook or another module comes in between.
    """
    if type(module) is not TensorDictModule or is_changed(module) or module.method is not None:
        return None
    network = module.module
    forward = getattr(type(network), "forward", None)
    for name in vars(protocol):
        if not name.startswith("_"):
            method = getattr(type(network), name, None)
            if forward is None or getattr(method, "fast_path_of", None) is not forward:
                return None
    if any(is_changed(part) for part in network.modules()):
        return None
    return network
