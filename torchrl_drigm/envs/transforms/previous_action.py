"""The action taken just before an observation, as part of it."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import Categorical, Composite, MultiCategorical
from torchrl.envs.transforms import Transform

__all__ = ["PreviousAction"]


class PreviousAction(Transform):
    """Writes the categorical action that led to an observation; 0 at the start of an episode.

    Recurrent agents see it beside the observation. The first step of an episode has no previous
    action: TorchRL's ``InitTracker`` tells it from action 0, and
    :class:`~torchrl_drigm.modules.RecurrentDRQN` lets none enter there.

    Args:
        action_key (NestedKey): the action ``[*B, n_agents]``. Default: ``("agents", "action")``.
        out_key (NestedKey): where to write the previous one, int64 ``[*B, n_agents]``.
            Default: ``("agents", "previous_action")``.

    Raises:
        ValueError: if the action is not categorical with one entry per agent.

    Examples:
        >>> from torchrl.envs import TransformedEnv, VmasEnv
        >>> from torchrl_drigm.envs.transforms import PreviousAction
        >>> base_env = VmasEnv(
        ...     "navigation", num_envs=4, n_agents=3, continuous_actions=False, seed=0
        ... )
        >>> rollout = TransformedEnv(base_env, PreviousAction()).rollout(max_steps=6)
        >>> previous, action = rollout["agents", "previous_action"], rollout["agents", "action"]
        >>> torch.equal(previous[:, 1:], action[:, :-1]), previous[:, 0].any().item()
        (True, False)
    """

    def __init__(
        self,
        action_key: NestedKey = ("agents", "action"),
        out_key: NestedKey = ("agents", "previous_action"),
    ) -> None:
        super().__init__(in_keys=[action_key], out_keys=[out_key])

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        # a copy: the collector may write the next action into the same memory
        next_tensordict.set(self.out_keys[0], tensordict.get(self.in_keys[0]).clone())
        return next_tensordict

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        # zeros for every row: the environment keeps the old entries of rows that are not reset
        tensordict_reset.set(self.out_keys[0], self._zeros())
        return tensordict_reset

    def _zeros(self) -> Tensor:
        spec = self.parent.full_action_spec[self.in_keys[0]]
        return torch.zeros(spec.shape, dtype=torch.int64, device=spec.device)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Not available: a stored batch does not order its steps."""
        raise NotImplementedError(
            "PreviousAction only runs in an environment. Its actions are stored with each step, so "
            "that a replay buffer needs no transform."
        )

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """Adds the previous action to the observations."""
        action = self.parent.full_action_spec[self.in_keys[0]]
        if not isinstance(action, Categorical) or isinstance(action, MultiCategorical):
            raise ValueError(
                f"PreviousAction: expected a Categorical action spec under {self.in_keys[0]!r}, "
                f"received {type(action).__name__}. Build the environment with categorical actions."
            )
        observation_spec[self.out_keys[0]] = Categorical(
            action.n, shape=action.shape, dtype=torch.int64, device=action.device
        )
        return observation_spec
