"""Actions that fail: now and then an agent does something else than it chose."""

from __future__ import annotations

import math

import torch
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import Composite

from torchrl_drigm.envs.transforms._executed_action import ExecutedAction

__all__ = ["ActionFailure"]


class ActionFailure(ExecutedAction):
    """Replaces an agent's action by a fallback, at random, for one step or several.

    At each step an agent whose actions work fails with the probability ``severity * rate``, each
    agent on its own; this action and those of the next ``steps - 1`` steps are then the fallback.
    The environment gets the fallback; the data keep the action that was chosen, which is what a
    value is learned of, and what transforms that come after this one see, such as
    :class:`~torchrl_drigm.envs.transforms.PreviousAction`: agents learn of a failure from what
    follows. Where an action mask says that the fallback is not available, the action stays as it
    is.

    Works on any environment with one categorical action per agent. Random numbers come from a
    generator of its own, on the CPU: a seed means the same on every device, and the environment's
    own stay as they are.

    Args:
        rate (float): probability that an agent fails at a step, in [0, 1].
        fallback (int): what it does then, such as the action that stops.
        steps (int): steps that a failure lasts. Default: 1.
        severity (float): factor on the probability, the axis of a shift. Default: 1.
        action_key (NestedKey): the action, int64 ``[*B, n_agents]``.
            Default: ``("agents", "action")``.
        mask_key (NestedKey): the available actions, bool ``[*B, n_agents, n_actions]``; need not
            be there. Default: ``("agents", "action_mask")``.
        seed (int, optional): of the failures; drawn from torch's generator if ``None``.

    Raises:
        ValueError: naming the argument, for a value out of range, if ``severity * rate`` is no
            probability, or the environment has no such action.

    Examples:
        >>> import torch
        >>> from torchrl.envs import TransformedEnv, VmasEnv
        >>> from torchrl_drigm.envs.transforms import ActionFailure
        >>> base_env = VmasEnv(
        ...     "navigation", num_envs=2, n_agents=3, continuous_actions=False, seed=0
        ... )
        >>> env = TransformedEnv(base_env, ActionFailure(rate=1.0, fallback=0))
        >>> td = env.reset()
        >>> td["agents", "action"] = torch.full((2, 3), 1)
        >>> stepped = env.step(td)
        >>> stepped["agents", "action"][0].tolist()  # what was chosen; nobody moved
        [1, 1, 1]
    """

    def __init__(
        self,
        rate: float,
        fallback: int,
        steps: int = 1,
        severity: float = 1.0,
        action_key: NestedKey = ("agents", "action"),
        mask_key: NestedKey = ("agents", "action_mask"),
        seed: int | None = None,
    ) -> None:
        if not _is_number(rate) or not 0 <= rate <= 1:
            raise ValueError(f"rate={rate!r} must be a probability, in [0, 1].")
        if not _is_number(severity) or not 0 <= severity < math.inf:
            raise ValueError(f"severity={severity!r} must be a finite number of at least 0.")
        if severity * rate > 1:
            raise ValueError(
                f"severity={severity} times rate={rate} is {severity * rate}, which is no "
                "probability: lower one of them."
            )
        for name, value, lowest in (("fallback", fallback, 0), ("steps", steps, 1)):
            if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
                raise ValueError(f"{name}={value!r} must be an int of at least {lowest}.")
        super().__init__(action_key, mask_key)
        self.probability = severity * rate
        self.fallback = fallback
        self.steps = steps
        self._steps_left: Tensor | None = None  # [*B, n_agents] int64 on the CPU, once it is known
        self.set_seed(seed)

    def set_seed(self, seed: int | None = None) -> None:
        """Starts failures over from a seed; from one drawn from torch's generator if ``None``."""
        if seed is None:
            seed = torch.randint(2**31, ()).item()
        self._generator = torch.Generator().manual_seed(seed)

    def _execute(self, action: Tensor, mask: Tensor | None) -> Tensor:
        if self._steps_left is None or self._steps_left.shape != action.shape:
            self._steps_left = torch.zeros(action.shape, dtype=torch.int64)
        fails = torch.rand(action.shape, generator=self._generator) < self.probability
        starts = fails & (self._steps_left == 0)
        self._steps_left = torch.where(starts, self.steps, self._steps_left)
        failed = (self._steps_left > 0).to(action.device)
        self._steps_left = (self._steps_left - 1).clamp(min=0)
        return self._where_available(mask, torch.where(failed, self.fallback, action), action)

    def _restart(self, reset: Tensor) -> None:
        if self._steps_left is not None:
            self._steps_left = torch.where(reset.cpu(), 0, self._steps_left)

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """Leaves specs as they are; checks that the fallback is one of the actions."""
        n = self._actions(input_spec).n
        if self.fallback >= n:
            raise ValueError(f"fallback={self.fallback} must be one of the {n} actions, from 0.")
        return input_spec

    def get_extra_state(self) -> dict[str, Tensor]:
        """State of the random generator and running failures, for the state dict."""
        state = {"generator": self._generator.get_state()}
        if self._steps_left is not None:
            state["steps_left"] = self._steps_left
        return state

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restores the random generator and running failures."""
        self._generator.set_state(state["generator"].cpu())
        steps_left = state.get("steps_left")
        self._steps_left = None if steps_left is None else steps_left.cpu()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
