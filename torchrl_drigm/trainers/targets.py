"""How target networks follow."""

from __future__ import annotations

import torch
from omegaconf import DictConfig
from torchrl import objectives
from torchrl.objectives import HardUpdate, LossModule
from torchrl.objectives.utils import TargetNetUpdater

from torchrl_drigm.config.checks import check_target

__all__ = ["SoftUpdate", "make_target_updater"]


class SoftUpdate(objectives.SoftUpdate):
    """:class:`torchrl.objectives.SoftUpdate`, in a tenth of its time.

    That one detaches the whole trees of parameters and locks the results, at every update; this one
    lists the pairs of parameters once.
    """

    def init_(self) -> None:
        """Copy the online parameters, and list which target follows which."""
        super().init_()
        sources, targets = (tree.values(True, True) for tree in (self._sources, self._targets))
        self._pairs = list(zip(sources, targets, strict=True))

    @torch.no_grad()
    def step(self) -> None:
        """Move every target parameter by a fraction of its distance."""
        for source, target in self._pairs:
            target.lerp_(source, 1 - self.eps)


def make_target_updater(cfg: DictConfig, loss: LossModule) -> TargetNetUpdater:
    """Hard copies every ``target.interval`` updates, or soft ones by ``target.tau``."""
    check_target(cfg)
    if cfg.target.interval is not None:
        # HardUpdate copies on the call after its interval.
        return HardUpdate(loss, value_network_update_interval=cfg.target.interval - 1)
    return SoftUpdate(loss, tau=cfg.target.tau)
