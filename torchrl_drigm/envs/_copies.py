"""Copies of an environment that leave PyTorch's number of threads as it is.

TorchRL's, when they are closed, raise it by the number of copies, up to that of the machine's
cores, as if it had been lowered for them; a run of one thread would go on with several, slower.
"""

from __future__ import annotations

import torch
from torchrl.envs import ParallelEnv, SerialEnv

__all__ = ["ParallelCopies", "SerialCopies"]


class _KeepsThreads:
    def close(self, **kwargs: bool) -> None:
        """Close all copies, as TorchRL does."""
        threads = torch.get_num_threads()
        try:
            super().close(**kwargs)
        finally:
            torch.set_num_threads(threads)


class SerialCopies(_KeepsThreads, SerialEnv):
    """:class:`~torchrl.envs.SerialEnv`, whose copies are stepped one after the other."""


class ParallelCopies(_KeepsThreads, ParallelEnv):
    """:class:`~torchrl.envs.ParallelEnv`, whose copies have a process each."""
