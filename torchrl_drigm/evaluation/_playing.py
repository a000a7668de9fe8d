"""What every evaluation does around a policy: its modes, and a look at what it remembers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from tensordict import TensorDictBase
from tensordict.utils import unravel_key
from torch import nn
from torchrl.envs.utils import ExplorationType, set_exploration_type

__all__ = ["check_memory", "evaluation_mode"]


@contextmanager
def evaluation_mode(policy: object) -> Iterator[None]:
    """No gradients, deterministic exploration, and all modules of a policy in evaluation mode.

    Each module is put back into its own mode afterwards.
    """
    modules = list(policy.modules()) if isinstance(policy, nn.Module) else []
    modes = [module.training for module in modules]
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        if modules:
            policy.eval()
        try:
            yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode


def check_memory(policy: object, start: TensorDictBase) -> None:
    """Refuses an environment that does not carry what the policy hands on from step to step.

    Such an entry is read under a key and written under the same key of the next step. Recurrent
    modules take zeros where it is missing, and so would forget everything at every step.

    Args:
        policy: an ``nn.Module``; other callables are not looked into.
        start: what the environment's reset gave.

    Raises:
        ValueError: the reset gave no such entry.
    """
    for module in policy.modules() if isinstance(policy, nn.Module) else ():
        written = {unravel_key(key) for key in getattr(module, "out_keys", ())}
        for key in map(unravel_key, getattr(module, "in_keys", ())):
            if unravel_key(("next", key)) in written and start.get(key, None) is None:
                raise ValueError(
                    f"The policy carries {key!r} from step to step, but the environment's reset "
                    "does not give it: it would play without memory. Append "
                    "torchrl.modules.utils.get_primers_from_module(policy) to the environment's "
                    "transforms."
                )
