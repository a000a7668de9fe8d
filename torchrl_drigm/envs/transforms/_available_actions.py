"""Random actions that are available ones, in copies of which some start over."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torchrl.envs.transforms import ActionMask

__all__ = ["AvailableActions"]


class AvailableActions(ActionMask):
    """TorchRL's ``ActionMask``, also after a reset of some copies.

    Of the other copies a ``SerialEnv`` then gives back what they saw at an earlier step, which
    torchrl 0.14.1 takes for their masks. Here these keep the mask of their last step.
    """

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        over = None if tensordict is None else tensordict.get("_reset", None)
        before = self.action_spec.mask
        if over is not None and before is not None:
            mask = tensordict_reset.get(self.in_keys[1])
            over = over.reshape(over.shape + (1,) * (mask.ndim - over.ndim))
            mask = torch.where(over, mask, before.to(mask.device))
            tensordict_reset = tensordict_reset.copy().set(self.in_keys[1], mask)
        return self._call(tensordict_reset)
