"""PyTorch's number of threads, which closing an environment leaves as it is.

TorchRL's ``SerialEnv`` and ``ParallelEnv``, when they are closed, raise it by the number of their
copies, up to that of the machine's cores, as if it had been lowered for them: a run of one thread
would go on with several, and be slower.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torchrl.envs import EnvBase, TransformedEnv

__all__ = ["keep_threads"]

Env = TypeVar("Env", bound=EnvBase)


def keep_threads(env: Env) -> Env:
    """The environment itself, whose ``close`` keeps the number of threads, whatever is inside.

    Args:
        env (EnvBase): an environment, with transforms or without.
    """
    base = env
    while isinstance(base, TransformedEnv):  # transforms may be taken off, and others put around
        base = base.base_env
    close = base.close

    def closed(**kwargs: bool) -> None:
        threads = torch.get_num_threads()
        try:
            close(**kwargs)
        finally:
            torch.set_num_threads(threads)

    base.close = closed
    return env
