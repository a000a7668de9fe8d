"""What a process is told before its first run."""

from __future__ import annotations

import torch
from omegaconf import DictConfig
from torchrl import logger as torchrl_logger

__all__ = ["prepare"]


def prepare(cfg: DictConfig) -> None:
    """Give PyTorch a run's number of threads (``threads``) and its seed (``seed``).

    TorchRL then tells of warnings alone.

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
    torch.manual_seed(cfg.seed)
