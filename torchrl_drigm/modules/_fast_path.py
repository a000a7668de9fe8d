"""Faster ways to a part of what a network's ``forward`` computes, declared by the network.

A loss takes such a way only where it is what ``forward`` would compute: not in a subclass with
another ``forward``, and not past a hook or a wrapper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tensordict.nn import TensorDictModule
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

__all__ = ["declared_fast_path", "fast_path_of", "is_changed"]

Method = TypeVar("Method", bound=Callable)


def fast_path_of(forward: Callable) -> Callable[[Method], Method]:
    """Declare that a method computes a part of what ``forward`` computes, faster.

    Args:
        forward (callable): the ``forward`` that the method stands for. A subclass that overrides it
            has no such method any more, as far as losses are concerned, until it declares its own.

    Examples:
        >>> class Doubled(nn.Module):
        ...     def forward(self, x):
        ...         return 2 * x
        ...
        ...     @fast_path_of(forward)
        ...     def first(self, x):
        ...         return 2 * x[..., :1]
        >>> doubled = TensorDictModule(Doubled(), in_keys=["x"], out_keys=["y"])
        >>> declared_fast_path(doubled, "first").__name__
        'first'
        >>> _ = doubled.module.register_forward_hook(lambda *_: None)
        >>> declared_fast_path(doubled, "first") is None
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


def declared_fast_path(module: nn.Module, name: str) -> Callable | None:
    """The method ``name`` of the network in a ``TensorDictModule``, if it may stand for a part.

    Args:
        module (nn.Module): what calls the network.
        name (str): of a method that :func:`fast_path_of` marks.

    Returns:
        The bound method, or ``None``: the network has none, its type has another ``forward`` than
        the one that the method stands for, or a hook or another module comes in between.
    """
    if type(module) is not TensorDictModule or is_changed(module) or module.method is not None:
        return None
    network = module.module
    method = getattr(type(network), name, None)
    replaces = getattr(method, "fast_path_of", None)
    if replaces is None or type(network).forward is not replaces:
        return None
    if any(is_changed(part) for part in network.modules()):
        return None
    return getattr(network, name)
