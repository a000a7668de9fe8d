"""Actions that take effect some steps after they were chosen."""

from __future__ import annotations

import torch
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import Composite

from torchrl_drigm.envs.transforms._executed_action import ExecutedAction

__all__ = ["ActionDelay"]


class ActionDelay(ExecutedAction):
    """Carries out the action that was chosen some steps ago.

    In the first steps of an episode, before any chosen action has arrived, it is ``idle``. The data
    keep the action that was chosen. Where an action mask says that the late action is not available
    any more, the one chosen now is carried out.

    Args:
        steps (int): the delay, at least 1.
        idle (int): what is done before the first chosen action arrives.
        action_key (NestedKey): the action, int64 ``[*B, n_agents]``.
            Default: ``("agents", "action")``.
        mask_key (NestedKey): the available actions, bool ``[*B, n_agents, n_actions]``; need not
            be there. Default: ``("agents", "action_mask")``.

    Raises:
        ValueError: naming the argument, for a value out of range, or if the environment has no
            such action.

    Examples:
        >>> from torchrl.envs import TransformedEnv, VmasEnv
        >>> from torchrl_drigm.envs.transforms import ActionDelay
        >>> base_env = VmasEnv(
        ...     "navigation", num_envs=2, n_agents=3, continuous_actions=False, seed=0
        ... )
        >>> TransformedEnv(base_env, ActionDelay(steps=2, idle=0)).rollout(5).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        steps: int,
        idle: int,
        action_key: NestedKey = ("agents", "action"),
        mask_key: NestedKey = ("agents", "action_mask"),
    ) -> None:
        for name, value, lowest in (("steps", steps, 1), ("idle", idle, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
                raise ValueError(f"{name}={value!r} must be an int of at least {lowest}.")
        super().__init__(action_key, mask_key)
        self.steps = steps
        self.idle = idle
        self._waiting: Tensor | None = None  # [steps, *B, n_agents], the next one first

    def _execute(self, action: Tensor, mask: Tensor | None) -> Tensor:
        if self._waiting is None or self._waiting.shape[1:] != action.shape:
            self._waiting = action.new_full((self.steps, *action.shape), self.idle)
        waiting = torch.cat([self._waiting.to(action.device), action.unsqueeze(0)])
        late, self._waiting = waiting[0], waiting[1:]
        return self._where_available(mask, late, action)

    def _restart(self, reset: Tensor) -> None:
        if self._waiting is not None:
            reset = reset.to(self._waiting.device)
            self._waiting = torch.where(reset, self.idle, self._waiting)

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """Leaves specs as they are; checks that ``idle`` is one of the actions."""
        n = self._actions(input_spec).n
        if self.idle >= n:
            raise ValueError(f"idle={self.idle} must be one of the {n} actions, from 0.")
        return input_spec

    def get_extra_state(self) -> dict[str, Tensor]:
        """The actions on their way, for the state dict."""
        return {} if self._waiting is None else {"waiting": self._waiting}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restores the actions on their way."""
        self._waiting = state.get("waiting")
