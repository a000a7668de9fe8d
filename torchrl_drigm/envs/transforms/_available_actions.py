"""Random actions that are available ones, in copies of which some start over."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs.transforms import ActionMask

__all__ = ["AvailableActions"]


class AvailableActions(ActionMask):
    """TorchRL's ``ActionMask``, also after a reset of some copies.

    Of the other copies a ``SerialEnv`` then gives back what they saw at an earlier step, which
    torchrl 0.14.1 takes for their masks. Here these keep the mask of their last step.

    Raises:
        ValueError: naming agent and step, for a mask that leaves an agent no action in an episode
            that goes on.
    """

    _steps: Tensor | None = None  # [*B] of each copy, in its episode

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        over = None if tensordict is None else tensordict.get("_reset", None)
        steps = torch.zeros(tensordict_reset.batch_size, dtype=torch.int64)
        if over is not None and self._steps is not None:
            steps = torch.where(over.reshape(steps.shape).to(steps.device), steps, self._steps)
        self._steps = steps
        before = self.action_spec.mask
        if over is not None and before is not None:
            mask = tensordict_reset.get(self.in_keys[1])
            over = over.reshape(over.shape + (1,) * (mask.ndim - over.ndim))
            mask = torch.where(over, mask, before.to(mask.device))
            tensordict_reset = tensordict_reset.copy().set(self.in_keys[1], mask)
        self._check(tensordict_reset)
        return self._call(tensordict_reset)

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        if self._steps is not None:
            self._steps = self._steps + 1
        self._check(next_tensordict)
        return super()._step(tensordict, next_tensordict)

    def _check(self, tensordict: TensorDictBase) -> None:
        mask = tensordict.get(self.in_keys[1])  # [*B, n_agents, n_actions]
        none = ~mask.any(-1)
        if (done := tensordict.get("done", None)) is not None:
            none = none & ~done
        if none.any():
            *copy, agent = none.nonzero()[0].tolist()
            step = "" if self._steps is None else f" after step {self._steps[tuple(copy)].item()}"
            raise ValueError(
                f"agent {agent} may take none of its {mask.shape[-1]} actions{step} of an episode "
                f"that goes on: all of {self.in_keys[1]!r} is False there. Let it have one, such "
                "as to do nothing."
            )
