"""What a process is told before its first run."""

from __future__ import annotations

import numpy as np
import torch
from omegaconf import DictConfig
from torchrl import logger as torchrl_logger

__all__ = ["prepare"]


def prepare(cfg: DictConfig) -> None:
    """Give PyTorch a run's number of threads (``threads``) and its seed (``seed``).

    TorchRL then tells of warnings alone, and the processor takes numbers below float32's normal
    range (1.2e-38) for 0 (:func:`torch.set_flush_denormal`). It computes such ones several times
    as slowly, and the mean gradients and squares of weights that get no gradient end there and
    stay, as the smallest numbers times 0.9 or 0.99 are rounded back to themselves. In no weight
    does it make a difference: an optimizer adds 1e-8 to what it divides by.

    Args:
        cfg (DictConfig): the composed config.

    Examples:
        >>> from torchrl_drigm.config import compose_config
        >>> prepare(compose_config("seed=3"))
        >>> torch.initial_seed()
        3
    """
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(cfg.threads)
    for dtype in (np.float32, np.float64):
        np.finfo(dtype)  # looks at the smallest number; NumPy before 2.4 warns where that is 0
    torch.set_flush_denormal(True)  # of this thread, and of those that it starts
    torch.manual_seed(cfg.seed)
