"""What actions that are carried out otherwise than chosen have in common."""

from __future__ import annotations

from abc import abstractmethod

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import Categorical, Composite, MultiCategorical
from torchrl.envs.transforms import Transform
from torchrl.envs.transforms.utils import _get_reset

__all__ = ["ExecutedAction"]


class ExecutedAction(Transform):
    """Base of transforms that hand the environment another action than the one chosen.

    The data keep the action that was chosen, which is what a value is learned of, and what
    transforms that come after this one see. Where an action mask says that the other action is not
    available, the chosen one is carried out. Subclasses implement :meth:`_execute` and
    :meth:`_restart`.

    Args:
        action_key (NestedKey): the action, int64 ``[*B, n_agents]``.
        mask_key (NestedKey): the available actions, bool ``[*B, n_agents, n_actions]``; need not
            be there.
    """

    def __init__(self, action_key: NestedKey, mask_key: NestedKey) -> None:
        super().__init__(in_keys=[], out_keys=[], in_keys_inv=[action_key], out_keys_inv=[])
        self.mask_key = mask_key
        self._chosen: Tensor | None = None  # within a step

    @abstractmethod
    def _execute(self, action: Tensor, mask: Tensor | None) -> Tensor:
        """The action to carry out for the chosen one ``[*B, n_agents]``."""

    @abstractmethod
    def _restart(self, reset: Tensor) -> None:
        """Forget what was before, where ``reset`` is true, bool ``[*B, 1]``."""

    @staticmethod
    def _where_available(mask: Tensor | None, other: Tensor, action: Tensor) -> Tensor:
        """The other action, but the chosen one where the other one is not available."""
        if mask is None:
            return other
        available = mask.gather(-1, other.long().unsqueeze(-1)).squeeze(-1)
        return torch.where(available, other, action)

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get(self.in_keys_inv[0])
        executed = self._execute(action, tensordict.get(self.mask_key, None))
        self._chosen = action
        return tensordict.set(self.in_keys_inv[0], executed)

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        # For the transforms after this one, which remember actions: the replay buffer rebuilds
        # their histories from the actions in the data.
        tensordict.set(self.in_keys_inv[0], self._chosen)
        return next_tensordict

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        reset = _get_reset(self.parent.reset_keys[0], tensordict)
        # [*B, 1], or [*B] of environments whose flags have no dimension of their own
        self._restart(reset.reshape(*self.parent.batch_size, 1))
        return tensordict_reset

    def _actions(self, input_spec: Composite) -> Categorical:
        """The spec of the actions, if there is one categorical action per agent."""
        action = input_spec["full_action_spec"].get(self.in_keys_inv[0], None)
        if not isinstance(action, Categorical) or isinstance(action, MultiCategorical):
            raise ValueError(
                f"{type(self).__name__}: expected a Categorical action spec under "
                f"{self.in_keys_inv[0]!r}, received {type(action).__name__}. Build the environment "
                "with categorical actions."
            )
        return action

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """Leaves specs as they are; checks that actions are categorical."""
        self._actions(input_spec)
        return input_spec
