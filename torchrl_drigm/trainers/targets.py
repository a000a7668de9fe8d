"""How target networks follow."""

from __future__ import annotations

import torch
from torchrl import objectives

__all__ = ["SoftUpdate"]


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
