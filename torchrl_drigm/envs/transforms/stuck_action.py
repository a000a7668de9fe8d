"""Actuators that get stuck: for a while an agent goes on doing what it did last."""

from __future__ import annotations

import torch
from tensordict.utils import NestedKey
from torch import Tensor

from torchrl_drigm.envs.transforms._executed_action import ExecutedAction

__all__ = ["StuckAction"]


class StuckAction(ExecutedAction):
    """Repeats an agent's last action for several steps, at random.

    At each step an actuator that works gets stuck with the probability ``rate``, each agent's on
    its own; in this step and the next ``steps - 1`` it goes on with what it did in the step before.
    In the first step of an episode it cannot get stuck. The data keep the action that was chosen.
    Where an action mask says that the last action is not available any more, the one chosen now is
    carried out.

    Random numbers come from a generator of its own, on the CPU, as many at each step whatever is
    done: a seed means the same failures on every device and for every team.

    Args:
        rate (float): probability per step, in [0, 1].
        steps (int): steps that an actuator is stuck. Default: 1.
        action_key (NestedKey): the action, int64 ``[*B, n_agents]``.
            Default: ``("agents", "action")``.
        mask_key (NestedKey): the available actions, bool ``[*B, n_agents, n_actions]``; need not
            be there. Default: ``("agents", "action_mask")``.
        seed (int, optional): of the failures; drawn from torch's generator if ``None``.

    Raises:
        ValueError: naming the argument, for a value out of range, or if the environment has no
            such action.

    Examples:
        >>> from torchrl.envs import TransformedEnv, VmasEnv
        >>> from torchrl_drigm.envs.transforms import StuckAction
        >>> base_env = VmasEnv(
        ...     "navigation", num_envs=2, n_agents=3, continuous_actions=False, seed=0
        ... )
        >>> TransformedEnv(base_env, StuckAction(rate=0.1, steps=4, seed=0)).rollout(5).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        rate: float,
        steps: int = 1,
        action_key: NestedKey = ("agents", "action"),
        mask_key: NestedKey = ("agents", "action_mask"),
        seed: int | None = None,
    ) -> None:
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate <= 1:
            raise ValueError(f"rate={rate!r} must be a probability, in [0, 1].")
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
            raise ValueError(f"steps={steps!r} must be an int of at least 1.")
        super().__init__(action_key, mask_key)
        self.rate = rate
        self.steps = steps
        # [*B, n_agents] int64, once they are known
        self._last: Tensor | None = None  # what was done in the step before; -1 if there was none
        self._steps_left: Tensor | None = None
        self.set_seed(seed)

    def set_seed(self, seed: int | None = None) -> None:
        """Starts failures over from a seed; from one drawn from torch's generator if ``None``."""
        if seed is None:
            seed = torch.randint(2**31, ()).item()
        self._generator = torch.Generator().manual_seed(seed)

    def _execute(self, action: Tensor, mask: Tensor | None) -> Tensor:
        if self._last is None or self._last.shape != action.shape:
            self._last = torch.full_like(action, -1)
            self._steps_left = torch.zeros_like(action)
        last, steps_left = self._last.to(action.device), self._steps_left.to(action.device)
        fails = torch.rand(action.shape, generator=self._generator) < self.rate
        starts = fails.to(action.device) & (steps_left == 0) & (last >= 0)
        steps_left = torch.where(starts, self.steps, steps_left)
        held = torch.where(steps_left > 0, last, action)
        self._steps_left = (steps_left - 1).clamp(min=0)
        self._last = self._where_available(mask, held, action)
        return self._last

    def _restart(self, reset: Tensor) -> None:
        if self._last is not None:
            reset = reset.to(self._last.device)
            self._last = torch.where(reset, -1, self._last)
            self._steps_left = torch.where(reset, 0, self._steps_left)

    def get_extra_state(self) -> dict[str, Tensor]:
        """State of the random generator and running failures, for the state dict."""
        state = {"generator": self._generator.get_state()}
        if self._last is not None:
            state |= {"last": self._last, "steps_left": self._steps_left}
        return state

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restores the random generator and running failures."""
        self._generator.set_state(state["generator"].cpu())
        self._last, self._steps_left = state.get("last"), state.get("steps_left")
